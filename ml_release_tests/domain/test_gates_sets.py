"""Declared sets: at each limit, beyond it, and without evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.evaluation_sets import FileSet, SetsPolicy, SpanSet
from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_sets import (
    CHAMPION,
    DESCRIPTIONS,
    LIMIT,
    FileComparison,
    FileMeasure,
    SetsEvidence,
    SpanMeasure,
    judge_sets,
)
from ml_release.domain.intervals import Interval
from ml_release.domain.paired_tests import McNemarTest
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from ml_release.domain.verdict import Finding

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
SPAN = SpanSet(
    first_day=date(2013, 2, 8), last_day=date(2013, 2, 10), limit=0.6, champion_margin=0.02
)
FILE = FileSet(
    path="sets/hard.csv",
    digest="sha256:" + "0" * 64,
    limit=0.8,
    champion_margin=0.04,
    minimum_rows=40,
)
POLICY = SetsPolicy(spans={"storm": SPAN}, files={"hard cases": FILE})
AUC = Interval(estimate=0.65, low=0.61, high=0.69, confidence=0.95, n=100, units=3)
OTHER = Comparison(
    version=3,
    model_digest="champion",
    difference=replace(AUC, estimate=0.0, low=-0.01, high=0.01),
)
ON_SPAN = SpanMeasure(score=AUC, champion=OTHER)
ON_FILE = FileMeasure(
    score="right_decisions_share",
    rows=50,
    value=0.9,
    champion=FileComparison(version=3, gain=0.02),
)


def judge(
    span: SpanMeasure | None = ON_SPAN,
    file: FileMeasure | None = ON_FILE,
    *,
    policy: SetsPolicy | None = POLICY,
    **change: Any,
) -> tuple[Finding, ...]:
    return judge_sets(
        SetsEvidence(
            spans={} if span is None else {"storm": span},
            files={} if file is None else {"hard cases": file},
        ),
        policy,
        **{
            "primary": "auc_score",
            "minimum_rows": 100,
            "confidence": 0.95,
            "has_champion": True,
            **change,
        },
    )


def of(findings: tuple[Finding, ...], rule: str, name: str) -> Finding:
    (found,) = [f for f in findings if f.rule == rule and f.subject.startswith(name)]
    return found


def test_a_good_candidate_passes_on_every_set() -> None:
    """Two findings of each set, named after it, rule by rule."""
    found = judge()
    assert {f.outcome for f in found} == {PASS}
    assert [(f.rule, f.subject) for f in found] == [
        (LIMIT, "storm, 2013-02-08 to 2013-02-10"),
        (LIMIT, "hard cases"),
        (CHAMPION, "storm, 2013-02-08 to 2013-02-10: champion version 3"),
        (CHAMPION, "hard cases: champion version 3"),
    ]
    assert {f.rule for f in found} == set(DESCRIPTIONS)
    assert all(f.votes for f in found)


def test_without_a_declaration_nothing_is_found() -> None:
    """The rules are no checks of such a line, so that nothing passes silently."""
    assert judge(policy=None) == ()


@pytest.mark.parametrize(
    ("change", "expected", "detail"),
    [
        pytest.param({"low": 0.6}, PASS, "0.6500", id="at the limit"),
        pytest.param({"low": math.nextafter(0.6, 0)}, FAIL, "0.6500", id="just below"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, "has no ends", id="no ends"),
        pytest.param({"n": 99}, INCONCLUSIVE, "at least 100 rows, found 99", id="too few rows"),
        pytest.param({"confidence": 0.9}, INCONCLUSIVE, "confidence 0.95", id="other confidence"),
    ],
)
def test_the_worse_end_of_the_score_on_days_keeps_the_limit(
    change: dict[str, Any], expected: Outcome, detail: str
) -> None:
    """As the ordinary floor does on the holdout."""
    found = of(judge(replace(ON_SPAN, score=replace(AUC, **change))), LIMIT, "storm")
    assert found.outcome is expected
    assert (found.limit, found.bound) == (0.6, "at least")
    assert detail in found.detail


def test_an_error_has_a_ceiling() -> None:
    """The high end keeps it, and a growth is harm."""
    worse = replace(OTHER, difference=replace(AUC, estimate=0.03, low=0.025, high=0.035))
    found = judge(replace(ON_SPAN, champion=worse), None, primary="mean_absolute_error")
    assert of(found, LIMIT, "storm").outcome is FAIL
    assert of(found, LIMIT, "storm").bound == "at most"
    assert of(found, CHAMPION, "storm").outcome is FAIL


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"low": -0.02}, PASS, id="at the margin"),
        pytest.param({"low": -0.0201}, FAIL, id="beyond"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, id="no ends"),
        pytest.param({"n": 99}, INCONCLUSIVE, id="too few rows"),
    ],
)
def test_the_difference_on_days_keeps_the_margin_of_the_set(
    change: dict[str, Any], expected: Outcome
) -> None:
    """Its own, whatever the holdout's is."""
    assert OTHER.difference is not None
    other = replace(OTHER, difference=replace(OTHER.difference, **change))
    found = of(judge(replace(ON_SPAN, champion=other)), CHAMPION, "storm")
    assert found.outcome is expected
    assert found.limit == -0.02


def test_rows_that_a_set_declares_go_before_those_of_the_evaluation() -> None:
    """A snowstorm has fewer rows than a holdout."""
    policy = SetsPolicy(spans={"storm": SPAN.model_copy(update={"minimum_rows": 101})})
    assert {f.outcome for f in judge(policy=policy)} == {INCONCLUSIVE}
    fewer = SetsPolicy(spans={"storm": SPAN.model_copy(update={"minimum_rows": 100})})
    assert {f.outcome for f in judge(policy=fewer, minimum_rows=5000)} == {PASS}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"value": 0.8}, PASS, id="at the limit"),
        pytest.param({"value": 0.79}, FAIL, id="below"),
        pytest.param({"value": NAN}, INCONCLUSIVE, id="undefined"),
        pytest.param({"rows": 39}, INCONCLUSIVE, id="too few rows"),
        pytest.param({"rows": 39, "value": 0.1}, INCONCLUSIVE, id="bad on too few rows"),
        pytest.param({"rows": 0}, INCONCLUSIVE, id="no rows"),
        pytest.param({"problem": "it was changed"}, INCONCLUSIVE, id="a problem"),
        pytest.param({"score": "auc_score"}, INCONCLUSIVE, id="another score"),
    ],
)
def test_the_share_of_right_decisions_keeps_the_limit(
    change: dict[str, Any], expected: Outcome
) -> None:
    """The number itself: the cases were picked, and are all there are."""
    assert of(judge(file=replace(ON_FILE, **change)), LIMIT, "hard").outcome is expected


@pytest.mark.parametrize(
    ("change", "expected", "detail"),
    [
        pytest.param({"gain": -0.04}, PASS, "", id="at the margin"),
        pytest.param({"gain": -0.06}, FAIL, "", id="beyond"),
        pytest.param({"gain": NAN}, INCONCLUSIVE, "could not be computed", id="undefined"),
        pytest.param({"problem": "lost"}, INCONCLUSIVE, "lost", id="a champion that is lost"),
        pytest.param(
            {
                "gain": -0.06,
                "decisions": McNemarTest(challenger_only=1, champion_only=4, p_value=0.4, n=50),
            },
            FAIL,
            "decides 1 rows rightly that the other gets wrong, 4 the other way round",
            id="with its decisions",
        ),
    ],
)
def test_the_gain_on_cases_keeps_the_margin(
    change: dict[str, Any], expected: Outcome, detail: str
) -> None:
    """Against the champion on the same cases."""
    other = replace(ON_FILE, champion=FileComparison(**{"version": 3, "gain": 0.0, **change}))
    found = of(judge(file=other), CHAMPION, "hard")
    assert found.outcome is expected
    assert detail in found.detail


def test_too_few_cases_decide_no_comparison_and_say_so() -> None:
    """However clear it looks."""
    decisions = McNemarTest(challenger_only=0, champion_only=30, p_value=0.0, n=39)
    other = FileComparison(version=3, gain=-0.7, decisions=decisions)
    found = of(judge(file=replace(ON_FILE, rows=39, champion=other)), CHAMPION, "hard")
    assert (found.outcome, found.detail) == (INCONCLUSIVE, "expected at least 40 rows, found 39")


def test_what_was_not_measured_is_inconclusive_everywhere() -> None:
    """A set that is lost does not look like a set that is passed."""
    found = judge(None, None)
    assert {f.outcome for f in found} == {INCONCLUSIVE}
    assert {f.detail for f in found} == {"it was not measured"}
    assert len(found) == 4


def test_a_problem_of_the_candidate_leaves_its_set_undecided() -> None:
    """Its comparison too, whatever was compared."""
    problem = "the record does not show it"
    found = judge(replace(ON_SPAN, problem=problem), replace(ON_FILE, problem=problem))
    assert {f.outcome for f in found} == {INCONCLUSIVE}
    assert {f.detail for f in found} == {problem}


def test_a_champion_that_was_not_asked_is_inconclusive() -> None:
    """A comparison that is missing although there is a champion passes nothing."""
    found = judge(replace(ON_SPAN, champion=None), replace(ON_FILE, champion=None))
    assert {f.outcome for f in found if f.rule == LIMIT} == {PASS}
    assert {f.outcome for f in found if f.rule == CHAMPION} == {INCONCLUSIVE}


def test_without_a_champion_the_limits_decide() -> None:
    """As on the holdout: the first version is compared with nothing."""
    found = judge(
        replace(ON_SPAN, champion=None), replace(ON_FILE, champion=None), has_champion=False
    )
    assert {f.outcome for f in found} == {PASS}
    assert [f.subject for f in found if f.rule == CHAMPION] == [
        "storm, 2013-02-08 to 2013-02-10: no champion",
        "hard cases: no champion",
    ]
