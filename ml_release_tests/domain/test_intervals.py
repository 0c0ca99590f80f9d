"""Closed-form intervals against statsmodels, and their coverage in simulation.

Literal values are those of statsmodels 0.15.0: ``proportion_confint(method="wilson")``, and ``OLS``
on a constant, with ``cov_type="cluster"`` and ``use_t`` for the groups.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from ml_release.domain.intervals import Interval, mean_interval, rate_interval
from ml_release.domain.scores import auc_interval
from ml_release.errors import InputError

NAN = float("nan")
ROWS = np.arange(40)
VALUES = np.round(np.sin(ROWS) * 3 + ROWS % 3, 3).astype(np.float64)
DAYS = ROWS // 5


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        (0, 20, 0.0, 0.1611251580528194),
        (1, 10, 0.017876213095072924, 0.40415002679523854),
        (7, 9, 0.45258896910698887, 0.9367748928821533),
        (50, 100, 0.4038315303659956, 0.5961684696340044),
        (20, 20, 0.8388748419471804, 1.0),
    ],
)
def test_a_rates_interval_is_wilsons(count: int, n: int, low: float, high: float) -> None:
    """To 1e-12 of statsmodels; 0 and n of n reach their end exactly."""
    found = rate_interval(count, n, confidence=0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.estimate, found.n, found.units) == (count / n, n, n)
    assert 0 <= found.low < found.high <= 1


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5])
def test_a_rates_interval_covers_close_to_nominal(rate: float) -> None:
    """Exact coverage over all counts of 60 rows, weighted by their probability."""
    from scipy.stats import binom

    counts = np.arange(61)
    inside = [
        found.low <= rate <= found.high
        for found in (rate_interval(int(count), 60, confidence=0.95) for count in counts)
    ]
    assert float(binom.pmf(counts, 60, rate) @ inside) == pytest.approx(0.95, abs=0.03)


def test_a_mean_has_students_interval() -> None:
    """To 1e-9 of statsmodels."""
    found = mean_interval(VALUES, confidence=0.95)
    assert found.estimate == pytest.approx(1.06145)
    assert (found.low, found.high) == pytest.approx(
        (0.32630722327847117, 1.7965927767215293), abs=1e-9
    )
    assert (found.n, found.units) == (40, 40)


def test_a_mean_over_days_has_the_cluster_robust_interval() -> None:
    """To 1e-9 of statsmodels; the names of the days do not matter."""
    found = mean_interval(VALUES, confidence=0.95, groups=DAYS)
    assert (found.low, found.high) == pytest.approx(
        (0.5670491649566864, 1.555850835043314), abs=1e-9
    )
    assert (found.n, found.units) == (40, 8)
    named = mean_interval(VALUES, confidence=0.95, groups=np.array([f"d{9 - d}" for d in DAYS]))
    assert (named.low, named.high) == pytest.approx((found.low, found.high))


def test_statsmodels_agrees_on_unequal_days() -> None:
    """The same comparison, live, where it is installed."""
    api = pytest.importorskip("statsmodels.api")
    days = np.repeat(np.arange(6), [1, 3, 5, 7, 11, 13])
    fitted = api.OLS(VALUES, np.ones((40, 1))).fit(
        cov_type="cluster", cov_kwds={"groups": days}, use_t=True
    )
    found = mean_interval(VALUES, confidence=0.9, groups=days)
    assert (found.low, found.high) == pytest.approx(fitted.conf_int(0.1)[0].tolist(), abs=1e-9)


def test_over_days_the_mean_is_covered_and_by_rows_it_is_not() -> None:
    """400 samples of 20 days x 30 rows that share a day's effect; nominal is 95 %."""
    rng = np.random.default_rng(5)
    days = np.repeat(np.arange(20), 30)
    covered = {"days": 0, "rows": 0}
    for _ in range(400):
        values = rng.normal(0, 1, 20)[days] + rng.normal(0, 2, 600)
        for name, groups in (("days", days), ("rows", None)):
            found = mean_interval(values, confidence=0.95, groups=groups)
            covered[name] += found.low <= 0 <= found.high
    assert covered["days"] / 400 == pytest.approx(0.95, abs=0.025)
    assert covered["rows"] / 400 < 0.75


@pytest.mark.parametrize(
    ("values", "groups", "estimate"),
    [
        pytest.param([], None, NAN, id="no rows"),
        pytest.param([1.0, NAN], None, NAN, id="a value is missing"),
        pytest.param([1.0, np.inf], None, NAN, id="a value is infinite"),
        pytest.param([1.0], None, 1.0, id="one row"),
        pytest.param([0.1, 0.1, 0.1], None, 0.1, id="no spread over rows"),
        pytest.param([1.0, 2.0], [7, 7], 1.5, id="one day"),
        pytest.param([1.0, 2.0, 2.0, 1.0], [1, 1, 2, 2], 1.5, id="no spread over days"),
    ],
)
def test_where_rows_cannot_tell_there_are_no_ends(
    values: list[float], groups: list[int] | None, estimate: float
) -> None:
    """An interval without width would pass any limit it lies on the right side of."""
    found = mean_interval(
        np.array(values), confidence=0.95, groups=None if groups is None else np.array(groups)
    )
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()


def test_a_rate_of_no_rows_is_undefined() -> None:
    """Neither 0 nor 1."""
    found = rate_interval(0, 0, confidence=0.95)
    assert np.isnan([found.estimate, found.low, found.high]).all()


def test_a_perfect_auc_of_few_rows_has_no_ends() -> None:
    """DeLong's interval has no width there, which is no proof of perfection."""
    target = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    perfect = Interval.of(auc_interval(target, np.arange(5.0), confidence=0.95))
    assert (perfect.estimate, perfect.n) == (1.0, 5)
    assert np.isnan([perfect.low, perfect.high]).all()
    other = auc_interval(target, np.array([0.0, 3, 1, 2, 4]), confidence=0.95)
    assert (Interval.of(other).low, Interval.of(other).high) == (other.low, other.high)


def test_an_increasing_function_maps_estimate_and_ends() -> None:
    """The root of a mean square."""
    found = rate_interval(25, 100, confidence=0.9)
    root = found.mapped(math.sqrt)
    assert (root.estimate, root.low) == pytest.approx((0.5, math.sqrt(found.low)))
    assert (root.confidence, root.n) == (0.9, 100)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.5, NAN])
def test_a_confidence_is_a_probability(confidence: float) -> None:
    """95 was meant as 0.95."""
    with pytest.raises(InputError, match=r"between 0 and 1 such as 0\.95"):
        rate_interval(1, 2, confidence=confidence)
    with pytest.raises(InputError, match="confidence"):
        mean_interval(VALUES, confidence=confidence)


@pytest.mark.parametrize(("count", "n"), [(3, 2), (-1, 2), (1, 0)])
def test_a_count_lies_within_its_rows(count: int, n: int) -> None:
    """Otherwise they were counted on different rows."""
    with pytest.raises(InputError, match=f"from 0 to n = {n}, found {count}"):
        rate_interval(count, n, confidence=0.95)
