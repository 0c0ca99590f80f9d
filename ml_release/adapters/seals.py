"""Seals on declared states: ECDSA on P-256 with SHA-256, short enough for an annotation."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

_KIND = "ecdsa-p256-sha256"
_SHOWN = 12


class Keys(Protocol):
    """The key that seals, and those that are trusted."""

    def private(self) -> EllipticCurvePrivateKey:
        """The private key; made first where there is none."""

    def trusted(self) -> Mapping[str, EllipticCurvePublicKey]:
        """Public keys by their hint."""


class Seals:
    """Seals content with one private key, and says what is wrong with a seal."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, content: bytes) -> str:
        """The seal on ``content``: kind, hint of the key and signature; differs from time to time.

        Raises
        ------
        InputError
            If the private key cannot be used, or is of none of the trusted keys: what it sealed
            would be refused by everybody.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = self._keys.private()
        numbers = key.public_key().public_numbers()
        trusted = self._keys.trusted()
        for hint, public in trusted.items():
            if public.public_numbers() == numbers:
                signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
                return f"{_KIND}:{hint}:{base64.b64encode(signature).decode()}"
        message = (
            "signing key: expected one whose public half is trusted"
            f" ({_short(trusted)}), found another; what it seals would be refused. Name its public"
            " key in ML_RELEASE_VERIFY_KEY, or sign with the right one in ML_RELEASE_SIGNING_KEY."
        )
        raise InputError(message)

    def problem(self, content: bytes, seal: str) -> str:
        """Why ``seal`` does not say that a trusted key sealed ``content``; "" if it does.

        Never raises: without a usable key nobody can tell, which is a problem as well.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        if not seal:
            return "it carries no seal"
        kind, _, rest = seal.partition(":")
        hint, _, text = rest.partition(":")
        try:
            signature = base64.b64decode(text, validate=True)
        except ValueError:
            signature = b""
        if kind != _KIND or not signature:
            return f"its seal is none: expected {_KIND}:KEY:SIGNATURE, found {seal[:40]!r}"
        try:
            trusted = self._keys.trusted()
        except InputError as error:
            return f"nobody can tell whether it is sealed: {error}"
        if hint not in trusted:
            return (
                f"expected a seal of a trusted key ({_short(trusted)}), found one of the key"
                f" {hint[:_SHOWN]!r}"
            )
        try:
            trusted[hint].verify(signature, content, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return "it is not what was sealed: it was edited by hand, or the seal is of another"
        return ""


def _short(trusted: Mapping[str, object]) -> str:
    return ", ".join(hint[:_SHOWN] for hint in trusted)
