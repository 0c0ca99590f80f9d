"""The primary score by its name: against scikit-learn, and as its intervals and gates see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.binary_scores import BinaryScores
from ml_release.domain.bootstrap import bootstrap_interval
from ml_release.domain.clustered_auc import auc_difference_by_groups, auc_interval_by_groups
from ml_release.domain.intervals import Interval
from ml_release.domain.paired_tests import paired_bootstrap
from ml_release.domain.primary_scores import PrimaryScore
from ml_release.domain.quality_policy import ERRORS, LOSSES, SCORES
from ml_release.domain.regression_scores import absolute_errors
from ml_release.domain.resampling import Resampling
from ml_release.domain.scores import auc_difference, auc_interval
from ml_release.domain.weighted_scores import weighted_mean
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")
CLASSIFIER = (*SCORES, *LOSSES)
NAMES = (*CLASSIFIER, *ERRORS)
N, DAYS = 240, 12
PLAN = Resampling(seed=3, resamples=200, method="standard")
BY_DAY = replace(PLAN, groups=np.repeat(np.arange(DAYS), N // DAYS))


def sample(seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Labels, good answers with ties, and worse ones."""
    rng = np.random.default_rng(seed)
    first = np.round(rng.random(N), 2)
    target = (rng.random(N) < first).astype(float)
    target[:2] = (0, 1)
    second = np.round(np.clip(first + rng.normal(0, 0.3, N), 0, 1), 2)
    return target, first, second.astype(np.float64)


def primary(name: str, target: Floats, plan: Resampling = PLAN, **change: float) -> PrimaryScore:
    words: dict[str, Any] = {"threshold": 0.4, "alpha": 0.8, **change}
    return PrimaryScore(name=name, target=target, plan=plan, **words)


def by_scikit_learn(name: str, target: Floats, answers: Floats) -> float:
    from sklearn import metrics

    decided = (answers >= 0.4).astype(float)
    of: dict[str, Any] = {
        "auc_score": lambda: metrics.roc_auc_score(target, answers),
        "average_precision_score": lambda: metrics.average_precision_score(target, answers),
        "precision_score": lambda: metrics.precision_score(target, decided),
        "recall_score": lambda: metrics.recall_score(target, decided),
        "f1_score": lambda: metrics.f1_score(target, decided),
        "log_loss": lambda: metrics.log_loss(target, np.clip(answers, 1e-15, 1 - 1e-15)),
        "brier_loss": lambda: metrics.brier_score_loss(target, answers),
        "mean_absolute_error": lambda: metrics.mean_absolute_error(target, answers),
        "root_mean_squared_error": lambda: metrics.root_mean_squared_error(target, answers),
        "pinball_loss": lambda: metrics.mean_pinball_loss(target, answers, alpha=0.8),
    }
    return float(of[name]())


def same(found: Interval, expected: Interval) -> None:
    assert (found.confidence, found.n, found.units) == (
        expected.confidence,
        expected.n,
        expected.units,
    )
    numbers = (found.estimate, found.low, found.high)
    others = (expected.estimate, expected.low, expected.high)
    assert numbers == pytest.approx(others, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_a_value_is_that_of_scikit_learn(name: str, seed: int) -> None:
    """On all rows and on some of them, to 1e-12, for every name a policy may declare."""
    target, answers, _ = sample(seed)
    rows = np.flatnonzero(np.arange(N) % 3)
    score = primary(name, target)
    expected = by_scikit_learn(name, target, answers)
    assert score.value(answers) == pytest.approx(expected, abs=1e-12)
    some = by_scikit_learn(name, target[rows], answers[rows])
    assert score.value(answers, rows=rows) == pytest.approx(some, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_which_way_is_better(name: str) -> None:
    """A loss of score and a growth of loss are both a positive cost."""
    target, good, _ = sample()
    score = primary(name, target)
    before = score.value(good)
    # Turned round, the answers are worse by every score.
    after = score.value(1 - good)
    assert score.greater_is_better == name.endswith("_score")
    assert (before > after) == score.greater_is_better
    assert score.loss(before, after) == pytest.approx(abs(before - after))
    assert score.loss(after, before) == pytest.approx(-abs(before - after))
    assert np.isnan(score.loss(before, NAN))
    assert np.isnan(score.loss(NAN, after))


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_is_not_known_makes_the_score_unknown(name: str) -> None:
    """One answer, one label, no row."""
    target, answers, _ = sample()
    unknown = np.where(np.arange(N) == 7, NAN, answers)
    assert np.isnan(primary(name, target).value(unknown))
    assert np.isnan(primary(name, np.where(np.arange(N) == 7, NAN, target)).value(answers))
    assert np.isnan(primary(name, target).value(answers, rows=np.arange(0)))


@pytest.mark.parametrize("name", NAMES)
def test_answers_to_other_rows_are_refused(name: str) -> None:
    """Also a single one, which numpy would hold against every row."""
    target, answers, _ = sample()
    for wrong in (answers[:1], answers[1:]):
        with pytest.raises(InputError, match="columns of the same rows"):
            primary(name, target).value(wrong)


@pytest.mark.parametrize("plan", [PLAN, BY_DAY], ids=["rows", "days"])
@pytest.mark.parametrize("name", NAMES)
def test_estimates_of_intervals_are_the_values(name: str, plan: Resampling) -> None:
    """On the same rows; the difference is that of the two values, its interval around it."""
    target, first, second = sample()
    rows = np.arange(60, N)
    score = primary(name, target, plan)
    one, other = (score.value(answers, rows=rows) for answers in (first, second))
    interval = score.interval(first, rows, 0.9)
    assert interval.estimate == pytest.approx(one, abs=1e-12)
    assert interval.low < interval.estimate < interval.high
    difference = score.difference(first, second, rows, 0.9)
    assert difference.estimate == pytest.approx(one - other, abs=1e-12)
    assert difference.low < difference.estimate < difference.high
    turned = score.difference(second, first, rows, 0.9)
    # Turned round, the rows are other kinds in another order: another, equally good, draw.
    near = 0.2 * (difference.high - difference.low)
    assert turned.estimate == pytest.approx(-difference.estimate, abs=1e-12)
    assert (turned.low, turned.high) == pytest.approx((-difference.high, -difference.low), abs=near)
    for found in (interval, difference):
        assert (found.confidence, found.n) == (0.9, 180)
        assert found.units == (180 if plan.groups is None else 9)


def test_the_auc_has_delongs_interval_over_rows_and_obuchowskis_over_days() -> None:
    """The very numbers of the modules they come from."""
    target, first, second = sample()
    rows = np.arange(40, N)
    columns = target[rows], first[rows], second[rows]
    assert BY_DAY.groups is not None
    days = BY_DAY.groups[rows]
    score, by_day = primary("auc_score", target), primary("auc_score", target, BY_DAY)
    delong = auc_interval(*columns[:2], confidence=0.95)
    same(score.interval(first, rows, 0.95), Interval.of(delong))
    same(
        score.difference(first, second, rows, 0.95),
        Interval.of(auc_difference(*columns, confidence=0.95)),
    )
    same(
        by_day.interval(first, rows, 0.95),
        auc_interval_by_groups(*columns[:2], days, confidence=0.95),
    )
    same(
        by_day.difference(first, second, rows, 0.95),
        auc_difference_by_groups(*columns, days, confidence=0.95),
    )


@pytest.mark.parametrize("plan", [PLAN, BY_DAY], ids=["rows", "days"])
def test_other_scores_have_the_intervals_of_the_bootstrap(plan: Resampling) -> None:
    """With the declared plan, cut to the rows."""
    target, first, second = sample()
    rows = np.arange(40, N)
    cut = plan if plan.groups is None else replace(plan, groups=plan.groups[rows])
    one, other = (
        weighted_mean(absolute_errors(target[rows], answers[rows])) for answers in (first, second)
    )
    score = primary("mean_absolute_error", target, plan)
    same(score.interval(first, rows, 0.95), bootstrap_interval(one, cut, confidence=0.95))
    same(
        score.difference(first, second, rows, 0.95),
        paired_bootstrap(one, other, cut, confidence=0.95),
    )


@pytest.mark.parametrize("plan", [PLAN, BY_DAY], ids=["rows", "days"])
@pytest.mark.parametrize("name", CLASSIFIER)
def test_a_floor_and_a_comparison_speak_of_the_same_score(name: str, plan: Resampling) -> None:
    """The estimate that the floor is held against is the primary score's."""
    target, answers, _ = sample()
    rows = np.arange(N)
    scores = BinaryScores(target=target, probability=answers, threshold=0.4, plan=plan)
    floor = scores.by_name()[name](rows, 0.95)
    found = primary(name, target, plan).interval(answers, rows, 0.95)
    assert found.estimate == pytest.approx(floor.estimate, abs=1e-12)
    assert found.high - found.low == pytest.approx(floor.high - floor.low, rel=0.25)


@pytest.mark.parametrize("plan", [PLAN, BY_DAY], ids=["rows", "days"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_answers_differ_by_exactly_nothing(name: str, plan: Resampling) -> None:
    """An interval without width; of no rows, or with an unknown answer, there is none."""
    target, answers, _ = sample()
    score, rows = primary(name, target, plan), np.arange(N)
    found = score.difference(answers, answers.copy(), rows, 0.95)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
    unknown = np.where(np.arange(N) == 7, NAN, answers)
    for one, chosen in ((answers, rows[:0]), (unknown, rows)):
        nothing = score.difference(one, one, chosen, 0.95)
        assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()
        nothing = score.interval(one, chosen, 0.95)
        assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()


@pytest.mark.parametrize("name", ["auc_score", "recall_score"])
def test_other_answers_of_the_same_score_prove_nothing(name: str) -> None:
    """Two models without a fault on ten rows may differ on the next."""
    target = np.array([0.0] * 5 + [1.0] * 5)
    first = np.linspace(0.1, 0.9, 10)
    second = np.concatenate([first[4::-1], first[:4:-1]])
    found = primary(name, target).difference(first, second, np.arange(10), 0.95)
    assert found.estimate == 0
    assert np.isnan([found.low, found.high]).all()


def test_decisions_are_made_at_the_threshold_and_quantiles_at_alpha() -> None:
    """A row exactly at the threshold is decided as 1; half the absolute error is alpha one half."""
    target, answers = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.4, 0.2])
    assert primary("recall_score", target, threshold=0.5).value(answers) == 0.5
    assert primary("recall_score", target, threshold=0.51).value(answers) == 0.0
    assert np.isnan(primary("precision_score", target, threshold=0.9).value(answers))
    pinball = primary("pinball_loss", target, alpha=0.5).value(answers)
    assert pinball == pytest.approx(primary("mean_absolute_error", target).value(answers) / 2)


def test_strata_are_cut_to_the_rows() -> None:
    """As groups are."""
    target, answers, _ = sample()
    rows = np.arange(40, N)
    plan = replace(PLAN, strata=target)
    found = primary("f1_score", target, plan).interval(answers, rows, 0.95)
    assert found.low < found.estimate < found.high


def test_an_unknown_score_is_refused_with_the_known_ones() -> None:
    """None is taken in its place."""
    target, answers, _ = sample()
    with pytest.raises(InputError, match="found 'accuracy_score'") as refused:
        primary("accuracy_score", target).value(answers)
    assert all(name in str(refused.value) for name in NAMES)


def test_a_difference_has_a_unit_of_its_own_where_it_is_given() -> None:
    """The score over days, the paired difference over rows."""
    target, first, second = sample()
    by_day = Resampling(seed=1, groups=np.arange(N) // 20, method="standard")
    score = PrimaryScore(
        name="auc_score",
        target=target,
        threshold=0.5,
        alpha=0.5,
        plan=by_day,
        comparison_plan=Resampling(seed=1),
    )
    rows = np.arange(N)
    assert score.interval(first, rows, 0.95).units < N
    assert score.difference(first, second, rows, 0.95).units == N
