"""What a client does to the kill switch of a line."""

from __future__ import annotations

from math import isfinite

import msgspec

from ml_release.errors import InputError

_MAX_CHARACTERS = 500


class StatedPull(msgspec.Struct, forbid_unknown_fields=True):
    """Pull it or release it, by whom and why.

    Attributes
    ----------
    answer
        For every row while it is pulled; the declared one for None.
    """

    engaged: bool
    by: str
    reason: str
    answer: float | None = None


def decode_pull(body: bytes) -> StatedPull:
    """Read the request.

    Raises
    ------
    InputError
        If it does not say who and why, or its answer is not a finite number.
    """
    try:
        stated = msgspec.json.decode(body, type=StatedPull)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = (
            'request body: expected {"engaged": true or false, "by": ..., "reason": ...} and maybe'
            f' "answer", found {error}'
        )
        raise InputError(message) from error
    for name, text in (("by", stated.by), ("reason", stated.reason)):
        if not text.strip() or len(text) > _MAX_CHARACTERS:
            message = f"{name}: expected 1 to {_MAX_CHARACTERS} characters, found {len(text)}"
            raise InputError(message)
    if stated.answer is not None and not isfinite(stated.answer):
        message = f"answer: expected a finite number, found {stated.answer}"
        raise InputError(message)
    return stated
