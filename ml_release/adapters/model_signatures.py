"""Signatures on model artefacts, in the form of OpenSSF Model Signing, with keys on P-256.

model-signing makes the signature: a Sigstore bundle with a DSSE envelope around an in-toto
statement of every file's SHA-256. It can be verified by anybody with the public key, also by
``model_signing verify key``. Verifying here takes the envelope's own library instead, because
importing model-signing costs 0.5 s, for clients of a network that are never used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_release.domain.identity import canonical_json
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIGNATURE = "model.sig"
PRIVATE_KEY = "signing_key.pem"
PUBLIC_KEY = "verify_key.pem"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT = "application/vnd.in-toto+json"
_SHOWN = 12


class ModelSignatures:
    """Signs with one private key, verifies with the public keys that are trusted.

    Parameters
    ----------
    keys
        Folder where a key pair is made when something is signed first, and where it is read from;
        for those who verify only, the public key in it is enough.
    signing_key
        PEM file of a private key to sign with instead.
    verify_keys
        PEM files of public keys to trust instead, any of which may have signed: two while one
        replaces the other. Without them, the public half of the key that signs.
    """

    def __init__(
        self, keys: Path, *, signing_key: Path | None = None, verify_keys: Sequence[Path] = ()
    ) -> None:
        self._keys = keys
        self._signing_key = signing_key
        self._verify_keys = tuple(verify_keys)

    def sign(self, files: Mapping[str, bytes], *, name: str) -> bytes:
        """The signature over a set of files, ``name`` being what it calls them.

        Raises
        ------
        InputError
            If the private key cannot be used.
        """
        from model_signing import hashing, signing

        key = self._private_key()
        with tempfile.TemporaryDirectory(prefix="ml_release-sign-") as private:
            # model-signing signs folders. This one belongs to this process and to nobody else.
            folder, bundle = Path(private) / name, Path(private) / SIGNATURE
            folder.mkdir()
            for file, content in files.items():
                (folder / file).write_bytes(content)
            # So that its own command, given the folder, expects the signature beside the files.
            hashed = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
            signer = signing.Config().use_elliptic_key_signer(private_key=key)
            signer.set_hashing_config(hashed).sign(folder, bundle)
            document = json.loads(bundle.read_bytes())
        envelope = document["dsseEnvelope"]
        return _document(
            hint=document["verificationMaterial"]["publicKey"]["hint"],
            payload=base64.b64decode(envelope["payload"]),
            signature=base64.b64decode(envelope["signatures"][0]["sig"]),
        )

    def statement(self, signature: bytes, *, subject: str) -> bytes:
        """The statement that a trusted key has signed, as JSON.

        Every byte of ``signature`` counts: it has to be what `sign` would write around this
        statement.

        Raises
        ------
        IntegrityError
            If it is no signature, was changed, or is of a key that is not trusted, naming
            ``subject``.
        InputError
            If a public key cannot be used; `NotFoundError` if there is none.
        """
        from securesystemslib.dsse import Envelope
        from securesystemslib.exceptions import UnverifiedSignatureError
        from securesystemslib.signer import Signature, SSlibKey

        trusted = self._trusted()
        try:
            document = json.loads(signature)
            hint = document["verificationMaterial"]["publicKey"]["hint"]
            envelope = Envelope.from_dict(document["dsseEnvelope"])
            (signed,) = envelope.signatures.values()
            canonical = _document(
                hint=hint, payload=envelope.payload, signature=bytes.fromhex(signed.signature)
            )
        # The envelope's library raises errors of its own and of the interpreter on what is none.
        except Exception as error:
            message = f"{subject}: {SIGNATURE} is no signature ({error}). {_ADVICE}"
            raise IntegrityError(message) from error
        if hint not in trusted:
            message = (
                f"{subject}: expected a signature of a trusted key"
                f" ({', '.join(key[:_SHOWN] for key in trusted)}), found one of the key"
                f" {str(hint)[:_SHOWN]}. Name its public key in ML_RELEASE_VERIFY_KEY if you trust"
                " it; otherwise train again."
            )
            raise IntegrityError(message)
        try:
            key = SSlibKey.from_crypto(trusted[hint], keyid=hint)
            key.verify_signature(Signature(hint, signed.signature), envelope.pae())
        except UnverifiedSignatureError as error:
            message = f"{subject}: {SIGNATURE} or what it signs was changed. {_ADVICE}"
            raise IntegrityError(message) from error
        if canonical != signature:
            message = f"{subject}: {SIGNATURE} was changed around what it signs. {_ADVICE}"
            raise IntegrityError(message)
        return envelope.payload

    def _trusted(self) -> dict[str, EllipticCurvePublicKey]:
        """Public keys by the hint a signature gives of its key."""
        if self._verify_keys:
            keys = [_public_key(path) for path in self._verify_keys]
        elif self._signing_key is not None:
            keys = [_public_half(self._signing_key)]
        else:
            path = self._keys / PUBLIC_KEY
            if not path.exists():
                message = (
                    f"verify key {path}: expected a public key, found none. Train a model, which"
                    " makes one, or name the file of the public key in ML_RELEASE_VERIFY_KEY."
                )
                raise NotFoundError(message)
            keys = [_public_key(path)]
        return {_hint(key): key for key in keys}

    def _private_key(self) -> Path:
        if self._signing_key is not None:
            _public_half(self._signing_key)
            return self._signing_key
        path = self._keys / PRIVATE_KEY
        if not path.exists():
            self._keys.mkdir(parents=True, exist_ok=True)
            _place(path, _new_key(), mode=0o600)
        public = self._keys / PUBLIC_KEY
        if not public.exists():
            # Of the key that is there: of two processes that make one at once, one has won.
            _place(public, _pem(_public_half(path)), mode=0o644)
        return path


_ADVICE = "Restore the file or train again."


def _document(*, hint: object, payload: bytes, signature: bytes) -> bytes:
    """The one byte form of a bundle."""
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": _STATEMENT,
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }
    return canonical_json(
        {
            "mediaType": _BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        }
    )


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_half(path: Path) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return _on_p256(load_pem_private_key(path.read_bytes(), None).public_key())
    except (OSError, ValueError, TypeError) as error:
        message = (
            f"signing key {path}: expected a private key on P-256 in PEM without a password, found"
            f" {error}. Make one with `openssl ecparam -name prime256v1 -genkey -noout`, and name"
            " its file in ML_RELEASE_SIGNING_KEY."
        )
        raise InputError(message) from error


def _public_key(path: Path) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _on_p256(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError) as error:
        message = (
            f"verify key {path}: expected a public key on P-256 in PEM, found {error}. Make it from"
            " the private key with `openssl ec -pubout`, and name its file in"
            " ML_RELEASE_VERIFY_KEY."
        )
        raise InputError(message) from error


def _on_p256(key: Any) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        message = "a key of another kind"
        raise ValueError(message)  # noqa: TRY004 (said by the caller with the other faults of a file)
    return key


def _pem(key: EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hint(key: EllipticCurvePublicKey) -> str:
    """As model-signing gives it: SHA-256 of the PEM form."""
    return hashlib.sha256(_pem(key)).hexdigest()


def _place(path: Path, content: bytes, *, mode: int) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        # A link, not a move: of two processes that make the key at once one wins.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
