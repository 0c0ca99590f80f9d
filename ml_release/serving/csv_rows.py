"""A CSV body to values per field: MLflow's fourth scoring format.

The first line names the fields. CSV has no types, so the signature says which columns are numbers;
an empty cell is a missing value, and nothing else is.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.artefact import Signature
    from ml_release.serving.request_columns import Values

CSV_TYPE = "text/csv"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def values_of_csv(body: bytes, signature: Signature) -> tuple[dict[str, Values], int]:
    """Values per field, and the number of rows.

    A cell of a number field that is no number stays text, and is refused as such where values are
    checked.

    Raises
    ------
    InputError
        If it is no CSV in UTF-8 with a line of names, names repeat or a row is longer or shorter.
    """
    try:
        # With the mark that spreadsheets put in front, or without.
        text = body.decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"request body: expected CSV in UTF-8, found {error}"
        raise InputError(message) from error
    names, rows = (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])
    if len(set(names)) != len(names) or not names:
        message = f"request body: expected a first line of different names, found {names[:20]}"
        raise InputError(message)
    for row, cells in enumerate(rows):
        if len(cells) != len(names):
            message = (
                f"row {row}: expected {len(names)} cells as there are names, found {len(cells)}"
            )
            raise InputError(message)
    numbers = {field.name for field in signature.inputs if field.type == "number"}
    columns: dict[str, Values] = {
        name: [_value(cells[position], is_number=name in numbers) for cells in rows]
        for position, name in enumerate(names)
    }
    return columns, len(rows)


def _value(cell: str, *, is_number: bool) -> float | str | None:
    if not cell:
        return None
    if is_number and _NUMBER.fullmatch(cell):
        return float(cell)
    return cell
