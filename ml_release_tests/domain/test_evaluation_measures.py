"""The numbers of an evaluation as they are kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.evaluation_measures import EvaluationMeasures, Measured, measures_from_json
from ml_release.domain.intervals import Interval
from ml_release.errors import IntegrityError
from ml_release_tests.release_reports import MEASURES, NOTHING


@given(st.floats(), st.floats(), st.floats())
def test_a_number_that_is_not_known_is_none(estimate: float, low: float, high: float) -> None:
    """NaN and infinity have no form that another reader would understand."""
    interval = Interval(estimate=estimate, low=low, high=high, confidence=0.95, n=9, units=3)
    kept = Measured.of(interval)
    for asked, found in ((estimate, kept.estimate), (low, kept.low), (high, kept.high)):
        finite = abs(asked) < float("inf")
        assert found == (asked if finite else None)
    json.dumps(kept.model_dump(), allow_nan=False)


@pytest.mark.parametrize("measures", [MEASURES, NOTHING], ids=["everything", "nothing"])
def test_measures_are_read_back_as_they_were(measures: EvaluationMeasures) -> None:
    """Byte by byte."""
    assert measures_from_json(measures.to_json()) == measures
    assert measures_from_json(measures.to_json()).to_json() == measures.to_json()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"line": "x"}'])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    """An edited record is not read as far as it goes."""
    with pytest.raises(IntegrityError, match="measures of an evaluation"):
        measures_from_json(content)


def test_slices_and_gaps_are_named_as_in_findings() -> None:
    """So that a page can put the interval beside the finding."""
    assert MEASURES.slices[0].name == "carrier AA"
    assert MEASURES.slices[0].model_copy(update={"value": None}).name == "carrier missing"
    assert MEASURES.fairness[0].name == "carrier: demographic parity difference"
