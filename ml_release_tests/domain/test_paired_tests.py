"""Challenger against champion: McNemar's test, the paired bootstrap, and the margin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.intervals import Interval, mean_interval
from ml_release.domain.paired_tests import (
    Relation,
    compare_decisions,
    mcnemar_p_value,
    paired_bootstrap,
    relation_of,
)
from ml_release.domain.resampling import Resampling
from ml_release.domain.scores import auc_difference
from ml_release.domain.weighted_scores import weighted_auc, weighted_mean, weighted_ratio
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")


def interval(low: float, high: float) -> Interval:
    return Interval(estimate=(low + high) / 2, low=low, high=high, confidence=0.95, n=9, units=9)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0.001, 0.02, Relation.BETTER, id="above 0"),
        pytest.param(0.0, 0.02, Relation.NON_INFERIOR, id="from 0"),
        pytest.param(-0.01, 0.02, Relation.NON_INFERIOR, id="from just the margin"),
        pytest.param(-0.009, -0.001, Relation.NON_INFERIOR, id="surely worse, within the margin"),
        pytest.param(-0.011, 0.02, Relation.UNDECIDED, id="across the margin"),
        pytest.param(-0.03, -0.01, Relation.UNDECIDED, id="up to just the margin"),
        pytest.param(-0.03, -0.011, Relation.INFERIOR, id="below the margin"),
        pytest.param(NAN, 0.02, Relation.UNDECIDED, id="low end unknown"),
        pytest.param(0.01, NAN, Relation.UNDECIDED, id="high end unknown"),
        pytest.param(-np.inf, np.inf, Relation.UNDECIDED, id="infinite"),
        pytest.param(0.01, np.inf, Relation.UNDECIDED, id="high end infinite"),
    ],
)
def test_the_interval_is_read_against_the_margin(
    low: float, high: float, expected: Relation
) -> None:
    """The same for a loss turned round."""
    assert relation_of(interval(low, high), margin=0.01, greater_is_better=True) is expected
    assert relation_of(interval(-high, -low), margin=0.01, greater_is_better=False) is expected


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_wider_margin_never_makes_a_challenger_worse(
    low: float, width: float, margin: float, more: float
) -> None:
    """From inferior by undecided to non-inferior; better needs no margin."""
    order = (Relation.INFERIOR, Relation.UNDECIDED, Relation.NON_INFERIOR, Relation.BETTER)
    found = [
        order.index(relation_of(interval(low, low + width), margin=m, greater_is_better=True))
        for m in (margin, margin + more)
    ]
    assert found[0] <= found[1]


@pytest.mark.parametrize("margin", [-0.01, NAN, np.inf])
def test_a_margin_is_a_number_of_at_least_0(margin: float) -> None:
    """An infinite one would let every challenger pass."""
    with pytest.raises(InputError, match="finite margin of at least 0"):
        relation_of(interval(0, 1), margin=margin, greater_is_better=True)


def test_at_the_margin_at_most_half_of_alpha_passes() -> None:
    """1,000 challengers worse by just the margin, 90 % intervals of 100 pairs: about 5 %."""
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(1000):
        shared = rng.normal(0, 3, 100)
        challenger = shared + rng.normal(0.2, 1, 100)
        found = mean_interval(challenger - (shared + rng.normal(0, 1, 100)), confidence=0.9)
        relation = relation_of(found, margin=0.2, greater_is_better=False)
        passed += relation in {Relation.BETTER, Relation.NON_INFERIOR}
    assert passed / 1000 == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(
    ("b", "c", "exact", "mid_p"),
    [
        pytest.param(1, 7, 0.0703125, 0.0390625, id="Bentur et al. in Fagerland et al. (2013)"),
        pytest.param(6, 16, 0.052478790283203125, 0.034689, id="Cavo et al."),
        pytest.param(25, 2, 5.647540092468262e-06, 3.032386e-06, id="Ezra et al."),
        pytest.param(0, 3, 0.25, 0.125, id="only one"),
        pytest.param(4, 4, 1.0, 1 - 35 / 256, id="as many"),
    ],
)
def test_mcnemars_test_is_that_of_the_published_examples(
    b: int, c: int, exact: float, mid_p: float
) -> None:
    """Exact as statsmodels 0.15.0; mid-p as the paper; the same the other way round."""
    assert mcnemar_p_value(b, c) == pytest.approx(exact, rel=1e-9)
    assert mcnemar_p_value(b, c, mid_p=True) == pytest.approx(mid_p, rel=1e-4)
    assert mcnemar_p_value(c, b, mid_p=True) == mcnemar_p_value(b, c, mid_p=True)


def test_statsmodels_agrees_on_mcnemars_test() -> None:
    """Live, where it is installed."""
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for b, c in [(0, 1), (3, 9), (20, 35), (150, 100)]:
        theirs = tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue
        assert mcnemar_p_value(b, c) == pytest.approx(float(theirs), rel=1e-9)


@pytest.mark.parametrize("mid_p", [False, True])
def test_mcnemars_test_keeps_its_level(mid_p: bool) -> None:
    """Exact chance of p <= 0.05 with 30 discordant rows and no difference."""
    from scipy.stats import binom

    counts = range(31)
    rejected = [mcnemar_p_value(b, 30 - b, mid_p=mid_p) <= 0.05 for b in counts]
    assert float(binom.pmf(np.arange(31), 30, 0.5) @ rejected) <= 0.05


def test_without_a_discordant_row_there_is_nothing_to_test() -> None:
    """NaN, not a p-value of 1."""
    assert np.isnan(mcnemar_p_value(0, 0))
    with pytest.raises(InputError, match="at least 0, found -1"):
        mcnemar_p_value(-1, 2)


def test_decisions_are_compared_row_by_row() -> None:
    """Two rows only the challenger has right, one only the champion."""
    target = np.array([1.0, 1, 0, 0, 1])
    found = compare_decisions(
        target, np.array([1.0, 1, 0, 1, 0]), np.array([0.0, 0, 0, 0, 0]), mid_p=True
    )
    assert (found.challenger_only, found.champion_only, found.n) == (2, 1, 5)
    assert found.accuracy_difference == pytest.approx(0.2)
    assert found.p_value == mcnemar_p_value(2, 1, mid_p=True)


def test_decisions_that_are_not_known_are_not_compared() -> None:
    """A missing label is neither right nor wrong."""
    found = compare_decisions(np.array([1.0, NAN]), np.ones(2), np.zeros(2))
    assert found.n == 0
    assert np.isnan([found.p_value, found.accuracy_difference]).all()
    with pytest.raises(InputError, match="same rows"):
        compare_decisions(np.zeros(2), np.zeros(2), np.zeros(3))


def models(seed: int, n: int = 500) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    champion = rng.random(n)
    target = (rng.random(n) < champion).astype(float)
    return target, np.clip(champion + rng.normal(0, 0.1, n), 0, 1), champion


def test_the_paired_bootstrap_of_the_auc_is_about_delongs() -> None:
    """Ends within a tenth of the width, and mirrored when the models change places."""
    target, challenger, champion = models(2)
    plan = Resampling(seed=3, resamples=1000)
    pair = weighted_auc(target, challenger), weighted_auc(target, champion)
    found = paired_bootstrap(*pair, plan, confidence=0.95)
    delong = auc_difference(target, challenger, champion, confidence=0.95)
    width = delong.high - delong.low
    assert found.estimate == pytest.approx(delong.estimate, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((delong.low, delong.high), abs=0.1 * width)
    mirrored = paired_bootstrap(pair[1], pair[0], plan, confidence=0.95)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-3)


def test_the_paired_interval_of_a_loss_is_students_of_its_differences() -> None:
    """By rows and by days, and far narrower than the two losses held side by side."""
    target, challenger, champion = models(4)
    losses = (target - challenger) ** 2, (target - champion) ** 2
    for groups in (None, np.arange(500) // 20):
        plan = Resampling(seed=5, resamples=2000, groups=groups)
        found = paired_bootstrap(
            weighted_mean(losses[0]), weighted_mean(losses[1]), plan, confidence=0.95
        )
        closed = mean_interval(losses[0] - losses[1], confidence=0.95, groups=groups)
        width = closed.high - closed.low
        assert (found.low, found.high) == pytest.approx((closed.low, closed.high), abs=0.1 * width)
        alone = mean_interval(losses[0], confidence=0.95, groups=groups)
        assert width < (alone.high - alone.low) / 2


def test_no_difference_seen_is_no_difference_known_only_of_identical_answers() -> None:
    """Both models find the five positives there are: that says little of the sixth."""
    found = np.array([1.0] * 5 + [0.0] * 45)
    recall = weighted_ratio(found, found)
    plan = Resampling(seed=1, resamples=200)
    unknown = paired_bootstrap(recall, recall, plan, confidence=0.95)
    assert unknown.estimate == 0
    assert np.isnan([unknown.low, unknown.high]).all()
    known = paired_bootstrap(recall, recall, plan, confidence=0.95, identical=True)
    assert (known.low, known.high) == (0.0, 0.0)
    claimed = paired_bootstrap(
        weighted_mean(np.arange(9.0)),
        weighted_mean(np.ones(9)),
        plan,
        confidence=0.9,
        identical=True,
    )
    assert claimed.low < claimed.high
