"""Pictures: a PNG whatever there is to show, and equal bytes for equal values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.plots import Plots
from ml_release.domain.batch_scoring import empty_spread
from ml_release.domain.column_profile import ColumnShares
from ml_release.domain.decision_costs import DecisionCosts
from ml_release.domain.drift_record import DriftHistory, DriftRecord, FeatureDrift, with_window
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.experiment_analysis import analyse
from ml_release.domain.fairness_record import HistoryRow
from ml_release.domain.intervals import Interval
from ml_release.domain.label_maturity import Maturity
from ml_release.domain.performance_record import HistoryRow as ScoredWindow
from ml_release.domain.performance_record import PerformanceHistory
from ml_release.domain.regret import report_regret
from ml_release.domain.search import Trial, TrialState
from ml_release.domain.shadow_counts import PairCounts
from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
from ml_release.domain.slice_scores import Slicing, slice_scores
from ml_release.domain.threshold_curve import threshold_curve
from ml_release_tests.domain.test_slo import a_record, days, steady
from ml_release_tests.simulated_experiments import a_plan, an_experiment, fixed_split

if TYPE_CHECKING:
    from ml_release.domain.error_budget import SliCount

HALVES = np.array([0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param((), id="no column"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=HALVES),), id="both"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=None),), id="the first"),
        pytest.param(
            (ColumnShares(column="x", current=np.zeros(2), reference=None),), id="no rows"
        ),
    ],
)
def test_a_spread_is_drawn_with_and_without_a_reference(columns: tuple[ColumnShares, ...]) -> None:
    """The first partition of a line has none."""
    png = Plots().spread(columns)
    assert png.startswith(b"\x89PNG")
    assert Plots().spread(columns) == png


def a_gap_row(number: int, **changes: object) -> HistoryRow:
    known: dict[str, object] = {
        "last_day": date(2013, 4, 1) + timedelta(days=number),
        "version": 1,
        "rule": "fairness_holds",
        "subject": "origin: demographic parity difference",
        "column": "origin",
        "measure": "demographic_parity_difference",
        "value": 0.1 + 0.02 * number,
        "low": 0.05,
        "high": 0.3,
        "baseline": 0.1,
        "limit": 0.15,
        "standing": "wider than approved" if number > 3 else "holds",
        "n": 900,
    }
    return HistoryRow.model_validate({**known, **changes})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param((), id="nothing yet"),
        pytest.param(tuple(a_gap_row(number) for number in range(6)), id="one gap"),
        pytest.param(
            tuple(
                a_gap_row(number, subject=f"{name}: gap", value=value, low=None, high=None)
                for name in "abcdef"
                for number, value in enumerate((0.1, None, 0.2))
            ),
            id="more than there is room for, some not known",
        ),
        pytest.param((a_gap_row(0, baseline=None, limit=None),), id="no baseline"),
    ],
)
def test_gaps_are_drawn_whatever_is_known_of_them(rows: tuple[HistoryRow, ...]) -> None:
    """One panel each, those nearest their limits first."""
    png = Plots().gaps_over_time(rows)
    assert png.startswith(b"\x89PNG")
    assert Plots().gaps_over_time(rows) == png


@pytest.mark.parametrize(
    ("days", "shares", "delay_days", "due_days"),
    [
        pytest.param((), (), 1.0, 2.0, id="no label"),
        pytest.param((1.0,), (0.99,), 1.0, 2.0, id="all at once"),
        pytest.param((0.5, 4000.0), (0.1, 0.9), 1.0, 2.0, id="years late"),
        pytest.param((0.0,), (1.0,), 0.0, 0.0, id="no delay"),
    ],
)
def test_a_maturity_curve_is_drawn_whenever_labels_came(
    days: tuple[float, ...], shares: tuple[float, ...], delay_days: float, due_days: float
) -> None:
    """Without any warning of an empty axis."""
    maturity = Maturity(
        days=days,
        shares=shares,
        requests=100,
        known=50,
        matured=100,
        delay_days=delay_days,
        due_days=due_days,
    )
    png = Plots().maturity(maturity)
    assert png.startswith(b"\x89PNG")
    assert Plots().maturity(maturity) == png


def trial(number: int, state: TrialState) -> Trial:
    values = (0.5 - 0.01 * number,) if state is TrialState.COMPLETE else ()
    return Trial(number=number, parameters={}, fold_values=values, state=state, seconds=1.0)


@pytest.mark.parametrize(
    "states",
    [
        pytest.param([], id="none"),
        pytest.param(["complete"], id="one"),
        pytest.param(["failed", "failed"], id="all failed"),
        pytest.param(["failed", "complete", "pruned", "complete"], id="of every kind"),
    ],
)
@pytest.mark.parametrize("objective", ["log_loss", "auc_score"])
def test_a_search_is_drawn_however_its_trials_ended(states: list[str], objective: str) -> None:
    """Also one that found nothing."""
    trials = [trial(number, TrialState(state)) for number, state in enumerate(states)]
    png = Plots().search_history(trials, objective=objective)
    assert png.startswith(b"\x89PNG")
    assert Plots().search_history(trials, objective=objective) == png


def test_costs_slices_and_importances_are_drawn() -> None:
    """Also a slice without an interval, and a champion that lacks a feature."""
    target = np.array([0.0, 1.0] * 20)
    answers = np.linspace(0.1, 0.9, 40)
    costs = DecisionCosts(false_positive=1.0, false_negative=3.0)
    curve = threshold_curve(target, answers, costs=costs)
    slicing = Slicing(column="carrier", codes=np.array([0, 1] * 20), names=("AA", "BB"))

    def score(rows: object, confidence: float) -> Interval:
        ends = (0.6, 0.8) if confidence > 0.9 else (float("nan"), float("nan"))
        return Interval(
            estimate=0.7, low=ends[0], high=ends[1], confidence=confidence, n=20, units=20
        )

    plots = Plots()
    for png in (
        plots.costs(curve, threshold=0.5),
        plots.costs((), threshold=0.5),
        plots.slices(slice_scores([slicing], {"auc_score": score}, confidence=0.95, minimum_n=5)),
        plots.slices(slice_scores([slicing], {"auc_score": score}, confidence=0.5, minimum_n=50)),
        plots.importances({"a": 0.1, "b": -0.01}, None, method="permutation"),
        plots.importances({"a": 0.1, "b": 0.01}, {"a": 0.2}, method="shap"),
    ):
        assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("threshold", [None, 0.3])
@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.9], [5.0], [-3.0, 1e9]])
def test_predictions_are_drawn_whatever_their_range(
    scores: list[float], threshold: float | None
) -> None:
    """Also a single one, of a regression."""
    values = np.array(scores)
    spread = empty_spread(values, is_probability=max(scores) <= 1).with_more(values)
    png = Plots().scores(spread, threshold=threshold)
    assert png.startswith(b"\x89PNG")
    assert Plots().scores(spread, threshold=threshold) == png


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(ScoreSample(), id="no pair"),
        pytest.param(
            ScoreSample(
                n=3, edges=(-0.1, 0.0, 0.1), counts=(1, 2), champion=(0.2, 0.4), shadow=(0.2, 0.5)
            ),
            id="some pairs",
        ),
        pytest.param(ScoreSample(n=1, champion=(7.0,), shadow=(7.0,)), id="the same answer"),
    ],
)
def test_pairs_of_scores_are_drawn(sample: ScoreSample) -> None:
    """Also none."""
    png = Plots().paired_scores(sample)
    assert png.startswith(b"\x89PNG")
    assert Plots().paired_scores(sample) == png


@pytest.mark.parametrize("counts", [PairCounts(), PairCounts(both_yes=3, shadow_only=1)])
def test_agreement_is_drawn_per_slice(counts: PairCounts) -> None:
    """Also of a slice without a decision, or with a missing value."""
    slices = [SlicePairs(column="carrier", value=value, counts=counts) for value in ("AA", None)]
    for rows in (slices, []):
        assert Plots().agreement(rows, floor=0.8).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "latencies",
    [
        pytest.param((), id="none"),
        pytest.param((1.5,), id="one"),
        pytest.param((0.0, 0.0), id="no time at all"),
        pytest.param((*[1.0 + n / 100 for n in range(300)], 9000.0), id="one took seconds"),
    ],
)
@pytest.mark.parametrize("limit_ms", [2.0, 250.0])
def test_latencies_are_drawn_whatever_they_are(
    latencies: tuple[float, ...], limit_ms: float
) -> None:
    """The limit too, where it is not far off."""
    png = Plots().latencies(latencies, limit_ms=limit_ms)
    assert png.startswith(b"\x89PNG")
    assert Plots().latencies(latencies, limit_ms=limit_ms) == png


@pytest.mark.parametrize("answers", [0, 3, 2500])
def test_an_experiment_is_drawn_however_little_it_has_seen(answers: int) -> None:
    """Nothing, too little for an interval, and three days."""
    experiment = an_experiment(3)
    plan, _ = a_plan(experiment)
    seen = fixed_split((0.1, 0.2, 0.3), answers, np.random.default_rng(1))
    analysis = analyse(experiment, seen, plan, now=datetime(2026, 1, 2, tzinfo=UTC))
    for png in (
        Plots().arm_differences(analysis, effect=0.02),
        Plots().regret(report_regret(experiment, seen, plan)),
    ):
        assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({}, id="all kept"),
        pytest.param({"availability": steady(50), "correctness": days(9)}, id="far exceeded"),
        pytest.param({"availability": steady(1, events=1)[:1]}, id="one request"),
        pytest.param(
            {
                name: []
                for name in ("availability", "latency", "correctness", "freshness", "fairness")
            },
            id="nothing asked",
        ),
    ],
)
def test_error_budgets_are_drawn_however_much_is_left(counts: dict[str, list[SliCount]]) -> None:
    """One line per promise, one bar per alert; without events neither."""
    record = a_record(counts=counts)
    png = Plots().error_budgets(record)
    assert png.startswith(b"\x89PNG")
    assert Plots().error_budgets(record) == png


def test_performance_is_drawn_with_gaps_where_nothing_is_known() -> None:
    """Of several versions, of one window, without a baseline, and of none at all."""
    full = ScoredWindow(
        until=date(2013, 4, 28),
        version=1,
        model_digest="m",
        n=5000,
        auc=0.7,
        auc_low=0.65,
        auc_high=0.75,
        log_loss=0.4,
        calibration_error=0.02,
        calibration_upper=0.015,
        mean_probability=0.1,
        observed_rate=0.12,
        estimated_auc=0.76,
        baseline_auc=0.73,
        baseline_auc_low=0.69,
        baseline_auc_high=0.77,
        baseline_calibration_error=0.01,
    )
    unknown = full.model_copy(
        update={
            "until": date(2013, 4, 29),
            "auc": None,
            "auc_low": None,
            "auc_high": None,
            "calibration_error": None,
            "calibration_upper": None,
            "estimated_auc": None,
        }
    )
    other = full.model_copy(
        update={"model_digest": "o", "version": 2, "baseline_auc_low": None, "baseline_auc": None}
    )
    pictures = [
        Plots().performance(PerformanceHistory(line="line", rows=rows))
        for rows in ((), (full,), (full, unknown), (full, unknown, other))
    ]
    assert all(png.startswith(b"\x89PNG") for png in pictures)
    assert len(set(pictures)) == len(pictures)


def a_drift(standing: DriftStanding, psi_nats: float | None) -> FeatureDrift:
    return FeatureDrift(
        feature=f"feature {standing}",
        standing=standing,
        n=100,
        psi_nats=psi_nats,
        limit_nats=0.1,
        p_adjusted=None,
        effect=None,
        effect_name="",
        importance=None,
        weighted_psi_nats=None,
        loss_change=None,
        loss_limit=None,
        unknown_share=None,
        windows_in_a_row=0,
        why="",
    )


@pytest.mark.parametrize(
    "features",
    [
        pytest.param((), id="no feature"),
        pytest.param((a_drift(DriftStanding.UNKNOWN, None),), id="nothing known"),
        pytest.param(tuple(a_drift(one, 0.3) for one in DriftStanding), id="every standing"),
        pytest.param((a_drift(DriftStanding.HURTING, 90.0),), id="far beyond"),
    ],
)
def test_drift_is_drawn_whatever_is_known(features: tuple[FeatureDrift, ...]) -> None:
    """The newest window and the history, which may be empty."""
    record = DriftRecord(
        line="line",
        model_digest="model",
        reference_digest="reference",
        as_of="2013-04-07",
        days=7,
        rows=100,
        verdict_digest="verdict",
        features=features,
        problems=(),
    )
    history = DriftHistory()
    for day in range(1, 4):
        png = Plots().drift_history(history)
        assert png.startswith(b"\x89PNG")
        history = with_window(history, record.model_copy(update={"as_of": f"2013-04-0{day}"}))
    assert Plots().drift_history(history) == Plots().drift_history(history)
    assert Plots().drift(record).startswith(b"\x89PNG")
    assert Plots().drift(record) == Plots().drift(record)
