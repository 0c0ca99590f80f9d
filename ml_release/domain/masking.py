"""Personal values in the inference log: which are masked, and what stands there instead.

A hashed value keeps nothing but equality: the same value of the same column of one line gives the
same hash, so that counts and joins by it still work. A dropped one leaves nothing. A feature is
masked as the columns are that it is made of; a missing value stays missing.

What is not done here: request ids are not masked, since labels are told by them. A client must not
put personal data there.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from ml_release.domain.features import request_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.features import Feature
    from ml_release.domain.inference import InferenceRecord

Mask = Literal["hash", "drop"]

HASH_PREFIX = "hmac-sha256:"
_HEX_DIGITS = 32
_HIDDEN_ERROR = "the model failed (its message is left out, as it may hold personal data)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """How the records of one model are masked.

    Attributes
    ----------
    masks
        Column or feature name to its mask; empty masks nothing.
    key
        Of the hash, at least 16 bytes.
    """

    line: str
    masks: Mapping[str, Mask]
    key: bytes

    def of_record(self, record: InferenceRecord) -> InferenceRecord:
        """The record as it may be kept."""
        if not self.masks:
            return record
        return msgspec.structs.replace(
            record,
            features={
                name: self._hashed(name, value) if name in self.masks else value
                for name, value in record.features.items()
                if self.masks.get(name) != "drop"
            },
            error=None if record.error is None else _HIDDEN_ERROR,
        )

    def _hashed(self, name: str, value: float | str | None) -> str | None:
        """HMAC-SHA256 (RFC 2104) over line, name and value, cut to 128 bits."""
        if value is None:
            return None
        # A number and the word that looks like it are different values.
        text = f"{self.line}\0{name}\0{type(value).__name__}\0{value!r}"
        code = hmac.new(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return HASH_PREFIX + code.hexdigest()[:_HEX_DIGITS]


def masks_of(personal: Mapping[str, Mask], features: Sequence[Feature]) -> dict[str, Mask]:
    """Every name in a record's features that holds a personal value, with its mask.

    Parameters
    ----------
    personal
        Request column to its mask.
    features
        Of the model. Columns stand in a record where the model failed, features elsewhere. A
        feature of several personal columns is dropped if one of them is.

    Examples
    --------
    >>> from ml_release.domain.features import Category, Number
    >>> features = [Number(name="years", column="age"), Category(name="sex", column="sex")]
    >>> masks_of({"age": "drop"}, features)
    {'age': 'drop', 'years': 'drop'}
    """
    masks: dict[str, Mask] = dict(personal)
    for feature in features:
        used = {personal[f.name] for f in request_fields([feature]) if f.name in personal}
        if used:
            known = masks.get(feature.name)
            masks[feature.name] = "drop" if "drop" in {*used, known} else "hash"
    return masks
