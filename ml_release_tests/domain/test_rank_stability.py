"""The order of importances against scipy's Spearman correlation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.rank_stability import rank_stability
from ml_release.errors import InputError

NAN = float("nan")
CHAMPION = {"distance": 0.5, "hour": 0.3, "carrier": 0.2, "month": 0.1}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_the_correlation_is_scipys_of_the_names_in_both(seed: int) -> None:
    """With ties, whatever the order of names, and of the models."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    first = {f"f{i}": float(v) for i, v in enumerate(np.round(rng.random(12), 1))}
    second = {f"f{i}": float(v) for i, v in reversed(list(enumerate(np.round(rng.random(9), 1))))}
    found = rank_stability(first, second, k=3)
    names = sorted(second)
    expected = spearmanr([first[n] for n in names], [second[n] for n in names]).statistic
    assert found.correlation == pytest.approx(float(expected), abs=1e-12)
    assert found.n == 9
    assert found.only_first == ("f10", "f11", "f9")
    turned = rank_stability(second, first, k=3)
    assert turned.correlation == pytest.approx(found.correlation, abs=1e-12)
    assert (turned.top_k_kept, turned.only_second) == (found.top_k_kept, found.only_first)


def test_the_same_order_is_stable_whatever_the_scale() -> None:
    """Importances of two methods have no common unit."""
    found = rank_stability(CHAMPION, {n: 100 * v**3 for n, v in CHAMPION.items()}, k=2)
    assert found.correlation == pytest.approx(1.0)
    assert found.top_k_kept == 1.0


def test_a_feature_that_vanished_from_the_top_is_not_kept() -> None:
    """And is named."""
    challenger = {n: v for n, v in CHAMPION.items() if n != "distance"} | {"wind": 0.9}
    found = rank_stability(CHAMPION, challenger, k=2)
    assert found.top_k_kept == 0.5
    assert (found.only_first, found.only_second) == (("distance",), ("wind",))


@pytest.mark.parametrize(
    ("second", "k", "correlation", "kept"),
    [
        pytest.param(dict.fromkeys(CHAMPION, 0.1), 2, NAN, 0.5, id="all alike: tied by name"),
        pytest.param({"distance": 1.0, "hour": 0.5}, 1, NAN, 1.0, id="two names in common"),
        pytest.param({}, 1, NAN, NAN, id="none"),
        pytest.param(CHAMPION, 4, 1.0, NAN, id="the top is everything"),
        pytest.param(CHAMPION | {"hour": NAN}, 2, NAN, NAN, id="an importance is NaN"),
    ],
)
def test_what_cannot_be_told_is_nan(
    second: dict[str, float], k: int, correlation: float, kept: float
) -> None:
    """Never a convenient 1."""
    found = rank_stability(CHAMPION, second, k=k)
    assert found.correlation == pytest.approx(correlation, nan_ok=True)
    assert found.top_k_kept == pytest.approx(kept, nan_ok=True)


def test_a_top_of_no_features_is_refused() -> None:
    """There is nothing to keep."""
    with pytest.raises(InputError, match="found k = 0"):
        rank_stability(CHAMPION, CHAMPION, k=0)
