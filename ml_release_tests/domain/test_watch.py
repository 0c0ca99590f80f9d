"""The watch: harm rolls back, everything passed finishes, all else holds and says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.intervals import Interval
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.domain.watch import (
    RULES,
    Baseline,
    WatchEvidence,
    WatchPolicy,
    judge_watch,
)
from ml_release.domain.watch_rates import WatchWindow
from ml_release.domain.watch_scores import WatchScore

if TYPE_CHECKING:
    from collections.abc import Sequence

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
SINCE = datetime(2026, 11, 1, 9, tzinfo=UTC)
NOW = SINCE + timedelta(days=5)
POLICY = WatchPolicy(minimum_requests=1000, minimum_labelled=200)


def window(
    index: int,
    *,
    requests: int = 100,
    errors: int = 0,
    missing: int = 0,
    ms: float = 5.0,
    slow: int = 0,
) -> WatchWindow:
    latencies = np.array([ms] * (requests - errors - slow) + [500.0] * slow)
    return WatchWindow(
        start=SINCE + timedelta(minutes=5 * index),
        requests=requests,
        errors=errors,
        rows=requests - errors,
        missing=missing,
        latency=LatencySketch.of(latencies),
    )


def windows(n: int = 100, /, **one: Any) -> tuple[WatchWindow, ...]:
    return tuple(window(index, **one) for index in range(n))


def with_bad(which: Sequence[int], n: int = 100, **bad: Any) -> tuple[WatchWindow, ...]:
    """Good windows with some bad ones among them."""
    return tuple(window(index, **(bad if index in which else {})) for index in range(n))


def score(
    estimate: float = 0.75,
    *,
    reach: float = 0.02,
    n: int = 1000,
    low: float | None = 0.72,
    declared: float | None = 0.6,
) -> WatchScore:
    return WatchScore(
        name="auc_score",
        served=Interval(
            estimate=estimate,
            low=estimate - reach,
            high=estimate + reach,
            confidence=0.95,
            n=n,
            units=n,
        ),
        evaluated_low=low,
        evaluated_high=None if low is None else low + 0.06,
        declared=declared,
    )


def loss(estimate: float, *, reach: float = 0.02) -> WatchScore:
    served = replace(score(estimate, reach=reach).served)
    return WatchScore(
        name="log_loss", served=served, evaluated_low=0.30, evaluated_high=0.40, declared=0.60
    )


def evidence(**changes: Any) -> WatchEvidence:
    """Of a release that may leave the watch."""
    good: dict[str, Any] = {
        "line": "flight_delay",
        "version": 2,
        "model_digest": "sha256:2",
        "declared_commit": "c2",
        "since": SINCE,
        "now": NOW,
        "windows": windows(),
        "had_canary": True,
        "baseline": Baseline(requests=20_000, errors=40),
        "answers": 1200,
        "due": 1100,
        "labelled": 1000,
        "scores": (score(),),
    }
    return WatchEvidence(**{**good, **changes})


def outcomes(found: WatchEvidence, policy: WatchPolicy = POLICY) -> dict[str, Outcome]:
    """The worst of each rule."""
    worst: dict[str, Outcome] = {}
    for finding in judge_watch(found, policy).verdict.findings:
        before = worst.get(finding.rule, PASS)
        worst[finding.rule] = max(before, finding.outcome, key=list(Outcome).index)
    return worst


def test_a_release_with_every_rule_passed_finishes() -> None:
    """Every rule is there, and the verdict on record passes and names the answer."""
    found = judge_watch(evidence(), POLICY)
    assert (found.answer, found.waits_for) == ("finish", ())
    assert {finding.rule for finding in found.verdict.findings} == set(RULES)
    assert found.verdict.outcome is PASS
    assert verdict_from_json(found.verdict.to_json()) == found.verdict
    assert dict(found.verdict.evidence) == {
        "answer": "finish",
        "declared_commit": "c2",
        "policy_digest": POLICY.digest,
        "champion_digest": "sha256:2",
        "judged_at": NOW.isoformat(),
    }


@pytest.mark.parametrize(
    ("changes", "rule", "outcome", "answer"),
    [
        pytest.param({"windows": ()}, "traffic_is_enough", INCONCLUSIVE, "hold", id="no traffic"),
        pytest.param({"windows": ()}, "errors_are_rare", INCONCLUSIVE, "hold", id="no requests"),
        pytest.param({"windows": ()}, "answers_are_fast", INCONCLUSIVE, "hold", id="no latency"),
        pytest.param(
            {"windows": windows(9)}, "traffic_is_enough", INCONCLUSIVE, "hold", id="900 of 1000"
        ),
        pytest.param(
            {"windows": windows(1)}, "errors_are_rare", INCONCLUSIVE, "hold", id="one window"
        ),
        pytest.param(
            {"windows": windows(1, errors=100)},
            "errors_are_rare",
            INCONCLUSIVE,
            "hold",
            id="one window, all errors",
        ),
        pytest.param(
            {"windows": windows(2, errors=100)},
            "errors_are_rare",
            INCONCLUSIVE,
            "hold",
            id="two windows, all errors",
        ),
        pytest.param(
            {"windows": windows(3, errors=100)},
            "errors_are_rare",
            FAIL,
            "roll_back",
            id="three windows, all errors",
        ),
        pytest.param(
            {"windows": windows(60, requests=1, errors=1)},
            "errors_are_rare",
            FAIL,
            "roll_back",
            id="all errors, a request per window",
        ),
        pytest.param(
            {"windows": windows(59, requests=1, errors=1)},
            "errors_are_rare",
            INCONCLUSIVE,
            "hold",
            id="not three times twenty requests",
        ),
        pytest.param(
            {"windows": with_bad([50], errors=30)},
            "errors_are_rare",
            PASS,
            "finish",
            id="one bad window in a hundred",
        ),
        pytest.param(
            {"windows": with_bad([50, 51, 52], 400, errors=30)},
            "errors_are_rare",
            FAIL,
            "roll_back",
            id="three in a row, long ago",
        ),
        pytest.param(
            {"windows": with_bad([10, 12, 14, 16], 400, errors=30)},
            "errors_are_rare",
            PASS,
            "finish",
            id="four apart, few in the whole",
        ),
        pytest.param(
            {"windows": with_bad(range(0, 100, 2), errors=8)},
            "errors_are_rare",
            FAIL,
            "roll_back",
            id="flapping",
        ),
        pytest.param(
            {"windows": windows(20, errors=1)},
            "errors_are_rare",
            INCONCLUSIVE,
            "hold",
            id="as many as the limit",
        ),
        pytest.param(
            {"windows": windows(600, errors=1), "baseline": Baseline(requests=20_000, errors=0)},
            "errors_have_not_increased",
            INCONCLUSIVE,
            "hold",
            id="increased by as much as the limit",
        ),
        pytest.param(
            {"windows": windows(100, errors=2), "baseline": Baseline(requests=20_000, errors=0)},
            "errors_have_not_increased",
            FAIL,
            "roll_back",
            id="increased, no window alone shows it",
        ),
        pytest.param(
            {"windows": windows(100, errors=12), "baseline": Baseline(requests=20_000, errors=0)},
            "errors_have_not_increased",
            FAIL,
            "roll_back",
            id="increased",
        ),
        pytest.param(
            {"baseline": None}, "errors_have_not_increased", INCONCLUSIVE, "hold", id="no records"
        ),
        pytest.param(
            {"baseline": Baseline(requests=199, errors=0)},
            "errors_have_not_increased",
            INCONCLUSIVE,
            "hold",
            id="too small a control",
        ),
        pytest.param(
            {"had_canary": False, "baseline": None},
            "errors_have_not_increased",
            INCONCLUSIVE,
            "finish",
            id="a first release has no control",
        ),
        pytest.param(
            {"windows": with_bad([3, 4, 5], slow=20)},
            "answers_are_fast",
            FAIL,
            "roll_back",
            id="slow three times",
        ),
        pytest.param(
            {"windows": with_bad([3, 4], slow=20)}, "answers_are_fast", PASS, "finish", id="twice"
        ),
        pytest.param(
            {"windows": windows(ms=500.0)}, "answers_are_fast", FAIL, "roll_back", id="all slow"
        ),
        pytest.param(
            {"windows": windows(missing=50)},
            "answers_are_complete",
            FAIL,
            "roll_back",
            id="half the answers missing",
        ),
        pytest.param(
            {"answers": 900, "due": 0, "labelled": 0, "scores": ()},
            "labels_have_matured",
            INCONCLUSIVE,
            "hold",
            id="no label due",
        ),
        pytest.param(
            {"labelled": 0, "scores": ()}, "labels_have_matured", INCONCLUSIVE, "hold", id="none"
        ),
        pytest.param(
            {"due": 1000, "labelled": 199, "scores": (score(n=199),)},
            "labels_have_matured",
            INCONCLUSIVE,
            "hold",
            id="too few labels",
        ),
        pytest.param(
            {"due": 2000, "labelled": 1000},
            "labels_have_matured",
            INCONCLUSIVE,
            "hold",
            id="half of those due were never told",
        ),
        pytest.param(
            {"scores": (score(NAN),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="labels of one class only",
        ),
        pytest.param(
            {"scores": (score(0.5, reach=NAN),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="no spread, or one day only",
        ),
        pytest.param(
            {"scores": ()}, "served_as_well_as_evaluated", INCONCLUSIVE, "hold", id="not scored"
        ),
        pytest.param(
            {"scores": (score(0.69),)},
            "served_as_well_as_evaluated",
            PASS,
            "finish",
            id="at evaluated less the margin",
        ),
        pytest.param(
            {"scores": (score(0.68),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="below, not shown",
        ),
        pytest.param(
            {"scores": (score(0.6),)},
            "served_as_well_as_evaluated",
            FAIL,
            "roll_back",
            id="shown below",
        ),
        pytest.param(
            {"scores": (score(0.6, n=199),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="of too few labels",
        ),
        pytest.param(
            {"scores": (score(0.7, low=0.62, declared=0.75),)},
            "served_as_well_as_evaluated",
            FAIL,
            "roll_back",
            id="below the declared floor",
        ),
        pytest.param(
            {"scores": (score(0.8, low=None),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="its evaluation was not found",
        ),
        pytest.param(
            {"scores": (score(0.5, low=None),)},
            "served_as_well_as_evaluated",
            FAIL,
            "roll_back",
            id="below the floor without its evaluation",
        ),
        pytest.param(
            {"scores": (score(0.8, low=None, declared=None),)},
            "served_as_well_as_evaluated",
            INCONCLUSIVE,
            "hold",
            id="nothing to hold it against",
        ),
        pytest.param(
            {"unjudged": "a regression", "scores": (), "due": 0, "labelled": 0},
            "labels_have_matured",
            INCONCLUSIVE,
            "finish",
            id="a regression is not judged by labels",
        ),
        pytest.param(
            {"source_problem": "the log is gone"},
            "evidence_is_whole",
            Outcome.ERROR,
            "hold",
            id="broken source",
        ),
        pytest.param(
            {"source_problem": "no labels", "windows": windows(3, errors=100)},
            "errors_are_rare",
            FAIL,
            "roll_back",
            id="harm shown by what could be read",
        ),
        pytest.param(
            {"now": SINCE + timedelta(hours=23, minutes=59)},
            "watched_long_enough",
            INCONCLUSIVE,
            "hold",
            id="too early",
        ),
        pytest.param(
            {"now": SINCE - timedelta(hours=1)},
            "watched_long_enough",
            INCONCLUSIVE,
            "hold",
            id="a clock before its beginning",
        ),
    ],
)
def test_what_each_rule_says_and_what_is_done(
    changes: dict[str, Any], rule: str, outcome: Outcome, answer: str
) -> None:
    """Doubt holds, harm rolls back, and whoever holds says what it waits for."""
    found = evidence(**changes)
    assert outcomes(found)[rule] is outcome
    verdict = judge_watch(found, POLICY)
    assert verdict.answer == answer
    assert bool(verdict.waits_for) is (answer == "hold")
    assert verdict.verdict.evidence["answer"] == answer
    if outcome is not PASS and answer != "finish":
        assert rule in f"{verdict.reason} {verdict.verdict.objections}"


@pytest.mark.parametrize(
    ("estimate", "answer"), [(0.38, "finish"), (0.46, "hold"), (0.60, "roll_back")]
)
def test_a_loss_is_held_against_the_upper_end(estimate: float, answer: str) -> None:
    """0.40 and the margin: a loss shrinks with quality."""
    policy = POLICY.model_copy(update={"score_margins": {"log_loss": 0.05}})
    assert judge_watch(evidence(scores=(loss(estimate),)), policy).answer == answer


def test_a_window_that_is_still_open_adds_to_no_streak() -> None:
    """It is looked at once, when it has closed."""
    changes = {"windows": windows(3, errors=100), "now": SINCE + timedelta(minutes=14)}
    assert judge_watch(evidence(**changes), POLICY).answer == "hold"
    changes["now"] = SINCE + timedelta(minutes=15)
    assert judge_watch(evidence(**changes), POLICY).answer == "roll_back"


@pytest.mark.parametrize("at_maximum", ["finish", "hold", "roll_back"])
def test_a_watch_that_is_too_old_is_decided_by_the_policy(at_maximum: str) -> None:
    """Unless what is missing is a source: that is repaired, not waited for."""
    policy = POLICY.model_copy(update={"at_maximum": at_maximum})
    old = {"now": SINCE + timedelta(days=14, minutes=1), "labelled": 0, "scores": ()}
    found = judge_watch(evidence(**old), policy)
    assert found.answer == at_maximum
    assert "older than 14 days" in found.reason
    assert "labels_have_matured" in found.reason
    # Whoever reads the record sees that not every rule passed.
    assert found.verdict.outcome is INCONCLUSIVE
    assert judge_watch(evidence(**old, source_problem="gone"), policy).answer == "hold"


def test_an_old_watch_that_passes_finishes_and_one_with_harm_rolls_back() -> None:
    """Whatever the policy says of those in doubt."""
    old = {"now": SINCE + timedelta(days=30)}
    policy = POLICY.model_copy(update={"at_maximum": "roll_back"})
    assert judge_watch(evidence(**old), policy).answer == "finish"
    policy = POLICY.model_copy(update={"at_maximum": "finish"})
    assert judge_watch(evidence(**old, scores=(score(0.5),)), policy).answer == "roll_back"


def test_no_declared_score_leaves_the_labels_alone_to_be_told() -> None:
    """A line may watch without scores, and then says so in its policy."""
    policy = POLICY.model_copy(update={"score_margins": {}})
    assert judge_watch(evidence(scores=()), policy).answer == "finish"


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30),
    st.integers(0, 200),
)
def test_more_errors_never_make_it_better(counts: list[tuple[int, int]], at: int) -> None:
    """Pass, doubt, harm: one more failed request moves only in this order."""
    order = (PASS, INCONCLUSIVE, FAIL)
    made = [window(i, requests=ok + bad, errors=bad) for i, (ok, bad) in enumerate(counts)]
    before = outcomes(evidence(windows=tuple(made)))["errors_are_rare"]
    for index, one in enumerate(made):
        if one.errors < one.requests and index == at % len(made):
            made[index] = replace(one, errors=one.errors + 1)
    after = outcomes(evidence(windows=tuple(made)))["errors_are_rare"]
    assert order.index(after) >= order.index(before)


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum_hours": 400.0},
        {"sampled_answers": 100},
        {"error_rate_limit": 0.0},
        {"confidence": 0.5},
        {"latency_p99_limit_ms": NAN},
        {"score_margins": {"auc_score": 0.0}},
        {"score_margins": {"accuracy": 0.1}},
        {"at_maximum": "wait"},
        {"patience": 3},
    ],
)
def test_a_policy_that_could_never_end_or_judge_is_refused(changes: dict[str, Any]) -> None:
    """With every limit in reach."""
    with pytest.raises(ValidationError):
        WatchPolicy(**changes)
