"""What the drift judge is given beside the window, and what is kept of what it said."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.drift_record import drift_history_from_json, drift_record_from_json
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.performance import EarlierWindow
from ml_release.domain.reference_profile import SCORE, profile_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.drift_evidence import (
    DRIFT_HISTORY,
    DRIFT_RECORD,
    counts_of,
    realised_change,
    season_counts,
    trends,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_monitoring import PRODUCTION, drift, observe
from ml_release_tests.workflows.traffic import serve_month

if TYPE_CHECKING:
    from ml_release.domain.performance import WindowRecord
    from ml_release_tests.small_line import House

LAG = 30


def season(house: House, window: WindowRecord) -> Any:
    assert window.model_digest is not None
    profile = profile_from_json(house.models.read(window.model_digest)["reference.json"])
    return season_counts(house.line, window, profile=profile, tables=house.tables)


def test_the_same_season_is_counted_from_landed_features(serving: House) -> None:
    """The days of two windows, a lag ago: what a naive count of those days gives."""
    serving.line = steps.with_policy(serving.line, "drift", seasonal_lag_days=LAG)
    serve_month(serving, "2013-04")
    window = observe(serving)
    assert window.as_of == date(2013, 4, 30)
    found = season(serving, window)
    rows = serving.tables.read(steps.current(serving, "features")["2013-03"], "features")
    days = rows[serving.line.event_day].dt.strftime("%Y-%m-%d")
    inside = rows[(days >= "2013-03-18") & (days <= "2013-03-31")]
    assert found is not None
    assert {name: int(counts.sum()) for name, counts in found.items()} == dict.fromkeys(
        window.counts, len(inside)
    )


@pytest.mark.parametrize(
    ("lag", "as_of"),
    [
        pytest.param(None, date(2013, 4, 30), id="none declared"),
        pytest.param(LAG, None, id="an empty window"),
        pytest.param(365, date(2013, 4, 30), id="not landed"),
        pytest.param(LAG + 80, date(2013, 4, 20), id="half of it not landed"),
    ],
)
def test_half_a_season_is_none(serving: House, lag: int | None, as_of: date | None) -> None:
    """It would be another season."""
    serving.line = steps.with_policy(serving.line, "drift", seasonal_lag_days=lag)
    window = observe(serving).model_copy(update={"as_of": as_of})
    assert season(serving, window) is None


def test_a_report_tells_whether_the_season_was_there(serving: House) -> None:
    """Declared and landed, declared and not landed, not declared."""
    serve_month(serving, "2013-04")
    observe(serving)
    told = []
    for lag in (LAG, 365, None):
        serving.line = steps.with_policy(serving.line, "drift", seasonal_lag_days=lag)
        report = drift(serving)
        assert report is not None
        told.append(report.season)
    assert told == [True, False, None]


def test_a_window_without_a_score_is_read_without_one() -> None:
    """That of a model of before the score was counted."""
    window = EarlierWindow(as_of=date(2013, 4, 7), days=7, rows=3, counts={"x": (1, 2)})
    assert set(counts_of(window).counts) == {"x"}
    scored = counts_of(window.model_copy(update={"score_counts": (3, 0)}))
    np.testing.assert_array_equal(scored.counts[SCORE], [3, 0])


def record_performance(house: House, **change: Any) -> WindowRecord:
    serve_month(house, "2013-04")
    window = observe(house)
    record = {
        "model_digest": window.model_digest,
        "window": {"until": "2013-04-29"},
        "log_loss_change": {"low": 0.01, "high": 0.05, "n": 700},
        **change,
    }
    content = json.dumps(record).encode()
    house.evidence.record(steps.LINE, "performance_record", PRODUCTION, content)
    return window


def realised(house: House, window: WindowRecord) -> Any:
    return realised_change(house.line, window, environment=PRODUCTION, evidence=house.evidence)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model_digest": "sha256:another"}, id="another model"),
        pytest.param({"log_loss_change": None}, id="no baseline"),
        pytest.param({"window": {"until": None}}, id="no label is due"),
        pytest.param({"window": {"until": "2013-04-15"}}, id="labels of weeks ago"),
        pytest.param({"log_loss_change": {"low": None, "high": None, "n": 5}}, id="no interval"),
    ],
)
def test_labels_of_something_else_say_nothing(serving: House, change: dict[str, Any]) -> None:
    """Of another version, of too long ago, without an interval."""
    assert realised(serving, record_performance(serving, **change)) is None


def test_labels_that_are_in_say_what_a_shift_costs(serving: House) -> None:
    """The report reads them, and a record that is none is an error and no silence."""
    window = record_performance(serving)
    found = realised(serving, window)
    assert (found.low, found.high, found.n) == (0.01, 0.05, 700)
    report = drift(serving)
    assert report is not None
    assert report.realised == 700
    serving.evidence.record(steps.LINE, "performance_record", PRODUCTION, b"[]")
    with pytest.raises(IntegrityError, match="performance record"):
        realised(serving, window)


def test_what_was_found_is_kept_and_followed(serving: House) -> None:
    """A record beside the verdict, a row per feature in the history, numbers for plots."""
    serve_month(serving, "2013-04", shift=900.0)
    observe(serving)
    report = drift(serving)
    assert report is not None
    kept = serving.evidence.find(steps.LINE, DRIFT_RECORD, PRODUCTION)
    assert kept is not None
    record = drift_record_from_json(kept)
    assert record == report.record
    assert record.verdict_digest == report.verdict.digest
    assert record.standing(DriftStanding.HURTING) == ("distance",)
    found = trends(record)
    assert found["features shifted and hurting"] == 1.0
    assert found["largest PSI over its limit"] > 1
    assert sum(found[f"features {standing.value}"] for standing in DriftStanding) == 5
    content = serving.evidence.find(steps.LINE, DRIFT_HISTORY, PRODUCTION)
    assert content is not None
    assert drift_history_from_json(content).windows == ("2013-04-30",)


def test_a_history_that_cannot_be_read_is_begun_anew(serving: House) -> None:
    """It is shown and decides nothing, so it stops no report."""
    serving.evidence.record(steps.LINE, DRIFT_HISTORY, PRODUCTION, b"edited")
    serve_month(serving, "2013-04")
    observe(serving)
    drift(serving)
    content = serving.evidence.find(steps.LINE, DRIFT_HISTORY, PRODUCTION)
    assert content is not None
    assert drift_history_from_json(content).windows == ("2013-04-30",)
