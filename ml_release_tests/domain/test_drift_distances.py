"""Distances from counts are those of scipy and Evidently where the definitions agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from ml_release.domain.drift_distances import (
    bin_positions,
    chi_squared_p,
    jensen_shannon,
    ks_distance,
    ks_p_value,
    wasserstein_in_sd,
)
from ml_release.domain.feature_bins import FeatureBins, fit_bins
from ml_release.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

BINS = 8
VALUES = st.lists(st.integers(0, BINS - 1), min_size=5, max_size=200)


def counted(values: npt.NDArray[np.int64]) -> Counts:
    return np.bincount(values, minlength=BINS)


@pytest.fixture(scope="module")
def samples() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of few values, so that every bin holds one: a reference and a moved window."""
    rng = np.random.default_rng(5)
    return rng.binomial(7, 0.4, 3000), rng.binomial(7, 0.46, 700)


@given(VALUES, VALUES)
def test_the_ks_test_of_single_values_is_that_of_scipy(one: list[int], two: list[int]) -> None:
    """Distance and asymptotic p-value, whatever the ties."""
    reference, current = np.array(one), np.array(two)
    theirs = stats.ks_2samp(reference, current, method="asymp")
    assert ks_distance(counted(reference), counted(current)) == pytest.approx(theirs.statistic)
    found = ks_p_value(counted(reference), counted(current))
    assert found == pytest.approx(theirs.pvalue, abs=1e-9)


@given(st.integers(0, 1000), st.floats(-1, 1))
def test_bins_never_show_more_than_rows(seed: int, shift: float) -> None:
    """The distance at the edges is at most that of the rows, so the p-value is no smaller."""
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(0, 1, 300), rng.normal(shift, 1, 80)
    bins = fit_bins(reference)
    ours = bins.count(reference)[:-1], bins.count(current)[:-1]
    theirs = stats.ks_2samp(reference, current, method="asymp")
    assert ks_distance(*ours) <= theirs.statistic + 1e-12
    assert ks_p_value(*ours) >= theirs.pvalue - 1e-9


def test_what_moves_inside_of_a_bin_is_not_seen() -> None:
    """The price of counts: rows see it, deciles do not."""
    reference, current = np.linspace(0.0, 1.0, 1000), np.full(100, 0.5)
    bins = FeatureBins(edges=(-1.0, 2.0))
    assert ks_distance(bins.count(reference), bins.count(current)) == 0
    assert stats.ks_2samp(reference, current).statistic == pytest.approx(0.5, abs=0.01)


def test_the_chi_squared_test_is_that_of_scipy(samples: Any) -> None:
    """Of the table of both sides, without a correction."""
    reference, current = map(counted, samples)
    used = (reference * 700 / 3700 >= 5) & (reference + current > 26)
    table = np.stack([reference[used], current[used]])
    theirs = stats.chi2_contingency(table, correction=False).pvalue
    assert chi_squared_p(*table) == pytest.approx(theirs)


def test_the_chi_squared_test_of_a_large_reference_is_evidently_s() -> None:
    """Which takes the reference for the truth: the same in the limit."""
    chisquare = pytest.importorskip("evidently.legacy.calculations.stattests.chisquare_stattest")
    rng = np.random.default_rng(3)
    reference = pd.Series(rng.choice(list("abcd"), 400_000))
    current = pd.Series(rng.choice(list("abcd"), 400, p=[0.29, 0.25, 0.23, 0.23]))
    theirs, _ = chisquare._chi_stat_test(reference, current, "cat", 0.05)
    words = FeatureBins(words=tuple("abcd"))
    ours = chi_squared_p(
        words.count(reference.to_numpy(dtype=object)), words.count(current.to_numpy(dtype=object))
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_bins_of_few_rows_are_taken_together() -> None:
    """One row in each of forty rare bins is no evidence: apart, the approximation breaks."""
    rng = np.random.default_rng(1)
    share = np.r_[[0.98], np.full(40, 0.02 / 40)]
    p_values = [
        chi_squared_p(rng.multinomial(20_000, share), rng.multinomial(100, share))
        for _ in range(400)
    ]
    assert 0.0 <= np.mean(np.array(p_values) < 0.01) <= 0.025


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_wasserstein_distance_is_that_of_scipy_and_evidently(
    samples: Any, shift: float
) -> None:
    """Rows at the value of their bin, over the standard deviation of the reference."""
    wasserstein = pytest.importorskip(
        "evidently.legacy.calculations.stattests.wasserstein_distance_norm"
    )
    reference, current = samples
    current = np.minimum(current + round(shift), BINS - 1)
    theirs, _ = wasserstein._wasserstein_distance_norm(
        pd.Series(reference), pd.Series(current), "num", 0.1
    )
    ours = wasserstein_in_sd(
        counted(reference),
        counted(current),
        positions=np.arange(BINS, dtype=np.float64),
        sd=float(reference.std()),
    )
    assert ours == pytest.approx(theirs)
    assert ours == pytest.approx(stats.wasserstein_distance(reference, current) / reference.std())


def test_the_wasserstein_distance_of_ranges_is_near_that_of_rows() -> None:
    """Deciles with the ends of the reference: a shift of half an sd within a tenth."""
    rng = np.random.default_rng(2)
    reference, current = rng.normal(0, 1, 50_000), rng.normal(0.5, 1, 20_000)
    bins = fit_bins(reference)
    assert bins.edges is not None
    found = wasserstein_in_sd(
        bins.count(reference)[:-1],
        bins.count(current)[:-1],
        positions=bin_positions(bins.edges),
        sd=float(reference.std()),
    )
    assert found == pytest.approx(0.5, abs=0.1)


def test_the_jensen_shannon_distance_of_words_is_evidently_s() -> None:
    """And scipy's; empty bins on one side are no trouble."""
    jensenshannon = pytest.importorskip("evidently.legacy.calculations.stattests.jensenshannon")
    core = pytest.importorskip("evidently.legacy.core")
    reference, current = pd.Series(list("aaabbc")), pd.Series(list("abbddd"))
    theirs, _ = jensenshannon._jensenshannon(reference, current, core.ColumnType.Categorical, 0.1)
    words = FeatureBins(words=tuple("abcd"))
    counts = [words.count(one.to_numpy(dtype=object)) for one in (reference, current)]
    assert jensen_shannon(counts[0], counts[1]) == pytest.approx(theirs)
    shares = [one / one.sum() for one in counts]
    assert jensen_shannon(counts[0], counts[1]) == pytest.approx(distance.jensenshannon(*shares))


def everything(reference: Counts, current: Counts) -> list[float]:
    positions = np.arange(len(reference), dtype=np.float64)
    return [
        chi_squared_p(reference, current),
        ks_distance(reference, current),
        ks_p_value(reference, current),
        jensen_shannon(reference, current),
        wasserstein_in_sd(reference, current, positions=positions, sd=1.0),
    ]


@pytest.mark.parametrize("empty", [0, 1])
def test_against_no_rows_everything_is_undefined(empty: int) -> None:
    """No rows are not a stable distribution, on whichever side."""
    sides = [np.array([3, 4]), np.array([3, 4])]
    sides[empty] = np.array([0, 0])
    assert np.isnan(everything(*sides)).all()


def test_the_same_counts_have_no_distance() -> None:
    """And nothing but chance is needed to explain them."""
    same = np.array([30, 0, 70, 4])
    assert everything(same, same) == [1.0, 0.0, 1.0, 0.0, 0.0]


def test_one_bin_on_both_sides_is_no_difference() -> None:
    """A constant that stays one."""
    assert chi_squared_p(np.array([50, 0]), np.array([9, 0])) == 1.0


def test_a_distance_in_no_standard_deviations_is_undefined() -> None:
    """Of a constant reference: no unit to measure in."""
    found = wasserstein_in_sd(
        np.array([5, 0]), np.array([0, 5]), positions=np.array([0.0, 1.0]), sd=0.0
    )
    assert np.isnan(found)


def test_counts_over_other_bins_are_refused() -> None:
    """Two profiles of one feature cannot be compared."""
    with pytest.raises(InputError, match="2 of the reference and 3 of the window"):
        ks_distance(np.array([1, 2]), np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("edges", "ends", "expected"),
    [
        pytest.param((), (0.0, 1.0), [0.0], id="no edge"),
        pytest.param((1.0,), (0.0, 9.0), [1.0, 1.0], id="one edge"),
        pytest.param((1.0, 3.0), (None, None), [-1.0, 2.0, 5.0], id="ends not known"),
        pytest.param((1.0, 3.0), (-9.0, 9.0), [-1.0, 2.0, 5.0], id="far ends"),
        pytest.param((1.0, 3.0), (0.0, 4.0), [0.0, 2.0, 4.0], id="near ends"),
        pytest.param((1.0, 3.0), (2.0, 2.0), [1.0, 2.0, 3.0], id="ends inside"),
    ],
)
def test_rows_stand_near_the_middle_of_their_bin(
    edges: tuple[float, ...], ends: tuple[float | None, float | None], expected: list[float]
) -> None:
    """Beyond the outer edges as far as the next bin is wide, never beyond the reference."""
    assert bin_positions(edges, minimum=ends[0], maximum=ends[1]).tolist() == expected
