"""Sample sizes: equal to statsmodels, and a plan that says all that was decided."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.experiment_design import (
    Baseline,
    digest_of_experiment,
    plan_experiment,
    plan_from_json,
    units_for_means,
    units_for_shares,
)
from ml_release.domain.experiment_policy import ExperimentPolicy
from ml_release.errors import InputError, IntegrityError
from ml_release_tests.simulated_experiments import BEGUN, an_experiment

LEVELS = {"alpha": st.floats(0.001, 0.2), "power": st.floats(0.55, 0.99)}


@given(
    baseline=st.floats(0.05, 0.6),
    effect=st.floats(0.01, 0.3),
    ratio=st.floats(0.1, 10),
    **LEVELS,
)
@settings(max_examples=60, deadline=None)
def test_units_for_shares_equal_statsmodels(
    baseline: float, effect: float, ratio: float, alpha: float, power: float
) -> None:
    """Upwards and downwards; its first sample is our control."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for signed in (effect, -effect):
        if not 0 <= baseline + signed <= 1:
            continue
        expected = proportion.samplesize_proportions_2indep_onetail(
            -signed, baseline + signed, power, ratio=ratio, alpha=alpha
        )
        found = units_for_shares(baseline, signed, alpha=alpha, power=power, ratio=ratio)
        assert found == pytest.approx(expected, rel=1e-9)


@given(sd=st.floats(0.05, 0.5), effect=st.floats(0.01, 0.1), ratio=st.floats(0.1, 10), **LEVELS)
@settings(max_examples=60, deadline=None)
def test_units_for_means_equal_statsmodels(
    sd: float, effect: float, ratio: float, alpha: float, power: float
) -> None:
    """By the power it computes for our number of units, to which the far tail adds little."""
    tables = pytest.importorskip("statsmodels.stats.power")
    units = units_for_means(sd, effect, alpha=alpha, power=power, ratio=ratio)
    found = tables.NormalIndPower().power(effect / sd, units, alpha, ratio=ratio)
    assert power - 1e-9 <= found <= power + 0.005


@pytest.mark.parametrize(
    ("made", "message"),
    [
        pytest.param(
            lambda: units_for_shares(0.1, 0.0, alpha=0.05, power=0.8), "two different", id="no"
        ),
        pytest.param(
            lambda: units_for_shares(0.99, 0.02, alpha=0.05, power=0.8), "1.01", id="above 1"
        ),
        pytest.param(
            lambda: units_for_means(0.0, 0.1, alpha=0.05, power=0.8), "above 0", id="no spread"
        ),
        pytest.param(
            lambda: units_for_means(0.5, 0.1, alpha=0.0, power=0.8), "alpha and power", id="alpha"
        ),
        pytest.param(
            lambda: units_for_shares(0.5, 0.1, alpha=0.1, power=0.8, ratio=0.0), "ratio", id="ratio"
        ),
        pytest.param(lambda: Baseline(mean=1.2), "a mean from 0 to 1, found 1.2", id="mean"),
        pytest.param(lambda: Baseline(mean=0.1, sd=0.6), "at most 0.5", id="sd"),
        pytest.param(
            lambda: Baseline(mean=0.1, units_per_day=0), "more than 0 units", id="no traffic"
        ),
        pytest.param(lambda: Baseline(mean=float("nan")), "found nan", id="nan"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(made: Any, message: str) -> None:
    """With what was expected and what was found."""
    with pytest.raises(InputError, match=message):
        made()


def plan(experiment: Any = None, baseline: Baseline | None = None, **limits: Any) -> Any:
    return plan_experiment(
        experiment or an_experiment(),
        baseline or Baseline(mean=0.1, units_per_day=1000),
        ExperimentPolicy(**limits),
        begun_at=BEGUN,
    )


def test_a_plan_counts_units_of_all_arms_and_days_of_those_that_take_part() -> None:
    """A fifth of the traffic takes five times as long."""
    whole, fifth = plan(), plan(an_experiment(share_percent=20.0))
    needed = units_for_shares(0.1, 0.02, alpha=0.05, power=0.8)
    assert whole.fixed_units == {1: 3841, 2: 3841}
    assert whole.units[1] == pytest.approx(needed * whole.inflation, abs=1)
    assert whole.expected_days == pytest.approx(whole.total_units / 1000, rel=0.001)
    assert fifth.expected_days == pytest.approx(5 * whole.expected_days)
    assert plan(baseline=Baseline(mean=0.1)).expected_days is None


def test_more_arms_are_compared_more_strictly() -> None:
    """Each at alpha by the number of comparisons, with more units per arm."""
    two, four = plan(), plan(an_experiment(4))
    assert (two.comparisons, four.comparisons) == (1, 3)
    assert four.alpha_each == pytest.approx(0.05 / 3)
    assert min(four.units.values()) > max(two.units.values())
    assert four.planned_variance < two.planned_variance


def test_unequal_parts_need_more_units() -> None:
    """The smallest arm decides."""
    unequal = an_experiment(
        arms=2,
        name="unequal",
    ).model_copy(update={"arms": _arms(90.0, 10.0)})
    assert plan(unequal).total_units > plan().total_units
    assert plan(unequal).units[1] == pytest.approx(9 * plan(unequal).units[2], rel=0.001)


def test_a_bandit_may_leave_the_control_its_floor() -> None:
    """So many units would be needed then; fixed parts have no such number."""
    assert plan().units_at_floor is None
    learned = plan(an_experiment(allocation="thompson"))
    assert learned.units_at_floor > learned.total_units


def test_a_mean_reward_without_a_known_spread_takes_the_largest() -> None:
    """That of a binary reward; a known one needs fewer units."""
    largest = plan(metric="mean")
    known = plan(metric="mean", baseline=Baseline(mean=0.1, sd=0.1))
    assert largest.baseline_sd == pytest.approx(0.3)
    assert known.total_units < largest.total_units


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(lambda: plan(minimum_detectable_effect=0.95), "can have", id="too large"),
        pytest.param(
            lambda: plan(an_experiment().model_copy(update={"arms": _arms(100.0, 0.0)})),
            r"found none for versions \[2\]",
            id="an arm without a share",
        ),
    ],
)
def test_an_experiment_that_can_show_nothing_is_refused(build: Any, message: str) -> None:
    """Before it is begun."""
    with pytest.raises(InputError, match=message):
        build()


def test_a_plan_reads_back_as_it_was_recorded() -> None:
    """Anything else is no plan."""
    made = plan()
    assert plan_from_json(made.to_json()) == made
    assert made.experiment_digest == digest_of_experiment(an_experiment())
    with pytest.raises(IntegrityError, match="expected a recorded plan"):
        plan_from_json(b"{}")


def _arms(*weights: float) -> tuple[Any, ...]:
    from ml_release.domain.experiment import Arm

    return tuple(Arm(version=v + 1, weight_percent=w) for v, w in enumerate(weights))
