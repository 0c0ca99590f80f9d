"""Signatures: made with one key, trusted by its public half, and every byte of them counts."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.adapters.model_signatures import SIGNATURE, ModelSignatures
from ml_release.adapters.signing_keys import PRIVATE_KEY, PUBLIC_KEY, SigningKeys
from ml_release.domain.signed_statement import require_signed
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {"manifest.json": b"{}", "model.onnx": b"\x08model"}
NAME = "0" * 64


def signed(signatures: ModelSignatures) -> bytes:
    return signatures.sign(FILES, name=NAME)


def check(signatures: ModelSignatures, signature: bytes) -> None:
    require_signed(signatures.statement(signature, subject="m"), FILES, subject="m")


def test_a_key_pair_is_made_once(tmp_path: Path) -> None:
    """The private half is for its owner alone, and no draft is left."""
    signatures = ModelSignatures(SigningKeys(tmp_path / "keys"))
    check(signatures, signed(signatures))
    private = tmp_path / "keys" / PRIVATE_KEY
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    check(signatures, signed(signatures))
    assert private.read_bytes() == before
    assert {p.name for p in private.parent.iterdir()} == {PRIVATE_KEY, PUBLIC_KEY}


def test_made_at_once_there_is_one_key(tmp_path: Path) -> None:
    """Whoever was second signs with the key of the first."""
    found: list[bytes] = []

    def sign() -> None:
        found.append(signed(ModelSignatures(SigningKeys(tmp_path))))

    threads = [threading.Thread(target=sign) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for signature in found:
        check(ModelSignatures(SigningKeys(tmp_path)), signature)
    assert {p.name for p in tmp_path.iterdir()} == {PRIVATE_KEY, PUBLIC_KEY}


def test_who_verifies_needs_the_public_key_only(tmp_path: Path) -> None:
    """In the keys folder of another home, or anywhere by its name."""
    signatures = ModelSignatures(SigningKeys(tmp_path / "keys"))
    signature = signed(signatures)
    (tmp_path / "server").mkdir()
    public = (tmp_path / "keys" / PUBLIC_KEY).rename(tmp_path / "server" / PUBLIC_KEY)
    check(ModelSignatures(SigningKeys(tmp_path / "server")), signature)
    check(ModelSignatures(SigningKeys(tmp_path / "nowhere", verify_keys=[public])), signature)


def test_without_any_key_nothing_is_verified(tmp_path: Path) -> None:
    """And none is made by asking."""
    signature = signed(ModelSignatures(SigningKeys(tmp_path / "keys")))
    with pytest.raises(NotFoundError, match=r"none\. Train a model.*ML_RELEASE_VERIFY_KEY"):
        check(ModelSignatures(SigningKeys(tmp_path / "other")), signature)
    assert not (tmp_path / "other").exists()


def test_another_key_is_not_trusted(tmp_path: Path) -> None:
    """The message tells the keys apart and says what can be done."""
    signed(ModelSignatures(SigningKeys(tmp_path / "a")))
    theirs = signed(ModelSignatures(SigningKeys(tmp_path / "b")))
    with pytest.raises(IntegrityError, match=r"^m: expected a signature of a trusted key .*again"):
        check(ModelSignatures(SigningKeys(tmp_path / "a")), theirs)


def test_two_keys_are_trusted_while_one_replaces_the_other(tmp_path: Path) -> None:
    """Afterwards only the new one is."""
    old, new = (
        ModelSignatures(SigningKeys(tmp_path / "old")),
        ModelSignatures(SigningKeys(tmp_path / "new")),
    )
    signatures = [signed(old), signed(new)]
    publics = [tmp_path / "old" / PUBLIC_KEY, tmp_path / "new" / PUBLIC_KEY]
    for signature in signatures:
        check(ModelSignatures(SigningKeys(tmp_path, verify_keys=publics)), signature)
    with pytest.raises(IntegrityError, match="of a trusted key"):
        check(ModelSignatures(SigningKeys(tmp_path, verify_keys=publics[1:])), signatures[0])


def test_a_key_of_one_s_own_signs_and_is_trusted(tmp_path: Path) -> None:
    """No key is made beside it."""
    signed(ModelSignatures(SigningKeys(tmp_path / "keys")))
    own = ModelSignatures(
        SigningKeys(tmp_path / "unused", signing_key=tmp_path / "keys" / PRIVATE_KEY)
    )
    check(own, signed(own))
    assert not (tmp_path / "unused").exists()


def _pem(kind: str) -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1())
    )
    if kind == "public":
        return key.public_key().public_bytes(
            form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
        )
    hidden = form.BestAvailableEncryption(b"x") if kind == "password" else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, hidden)


@pytest.mark.parametrize("kind", ["none", "nonsense", "ed25519", "p384", "password", "public"])
def test_a_signing_key_that_is_none_is_refused_by_its_file(tmp_path: Path, kind: str) -> None:
    """Before anything is signed."""
    path = tmp_path / "key.pem"
    if kind != "none":
        path.write_bytes(b"nonsense" if kind == "nonsense" else _pem(kind))
    with pytest.raises(InputError, match=r"^signing key .*key\.pem: expected a private key on P-"):
        signed(ModelSignatures(SigningKeys(tmp_path, signing_key=path)))


@pytest.mark.parametrize("kind", ["none", "nonsense", "private"])
def test_a_verify_key_that_is_none_is_refused_by_its_file(tmp_path: Path, kind: str) -> None:
    """Even beside one that would do: a key that was meant and is not there is an error."""
    signature = signed(ModelSignatures(SigningKeys(tmp_path)))
    path = tmp_path / "key.pem"
    if kind != "none":
        path.write_bytes(b"nonsense" if kind == "nonsense" else _pem(kind))
    for keys in ([path], [tmp_path / PUBLIC_KEY, path]):
        with pytest.raises(
            InputError, match=r"^verify key .*key\.pem: expected a public key on P-"
        ):
            check(ModelSignatures(SigningKeys(tmp_path, verify_keys=keys)), signature)


@cache
def a_signature() -> tuple[ModelSignatures, bytes]:
    signatures = ModelSignatures(SigningKeys(Path(mkdtemp())))
    return signatures, signed(signatures)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_every_byte_of_a_signature_counts(data: st.DataObject) -> None:
    """Whichever is changed to whatever, or left out, or added, it is refused."""
    signatures, signature = a_signature()
    at = data.draw(st.integers(0, len(signature) - 1))
    other = data.draw(st.binary(max_size=2).filter(lambda b: b != signature[at : at + 1]))
    changed = signature[:at] + other + signature[at + 1 :]
    if changed == signature:
        return
    with pytest.raises(IntegrityError, match=r"^m: "):
        check(signatures, changed)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"\x80\x04."])
def test_what_is_no_signature_is_refused(content: bytes) -> None:
    """As such, and not with an error of a parser."""
    with pytest.raises(IntegrityError, match=r"^m: model\.sig is no signature"):
        check(a_signature()[0], content)


def _verify_by_library(folder: Path, key: Path) -> None:
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    config.verify(folder, folder / SIGNATURE)


def _verify_by_command(folder: Path, key: Path) -> None:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    options = ["--signature", str(folder / SIGNATURE), "--public_key", str(key)]
    subprocess.run([*command, *options], check=True, capture_output=True)


@pytest.mark.parametrize("verify", [_verify_by_library, _verify_by_command])
def test_anybody_can_verify_with_the_tools_of_the_format(
    tmp_path: Path, verify: Callable[[Path, Path], None]
) -> None:
    """model-signing accepts what lies in the folder, and refuses it changed."""
    folder = tmp_path / NAME
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / SIGNATURE).write_bytes(signed(ModelSignatures(SigningKeys(tmp_path))))
    verify(folder, tmp_path / PUBLIC_KEY)
    (folder / "model.onnx").write_bytes(b"\x08modem")
    with pytest.raises((ValueError, subprocess.CalledProcessError)):
        verify(folder, tmp_path / PUBLIC_KEY)
