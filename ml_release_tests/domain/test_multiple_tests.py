"""Adjusted p-values against statsmodels, and what becomes of tests that could not be made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.multiple_tests import (
    benjamini_hochberg_adjusted,
    bonferroni_confidence,
    holm_adjusted,
)
from ml_release.errors import InputError

NAN = float("nan")
P_VALUES = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])
HOLM = [0.008, 0.056, 0.234, 0.234, 0.234, 0.234, 0.234, 0.234]
BH = [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.08457142857142856, 0.205]
METHODS = pytest.mark.parametrize("adjust", [holm_adjusted, benjamini_hochberg_adjusted])


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    """Literal values of ``multipletests``, statsmodels 0.15.0; any order of the tests."""
    order = np.array([5, 0, 7, 3, 1, 6, 2, 4])
    for adjust, expected in ((holm_adjusted, HOLM), (benjamini_hochberg_adjusted, BH)):
        assert adjust(P_VALUES).tolist() == pytest.approx(expected, abs=1e-12)
        assert adjust(P_VALUES[order]).tolist() == pytest.approx(np.array(expected)[order].tolist())


@pytest.mark.parametrize("seed", range(5))
def test_statsmodels_agrees(seed: int) -> None:
    """Live, where it is installed, with ties."""
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.round(np.random.default_rng(seed).random(30) ** 3, 2)
    for adjust, method in ((holm_adjusted, "holm"), (benjamini_hochberg_adjusted, "fdr_bh")):
        expected = multitest.multipletests(p_values, method=method)[1]
        assert adjust(p_values).tolist() == pytest.approx(expected.tolist(), abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_adjusting_never_makes_a_finding_stronger_and_holm_is_the_stricter(
    values: list[float],
) -> None:
    """Between the p-value and 1, in the same order."""
    p_values = np.array(values)
    holm, bh = holm_adjusted(p_values), benjamini_hochberg_adjusted(p_values)
    assert np.all(holm >= bh - 1e-12)
    for adjusted in (holm, bh):
        assert np.all((p_values - 1e-12 <= adjusted) & (adjusted <= 1))
        assert np.all(np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= -1e-12)


@METHODS
def test_a_test_that_could_not_be_made_stays_nan_and_is_not_counted(adjust: object) -> None:
    """The others are adjusted as if it were not there."""
    assert callable(adjust)
    found = adjust(np.array([NAN, 0.01, NAN, 0.04]))
    assert np.isnan(found[[0, 2]]).all()
    assert found[[1, 3]].tolist() == adjust(np.array([0.01, 0.04])).tolist()
    assert np.isnan(adjust(np.array([NAN]))).all()
    assert len(adjust(np.empty(0))) == 0


@METHODS
@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.inf])
def test_what_is_no_p_value_is_refused(adjust: object, wrong: float) -> None:
    """A test statistic, say."""
    assert callable(adjust)
    with pytest.raises(InputError, match=f"found {wrong:g}"):
        adjust(np.array([0.5, wrong, NAN]))


def test_holms_chance_of_any_false_finding_is_at_most_alpha() -> None:
    """4,000 families of 10 true hypotheses at 5 %; without adjustment it is 40 %."""
    p_values = np.random.default_rng(1).random((4000, 10))
    assert np.mean(p_values.min(axis=1) <= 0.05) > 0.35
    found = np.mean([holm_adjusted(family).min() <= 0.05 for family in p_values])
    assert found == pytest.approx(0.05, abs=0.012)


def test_the_confidence_of_each_interval_makes_up_for_their_number() -> None:
    """One comparison needs no widening."""
    assert bonferroni_confidence(0.95, 20) == pytest.approx(0.9975)
    assert bonferroni_confidence(0.9, 1) == 0.9
    for confidence, comparisons in ((95, 3), (0.95, 0)):
        with pytest.raises(InputError, match=f"found {confidence} and {comparisons}"):
            bonferroni_confidence(confidence, comparisons)
