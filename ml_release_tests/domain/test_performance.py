"""Realised performance of labelled answers, and the record of a window."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from ml_release.domain.performance import (
    WindowRecord,
    realised_performance,
    window_from_json,
    window_start,
)
from ml_release.domain.scores import auc_interval
from ml_release.errors import IntegrityError

TARGET = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
PROBABILITY = np.array([0.125, 0.375, 0.25, 0.5, 0.75])
WINDOW = WindowRecord(
    line="line",
    version=1,
    model_digest="sha256:0",
    days=2,
    as_of=date(2013, 4, 2),
    rows=3,
    errors=1,
    labels=2,
    counts={"distance": (1, 2, 0)},
    latency_p50_ms=1.5,
    latency_p99_ms=2.5,
)


def test_performance_is_what_can_be_counted_by_hand() -> None:
    """Five rows, three of them late."""
    found = realised_performance(TARGET, PROBABILITY, confidence=0.9)
    assert (found.rows, found.positives) == (5, 3)
    # Of six pairs of a late and a punctual row one is the wrong way round: 0.25 and 0.375.
    assert found.auc.estimate == pytest.approx(5 / 6)
    assert found.auc == auc_interval(TARGET, PROBABILITY, confidence=0.9)
    assert found.brier_loss == pytest.approx((0.125**2 + 0.375**2 + 0.75**2 + 0.5**2 + 0.25**2) / 5)
    assert found.log_loss == pytest.approx(-np.log([1 - 0.125, 1 - 0.375, 0.25, 0.5, 0.75]).mean())
    # Every row stands in a bin of its own, so the error is the mean distance from its label.
    assert found.calibration_error == pytest.approx((0.125 + 0.375 + 0.75 + 0.5 + 0.25) / 5)
    assert (found.mean_probability, found.observed_rate) == (0.4, 0.6)
    assert [b.n for b in found.bins] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_answer_that_is_no_number_leaves_every_score_undefined(bad: float) -> None:
    """Rows and rate are still known; no score is made of the rest."""
    probability = PROBABILITY.copy()
    probability[0] = bad
    found = realised_performance(TARGET, probability)
    assert (found.rows, found.positives, found.observed_rate) == (5, 3, 0.6)
    for name in ("brier_loss", "log_loss", "calibration_error", "mean_probability"):
        assert np.isnan(getattr(found, name)), name
    assert np.isnan([found.auc.estimate, found.auc.low, found.auc.high]).all()
    assert found.bins == ()


def test_without_rows_everything_is_undefined() -> None:
    """Nothing was shown: no value is 0 or 1 by convention."""
    found = realised_performance(np.array([]), np.array([]))
    assert (found.rows, found.positives, found.bins) == (0, 0, ())
    values = [getattr(found, f.name) for f in fields(found)]
    floats = [value for value in values if isinstance(value, float)]
    assert len(floats) == 5
    assert np.isnan(floats).all()
    assert np.isnan(found.auc.estimate)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_with_one_class_only_the_auc_is_undefined(label: float) -> None:
    """The losses need no second class."""
    found = realised_performance(np.full(5, label), PROBABILITY)
    assert np.isnan(found.auc.estimate)
    assert np.isfinite([found.brier_loss, found.log_loss, found.calibration_error]).all()
    assert found.observed_rate == label


@pytest.mark.parametrize(("days", "first"), [(1, 3), (2, 2), (3, 1)])
def test_a_window_ends_with_its_last_day(days: int, first: int) -> None:
    """One day is that day alone."""
    assert window_start(date(2013, 4, 3), days=days) == date(2013, 4, first)


def test_a_window_survives_its_record() -> None:
    """Dates and counts come back as they were."""
    assert window_from_json(WINDOW.model_dump_json().encode()) == WINDOW


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="without fields"),
        pytest.param(WINDOW.model_dump_json().replace('"days":2', '"days":-2').encode(), id="days"),
        pytest.param(
            WINDOW.model_dump_json().replace('"days"', '"x":1,"days"').encode(), id="unknown field"
        ),
    ],
)
def test_what_is_no_window_is_noticed(content: bytes) -> None:
    """It was edited, or is something else."""
    with pytest.raises(IntegrityError, match="inference window"):
        window_from_json(content)
