"""Where labels come from: declared whole, or refused with every problem at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.errors import DeclarationError
from ml_release.spec.label_source import LabelSource
from ml_release_tests.spec.test_release_line import declare

FILES = "labels/{partition}.csv"


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        pytest.param({"files": FILES}, ("at", "trip", "label", "known_at"), id="by keys"),
        pytest.param(
            {"files": FILES, "request_id_column": "id", "label_column": "y"},
            ("id", "y", "known_at"),
            id="by request id",
        ),
    ],
)
def test_a_file_names_requests_by_their_keys_or_by_their_id(
    values: dict[str, Any], columns: tuple[str, ...]
) -> None:
    """And tells a label, and when it was known."""
    assert LabelSource.model_validate(values).columns(("at", "trip")) == columns


def test_snapshots_alone_are_a_source() -> None:
    """The month that lands later holds the outcomes."""
    assert LabelSource(from_snapshots=True).files is None


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        pytest.param({}, ["files or from_snapshots"], id="nothing"),
        pytest.param({"files": "labels.csv"}, ["{partition} once"], id="no partition"),
        pytest.param({"files": "{partition}.xlsx"}, [".csv or .parquet"], id="another kind"),
        pytest.param(
            {"files": FILES, "label_column": "known_at"}, ["a name of their own"], id="one twice"
        ),
        pytest.param({"files": FILES, "label_column": ""}, ["a name of their own"], id="no name"),
        pytest.param(
            {"from_snapshots": True, "label_column": "y"}, ["no files are declared"], id="no files"
        ),
        pytest.param({"files": FILES, "table": "x"}, ["table"], id="an unknown key"),
        pytest.param(
            {"files": "x", "label_column": "id", "request_id_column": "id"},
            ["{partition} once", ".csv or .parquet", "a name of their own"],
            id="everything at once",
        ),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(
    values: dict[str, Any], problems: list[str]
) -> None:
    """With every problem in one message."""
    with pytest.raises(ValidationError) as refused:
        LabelSource.model_validate(values)
    for problem in problems:
        assert problem in str(refused.value)


def test_a_column_that_is_a_key_as_well_is_refused() -> None:
    """A file could not say both; by request id there is no such conflict."""
    with pytest.raises(DeclarationError, match=r"keys as well: \['id'\]"):
        declare(labels=LabelSource(files=FILES, label_column="id"))
    source = LabelSource(files=FILES, request_id_column="id")
    assert declare(labels=source).labels == source
