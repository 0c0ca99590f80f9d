"""The AUC over days against DeLong's by rows, against the bootstrap of days, and its coverage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.domain.bootstrap import bootstrap_interval
from ml_release.domain.clustered_auc import auc_difference_by_groups, auc_interval_by_groups
from ml_release.domain.resampling import Resampling
from ml_release.domain.scores import auc_difference, auc_interval
from ml_release.domain.weighted_scores import difference_of, weighted_auc
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")


def days_of_rows(seed: int, days: int, rows: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Labels, scores and days; how well scores rank differs by day."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    target = (rng.random(days * rows) < 0.3).astype(float)
    skill = 1 + rng.normal(0, 1, days)[day]
    score = rng.normal(0, 1, days * rows) + skill * target
    return target, np.round(score, 1).astype(np.float64), day


def test_with_each_row_a_day_of_its_own_it_is_delongs() -> None:
    """Up to factors of m / (m - 1): a hundredth of the width with 500 rows."""
    target, score, _ = days_of_rows(1, 50, 10)
    other = score + np.random.default_rng(2).normal(0, 1, 500)
    rows = np.arange(500)
    pairs = [
        (
            auc_interval_by_groups(target, score, rows, confidence=0.95),
            auc_interval(target, score, confidence=0.95),
        ),
        (
            auc_difference_by_groups(target, score, other, rows, confidence=0.95),
            auc_difference(target, score, other, confidence=0.95),
        ),
    ]
    for ours, delong in pairs:
        assert ours.estimate == pytest.approx(delong.estimate, abs=1e-12)
        assert ours.high - ours.low == pytest.approx(delong.high - delong.low, rel=0.01)
        assert (ours.n, ours.units) == (500, 500)


def test_over_days_it_is_about_the_bootstrap_of_days() -> None:
    """40 days: ends within a tenth of the width, for one model and for the difference of two."""
    target, score, day = days_of_rows(3, 40, 50)
    other = score + np.random.default_rng(4).normal(0, 1, 2000)
    plan = Resampling(seed=5, resamples=1000, groups=day)
    auc = weighted_auc(target, score)
    pairs = [
        (auc_interval_by_groups(target, score, day, confidence=0.95), auc),
        (
            auc_difference_by_groups(target, score, other, day, confidence=0.95),
            difference_of(auc, weighted_auc(target, other)),
        ),
    ]
    for ours, weighted in pairs:
        boot = bootstrap_interval(weighted, plan, confidence=0.95)
        assert (ours.low, ours.high) == pytest.approx(
            (boot.low, boot.high), abs=0.1 * (boot.high - boot.low)
        )


def test_over_days_it_covers_the_auc_of_many_days_and_delongs_does_not() -> None:
    """300 samples of 20 days x 40 rows at 90 %; the truth is taken from 4,000 days."""
    truth = auc_interval(*days_of_rows(99, 4000, 40)[:2], confidence=0.9).estimate
    covered = np.zeros(2)
    for seed in range(300):
        target, score, day = days_of_rows(seed, 20, 40)
        found = (
            auc_interval_by_groups(target, score, day, confidence=0.9),
            auc_interval(target, score, confidence=0.9),
        )
        covered += [interval.low <= truth <= interval.high for interval in found]
    assert covered[0] / 300 == pytest.approx(0.9, abs=0.04)
    assert covered[1] / 300 < 0.75


@pytest.mark.parametrize(
    ("target", "score", "groups", "estimate"),
    [
        pytest.param([], [], [], NAN, id="no rows"),
        pytest.param([1.0, 1.0], [0.1, 0.2], [1, 2], NAN, id="one class"),
        pytest.param([0.0, 1.0], [NAN, 0.2], [1, 2], NAN, id="a score is NaN"),
        pytest.param([0.0, NAN], [0.1, 0.2], [1, 2], NAN, id="a label is missing"),
        pytest.param([0.0, 1.0, 0.0], [0.1, 0.2, 0.3], [1, 1, 1], 0.5, id="one day"),
        pytest.param([0.0, 1.0, 1.0], [0.1, 0.2, 0.3], [1, 2, 3], 1.0, id="perfect, no spread"),
    ],
)
def test_where_days_cannot_tell_there_are_no_ends(
    target: list[float], score: list[float], groups: list[int], estimate: float
) -> None:
    """The estimate stays if there is one."""
    found = auc_interval_by_groups(
        np.array(target), np.array(score), np.array(groups), confidence=0.95
    )
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()


def test_scores_in_the_same_order_differ_by_exactly_nothing() -> None:
    """A model and its recalibrated twin rank every row alike; another order may not."""
    target, score, day = days_of_rows(6, 10, 10)
    found = auc_difference_by_groups(target, score, score, day, confidence=0.95)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
    twin = auc_difference_by_groups(target, score, score * 2, day, confidence=0.95)
    assert (twin.estimate, twin.low, twin.high) == (0.0, 0.0, 0.0)
    # Both separate the classes, each in its own order within them.
    faultless = target + score / (1 + np.abs(score).max()) / 2
    other = target + score[::-1] / (1 + np.abs(score).max()) / 2
    alike = auc_difference_by_groups(target, faultless, other, day, confidence=0.95)
    assert alike.estimate == 0
    assert np.isnan([alike.low, alike.high]).all()


def test_columns_of_different_rows_are_refused() -> None:
    """Also a column of days that is too short."""
    with pytest.raises(InputError, match="same rows"):
        auc_interval_by_groups(np.zeros(2), np.zeros(3), np.zeros(2), confidence=0.9)
    with pytest.raises(InputError, match="one for each of 2 rows"):
        auc_interval_by_groups(np.zeros(2), np.zeros(2), np.zeros(3), confidence=0.9)
