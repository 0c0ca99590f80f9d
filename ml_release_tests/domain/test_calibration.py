"""The calibration line against statsmodels, its coverage, and where there is none.

Literal values are those of statsmodels 0.15.0: ``Logit``, with ``cov_type="cluster"`` for groups,
and ``GLM`` with an offset for the intercept at slope 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.domain.calibration import CalibrationLine, calibration_line
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")
ROWS = np.arange(40)
PROBABILITY = np.round(0.05 + 0.9 * ((ROWS * 7) % 40) / 39, 3)
TARGET = ((ROWS * 13) % 17 / 17 < 0.15 + 0.6 * PROBABILITY).astype(float)
DAYS = ROWS // 5


def test_slope_and_intercepts_are_those_of_statsmodels() -> None:
    """Estimates and Wald ends to 1e-6."""
    found = calibration_line(TARGET, PROBABILITY, confidence=0.95)
    slope, intercept, large = found.slope, found.intercept, found.in_the_large
    assert (slope.estimate, slope.low, slope.high) == pytest.approx(
        (0.43402055938211626, -0.055624679749675665, 0.9236657985139082), abs=1e-6
    )
    assert (intercept.estimate, intercept.low, intercept.high) == pytest.approx(
        (-0.10891092673761858, -0.7565092624998039, 0.5386874090245667), abs=1e-6
    )
    reach = 1.959963984540054 * 0.3740843269740852
    assert (large.estimate, large.low, large.high) == pytest.approx(
        (-0.13974878952926967, -0.13974878952926967 - reach, -0.13974878952926967 + reach), abs=1e-6
    )
    assert (slope.n, slope.units, slope.confidence) == (40, 40, 0.95)


def test_over_days_the_variance_is_the_cluster_robust_one() -> None:
    """That of statsmodels without its correction, times 8 / 7; Student's quantile of 7."""
    found = calibration_line(TARGET, PROBABILITY, confidence=0.95, groups=DAYS)
    factor = 2.3646242510102993 * (8 / 7) ** 0.5
    for interval, error in (
        (found.slope, 0.23121060825195147),
        (found.intercept, 0.20088630323057444),
    ):
        assert interval.high - interval.estimate == pytest.approx(factor * error, abs=1e-6)
        assert interval.units == 8


def test_statsmodels_agrees() -> None:
    """Live, where it is installed."""
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(1)
    probability = rng.beta(1, 4, 500)
    target = (rng.random(500) < probability**0.8).astype(float)
    logit = np.log(probability / (1 - probability))
    fitted = api.Logit(target, api.add_constant(logit)).fit(disp=0)
    found = calibration_line(target, probability, confidence=0.9)
    for interval, expected in zip(
        (found.intercept, found.slope), fitted.conf_int(0.1).tolist(), strict=True
    ):
        assert [interval.low, interval.high] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("scale", "shift"),
    [
        pytest.param(1.0, 0.0, id="calibrated"),
        pytest.param(2.0, 0.0, id="too extreme"),
        pytest.param(0.5, 0.0, id="too timid"),
        pytest.param(1.0, 0.7, id="too high"),
    ],
)
def test_the_line_undoes_what_was_done_to_the_probabilities(scale: float, shift: float) -> None:
    """100,000 rows: slope 1 / scale and intercept -shift / scale, within four standard errors."""
    rng = np.random.default_rng(2)
    logit = rng.normal(-1, 1, 100_000)
    target = (rng.random(100_000) < 1 / (1 + np.exp(-logit))).astype(float)
    told = 1 / (1 + np.exp(-(scale * logit + shift)))
    found = calibration_line(target, told, confidence=0.9999)
    assert found.slope.low <= 1 / scale <= found.slope.high
    assert found.intercept.low <= -shift / scale <= found.intercept.high
    assert found.slope.high - found.slope.low < 0.15
    if scale == 1:
        assert (found.in_the_large.high < 0) == (shift > 0)


def test_the_intervals_cover_the_calibrated_line() -> None:
    """300 samples of 300 rows at 90 %."""
    rng = np.random.default_rng(3)
    covered = np.zeros(3)
    for _ in range(300):
        probability = rng.beta(2, 4, 300)
        target = (rng.random(300) < probability).astype(float)
        found = calibration_line(target, probability, confidence=0.9)
        for i, (interval, truth) in enumerate(
            [(found.slope, 1.0), (found.intercept, 0.0), (found.in_the_large, 0.0)]
        ):
            covered[i] += interval.low <= truth <= interval.high
    assert covered / 300 == pytest.approx(np.full(3, 0.9), abs=0.045)


def test_sure_probabilities_are_kept_finite() -> None:
    """0 and 1 have no logit; a wrong sure one draws the slope down and stays finite."""
    probability = np.concatenate([PROBABILITY, [0.0, 1.0]])
    found = calibration_line(np.concatenate([TARGET, [1.0, 0.0]]), probability, confidence=0.9)
    assert np.isfinite(found.slope.estimate)
    assert found.slope.estimate < 0.43


def ends(line: CalibrationLine, name: str) -> list[float]:
    interval = getattr(line, name)
    return [interval.estimate, interval.low, interval.high]


@pytest.mark.parametrize(
    ("target", "probability", "groups", "in_the_large_known"),
    [
        pytest.param([], [], None, False, id="no rows"),
        pytest.param([1, 1, 1], [0.1, 0.2, 0.3], None, False, id="one class"),
        pytest.param([0, 1, NAN], [0.1, 0.2, 0.3], None, False, id="a label is missing"),
        pytest.param([0, 1, 1], [0.1, NAN, 0.3], None, False, id="a probability is NaN"),
        pytest.param([0, 1, 0], [0.1, 0.2, 0.3], [1, 1, 1], False, id="one day"),
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], None, True, id="classes separated"),
        pytest.param([0, 1, 0], [0.3, 0.3, 0.3], None, True, id="one probability"),
    ],
)
def test_where_there_is_no_line_it_is_nan(
    target: list[float],
    probability: list[float],
    groups: list[int] | None,
    in_the_large_known: bool,
) -> None:
    """The intercept at slope 1 needs less."""
    found = calibration_line(
        np.array(target, dtype=float),
        np.array(probability),
        confidence=0.9,
        groups=None if groups is None else np.array(groups),
    )
    assert np.isnan(ends(found, "slope") + ends(found, "intercept")).all()
    assert np.isfinite(ends(found, "in_the_large")).all() == in_the_large_known


def test_columns_of_different_rows_are_refused() -> None:
    """Before anything is fitted."""
    with pytest.raises(InputError, match=r"calibration: .*same rows"):
        calibration_line(np.zeros(2), np.zeros(3), confidence=0.9)
