"""The canary judge: tables of what was counted, and what follows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.canary import (
    RULES,
    ArmPair,
    ArmTally,
    CanaryAnswer,
    CanaryEvidence,
    CanaryMetric,
    CanaryPolicy,
    CanarySlices,
    CanaryStep,
    CanaryVerdict,
    RateCount,
    Stretch,
    judge_canary,
)
from ml_release.domain.canary_rules import (
    AGE,
    ASKED,
    CLOCK,
    COUNTS,
    HARM,
    NO_WORSE,
    REQUESTS,
    SLICES,
    SOURCE,
    SPLIT,
    YARDSTICK,
)
from ml_release.domain.mean_sequences import Moments
from ml_release.domain.verdict import Outcome, verdict_from_json

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = CanaryStep(weight_percent=5, minimum_minutes=30, minimum_requests=300)
ERRORS = CanaryMetric(name="errors", kind="error_rate", tolerance=0.01, minimum_effect=0.001)
SCORE = CanaryMetric(
    name="score", kind="score_mean", tolerance=0.05, minimum_effect=0.02, vote="voting"
)
REWARD = CanaryMetric(name="reward", kind="reward", tolerance=0.05, vote="voting")
POLICY = CanaryPolicy(metrics=(ERRORS, SCORE, REWARD))
GOOD = ((3000, 30), (57_000, 570))
HARMED = ((300, 18), (5700, 57))


def moments(n: int, mean: float, sd: float = 0.1) -> Moments:
    """Of values with exactly this mean and (nearly) this standard deviation."""
    return Moments(n=n, total=n * mean, total_squares=n * (mean**2 + sd**2))


def arm(
    counts: tuple[int, int], *, score: float = 0.2, reward: float = 0.5, name: str = "errors"
) -> ArmTally:
    n, events = counts
    return ArmTally(
        requests=n,
        rates={name: RateCount(n=n, events=events)},
        means={"score": moments(n, score), "reward": moments(n, reward)} if n > 0 else {},
    )


def stretch(canary: ArmTally, control: ArmTally, **changes: Any) -> Stretch:
    known: dict[str, Any] = {"step": 0, "route_commit": "c0", "canary_share": 0.05}
    return Stretch(arms=ArmPair(canary=canary, control=control), **{**known, **changes})


def evidence(*stretches: Stretch, minutes: float = 60, **changes: Any) -> CanaryEvidence:
    known: dict[str, Any] = {
        "line": "trips",
        "model_digest": "canary",
        "champion_digest": "champion",
        "step": 0,
        "step_began": NOW - timedelta(minutes=minutes),
        "now": NOW,
        "canary_last_seen": NOW,
        "control_last_seen": NOW,
    }
    return CanaryEvidence(stretches=stretches, **{**known, **changes})


def of(counts: tuple[tuple[int, int], tuple[int, int]], **changes: Any) -> CanaryEvidence:
    """Evidence of canary and control with these requests and errors."""
    return evidence(stretch(arm(counts[0]), arm(counts[1])), **changes)


def judge(found: CanaryEvidence, policy: CanaryPolicy = POLICY) -> CanaryVerdict:
    return judge_canary(found, policy, step=STEP)


def objections(verdict: CanaryVerdict) -> set[str]:
    return {finding.rule for finding in verdict.verdict.objections}


LATE = timedelta(minutes=40)
IMPOSSIBLE = replace(arm((300, 3)), requests=-5)
BROKEN = stretch(
    replace(arm((300, 3)), means={"score": Moments(n=300, total=math.nan, total_squares=1.0)}),
    arm((5700, 57)),
)
CASES = [
    # What is good enough, and what is missing from it.
    pytest.param(of(GOOD), "advance", set(), id="shown to be no worse"),
    pytest.param(of(GOOD, minutes=20), "undecided", {"step_has_lasted"}, id="too short"),
    pytest.param(of(((250, 0), (4750, 0))), "undecided", {REQUESTS, NO_WORSE}, id="too few"),
    pytest.param(of(((900, 9), (17_100, 171))), "undecided", {NO_WORSE}, id="not shown yet"),
    pytest.param(of(((2000, 30), (38_000, 380))), "undecided", {NO_WORSE}, id="a little worse"),
    # Harm.
    pytest.param(of(HARMED), "roll_back", {HARM, NO_WORSE}, id="harm"),
    pytest.param(
        of(HARMED, minutes=2), "roll_back", {HARM, NO_WORSE, "step_has_lasted"}, id="soon"
    ),
    pytest.param(
        of(((30, 30), (570, 5)), minutes=1),
        "roll_back",
        {HARM, NO_WORSE, REQUESTS, "step_has_lasted"},
        id="the canary fails always",
    ),
    pytest.param(
        of(HARMED, canary_last_seen=NOW - LATE, control_last_seen=NOW - LATE),
        "roll_back",
        {HARM, NO_WORSE, ASKED},
        id="harm, then no traffic",
    ),
    pytest.param(
        of(((1000, 60), (5000, 50))), "roll_back", {HARM, NO_WORSE, SPLIT}, id="harm, split off"
    ),
    # Nothing to judge by.
    pytest.param(
        of(((0, 0), (0, 0)), minutes=5, canary_last_seen=None, control_last_seen=None),
        "undecided",
        {SPLIT, HARM, NO_WORSE, REQUESTS, "step_has_lasted"},
        id="just begun",
    ),
    pytest.param(
        of(((0, 0), (0, 0)), canary_last_seen=None, control_last_seen=None),
        "hold",
        {SPLIT, ASKED, HARM, NO_WORSE, REQUESTS},
        id="no traffic at all",
    ),
    pytest.param(
        evidence(canary_last_seen=None, control_last_seen=None),
        "hold",
        {SPLIT, ASKED, HARM, NO_WORSE, REQUESTS},
        id="nothing counted",
    ),
    pytest.param(
        of(((0, 0), (5700, 57)), canary_last_seen=None),
        "hold",
        {ASKED, SPLIT, HARM, NO_WORSE, REQUESTS},
        id="no request of the canary",
    ),
    pytest.param(
        of(((300, 3), (0, 0)), control_last_seen=None),
        "hold",
        {ASKED, SPLIT, HARM, NO_WORSE},
        id="no request of the control",
    ),
    pytest.param(of(GOOD, canary_last_seen=NOW - LATE), "hold", {ASKED}, id="canary is stale"),
    pytest.param(of(GOOD, control_last_seen=NOW - LATE), "hold", {ASKED}, id="control is stale"),
    # What cannot be trusted.
    pytest.param(of(GOOD, source_problem="no answer"), "hold", {SOURCE}, id="source broken"),
    pytest.param(
        of(HARMED, source_problem="no answer"), "hold", {SOURCE, HARM, NO_WORSE}, id="broken, harm"
    ),
    pytest.param(
        of(GOOD, minutes=-5), "hold", {CLOCK, "step_has_lasted"}, id="step begins in the future"
    ),
    pytest.param(
        of(GOOD, canary_last_seen=NOW + LATE), "hold", {CLOCK}, id="requests from the future"
    ),
    pytest.param(
        evidence(stretch(IMPOSSIBLE, arm((5700, 57)))),
        "hold",
        {COUNTS, SPLIT, NO_WORSE, REQUESTS},
        id="negative requests",
    ),
    pytest.param(
        of(((300, 301), (5700, 57))),
        "hold",
        {COUNTS, SPLIT, HARM, NO_WORSE},
        id="events > requests",
    ),
    pytest.param(
        of(((300, -1), (5700, 57))), "hold", {COUNTS, SPLIT, HARM, NO_WORSE}, id="negative events"
    ),
    pytest.param(
        evidence(stretch(arm(GOOD[0]), arm(GOOD[1]), canary_share=1.0)),
        "hold",
        {COUNTS, SPLIT},
        id="no split",
    ),
    pytest.param(of(((4000, 40), (57_000, 570))), "hold", {SPLIT}, id="split off"),
    pytest.param(of(((3000, 2900), (57_000, 56_000))), "hold", {YARDSTICK}, id="an outage of both"),
    pytest.param(
        of(((3000, 3000), (57_000, 57_000))), "hold", {YARDSTICK, NO_WORSE}, id="all fail"
    ),
    # Voting metrics.
    pytest.param(
        evidence(stretch(arm(GOOD[0], score=0.3), arm(GOOD[1]))), "hold", {HARM}, id="one votes"
    ),
    pytest.param(
        evidence(stretch(arm(GOOD[0], score=0.3, reward=0.3), arm(GOOD[1]))),
        "roll_back",
        {HARM},
        id="two vote",
    ),
    pytest.param(
        evidence(stretch(arm(GOOD[0], score=0.21), arm(GOOD[1]))),
        "advance",
        set(),
        id="sure, but too small an effect",
    ),
    pytest.param(
        evidence(stretch(arm(GOOD[0], reward=0.9), arm(GOOD[1]))), "advance", set(), id="better"
    ),
    pytest.param(evidence(BROKEN), "undecided", {NO_WORSE}, id="NaN in what only votes"),
    # Age.
    pytest.param(of(GOOD, minutes=73 * 60), "hold", {AGE}, id="too old, though shown"),
    pytest.param(
        of(((900, 9), (17_100, 171)), minutes=73 * 60), "hold", {AGE, NO_WORSE}, id="too old"
    ),
    pytest.param(of(HARMED, minutes=73 * 60), "roll_back", {AGE, HARM, NO_WORSE}, id="old, harm"),
]


@pytest.mark.parametrize(("found", "answer", "rules"), CASES)
def test_what_follows_from_what_was_counted(
    found: CanaryEvidence, answer: str, rules: set[str]
) -> None:
    """The answer, and every rule that objects."""
    verdict = judge(found)
    assert verdict.answer == answer
    assert objections(verdict) == rules


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        pytest.param(of(GOOD, minutes=73 * 60), "roll_back", id="shown, but late"),
        pytest.param(
            of(GOOD, minutes=73 * 60, source_problem="x"), "roll_back", id="source broken"
        ),
        pytest.param(
            of(GOOD, minutes=73 * 60, canary_last_seen=NOW + LATE), "hold", id="clock not trusted"
        ),
    ],
)
def test_a_canary_that_is_too_old_goes_back_if_declared(found: CanaryEvidence, answer: str) -> None:
    """Unless the clock that says so cannot be trusted; it never advances."""
    policy = POLICY.model_copy(update={"when_too_old": "roll_back"})
    assert judge(found, policy).answer == answer


def test_a_muted_metric_decides_nothing() -> None:
    """Harm that is as clear as can be is shown only."""
    muted = SCORE.model_copy(update={"vote": "muted"})
    found = judge(
        evidence(stretch(arm(GOOD[0], score=0.9), arm(GOOD[1]))),
        CanaryPolicy(metrics=(ERRORS, muted)),
    )
    assert found.answer is CanaryAnswer.ADVANCE
    harm = {f.subject: f for f in found.verdict.findings if f.rule == HARM}["score"]
    assert (harm.outcome, harm.votes) == (Outcome.FAIL, False)


def test_stretches_are_compared_each_within_itself() -> None:
    """Errors double in the hour in which the canary gets half: both arms alike, so no harm."""
    first = stretch(arm((1000, 10)), arm((19_000, 190)))
    second = stretch(arm((10_000, 400)), arm((10_000, 400)), route_commit="c1", canary_share=0.5)
    found = judge(evidence(first, second))
    assert HARM not in objections(found)
    harm = next(f for f in found.verdict.findings if f.rule == HARM and f.subject == "errors")
    assert harm.observed == pytest.approx(0, abs=1e-9)


def test_harm_of_earlier_steps_counts() -> None:
    """Two halves, neither enough by itself, are."""
    half = (arm((90, 6)), arm((1710, 17)))
    alone = judge(evidence(stretch(*half)))
    assert alone.answer is CanaryAnswer.UNDECIDED
    both = evidence(stretch(*half), stretch(*half, step=1, route_commit="c1"), step=1)
    assert judge(both).answer is CanaryAnswer.ROLL_BACK


def test_the_minimum_is_of_the_step() -> None:
    """Requests of an earlier step are not those of this one."""
    before = stretch(arm(GOOD[0]), arm(GOOD[1]))
    now = stretch(arm((10, 0)), arm((190, 2)), step=1, route_commit="c1")
    found = judge(evidence(before, now, step=1))
    assert (found.answer, objections(found)) == (CanaryAnswer.UNDECIDED, {REQUESTS})
    assert found.needs.requests == 290


@pytest.mark.parametrize(("when", "answer"), [("hold", "hold"), ("roll_back", "roll_back")])
def test_a_harmed_slice_does_what_is_declared(when: str, answer: str) -> None:
    """While the whole is as good as the control."""
    slices = CanarySlices(columns=("origin",), metrics=("errors",), when_harmed=when)  # type: ignore[arg-type]
    policy = POLICY.model_copy(update={"slices": slices})
    harmed = ArmPair(canary=arm((400, 40)), control=arm((7600, 76)))
    found = judge(
        evidence(stretch(arm(GOOD[0]), arm(GOOD[1]), slices={"origin=JFK": harmed})), policy
    )
    assert (found.answer, objections(found)) == (answer, {SLICES})


def test_a_small_slice_is_not_judged() -> None:
    """Below its minimum it is shown, without a vote."""
    policy = POLICY.model_copy(
        update={"slices": CanarySlices(columns=("origin",), metrics=("errors",), minimum_n=200)}
    )
    harmed = ArmPair(canary=arm((199, 60)), control=arm((7600, 76)))
    found = judge(
        evidence(stretch(arm(GOOD[0]), arm(GOOD[1]), slices={"origin=JFK": harmed})), policy
    )
    assert found.answer is CanaryAnswer.ADVANCE


@pytest.mark.parametrize(
    ("metric", "canary", "control", "harmed"),
    [
        pytest.param("increase", 60, 570, True, id="more, and more is harm"),
        pytest.param("decrease", 60, 570, False, id="more, and less is harm"),
        pytest.param("decrease", 5, 570, True, id="less, and less is harm"),
        pytest.param("increase", 5, 570, False, id="less, and more is harm"),
        pytest.param("either", 70, 570, True, id="more, either is harm"),
        pytest.param("either", 2, 570, True, id="less, either is harm"),
        pytest.param("either", 30, 570, False, id="equal"),
    ],
)
def test_the_direction_of_harm_is_declared(
    metric: Any, canary: int, control: int, harmed: bool
) -> None:
    """Of a rate as of anything else."""
    declared = ERRORS.model_copy(update={"harm": metric})
    found = judge(of(((3000, canary), (57_000, control))), CanaryPolicy(metrics=(declared,)))
    assert (HARM in objections(found)) is harmed


def test_a_shifted_distribution_is_seen() -> None:
    """Also where the mean stays; it votes, and has no finding of being no worse."""
    metric = CanaryMetric(
        name="shape", kind="score_distribution", tolerance=0.1, minimum_effect=0.1, vote="voting"
    )
    policy = CanaryPolicy(metrics=(ERRORS, metric))
    canary = replace(arm(GOOD[0]), histograms={"shape": (1300, 400, 1300)})
    control = replace(arm(GOOD[1]), histograms={"shape": (19_000, 19_000, 19_000)})
    found = judge(evidence(stretch(canary, control)), policy)
    assert (found.answer, objections(found)) == (CanaryAnswer.HOLD, {HARM})
    assert {f.subject for f in found.verdict.findings if f.rule == NO_WORSE} == {"errors"}
    same = replace(canary, histograms={"shape": (1000, 1000, 1000)})
    assert judge(evidence(stretch(same, control)), policy).answer is CanaryAnswer.ADVANCE


def test_quality_waits_for_blocks_and_then_decides() -> None:
    """Fewer blocks than declared are unknown and keep a critical metric from advancing."""
    metric = CanaryMetric(name="auc", kind="quality", tolerance=0.02)
    policy = CanaryPolicy(metrics=(metric,))

    def of_blocks(blocks: int, auc: float) -> CanaryEvidence:
        canary = replace(arm(GOOD[0]), means={"auc": moments(blocks, auc, sd=0.02)})
        control = replace(arm(GOOD[1]), means={"auc": moments(19 * blocks, 0.73, sd=0.02)})
        return evidence(stretch(canary, control))

    few = judge(of_blocks(19, 0.73), policy)
    assert (few.answer, objections(few)) == (CanaryAnswer.UNDECIDED, {HARM, NO_WORSE})
    assert judge(of_blocks(40, 0.73), policy).answer is CanaryAnswer.ADVANCE
    assert judge(of_blocks(40, 0.70), policy).answer is CanaryAnswer.ROLL_BACK


def test_needs_are_about_what_it_then_takes() -> None:
    """With so many more requests like the control's the step advances, with half of them not."""
    found = of(((300, 3), (5700, 57)))
    needs = judge(found).needs
    assert needs.requests is not None
    assert needs.minutes == pytest.approx(needs.requests * 60 / 300)

    def after(more: int) -> CanaryAnswer:
        n = 300 + more
        return judge(of(((n, n // 100), (19 * n, 19 * n // 100)))).answer

    assert after(int(1.1 * needs.requests)) is CanaryAnswer.ADVANCE
    assert after(needs.requests // 2) is CanaryAnswer.UNDECIDED


def test_needs_are_not_known_without_traffic() -> None:
    """Nothing says how long it takes."""
    found = judge(of(((0, 0), (0, 0)), canary_last_seen=None, control_last_seen=None))
    assert (found.needs.requests, found.needs.minutes) == (None, None)


def test_the_verdict_names_what_it_rests_on() -> None:
    """And reads back as it was recorded."""
    found = judge(of(GOOD))
    assert dict(found.verdict.evidence) == {
        "answer": "advance",
        "champion_digest": "champion",
        "policy_digest": POLICY.digest,
        "step": "0",
        "route_commits": "c0",
        "window": "2026-11-21T11:00:00+00:00/2026-11-21T12:00:00+00:00",
    }
    assert verdict_from_json(found.verdict.to_json()) == found.verdict
    assert {finding.rule for finding in found.verdict.findings} <= set(RULES)


counts = st.tuples(st.integers(0, 4000), st.integers(-1, 4000))


@given(
    canary=counts,
    control=counts,
    score=st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]),
    minutes=st.floats(-100, 10_000),
    seen=st.floats(-100, 10_000),
    problem=st.sampled_from(["", "broken"]),
    too_old=st.sampled_from(["hold", "roll_back"]),
)
@settings(max_examples=150, deadline=None)
def test_only_a_passing_verdict_advances(  # noqa: PLR0917 (one per thing that can go wrong)
    canary: tuple[int, int],
    control: tuple[int, int],
    score: float,
    minutes: float,
    seen: float,
    problem: str,
    too_old: str,
) -> None:
    """Whatever was counted: advance is pass, pass is advance, and neither without its minima."""
    policy = POLICY.model_copy(update={"when_too_old": too_old})
    found = judge(
        evidence(
            stretch(arm(canary, score=score), arm(control)),
            minutes=minutes,
            canary_last_seen=NOW - timedelta(minutes=seen),
            source_problem=problem,
        ),
        policy,
    )
    assert (found.answer is CanaryAnswer.ADVANCE) is (found.verdict.outcome is Outcome.PASS)
    if found.answer is CanaryAnswer.ADVANCE:
        assert not problem
        assert canary[0] >= STEP.minimum_requests
        assert STEP.minimum_minutes <= minutes <= policy.maximum_age_hours * 60
        assert -1 <= seen <= policy.stale_minutes


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        pytest.param({"metrics": (SCORE,)}, "at least one that is critical", id="no critical"),
        pytest.param({"metrics": (ERRORS, ERRORS)}, "every name once", id="a name twice"),
        pytest.param(
            {"slices": CanarySlices(columns=("a",), metrics=("score_mean",))},
            "slices.metrics: expected rates of",
            id="a slice of a mean",
        ),
        pytest.param({"alpha_roll_back": 0.0}, "greater than 0", id="alpha"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(declared: dict[str, Any], problem: str) -> None:
    """With what was expected."""
    with pytest.raises(ValidationError, match=problem):
        CanaryPolicy(**declared)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        pytest.param({"kind": "error_rate", "tolerance": 1.5}, "a rate below 1", id="tolerance"),
        pytest.param({"kind": "error_rate", "feature": "x"}, "missing_rate only", id="feature"),
        pytest.param({"kind": "quality", "expected_rate": 0.1}, "rate only", id="expected rate"),
        pytest.param({"kind": "score_distribution"}, "voting or muted", id="critical shape"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(declared: dict[str, Any], problem: str) -> None:
    """Naming the metric."""
    with pytest.raises(ValidationError, match=problem):
        CanaryMetric(**{"name": "m", "tolerance": 0.1, **declared})


@pytest.mark.parametrize(
    ("declared", "direction", "common"),
    [
        ({"kind": "error_rate"}, "increase", False),
        ({"kind": "latency_exceedance"}, "increase", False),
        ({"kind": "latency_exceedance", "quantile": 0.5}, "increase", True),
        ({"kind": "missing_rate", "expected_rate": 0.8}, "increase", True),
        ({"kind": "score_mean"}, "either", False),
        ({"kind": "quality"}, "decrease", False),
        ({"kind": "quality", "score": "log_loss"}, "increase", False),
        ({"kind": "reward", "harm": "increase"}, "increase", False),
    ],
)
def test_kinds_have_their_direction_and_test(
    declared: dict[str, Any], direction: str, common: bool
) -> None:
    """Unless declared otherwise."""
    metric = CanaryMetric(**{"name": "m", "tolerance": 0.1, **declared})
    assert (metric.direction, metric.is_common) == (direction, common)
