"""The judge of realised performance: worse is beyond a margin and no chance; doubt never passes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from ml_release.domain.error_changes import ErrorChange
from ml_release.domain.evaluation_measures import Measured
from ml_release.domain.performance_judge import RULES, judge_performance
from ml_release.domain.performance_policy import PerformancePolicy
from ml_release.domain.performance_record import (
    HISTORY_ROWS,
    Baseline,
    ErrorsSeen,
    HistoryRow,
    LabelBias,
    PerformanceHistory,
    PerformanceRecord,
    WindowScores,
    change_of,
    history_from_json,
    history_row,
    record_from_json,
)
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.verdict import Finding

POLICY = PerformancePolicy()
PASS, FAIL, DOUBT = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def measured(estimate: float | None, reach: float | None, **changes: Any) -> Measured:
    known: dict[str, Any] = {
        "estimate": estimate,
        "low": None if reach is None or estimate is None else estimate - reach,
        "high": None if reach is None or estimate is None else estimate + reach,
        "confidence": 0.95,
        "n": 5000,
        "units": 28,
    }
    return Measured(**{**known, **changes})


WINDOW = WindowScores(
    since=date(2013, 4, 1),
    until=date(2013, 4, 28),
    n=5000,
    positives=500,
    days=28,
    auc=measured(0.73, 0.01),
    log_loss=measured(0.36, 0.01),
    calibration_error=0.012,
    calibration_expected=0.01,
    calibration_upper=0.015,
    in_the_large=measured(0.001, 0.01),
    mean_probability=0.101,
    observed_rate=0.1,
    estimated_auc=0.74,
    estimated_log_loss=0.35,
)
BASELINE = Baseline(
    auc=measured(0.73, 0.01), log_loss=measured(0.36, 0.01), calibration_error=0.01, rate=0.1
)


def record(*, window: dict[str, Any] | None = None, **changes: Any) -> PerformanceRecord:
    seen = WINDOW.model_copy(update=window or {})
    baseline = changes.get("baseline", BASELINE)
    known: dict[str, Any] = {
        "line": "line",
        "version": 1,
        "model_digest": "sha256:" + "1" * 64,
        "at": datetime(2013, 5, 1, tzinfo=UTC),
        "window": seen,
        "baseline": BASELINE,
        "auc_change": change_of(seen.auc, None if baseline is None else baseline.auc),
        "log_loss_change": change_of(
            seen.log_loss, None if baseline is None else baseline.log_loss
        ),
        "bias": LabelBias(matured=5100, matured_scores=0.1, labelled_scores=0.101),
        "errors": ErrorsSeen(n=60, rise=0.1),
    }
    return PerformanceRecord(**{**known, **changes})


def finding(found: PerformanceRecord, rule: str, subject: str) -> Finding:
    verdict = judge_performance(found, POLICY, subject_digest="sha256:" + "2" * 64)
    (one,) = (f for f in verdict.findings if (f.rule, f.subject) == (rule, subject))
    return one


def test_a_model_as_released_passes_in_everything() -> None:
    """Every rule is heard; the verdict reads back."""
    verdict = judge_performance(record(), POLICY, subject_digest="sha256:" + "2" * 64)
    assert verdict.outcome is PASS
    assert tuple(dict.fromkeys(one.rule for one in verdict.findings)) == RULES
    assert verdict_from_json(verdict.to_json()) == verdict
    assert verdict.evidence["model_digest"] == record().model_digest


@pytest.mark.parametrize(
    ("auc", "reach", "expected"),
    [
        pytest.param(0.80, 0.01, PASS, id="better"),
        pytest.param(0.71, 0.01, PASS, id="worse within the margin"),
        pytest.param(0.69, 0.01, FAIL, id="worse beyond it and no chance"),
        pytest.param(0.69, 0.06, DOUBT, id="worse beyond it, perhaps by chance"),
        pytest.param(0.69, None, DOUBT, id="no interval"),
        pytest.param(None, None, DOUBT, id="undefined"),
    ],
)
def test_an_auc_is_held_against_the_release(
    auc: float | None, reach: float | None, expected: Outcome
) -> None:
    """Margin 0.03."""
    found = finding(
        record(window={"auc": measured(auc, reach)}), "no_worse_than_at_release", "auc_score"
    )
    assert found.outcome is expected
    if auc is not None:
        assert found.observed == pytest.approx(0.73 - auc)


@pytest.mark.parametrize(("loss", "expected"), [(0.30, PASS), (0.38, PASS), (0.41, FAIL)])
def test_a_loss_is_worse_when_it_grows(loss: float, expected: Outcome) -> None:
    """The other way round."""
    found = finding(
        record(window={"log_loss": measured(loss, 0.01)}), "no_worse_than_at_release", "log_loss"
    )
    assert found.outcome is expected


@pytest.mark.parametrize(
    ("window", "words"),
    [
        pytest.param({"n": 999}, "at least 1000 matured", id="few rows"),
        pytest.param({"days": 6}, "of 7 days", id="few days"),
    ],
)
def test_too_little_is_inconclusive_however_bad_it_looks(
    window: dict[str, Any], words: str
) -> None:
    """And says what is needed."""
    seen = record(
        window={"auc": measured(0.5, 0.001), "in_the_large": measured(0.3, 0.01), **window}
    )
    for rule, subject in (
        ("no_worse_than_at_release", "auc_score"),
        ("calibration_holds", "in_the_large"),
    ):
        found = finding(seen, rule, subject)
        assert found.outcome is DOUBT
        assert words in found.detail


def test_without_a_baseline_nothing_is_no_worse() -> None:
    """It says why there is none."""
    seen = record(baseline=None, baseline_problem="never evaluated")
    for subject in ("auc_score", "log_loss"):
        found = finding(seen, "no_worse_than_at_release", subject)
        assert found.outcome is DOUBT
        assert "never evaluated" in found.detail


@pytest.mark.parametrize(
    ("error", "upper", "expected"),
    [
        pytest.param(0.05, 0.015, PASS, id="within the limit beyond chance"),
        pytest.param(0.07, 0.015, FAIL, id="beyond it"),
        pytest.param(0.07, 0.08, DOUBT, id="by chance"),
        pytest.param(None, None, DOUBT, id="undefined"),
    ],
)
def test_a_calibration_error_counts_beyond_chance(
    error: float | None, upper: float | None, expected: Outcome
) -> None:
    """0.01 of it is chance."""
    seen = record(window={"calibration_error": error, "calibration_upper": upper})
    assert finding(seen, "calibration_holds", "calibration_error").outcome is expected


@pytest.mark.parametrize(
    ("gap", "reach", "expected"),
    [
        (0.04, 0.01, PASS),
        (0.08, 0.01, FAIL),
        (-0.08, 0.01, FAIL),
        (-0.08, 0.1, DOUBT),
        (None, None, DOUBT),
    ],
)
def test_probabilities_may_be_wrong_in_the_large_to_both_sides(
    gap: float | None, reach: float | None, expected: Outcome
) -> None:
    """Limit 0.05."""
    seen = record(window={"in_the_large": measured(gap, reach)})
    assert finding(seen, "calibration_holds", "in_the_large").outcome is expected


CHANGE = ErrorChange(detector="adwin", day=date(2013, 4, 20), before=0.1, after=0.2)


@pytest.mark.parametrize(
    ("errors", "page_hinkley", "adwin"),
    [
        pytest.param(ErrorsSeen(n=60), PASS, PASS, id="no change"),
        pytest.param(ErrorsSeen(n=6), DOUBT, DOUBT, id="too early"),
        pytest.param(ErrorsSeen(n=7), PASS, DOUBT, id="too early for one"),
        pytest.param(ErrorsSeen(n=60, changes=(CHANGE,)), PASS, FAIL, id="one found it"),
        pytest.param(
            ErrorsSeen(n=60, changes=(CHANGE.model_copy(update={"after": 0.05}),)),
            PASS,
            PASS,
            id="a change to better",
        ),
        pytest.param(
            ErrorsSeen(n=60, changes=(CHANGE.model_copy(update={"detector": "page_hinkley"}),)),
            FAIL,
            PASS,
            id="the other one",
        ),
    ],
)
def test_a_change_of_the_errors_to_worse_fails(
    errors: ErrorsSeen, page_hinkley: Outcome, adwin: Outcome
) -> None:
    """Of each detector for itself."""
    seen = record(errors=errors)
    assert finding(seen, "errors_show_no_change", "Page-Hinkley").outcome is page_hinkley
    assert finding(seen, "errors_show_no_change", "ADWIN").outcome is adwin


def test_an_estimate_that_is_off_has_no_vote() -> None:
    """It says something of the estimate, not of the model."""
    seen = record(window={"estimated_auc": 0.8})
    found = finding(seen, "estimate_agrees_with_labels", "auc_score")
    assert (found.outcome, found.votes) == (FAIL, False)
    assert found.observed == pytest.approx(0.07)
    missing = finding(
        record(window={"estimated_auc": None}), "estimate_agrees_with_labels", "auc_score"
    )
    assert missing.outcome is DOUBT


@pytest.mark.parametrize(
    ("bias", "rate", "expected"),
    [
        pytest.param(LabelBias(early=50, early_rate=0.11), 0.1, PASS, id="alike"),
        pytest.param(LabelBias(early=50, early_rate=0.3), 0.1, FAIL, id="of one kind"),
        pytest.param(LabelBias(early=50, early_rate=0.3), None, DOUBT, id="nothing matured"),
        pytest.param(LabelBias(), 0.1, DOUBT, id="none early"),
    ],
)
def test_early_labels_are_compared_with_matured_ones(
    bias: LabelBias, rate: float | None, expected: Outcome
) -> None:
    """Shown without a vote: they are not scored."""
    found = finding(
        record(bias=bias, window={"observed_rate": rate}),
        "labels_are_representative",
        "early labels",
    )
    assert (found.outcome, found.votes) == (expected, False)


def test_labels_that_are_missing_for_some_kind_fail() -> None:
    """What is scored is then not what was served."""
    for labelled, expected in ((0.115, PASS), (0.15, FAIL), (None, DOUBT)):
        bias = LabelBias(matured=5000, matured_scores=0.1, labelled_scores=labelled)
        found = finding(record(bias=bias), "labels_are_representative", "labelled answers")
        assert found.outcome is expected


def test_the_interval_of_a_change_is_that_of_two_independent_samples() -> None:
    """By their ends, which for symmetric ones is the root of the sum of squares."""
    found = change_of(measured(0.7, 0.03), measured(0.73, 0.04))
    assert found is not None
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.03, -0.08, 0.02))
    lopsided = change_of(
        measured(0.7, None, low=0.69, high=0.74), measured(0.73, None, low=0.70, high=0.75)
    )
    assert lopsided is not None
    assert lopsided.low == pytest.approx(-0.03 - (0.01**2 + 0.02**2) ** 0.5)
    assert lopsided.high == pytest.approx(-0.03 + (0.04**2 + 0.03**2) ** 0.5)
    assert change_of(None, measured(0.7, 0.1)) is None
    without = change_of(measured(0.7, 0.1), measured(0.7, None))
    assert without is not None
    assert (without.estimate, without.low, without.high) == (0.0, None, None)


def test_records_and_histories_read_back() -> None:
    """And nothing else does."""
    assert record_from_json(record().to_json()) == record()
    row = history_row(WINDOW, version=1, model_digest="m", baseline=BASELINE)
    assert row is not None
    assert (row.baseline_auc, row.until) == (0.73, date(2013, 4, 28))
    history = PerformanceHistory(line="line", rows=(row,))
    assert history_from_json(history.to_json()) == history
    for read in (record_from_json, history_from_json):
        with pytest.raises(IntegrityError, match="performance"):
            read(b'{"line": "line", "more": 1}')
    assert history_row(WindowScores(), version=1, model_digest="m", baseline=None) is None


def test_a_history_is_bounded_and_a_day_stands_once() -> None:
    """The newest reading of a model's day, in order; others' days beside it."""

    def row(ordinal: int, n: int = 1, digest: str = "m") -> HistoryRow:
        found = history_row(
            WINDOW.model_copy(update={"until": date.fromordinal(ordinal), "n": n}),
            version=1,
            model_digest=digest,
            baseline=None,
        )
        assert found is not None
        return found

    history = PerformanceHistory(line="line").with_rows(*map(row, range(1, HISTORY_ROWS + 11)))
    assert len(history.rows) == HISTORY_ROWS
    assert history.rows[0].until == date.fromordinal(11)
    again = history.with_rows(row(HISTORY_ROWS + 10, n=2))
    assert len(again.rows) == HISTORY_ROWS
    assert again.rows[-1].n == 2
    other = again.with_rows(row(HISTORY_ROWS + 10, digest="o"))
    assert {one.model_digest for one in other.rows[-2:]} == {"m", "o"}


def test_a_policy_keeps_what_its_window_needs() -> None:
    """Less would score half a window."""
    with pytest.raises(ValidationError, match="keep_days"):
        PerformancePolicy(window_days=90, keep_days=60)
