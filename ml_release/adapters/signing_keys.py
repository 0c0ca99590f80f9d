"""The keys that sign model artefacts and declarations, and those that are trusted, on P-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_release.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

PRIVATE_KEY = "signing_key.pem"
PUBLIC_KEY = "verify_key.pem"


class SigningKeys:
    """One private key to sign with, and the public keys that are trusted.

    Parameters
    ----------
    folder
        Where a key pair is made when something is signed first, and where it is read from; for
        those who verify only, the public key in it is enough.
    signing_key
        PEM file of a private key to sign with instead.
    verify_keys
        PEM files of public keys to trust instead, any of which may have signed: two while one
        replaces the other. Without them, the public half of the key that signs.
    """

    def __init__(
        self, folder: Path, *, signing_key: Path | None = None, verify_keys: Sequence[Path] = ()
    ) -> None:
        self._folder = folder
        self._signing_key = signing_key
        self._verify_keys = tuple(verify_keys)

    def private_file(self) -> Path:
        """PEM file of the private key, made first where there is none.

        Raises
        ------
        InputError
            If it is no private key on P-256 without a password.
        """
        if self._signing_key is not None:
            _private_key(self._signing_key)
            return self._signing_key
        path = self._folder / PRIVATE_KEY
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            _place(path, _new_key(), mode=0o600)
        public = self._folder / PUBLIC_KEY
        if not public.exists():
            # Of the key that is there: of two processes that make one at once, one has won.
            _place(public, _pem(_private_key(path).public_key()), mode=0o644)
        return path

    def private(self) -> EllipticCurvePrivateKey:
        """The private key, made first where there is none; raises as `private_file`."""
        return _private_key(self.private_file())

    def trusted(self) -> dict[str, EllipticCurvePublicKey]:
        """Public keys by their hint, as `hint_of` gives it.

        Raises
        ------
        InputError
            If a public key cannot be used; `NotFoundError` if there is none.
        """
        if self._verify_keys:
            keys = [_public_key(path) for path in self._verify_keys]
        elif self._signing_key is not None:
            keys = [_private_key(self._signing_key).public_key()]
        else:
            path = self._folder / PUBLIC_KEY
            if not path.exists():
                message = (
                    f"verify key {path}: expected a public key, found none. Train a model, which"
                    " makes one, or name the file of the public key in ML_RELEASE_VERIFY_KEY."
                )
                raise NotFoundError(message)
            keys = [_public_key(path)]
        return {hint_of(key): key for key in keys}


def hint_of(key: EllipticCurvePublicKey) -> str:
    """What a signature says of its key: SHA-256 of the PEM form, as model-signing gives it."""
    return hashlib.sha256(_pem(key)).hexdigest()


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _private_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        message = "a key of another kind"
        raise ValueError(message)  # noqa: TRY301 (said below with the other faults of a file)
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
