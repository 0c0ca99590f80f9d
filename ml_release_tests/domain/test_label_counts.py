"""The record of a gathering: comes back as it was written, or is noticed."""

from __future__ import annotations

import pytest

from ml_release.domain.label_counts import LabelCounts, LabelsRecord, labels_from_json
from ml_release.errors import IntegrityError

RECORD = LabelsRecord(
    line="line",
    labels=3,
    contradicted=1,
    digest="sha256:0",
    sources={"route": LabelCounts(told=4, gathered=3, contradicting=1)},
)


def test_a_record_comes_back_as_it_was_written() -> None:
    """Counts of each source included."""
    assert labels_from_json(RECORD.model_dump_json().encode()) == RECORD


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", RECORD.model_dump_json().replace("3", "-3").encode()]
)
def test_what_is_no_record_is_noticed(content: bytes) -> None:
    """Nobody counts fewer labels than none."""
    with pytest.raises(IntegrityError, match="gathered labels"):
        labels_from_json(content)
