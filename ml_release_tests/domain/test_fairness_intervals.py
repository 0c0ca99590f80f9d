"""Intervals of fairness measures: coverage although extremes are picked, days, and no ends."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.fairness import MEASURES, fairness_measure
from ml_release.domain.fairness_intervals import (
    drawn_counts,
    drawn_counts_by_unit,
    fairness_interval,
)
from ml_release.domain.group_counts import GroupCounts
from ml_release.errors import InputError

NAN = float("nan")


def group(name: str, cells: list[int]) -> GroupCounts:
    tp, fp, fn, tn = (int(cell) for cell in cells)
    return GroupCounts(
        name=name,
        n=tp + fp + fn + tn,
        positives=tp + fn,
        selected=tp + fp,
        true_positives=tp,
        false_positives=fp,
    )


GROUPS = [
    group("a", [300, 100, 100, 500]),
    group("b", [80, 30, 50, 140]),
    group("c", [60, 90, 60, 190]),
    group("d", [3, 0, 2, 1]),
]
DRAWS = drawn_counts(GROUPS, seed=1)


@pytest.mark.parametrize("name", MEASURES)
def test_the_interval_holds_the_measure_and_leaves_the_same_groups_out(name: str) -> None:
    """Group d is too small; the interval is wider at a higher confidence."""
    found = fairness_interval(name, GROUPS, DRAWS, confidence=0.9, minimum_n=50)
    measure = fairness_measure(name, GROUPS, minimum_n=50)
    assert measure.left_out == ("d",)
    assert (found.estimate, found.n) == (measure.value, 1700)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    wider = fairness_interval(name, GROUPS, DRAWS, confidence=0.99, minimum_n=50)
    assert wider.low <= found.low
    assert wider.high >= found.high
    assert wider.high - wider.low > found.high - found.low


def test_of_two_groups_it_is_the_usual_interval_of_a_difference() -> None:
    """0.4 of 1,000 less 0.275 of 400, plus and minus 1.96 standard errors, to 0.004."""
    pair = [group("a", [400, 0, 600, 0]), group("b", [110, 0, 290, 0])]
    found = fairness_interval(
        "demographic_parity_difference",
        pair,
        drawn_counts(pair, seed=2, resamples=4000),
        confidence=0.95,
        minimum_n=50,
    )
    reach = 1.96 * (0.4 * 0.6 / 1000 + 0.275 * 0.725 / 400) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.125 - reach, 0.125 + reach), abs=0.004)


@pytest.mark.parametrize(
    ("name", "rates", "truth"),
    [
        ("demographic_parity_difference", [0.3] * 5, 0.0),
        ("demographic_parity_ratio", [0.3] * 5, 1.0),
        ("demographic_parity_difference", [0.3, 0.3, 0.4, 0.3, 0.5], 0.2),
        ("demographic_parity_ratio", [0.3, 0.3, 0.4, 0.3, 0.5], 0.6),
    ],
)
def test_the_true_measure_is_covered_although_the_extremes_are_picked(
    name: str, rates: list[float], truth: float
) -> None:
    """200 samples of 5 groups x 200 rows at 90 %; treated alike too, where a plain one fails."""
    rng = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        selected = rng.binomial(200, rates)
        groups = [group(str(i), [s, 0, 200 - s, 0]) for i, s in enumerate(selected)]
        draws = drawn_counts(groups, seed=seed, resamples=300)
        found = fairness_interval(name, groups, draws, confidence=0.9, minimum_n=50)
        covered += found.low - 1e-12 <= truth <= found.high + 1e-12
    assert covered / 200 >= 0.86


def test_the_plain_bootstrap_of_the_largest_gap_would_fail_there() -> None:
    """The reason for the pairs: of groups treated alike it says that they are not."""
    rng = np.random.default_rng(4)
    covered = 0
    for seed in range(100):
        selected = rng.binomial(200, [0.3] * 5)
        groups = [group(str(i), [s, 0, 200 - s, 0]) for i, s in enumerate(selected)]
        draws = drawn_counts(groups, seed=seed, resamples=300)
        gaps = np.ptp(draws[:, :, :2].sum(axis=2) / 200, axis=1)
        covered += np.quantile(gaps, 0.05) <= 0.0
    assert covered / 100 < 0.5


def test_rows_of_a_day_are_drawn_with_their_day() -> None:
    """Days that move both groups apart: wider than for independent rows, as days themselves say."""
    rng = np.random.default_rng(5)
    gap = rng.normal(0.2, 0.3, 30).clip(-0.8, 0.8)
    selected = np.column_stack([rng.binomial(40, 0.5 + gap / 2), rng.binomial(40, 0.5 - gap / 2)])
    cells = np.zeros((30, 2, 4), dtype=np.intp)
    cells[:, :, 0], cells[:, :, 2] = selected, 40 - selected
    groups = [group(name, cells.sum(axis=0)[i].tolist()) for i, name in enumerate("ab")]
    name = "demographic_parity_difference"
    by_day = fairness_interval(
        name, groups, drawn_counts_by_unit(cells, seed=6), confidence=0.95, minimum_n=9, units=30
    )
    by_row = fairness_interval(
        name, groups, drawn_counts(groups, seed=6), confidence=0.95, minimum_n=9
    )
    assert (by_day.n, by_day.units, by_row.units) == (2400, 30, 2400)
    daily = (selected[:, 0] - selected[:, 1]) / 40
    reach = 1.96 * daily.std() / 30**0.5
    assert by_day.high - by_day.estimate == pytest.approx(reach, rel=0.1)
    assert by_day.high - by_day.low > 1.5 * (by_row.high - by_row.low)


def test_draws_are_repeatable_and_of_the_size_of_each_group() -> None:
    """Empty cells are drawn now and then: they are not impossible."""
    assert np.array_equal(DRAWS, drawn_counts(GROUPS, seed=1))
    assert not np.array_equal(DRAWS, drawn_counts(GROUPS, seed=2))
    assert np.all(DRAWS.sum(axis=2) == [1000, 300, 400, 6])
    assert 0 < np.mean(DRAWS[:, 3, 1] > 0) < 0.6
    cells = np.arange(24).reshape(3, 2, 4)
    drawn = drawn_counts_by_unit(cells, seed=1, resamples=500)
    assert drawn.mean(axis=0) == pytest.approx(cells.sum(axis=0), rel=0.15)
    assert np.array_equal(drawn, drawn_counts_by_unit(cells, seed=1, resamples=500))


def test_where_draws_show_no_spread_there_are_no_ends() -> None:
    """Days that are all the same, a lone group, and groups of which none is selected."""
    same = np.tile(np.array([[3, 1, 2, 4], [2, 2, 3, 3]]), (5, 1, 1))
    groups = [group(name, same.sum(axis=0)[i].tolist()) for i, name in enumerate("ab")]
    draws = drawn_counts_by_unit(same, seed=1)
    name = "demographic_parity_ratio"
    for found in (
        fairness_interval(name, groups, draws, confidence=0.9, minimum_n=1),
        fairness_interval(name, groups[:1], draws[:, :1], confidence=0.9, minimum_n=1),
        fairness_interval(name, groups, draws, confidence=0.9, minimum_n=999),
    ):
        assert np.isnan([found.low, found.high]).all()


def test_draws_of_other_groups_and_of_one_day_are_refused() -> None:
    """The message says what was found."""
    with pytest.raises(InputError, match=r"3 groups with 4 cells each, found shape \(2000, 4, 4\)"):
        fairness_interval(
            "demographic_parity_ratio", GROUPS[:3], DRAWS, confidence=0.9, minimum_n=1
        )
    with pytest.raises(InputError, match="at least 2 days"):
        drawn_counts_by_unit(np.ones((1, 2, 4), dtype=np.intp), seed=1)
