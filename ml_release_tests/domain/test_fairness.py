"""Fairness measures against fairlearn, the groups left out, and the undefined cases.

Literal values are those of fairlearn 0.15.0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from ml_release.domain.fairness import MEASURES, fairness_measure
from ml_release.domain.group_counts import GroupCounts, group_counts
from ml_release.errors import InputError

NAMES = ("a", "b", "c", "d")
CODES = np.repeat(np.arange(4), [8, 10, 6, 4])
TARGET = np.array(list("1001001100100110010011001001"), dtype=float)
DECISION = np.array(list("1100011001100011001100011001"), dtype=float)
FAIRLEARN: dict[Literal[0, 1], dict[str, float]] = {
    1: {
        "demographic_parity_difference": 0.1,
        "demographic_parity_ratio": 0.8,
        "equal_opportunity_difference": 1.0,
        "equalized_odds_difference": 1.0,
        "false_positive_rate_difference": 0.75,
        "false_positive_rate_ratio": 0.0,
    },
    0: {
        "demographic_parity_difference": 0.1,
        "demographic_parity_ratio": 0.8333333333333334,
        "equal_opportunity_difference": 0.75,
        "equalized_odds_difference": 1.0,
        "false_positive_rate_difference": 1.0,
        "false_positive_rate_ratio": 0.0,
    },
}


def group(name: str, *, tp: int, fp: int, fn: int, tn: int) -> GroupCounts:
    return GroupCounts(
        name=name,
        n=tp + fp + fn + tn,
        positives=tp + fn,
        selected=tp + fp,
        true_positives=tp,
        false_positives=fp,
    )


@pytest.mark.parametrize("favourable", [0, 1])
def test_measures_are_those_of_fairlearn(favourable: Literal[0, 1]) -> None:
    """For either favourable outcome, to 1e-12."""
    groups = group_counts(CODES, NAMES, TARGET, DECISION, favourable=favourable)
    found = {name: fairness_measure(name, groups, minimum_n=1).value for name in MEASURES}
    assert found == pytest.approx(FAIRLEARN[favourable], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_fairlearn_agrees(seed: int) -> None:
    """Live, where it is installed."""
    metrics = pytest.importorskip("fairlearn.metrics")
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, 400)
    target = rng.integers(0, 2, 400).astype(float)
    decision = (rng.random(400) < 0.3 + 0.1 * codes).astype(float)
    groups = group_counts(codes, NAMES, target, decision, favourable=1)
    for name in MEASURES:
        if hasattr(metrics, name):
            expected = getattr(metrics, name)(target, decision, sensitive_features=codes)
            found = fairness_measure(name, groups, minimum_n=1).value
            assert found == pytest.approx(float(expected), abs=1e-12), name


def test_the_groups_of_the_extremes_are_named() -> None:
    """Selection rates of 0.5, 0.4, 0.5 and 0.5; the gap of true positive rates is the larger."""
    groups = group_counts(CODES, NAMES, TARGET, DECISION, favourable=1)
    parity = fairness_measure("demographic_parity_difference", groups, minimum_n=1)
    assert (parity.least, parity.greatest) == (("b",), ("a", "c", "d"))
    odds = fairness_measure("equalized_odds_difference", groups, minimum_n=1)
    assert (odds.least, odds.greatest) == (("c",), ("d",))
    assert (odds.compared, odds.left_out, odds.n) == (NAMES, (), 28)


@pytest.mark.parametrize(
    ("name", "compared", "value"),
    [
        pytest.param("demographic_parity_difference", ("a", "b", "c"), 0.3, id="all rows"),
        pytest.param("equal_opportunity_difference", ("a", "b"), 0.25, id="positive rows"),
        pytest.param("false_positive_rate_difference", ("a", "c"), 0.1, id="negative rows"),
        pytest.param("equalized_odds_difference", ("a",), np.nan, id="both: one group left"),
    ],
)
def test_groups_with_too_few_rows_below_the_line_are_named_and_left_out(
    name: str, compared: tuple[str, ...], value: float
) -> None:
    """Which rows those are depends on the rate; the rest is compared."""
    groups = [
        group("a", tp=20, fp=20, fn=20, tn=20),
        group("b", tp=30, fp=4, fn=10, tn=1),
        group("c", tp=0, fp=20, fn=5, tn=30),
        group("d", tp=9, fp=0, fn=0, tn=0),
    ]
    found = fairness_measure(name, groups, minimum_n=40)
    expected = 34 / 45 - 20 / 55 if name.startswith("demographic") else value
    assert found.value == pytest.approx(expected, nan_ok=True)
    assert found.compared == compared
    assert set(found.compared) | set(found.left_out) == {"a", "b", "c", "d"}
    assert "d" in found.left_out


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("groups", [[], [group("a", tp=5, fp=5, fn=5, tn=5)]])
def test_one_group_alone_is_not_treated_alike(name: str, groups: list[GroupCounts]) -> None:
    """NaN, not a difference of 0."""
    found = fairness_measure(name, groups, minimum_n=1)
    assert np.isnan(found.value)
    assert (found.least, found.greatest) == ((), ())


def test_a_ratio_of_rates_that_are_all_0_is_undefined() -> None:
    """Nobody is selected: the difference is 0, the ratio is not 1."""
    groups = [group("a", tp=0, fp=0, fn=5, tn=5), group("b", tp=0, fp=0, fn=9, tn=9)]
    assert fairness_measure("demographic_parity_difference", groups, minimum_n=1).value == 0
    assert np.isnan(fairness_measure("demographic_parity_ratio", groups, minimum_n=1).value)


def test_an_unknown_measure_is_refused_with_the_known_ones() -> None:
    """Rather than skipped."""
    with pytest.raises(InputError, match=r"one of demographic_parity_difference, .*found parity"):
        fairness_measure("parity", [], minimum_n=1)
