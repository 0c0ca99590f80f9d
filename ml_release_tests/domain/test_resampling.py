"""Draws: repeatable, of the right distribution whichever way they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml_release.domain import resampling
from ml_release.domain.resampling import Resampling, resampled
from ml_release.domain.weighted_scores import weighted_auc, weighted_mean, weighted_ratio
from ml_release.errors import InputError

RNG = np.random.default_rng(0)
N = 120
SCORE = RNG.random(N)
TARGET = (RNG.random(N) < SCORE).astype(float)
DAYS = np.sort(RNG.integers(0, 12, N))
PLAN = Resampling(seed=7, resamples=400)


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    """Whatever other scores are asked for at the same time."""
    auc, mean = weighted_auc(TARGET, SCORE), weighted_mean(SCORE)
    alone = resampled((auc,), PLAN)
    assert np.array_equal(alone[0], resampled((mean, auc), PLAN)[1])
    assert not np.array_equal(alone, resampled((auc,), replace(PLAN, seed=8)))


@pytest.mark.parametrize("groups", [None, DAYS])
def test_draws_do_not_depend_on_the_size_of_a_block(
    monkeypatch: pytest.MonkeyPatch, groups: Any
) -> None:
    """Memory is bounded without a change of the numbers."""
    plan = replace(PLAN, groups=groups)
    scores = (weighted_auc(TARGET, SCORE), weighted_mean(SCORE))
    expected = resampled(scores, plan)
    monkeypatch.setattr(resampling, "BLOCK_CELLS", 5 * N)
    assert resampled(scores, plan) == pytest.approx(expected, abs=1e-12)


def test_rows_of_few_kinds_are_drawn_as_counts_with_the_same_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rate's standard deviation over resamples is known: root of p (1 - p) / n."""
    plan = replace(PLAN, resamples=4000)
    rate = weighted_mean(TARGET)
    as_counts = resampled((rate,), plan)[0]
    monkeypatch.setattr(resampling, "KINDS", 1)
    by_row = resampled((rate,), plan)[0]
    p = TARGET.mean()
    for drawn in (as_counts, by_row):
        assert drawn.mean() == pytest.approx(p, abs=0.003)
        assert drawn.std() == pytest.approx((p * (1 - p) / N) ** 0.5, rel=0.05)
    assert not np.array_equal(as_counts, by_row)


def test_days_are_drawn_whole() -> None:
    """Two days, all late and none late: a resample has 0, half or all of the rows late."""
    days = np.repeat([0, 1], 50)
    late = weighted_mean((days == 1).astype(float))
    drawn = resampled((late,), replace(PLAN, groups=days))[0]
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}


def test_a_ranking_and_its_sums_see_the_same_days() -> None:
    """Row order does not matter to days: codes shuffled with the rows give the same resamples."""
    rows = np.random.default_rng(1).permutation(N)
    straight = resampled((weighted_auc(TARGET, SCORE),), replace(PLAN, groups=DAYS))
    shuffled = resampled(
        (weighted_auc(TARGET[rows], SCORE[rows]),), replace(PLAN, groups=DAYS[rows])
    )
    assert straight == pytest.approx(shuffled, abs=1e-12)


def test_each_row_may_be_a_day_of_its_own() -> None:
    """Their codes are put back to their rows: a score by rank sees weights where they belong."""
    days = np.random.default_rng(2).permutation(N)
    order = np.argsort(days)
    by_day = resampled((weighted_auc(TARGET, SCORE),), replace(PLAN, groups=days))
    sorted_rows = resampled((weighted_auc(TARGET[order], SCORE[order]),), PLAN)
    assert by_day == pytest.approx(sorted_rows, abs=1e-12)


@pytest.mark.parametrize("kinds", [256, 1])
def test_strata_keep_their_sizes(monkeypatch: pytest.MonkeyPatch, kinds: int) -> None:
    """The rate of positives is the same in every resample; the recall is not."""
    monkeypatch.setattr(resampling, "KINDS", kinds)
    selected = (SCORE >= 0.5).astype(float)
    recall = weighted_ratio(TARGET * selected, TARGET)
    plan = replace(PLAN, strata=TARGET)
    rate, found = resampled((weighted_mean(TARGET), recall), plan)
    assert rate == pytest.approx(np.full(400, TARGET.mean()), abs=1e-12)
    assert np.ptp(found) > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resamples": 99}, "at least 100 resamples, found 99"),
        ({"method": "magic"}, "expanded, percentile, bca, standard, found magic"),
        ({"groups": DAYS, "strata": TARGET}, "found both"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(change: dict[str, Any], message: str) -> None:
    """Before anything is drawn."""
    with pytest.raises(InputError, match=message):
        replace(PLAN, **change)


@pytest.mark.parametrize("name", ["groups", "strata"])
def test_groups_and_strata_are_of_the_same_rows(name: str) -> None:
    """One for each row."""
    change: dict[str, Any] = {name: np.zeros(3)}
    plan = replace(PLAN, **change)
    with pytest.raises(InputError, match=f"each of {N} rows, found shape"):
        resampled((weighted_auc(TARGET, SCORE),), plan)
