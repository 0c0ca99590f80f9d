"""Bootstrap intervals against scipy's and DeLong's, their coverage, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.domain.bootstrap import bootstrap_interval, bootstrap_intervals
from ml_release.domain.intervals import mean_interval
from ml_release.domain.resampling import Method, Resampling
from ml_release.domain.scores import auc_interval
from ml_release.domain.weighted_scores import (
    WeightedScore,
    weighted_auc,
    weighted_mean,
    weighted_ratio,
)
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")
PLAN = Resampling(seed=11, resamples=1000)


def sample(seed: int, n: int = 400) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return (rng.random(n) < score).astype(float), score


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_quantiles_are_those_of_scipys_bootstrap(method: Literal["percentile", "bca"]) -> None:
    """A skewed mean of 40 rows: both ends within 4 % of the width, 20,000 resamples each."""
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).exponential(1.0, 40)
    theirs = bootstrap(
        (values.tolist(),), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(4)
    ).confidence_interval
    ours = bootstrap_interval(
        weighted_mean(values), replace(PLAN, resamples=20_000, method=method), confidence=0.95
    )
    assert (ours.low, ours.high) == pytest.approx(
        (theirs.low, theirs.high), abs=0.04 * (theirs.high - theirs.low)
    )


@pytest.mark.parametrize("method", ["expanded", "percentile", "bca", "standard"])
def test_an_aucs_interval_is_about_delongs(method: Method) -> None:
    """400 rows: both ends within a tenth of the width."""
    target, score = sample(1)
    found = bootstrap_interval(
        weighted_auc(target, score), replace(PLAN, method=method), confidence=0.95
    )
    delong = auc_interval(target, score, confidence=0.95)
    assert found.estimate == pytest.approx(delong.estimate)
    assert (found.low, found.high) == pytest.approx(
        (delong.low, delong.high), abs=0.1 * (delong.high - delong.low)
    )
    assert (found.confidence, found.n, found.units) == (0.95, 400, 400)


def test_over_days_the_interval_is_about_students() -> None:
    """15 days that differ: three times as wide as by rows, and as the closed form says."""
    rng = np.random.default_rng(6)
    days = np.repeat(np.arange(15), 60)
    values = rng.normal(0, 1, 15)[days] + rng.normal(0, 1, 900)
    found = bootstrap_interval(weighted_mean(values), replace(PLAN, groups=days), confidence=0.95)
    closed = mean_interval(values, confidence=0.95, groups=days)
    assert (found.low, found.high) == pytest.approx(
        (closed.low, closed.high), abs=0.1 * (closed.high - closed.low)
    )
    assert found.units == 15
    by_row = bootstrap_interval(weighted_mean(values), PLAN, confidence=0.95)
    assert found.high - found.low > 3 * (by_row.high - by_row.low)


def test_expanded_quantiles_cover_where_plain_ones_fall_short() -> None:
    """400 samples of 8 days, nominal 95 %: plain quantiles of so few days are too narrow."""
    rng = np.random.default_rng(8)
    days = np.repeat(np.arange(8), 5)
    methods: tuple[Method, ...] = ("expanded", "percentile")
    covered = dict.fromkeys(methods, 0)
    for seed in range(400):
        values = rng.normal(0, 1, 8)[days] + rng.normal(0, 0.3, 40)
        for method in methods:
            plan = Resampling(seed=seed, resamples=500, groups=days, method=method)
            found = bootstrap_interval(weighted_mean(values), plan, confidence=0.95)
            covered[method] += found.low <= 0 <= found.high
    assert covered["expanded"] / 400 == pytest.approx(0.95, abs=0.025)
    assert covered["percentile"] / 400 < 0.92


def test_delongs_and_the_bootstraps_interval_cover_the_true_auc() -> None:
    """Normal scores one standard deviation apart have an AUC of Phi(1 / root 2) = 0.7602."""
    rng = np.random.default_rng(9)
    target = np.repeat([0.0, 1.0], [70, 30])
    covered = np.zeros(2)
    for seed in range(200):
        score = rng.normal(0, 1, 100) + target
        delong = auc_interval(target, score, confidence=0.9)
        plan = Resampling(seed=seed, resamples=200)
        boot = bootstrap_interval(weighted_auc(target, score), plan, confidence=0.9)
        covered += [found.low <= 0.7602 <= found.high for found in (delong, boot)]
    assert covered / 200 == pytest.approx(np.array([0.9, 0.9]), abs=0.05)


def test_several_scores_share_the_draws_and_have_the_interval_they_have_alone() -> None:
    """So asking for another score changes none."""
    target, score = sample(2)
    scores: dict[str, WeightedScore] = {
        "auc": weighted_auc(target, score),
        "brier": weighted_mean((target - score) ** 2),
        "precision": weighted_ratio(target * (score > 0.5), (score > 0.5).astype(float)),
    }
    together = bootstrap_intervals(scores, PLAN, confidence=0.9)
    assert list(together) == list(scores)
    for name, found in together.items():
        assert found == bootstrap_interval(scores[name], PLAN, confidence=0.9)
    assert bootstrap_intervals({}, PLAN, confidence=0.9) == {}


RIGHT = np.ones(5)
RARE = np.array([1.0] + [0.0] * 59)


@pytest.mark.parametrize(
    ("score", "groups", "estimate"),
    [
        pytest.param(weighted_mean(np.empty(0)), None, NAN, id="no rows"),
        pytest.param(weighted_mean(np.array([2.0])), None, 2.0, id="one row"),
        pytest.param(weighted_mean(np.array([2.0, NAN])), None, NAN, id="a value is missing"),
        pytest.param(weighted_mean(RIGHT), None, 1.0, id="all right, no spread"),
        pytest.param(weighted_mean(np.arange(6.0)), np.zeros(6), 2.5, id="one day"),
        pytest.param(weighted_mean(np.arange(8.0)), np.arange(8) // 2, 3.5, id="four days"),
        pytest.param(weighted_ratio(RARE * RARE, RARE), None, 1.0, id="a third without positives"),
    ],
)
def test_where_rows_cannot_tell_there_are_no_ends(
    score: WeightedScore, groups: npt.NDArray[np.int64] | None, estimate: float
) -> None:
    """The estimate stays, the ends are NaN."""
    found = bootstrap_interval(score, replace(PLAN, groups=groups), confidence=0.95)
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()


def test_resamples_without_a_score_are_left_out_only_while_they_are_few() -> None:
    """One positive of 60 is missing from 36 % of resamples: those left would be a biased choice."""
    score = np.linspace(0, 1, 60)
    found = bootstrap_interval(weighted_auc(RARE, score), PLAN, confidence=0.95)
    assert np.isnan(found.low)
    several = np.array([1.0] * 6 + [0.0] * 54)
    found = bootstrap_interval(weighted_auc(several, score[::-1] ** 2), PLAN, confidence=0.95)
    assert np.isnan(found.low)  # perfect, so without spread
    mixed = np.where(np.arange(60) % 10 == 4, 1.0, 0.0)
    found = bootstrap_interval(weighted_auc(mixed, score), PLAN, confidence=0.95)
    assert found.low < found.estimate < found.high


def test_a_skewed_score_gets_a_skewed_bca_interval() -> None:
    """Acceleration works in blocks too: more rows than blocks, over days, and by rows."""
    values = np.random.default_rng(12).exponential(1.0, 500)
    for groups in (None, np.arange(500) // 10):
        plan = Resampling(seed=1, resamples=2000, groups=groups)
        bca, plain = (
            bootstrap_interval(weighted_mean(values), replace(plan, method=m), confidence=0.95)
            for m in ("bca", "percentile")
        )
        assert bca.high - bca.estimate > 1.02 * (bca.estimate - bca.low)
        assert bca.low > plain.low


def test_too_few_resamples_for_the_confidence_are_refused() -> None:
    """At 99.9 % an end lies beyond one of 2,000; the method standard does without."""
    mean = weighted_mean(np.arange(10.0))
    with pytest.raises(InputError, match=r"at least 2000 resamples for confidence 0\.999"):
        bootstrap_interval(mean, PLAN, confidence=0.999)
    found = bootstrap_interval(mean, replace(PLAN, method="standard"), confidence=0.999)
    closed = mean_interval(np.arange(10.0), confidence=0.999)
    assert (found.low, found.high) == pytest.approx((closed.low, closed.high), abs=0.6)


def test_scores_of_different_rows_share_no_draws() -> None:
    """Refused."""
    with pytest.raises(InputError, match=r"same rows, found \[2, 3\] rows"):
        bootstrap_intervals(
            {"a": weighted_mean(np.zeros(2)), "b": weighted_mean(np.zeros(3))},
            PLAN,
            confidence=0.9,
        )
