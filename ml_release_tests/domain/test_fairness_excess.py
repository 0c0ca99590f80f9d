"""Pairs of groups against a limit: what chance and a real gap give, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.fairness import MEASURES
from ml_release.domain.fairness_excess import pair_excesses
from ml_release.domain.fairness_intervals import drawn_counts, drawn_counts_by_unit
from ml_release.domain.group_counts import GroupCounts
from ml_release.errors import InputError


def a_group(name: str | None, *, selected: int, n: int = 1000) -> GroupCounts:
    """Half of the selected rows were favourable in truth, and half of the others."""
    return GroupCounts(
        name=name,
        n=n,
        positives=n // 2,
        selected=selected,
        true_positives=selected // 2,
        false_positives=selected - selected // 2,
    )


GROUPS = (a_group("a", selected=300), a_group("b", selected=400), a_group("c", selected=50, n=90))
DRAWS = drawn_counts(GROUPS, seed=1)


def excess(name: str, limit: float, *, minimum_n: int = 200) -> dict[tuple[str | None, ...], float]:
    found = pair_excesses(name, GROUPS[:2], DRAWS[:, :2], limit=limit, minimum_n=minimum_n)
    return {(one.rate, one.least, one.greatest): one.p_value for one in found}


def test_a_difference_is_tested_as_two_rates_are() -> None:
    """The statistic is the gap beyond the limit over the spread of a difference of proportions."""
    from scipy.special import ndtr

    spread = np.sqrt(0.3 * 0.7 / 1000 + 0.4 * 0.6 / 1000)
    for limit in (0.0, 0.05, 0.08, 0.15):
        (p_value,) = excess("demographic_parity_difference", limit).values()
        expected = ndtr(-(0.1 - limit) / spread) + ndtr(-(0.1 + limit) / spread)
        assert p_value == pytest.approx(float(min(1, expected)), rel=0.2, abs=1e-4)


def test_a_ratio_is_tested_on_the_scale_of_its_logarithm() -> None:
    """0.75 is within a limit of 0.7, and shown to be beyond one of 0.9."""
    within = excess("demographic_parity_ratio", 0.7)
    beyond = excess("demographic_parity_ratio", 0.9)
    key = ("selection_rate", "a", "b")
    assert within[key] > 0.5
    assert beyond[key] < 0.01


def test_every_rate_of_a_measure_is_tested() -> None:
    """Equalized odds looks at two."""
    rates = {key[0] for key in excess("equalized_odds_difference", 0.1, minimum_n=1)}
    assert rates == {"true_positive_rate", "false_positive_rate"}


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_one_group_with_rows_enough_gives_no_pair(name: str) -> None:
    """Nothing is told of groups that are too small."""
    assert pair_excesses(name, GROUPS[1:], DRAWS[:, 1:], limit=0.1, minimum_n=400) == ()


def test_days_weigh_as_days() -> None:
    """With few days the same gap is shown less clearly, with one day not at all."""
    cells = np.tile(np.array([group.cells for group in GROUPS[:2]]) // 8, (8, 1, 1))
    cells = cells + np.random.default_rng(3).integers(-6, 6, cells.shape)
    name, groups = "demographic_parity_difference", GROUPS[:2]
    draws = drawn_counts_by_unit(cells, seed=1)
    rows = pair_excesses(name, groups, draws, limit=0.05, minimum_n=1)
    days = pair_excesses(name, groups, draws, limit=0.05, minimum_n=1, units=8)
    assert days[0].p_value > rows[0].p_value
    assert pair_excesses(name, groups, draws, limit=0.05, minimum_n=1, units=1) == ()


@pytest.mark.parametrize(
    ("name", "draws", "limit", "said"),
    [
        ("fair", DRAWS, 0.1, "expected one of"),
        ("demographic_parity_difference", DRAWS[:, :1], 0.1, "expected draws of 3 groups"),
        ("demographic_parity_ratio", DRAWS, 0.0, "expected a limit above 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    name: str, draws: np.ndarray[tuple[int, ...], np.dtype[np.float64]], limit: float, said: str
) -> None:
    """With what was expected."""
    with pytest.raises(InputError, match=said):
        pair_excesses(name, GROUPS, draws, limit=limit, minimum_n=1)
