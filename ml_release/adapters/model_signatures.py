"""Signatures on model artefacts, in the form of OpenSSF Model Signing, with keys on P-256.

model-signing makes the signature: a Sigstore bundle with a DSSE envelope around an in-toto
statement of every file's SHA-256. It can be verified by anybody with the public key, also by
``model_signing verify key``. Verifying here takes the envelope's own library instead, because
importing model-signing costs 0.5 s, for clients of a network that are never used.
"""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIGNATURE = "model.sig"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT = "application/vnd.in-toto+json"
_SHOWN = 12


class Keys(Protocol):
    """The key that signs, and those that are trusted."""

    def private_file(self) -> Path:
        """PEM file of the private key; made first where there is none."""

    def trusted(self) -> Mapping[str, EllipticCurvePublicKey]:
        """Public keys by the hint a signature gives of its key."""


class ModelSignatures:
    """Signs with one private key, verifies with the public keys that are trusted."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def sign(self, files: Mapping[str, bytes], *, name: str) -> bytes:
        """The signature over a set of files, ``name`` being what it calls them.

        Raises
        ------
        InputError
            If the private key cannot be used.
        """
        from model_signing import hashing, signing

        key = self._keys.private_file()
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

        trusted = self._keys.trusted()
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
