"""CSV rows: the signature says what is a number, and an empty cell is a missing value."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.errors import InputError
from ml_release.serving.protocols import decode_csv
from ml_release_tests.serving.test_protocols import SIGNATURE, STRICT


def test_rows_become_the_columns_of_the_signature() -> None:
    """Quotes, the mark of a spreadsheet and any line end are read; digits stay words in a word."""
    body = '\ufeffcarrier,distance,departure\r\n"U,A",7.5e2,2013-10-01T06:30\r\n12,,2013-10-02\r\n'
    request = decode_csv(body.encode(), SIGNATURE)
    assert request.rows == 2
    assert request.columns["carrier"].tolist() == ["U,A", "12"]
    np.testing.assert_array_equal(request.columns["distance"], [750.0, np.nan])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "first line of different names"),
        (b"distance,carrier\n", "expected at least one row"),
        (b"distance,distance\n1,2\n", "different names"),
        (b"distance,carrier\n1\n", "row 0: expected 2 cells"),
        (b"distance,carrier\n1,UA,3\n", "row 0: expected 2 cells"),
        (b"distance,carrier\n,UA\n", "'distance': expected a number, found null"),
        (b"distance,carrier\nnan,UA\n", "'distance': expected a number, found the string"),
        (b"distance,carrier\ninf,UA\n", "'distance': expected a number, found the string"),
        (b"distance,carrier\n1_0,UA\n", "'distance': expected a number, found the string"),
        (b"distance,carrier\n1e999,UA\n", "'distance': expected a finite number"),
        (b"distance,other\n1,UA\n", "unknown fields 'other'"),
        (b",distance,carrier\n0,1,UA\n", "unknown fields ''"),
        (b'distance,carrier\n1,"UA\n', "expected CSV in UTF-8"),
        (b"distance,carrier\n1,\xff\n", "expected CSV in UTF-8"),
        (b"distance,carrier\n1," + b"x" * 200_000 + b"\n", "expected CSV|at most 256"),
        (b"distance,carrier\n1,a\0b\n", "without NUL|expected CSV"),
    ],
)
def test_what_does_not_fit_is_refused(body: bytes, message: str) -> None:
    """Nothing is guessed from a cell: neither nan nor an index column."""
    with pytest.raises(InputError, match=message):
        decode_csv(body, STRICT)
