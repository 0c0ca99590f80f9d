"""The tail of a Beta distribution, out to where nothing is left of it."""

from __future__ import annotations

import math

import pytest
from scipy import special

from ml_release.domain.beta_tail import _continued_fraction, log_beta_above


@pytest.mark.parametrize(
    ("w", "a", "b"), [(0.05, 0.5, 9.5), (0.3, 200, 100), (0.05, 30, 12_000), (0.5, 5, 5)]
)
def test_it_equals_scipy_where_scipy_can(w: float, a: float, b: float) -> None:
    """In logarithms, to twelve digits."""
    assert float(log_beta_above(w, a, b)) == pytest.approx(
        math.log(special.betainc(b, a, 1 - w)), rel=1e-12
    )


@pytest.mark.parametrize(("w", "a", "b"), [(0.05, 0.5, 12_000), (0.05, 300, 12_000), (0.4, 9, 900)])
def test_the_continued_fraction_equals_scipy_where_both_can(w: float, a: float, b: float) -> None:
    """So that the two halves of the function meet."""
    import numpy as np

    x, p, q = np.array([1 - w]), np.array([b]), np.array([a])
    front = p * np.log(x) + q * np.log1p(-x) - special.betaln(p, q) - np.log(p)
    found = float((front + np.log(_continued_fraction(x, p, q)))[0])
    assert found == pytest.approx(math.log(special.betainc(b, a, 1 - w)), rel=1e-9)


def test_it_goes_on_falling_far_out() -> None:
    """Where scipy says 0 for all of them."""
    found = [float(log_beta_above(0.05, 1.0, b)) for b in (20_000.0, 40_000.0, 80_000.0)]
    # Of Beta(1, b) the tail is (1 - w) ** b.
    assert found == pytest.approx([b * math.log(0.95) for b in (20_000, 40_000, 80_000)], rel=1e-9)
