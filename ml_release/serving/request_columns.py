"""Values as a client wrote them to the typed columns that a model's features are computed from.

Every problem of a request is reported together, each with row, field, what was expected and what
was found. The types are those of JSON; which format the values came in is not known here.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from ml_release.domain.artefact import InputField, Signature
    from ml_release.domain.features import FieldType

Values = list[Any]

MAX_STRING_CHARACTERS = 256
"""Words become keys and categories; numpy holds keys in arrays as wide as the longest one."""

_SHOWN_CHARACTERS = 60
_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_WHOLE: frozenset[type] = frozenset({int, type(None)})
_WORDS: frozenset[type] = frozenset({str, type(None)})


class _UnfitError(Exception):
    """A value does not fit: its row and what was expected instead."""

    def __init__(self, row: int, expected: str) -> None:
        super().__init__(row, expected)
        self.row = row
        self.expected = expected


def columns_of(
    signature: Signature,
    given: Mapping[str, Values],
    *,
    rows: int,
    whole: frozenset[str] = frozenset(),
) -> dict[str, npt.NDArray[np.generic]]:
    """Check values against the signature.

    Parameters
    ----------
    given
        Per field one value for each of the ``rows``.
    whole
        Fields that the client declared as integers.

    Returns
    -------
    dict
        Field name to an array of shape (rows,): float64 (NaN is missing), object of str or None,
        or datetime64 in microseconds (NaT is missing).

    Raises
    ------
    InputError
        If there is no row, a field is missing or unknown, or a value does not fit.
    """
    names = [field.name for field in signature.inputs]
    problems = []
    if given.keys() != set(names):
        missing = [name for name in names if name not in given]
        unknown = [name for name in given if name not in names]
        if missing:
            problems.append(f"missing fields {missing}")
        if unknown:
            shown = ", ".join(_shown(name) for name in unknown[:20])
            problems.append(f"unknown fields {shown}; expected {names}")
    elif rows == 0:
        problems.append("expected at least one row, found none")
    columns = {}
    for field in signature.inputs:
        values = given.get(field.name)
        if values is None:
            continue
        try:
            columns[field.name] = _CONVERTERS[field.type](field, values, field.name in whole)
        except _UnfitError as unfit:
            problems.append(
                f"row {unfit.row}, field {field.name!r}: expected {unfit.expected}, found"
                f" {_described(values[unfit.row])}"
            )
    if problems:
        message = "request: " + "; ".join(problems)
        raise InputError(message)
    return columns


def _numbers(field: InputField, values: Values, whole: bool) -> npt.NDArray[np.generic]:  # noqa: FBT001 (a converter)
    expected = "a whole number" if whole else "a number"
    expected += " or null" if field.nullable else ""
    _check_types(field, values, _WHOLE if whole else _NUMBERS, expected)
    # JSON has no infinity, but a number that is too large is read as one. Asked of the list: for
    # one row, numpy takes longer to look than everything else here.
    for infinity in (math.inf, -math.inf):
        if infinity in values:
            raise _UnfitError(values.index(infinity), "a finite number")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        row = next(row for row, value in enumerate(values) if not _fits_float(value))
        raise _UnfitError(row, "a number that fits 64 bits") from None


def _strings(field: InputField, values: Values, _whole: bool) -> npt.NDArray[np.generic]:  # noqa: FBT001
    expected = "a string or null" if field.nullable else "a string"
    _check_types(field, values, _WORDS, expected)
    for row, value in enumerate(values):
        if value is None:
            continue
        if len(value) > MAX_STRING_CHARACTERS:
            raise _UnfitError(row, f"at most {MAX_STRING_CHARACTERS} characters")
        # A lone surrogate has no UTF-8 form and could not be logged; a NUL ends a numpy string.
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise _UnfitError(row, "text that has a UTF-8 form")
        if "\0" in value:
            raise _UnfitError(row, "text without NUL characters")
    column = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column


def _timestamps(field: InputField, values: Values, _whole: bool) -> npt.NDArray[np.generic]:  # noqa: FBT001
    expected = "a local time like 2013-10-01T06:30 without a zone"
    _check_types(field, values, _WORDS, expected)
    moments: list[datetime | None] = []
    for row, value in enumerate(values):
        if value is None:
            moments.append(None)
            continue
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _UnfitError(row, expected) from None
        if moment.tzinfo is not None:
            raise _UnfitError(row, expected)
        moments.append(moment)
    return np.array(moments, dtype="datetime64[us]")


_CONVERTERS: dict[FieldType, Callable[[InputField, Values, bool], npt.NDArray[np.generic]]] = {
    "number": _numbers,
    "string": _strings,
    "timestamp": _timestamps,
}


def _check_types(
    field: InputField, values: Values, allowed: frozenset[type], expected: str
) -> None:
    """Exact types: a truth value is an int to Python, and not a number here."""
    if not field.nullable:
        allowed = allowed - {type(None)}
    if not allowed.issuperset(map(type, values)):
        row = next(row for row, value in enumerate(values) if type(value) not in allowed)
        raise _UnfitError(row, expected)


def _fits_float(value: object) -> bool:
    try:
        np.float64(value)  # type: ignore[arg-type]
    except OverflowError:
        return False
    return True


def _described(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, str):
        return f"the string {_shown(value)}"
    if isinstance(value, int):
        # Python refuses to write out an integer of thousands of digits.
        return f"the number {value}" if value.bit_length() <= 128 else "a huge number"  # noqa: PLR2004
    if isinstance(value, float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "an object"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
