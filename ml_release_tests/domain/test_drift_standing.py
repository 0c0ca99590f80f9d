"""How a feature stands: a shift that lasts, what it costs, and what labels say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml_release.domain.drift_departure import Departure
from ml_release.domain.drift_impact import expected_loss_change, loss_of_bins, unknown_share
from ml_release.domain.drift_policy import DriftPolicy
from ml_release.domain.drift_standing import DriftStanding, RealisedChange, tell

POLICY = DriftPolicy(minimum_rows=100, weighted_psi_limit_nats=0.1)
STILL = Departure(
    n=1000,
    psi_nats=0.05,
    limit_nats=0.1,
    p_adjusted=0.5,
    loss_change=0.0,
    loss_limit=0.01,
    unknown_share=0.0,
    importance=0.02,
)
MOVED = replace(STILL, psi_nats=0.4, p_adjusted=1e-9)
COSTLY = replace(MOVED, loss_change=0.02)
FEW = replace(MOVED, n=99)
NAN = float("nan")


@pytest.mark.parametrize(
    ("windows", "standing", "in_a_row", "why"),
    [
        pytest.param([STILL, STILL], DriftStanding.STABLE, 0, "", id="still"),
        pytest.param([STILL, COSTLY], DriftStanding.STABLE, 0, "", id="came back"),
        pytest.param([COSTLY, STILL], DriftStanding.STABLE, 1, "1 of 2 windows", id="one window"),
        pytest.param([COSTLY], DriftStanding.UNKNOWN, 1, "not known", id="nothing before"),
        pytest.param([COSTLY, None], DriftStanding.UNKNOWN, 1, "not known", id="not counted then"),
        pytest.param([COSTLY, FEW], DriftStanding.UNKNOWN, 1, "not known", id="few rows then"),
        pytest.param([MOVED, MOVED], DriftStanding.HARMLESS, 2, "no harm", id="moved"),
        pytest.param([MOVED, COSTLY], DriftStanding.HARMLESS, 2, "no harm", id="harm is over"),
        pytest.param([COSTLY, MOVED], DriftStanding.HARMLESS, 2, "no harm", id="harm once"),
        pytest.param([COSTLY, COSTLY], DriftStanding.HURTING, 2, "expected to rise", id="hurting"),
        pytest.param([FEW, COSTLY], DriftStanding.UNKNOWN, 0, "at least 100", id="few rows now"),
        pytest.param([], DriftStanding.UNKNOWN, 0, "at least 100", id="no window"),
        pytest.param([None, COSTLY], DriftStanding.UNKNOWN, 0, "found 0", id="no counts now"),
        pytest.param(
            [replace(COSTLY, psi_nats=NAN)] * 2, DriftStanding.UNKNOWN, 0, "computed", id="NaN"
        ),
        pytest.param(
            [replace(COSTLY, p_adjusted=0.02)] * 2,
            DriftStanding.STABLE,
            0,
            "chance",
            id="by chance",
        ),
        pytest.param(
            [replace(COSTLY, psi_nats=0.1)] * 2, DriftStanding.STABLE, 0, "", id="at the limit"
        ),
    ],
)
def test_a_shift_counts_once_it_lasts_and_costs(
    windows: list[Departure | None], standing: DriftStanding, in_a_row: int, why: str
) -> None:
    """What cannot be confirmed is unknown, never stable and never hurting."""
    told = tell(windows, policy=POLICY)
    assert (told.standing, told.windows_in_a_row) == (standing, in_a_row)
    assert why in told.why


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        pytest.param({"loss_change": 0.01}, DriftStanding.HARMLESS, "", id="loss at its limit"),
        pytest.param({"loss_change": NAN}, DriftStanding.HARMLESS, "", id="loss unknown, small"),
        pytest.param(
            {"loss_change": NAN, "importance": 0.2},
            DriftStanding.UNKNOWN,
            "costs",
            id="loss unknown",
        ),
        pytest.param(
            {"loss_limit": np.inf, "importance": 0.2}, DriftStanding.UNKNOWN, "costs", id="no limit"
        ),
        pytest.param(
            {"loss_change": NAN, "importance": None}, DriftStanding.UNKNOWN, "", id="nothing known"
        ),
        pytest.param(
            {"unknown_share": 0.5}, DriftStanding.HARMLESS, "", id="no evidence of what is small"
        ),
        pytest.param(
            {"unknown_share": 0.06, "importance": 0.05},
            DriftStanding.HURTING,
            "6.0% of its rows are where the reference has no evidence",
            id="no evidence of what is important",
        ),
        pytest.param(
            {"unknown_share": 0.05, "importance": 0.05}, DriftStanding.HARMLESS, "", id="at limit"
        ),
        pytest.param(
            {"psi_nats": 1.11, "importance": 0.1},
            DriftStanding.HURTING,
            "importance times",
            id="far",
        ),
        pytest.param(
            {"psi_nats": 1.1, "importance": 0.1}, DriftStanding.HARMLESS, "", id="not so far"
        ),
        pytest.param({"psi_nats": 9.0, "importance": None}, DriftStanding.HARMLESS, "", id="score"),
    ],
)
def test_what_a_shift_costs(change: dict[str, Any], standing: DriftStanding, why: str) -> None:
    """By the loss of its bins, by evidence that is not there, by importance."""
    one = replace(MOVED, **change)
    told = tell([one, one], policy=POLICY)
    assert told.standing is standing
    assert why in told.why


@pytest.mark.parametrize(
    ("one", "realised", "standing"),
    [
        pytest.param(COSTLY, (-0.01, 0.004), DriftStanding.HARMLESS, id="labels show no harm"),
        pytest.param(COSTLY, (-0.01, 0.02), DriftStanding.HURTING, id="labels cannot tell"),
        pytest.param(MOVED, (-0.01, 0.02), DriftStanding.HARMLESS, id="labels cannot tell either"),
        pytest.param(MOVED, (0.01, 0.02), DriftStanding.HARMLESS, id="harm of something else"),
        pytest.param(
            replace(MOVED, importance=0.05), (0.01, 0.02), DriftStanding.HURTING, id="labels hurt"
        ),
        pytest.param(
            replace(MOVED, importance=None), (0.01, 0.02), DriftStanding.HURTING, id="the score"
        ),
        pytest.param(STILL, (0.01, 0.02), DriftStanding.STABLE, id="harm without a shift"),
    ],
)
def test_labels_overrule_what_was_expected(
    one: Departure, realised: tuple[float, float], standing: DriftStanding
) -> None:
    """Where they decide; no label makes a feature move that has not."""
    change = RealisedChange(low=realised[0], high=realised[1], n=5000)
    assert tell([one, one], policy=POLICY, realised=change).standing is standing


def test_more_windows_can_be_asked_for() -> None:
    """Three in a row, or one."""
    three = POLICY.model_copy(update={"persistence_windows": 3})
    assert tell([COSTLY, COSTLY, STILL], policy=three).standing is DriftStanding.STABLE
    assert tell([COSTLY, COSTLY], policy=three).standing is DriftStanding.UNKNOWN
    assert tell([COSTLY] * 3, policy=three).standing is DriftStanding.HURTING
    once = POLICY.model_copy(update={"persistence_windows": 1})
    assert tell([COSTLY, STILL], policy=once).standing is DriftStanding.HURTING


def test_a_bin_without_rows_costs_what_rows_cost_on_average() -> None:
    """And so adds nothing to an expected change."""
    losses = loss_of_bins(np.array([1000, 1000, 0]), np.array([200.0, 600.0, 0.0]))
    assert losses[2] == pytest.approx(0.4)
    assert losses[0] == pytest.approx(0.2, abs=0.01)
    assert np.isnan(loss_of_bins(np.array([0]), np.array([0.0]))).all()


def test_the_expected_change_is_that_of_rows_that_moved_by_one_margin() -> None:
    """A population that is drawn by one feature has just the loss that is expected of it."""
    rng = np.random.default_rng(0)
    feature = rng.integers(0, 5, 200_000)
    loss = 0.1 * feature + rng.exponential(0.2, 200_000)
    weight = np.array([1.0, 1.0, 1.0, 2.0, 4.0])[feature]
    drawn = rng.choice(len(feature), 100_000, p=weight / weight.sum())
    rows = np.bincount(feature, minlength=5)
    losses = loss_of_bins(rows, np.bincount(feature, weights=loss, minlength=5).astype(np.float64))
    expected = expected_loss_change(rows, np.bincount(feature[drawn], minlength=5), losses)
    assert expected == pytest.approx(loss[drawn].mean() - loss.mean(), abs=0.003)


@pytest.mark.parametrize(
    ("current", "outside", "expected"),
    [
        pytest.param([50, 50, 0], 0, 0.0, id="all seen before"),
        pytest.param([50, 30, 20], 0, 0.2, id="a bin of 29 rows"),
        pytest.param([50, 30, 20], 10, 0.3, id="and beyond the range"),
        pytest.param([0, 0, 10], 10, 1.0, id="at most all"),
        pytest.param([0, 0, 0], 0, NAN, id="no rows"),
    ],
)
def test_the_share_without_evidence(current: list[int], outside: int, expected: float) -> None:
    """Rows in bins the reference hardly knows, and numbers beyond its range."""
    found = unknown_share(np.array([100, 30, 29]), np.array(current), outside=outside)
    assert found == pytest.approx(expected, nan_ok=True)


def test_no_rows_have_no_expected_change() -> None:
    """On either side."""
    some, none, losses = np.array([1, 1]), np.array([0, 0]), np.array([0.1, 0.2])
    assert np.isnan(expected_loss_change(none, some, losses))
    assert np.isnan(expected_loss_change(some, none, losses))
