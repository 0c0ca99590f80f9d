"""The record beside a model file of scikit-learn."""

from __future__ import annotations

import pytest

from ml_release.domain.skops_record import (
    MarginCalibration,
    SkopsRecord,
    skops_record_from_json,
)
from ml_release.errors import IntegrityError


@pytest.mark.parametrize("calibration", [None, MarginCalibration(slope=1.5, intercept=-0.25)])
def test_a_record_reads_back(calibration: MarginCalibration | None) -> None:
    """All of it."""
    record = SkopsRecord(
        digest="sha256:1", types=("builtins.dict",), scikit_learn="1.9.1", calibration=calibration
    )
    assert skops_record_from_json(record.to_json()) == record


@pytest.mark.parametrize("content", [b"", b"[]", b'{"digest":"d","types":[]}'])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    """A broken file is an integrity error that names it."""
    with pytest.raises(IntegrityError, match=r"skops\.json"):
        skops_record_from_json(content)
