"""What a server has shown, held against the policy; what it has not shown never passes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.artefact import InputField
from ml_release.domain.request_contract import RequestContract
from ml_release.domain.staging_evidence import (
    Described,
    Refusals,
    RollbackTarget,
    SmokeAnswer,
    StagingEvidence,
)
from ml_release.domain.staging_gates import DESCRIPTIONS, StagingPolicy, judge_staging
from ml_release.domain.trial import LoadMeasured
from ml_release.domain.verdict import Outcome, Verdict

DIGEST = "sha256:" + "1" * 64
POLICY = StagingPolicy(
    minimum_smoke_rows=2,
    minimum_load_requests=3,
    latency_p99_limit_ms=10.0,
    minimum_requests_per_s=2.0,
    memory_limit_mb=100.0,
    start_limit_s=5.0,
)
CONTRACT = RequestContract(
    inputs=(InputField(name="distance", type="number", nullable=True),),
    output="probability_late",
    output_kind="probability",
    classes=None,
    personal={},
    words={},
)
SMOKE = tuple(SmokeAnswer(expected=(p,), answered=(p,)) for p in (0.1, 0.2))
LOAD = LoadMeasured(
    acknowledged=("a", "b", "c"), failed=0, seconds=1.0, latencies_ms=(1.0, 2.0, 3.0)
)
GOOD = StagingEvidence(
    start_s=1.0,
    described=Described(versions=(2,), model_digest=DIGEST, named={2: 2}),
    smoke=SMOKE,
    together=SMOKE,
    kept=CONTRACT,
    offered=CONTRACT,
    refusals=Refusals(cases=4, taken={}, answers_on=True),
    load=LOAD,
    acknowledged=5,
    unlogged=0,
    memory_mb=50.0,
    rollback=RollbackTarget(version=1, is_loaded=True),
)


def judge(evidence: StagingEvidence, policy: StagingPolicy = POLICY) -> Verdict:
    return judge_staging(
        evidence,
        policy,
        line="flight_delay",
        version=2,
        model_digest=DIGEST,
        rests_on={"champion_digest": "none"},
    )


def held(verdict: Verdict) -> dict[str, Outcome]:
    """Rules that do not pass, with the worst that was found."""
    return {finding.rule: finding.outcome for finding in reversed(verdict.objections)}


def smoke(*answered: tuple[float, ...] | None, expected: float = 0.1) -> tuple[SmokeAnswer, ...]:
    return tuple(SmokeAnswer(expected=(expected,), answered=one) for one in answered)


def test_a_version_that_does_everything_passes() -> None:
    """Every rule has found something, and the verdict says what it rests on."""
    verdict = judge(GOOD)
    assert verdict.outcome is Outcome.PASS
    assert {finding.rule for finding in verdict.findings} == set(DESCRIPTIONS)
    assert verdict.subject_digest == DIGEST
    assert verdict.evidence == {"champion_digest": "none", "policy_digest": POLICY.digest}


def test_nothing_that_was_not_seen_passes() -> None:
    """No evidence at all is inconclusive, rule by rule."""
    assert held(judge(StagingEvidence())) == dict.fromkeys(DESCRIPTIONS, Outcome.INCONCLUSIVE)


CASES: dict[str, tuple[dict[str, Any], dict[str, Outcome]]] = {
    "no start": (
        {"problem": "exit code 3"},
        {"loads_in_time": Outcome.FAIL},
    ),
    "late start": ({"start_s": 5.1}, {"loads_in_time": Outcome.FAIL}),
    "start time is not known": ({"start_s": None}, {"loads_in_time": Outcome.INCONCLUSIVE}),
    "another version": (
        {"described": Described(versions=(3,), model_digest=DIGEST, named={2: 2})},
        {"explains_itself": Outcome.FAIL},
    ),
    "one version too many": (
        {"described": Described(versions=(1, 2), model_digest=DIGEST, named={2: 2})},
        {"explains_itself": Outcome.FAIL},
    ),
    "no digest": (
        {"described": Described(versions=(2,), model_digest=None, named={2: 2})},
        {"explains_itself": Outcome.FAIL},
    ),
    "an answer names no version": (
        {"described": Described(versions=(2,), model_digest=DIGEST, named={2: 2, None: 1})},
        {"explains_itself": Outcome.FAIL},
    ),
    "no answer names any": (
        {"described": Described(versions=(2,), model_digest=DIGEST, named={})},
        {"explains_itself": Outcome.INCONCLUSIVE},
    ),
    "the last bit": (
        {"smoke": smoke((0.1,), (math.nextafter(0.1, 1),))},
        {"answers_as_recorded": Outcome.FAIL},
    ),
    "the last bit of a batch": (
        {"together": smoke((0.1,), (math.nextafter(0.1, 1),))},
        {"answers_as_recorded": Outcome.FAIL},
    ),
    "one difference in too few rows": (
        {"smoke": smoke((0.2,))},
        {"answers_as_recorded": Outcome.FAIL, "answers_are_finite": Outcome.INCONCLUSIVE},
    ),
    "too few rows": (
        {"smoke": SMOKE[:1]},
        dict.fromkeys(("answers_as_recorded", "answers_are_finite"), Outcome.INCONCLUSIVE),
    ),
    "the sign of zero": (
        {"smoke": smoke((0.0,), (-0.0,), expected=0.0)},
        {"answers_as_recorded": Outcome.FAIL},
    ),
    "no answer": (
        {"smoke": smoke((0.1,), (0.1,), None)},
        {"answers_as_recorded": Outcome.FAIL},
    ),
    "several numbers for one": (
        {"smoke": smoke((0.1,), (0.1, 0.9))},
        {"answers_as_recorded": Outcome.FAIL},
    ),
    "equal and not finite": (
        {"smoke": smoke((math.nan,), (math.nan,), expected=math.nan)},
        {"answers_are_finite": Outcome.FAIL},
    ),
    "an answer without a number": (
        {"smoke": (SmokeAnswer(expected=(), answered=()), *SMOKE)},
        {"answers_are_finite": Outcome.FAIL},
    ),
    "a bad body is taken": (
        {"refusals": Refusals(cases=4, taken={"no body": 200}, answers_on=True)},
        {"malformed_requests_are_refused": Outcome.FAIL},
    ),
    "none after bad bodies": (
        {"refusals": Refusals(cases=4, taken={}, answers_on=False)},
        {"malformed_requests_are_refused": Outcome.FAIL},
    ),
    "slow": (
        {"load": replace(LOAD, latencies_ms=(1.0, 2.0, 10.1))},
        {"latency_is_within_limit": Outcome.FAIL},
    ),
    "one request fails": (
        {"load": replace(LOAD, failed=1)},
        {"errors_under_load": Outcome.FAIL},
    ),
    "too slow in all": (
        {"load": replace(LOAD, seconds=2.0)},
        {"throughput": Outcome.FAIL},
    ),
    "nobody was answered": (
        {"load": LoadMeasured(acknowledged=(), failed=9, seconds=1.0, latencies_ms=())},
        {
            "latency_is_within_limit": Outcome.INCONCLUSIVE,
            "errors_under_load": Outcome.FAIL,
            "throughput": Outcome.INCONCLUSIVE,
        },
    ),
    "too few requests": (
        {"load": replace(LOAD, acknowledged=("a",), latencies_ms=(1.0,))},
        {
            "latency_is_within_limit": Outcome.INCONCLUSIVE,
            "errors_under_load": Outcome.INCONCLUSIVE,
            "throughput": Outcome.INCONCLUSIVE,
        },
    ),
    "one is not logged": ({"unlogged": 1}, {"every_row_is_logged": Outcome.FAIL}),
    "the log is not known": ({"unlogged": None}, {"every_row_is_logged": Outcome.INCONCLUSIVE}),
    "nothing to log": ({"acknowledged": 0}, {"every_row_is_logged": Outcome.INCONCLUSIVE}),
    "too much memory": ({"memory_mb": 100.1}, {"memory_is_within_limit": Outcome.FAIL}),
    "memory is no number": (
        {"memory_mb": math.nan},
        {"memory_is_within_limit": Outcome.INCONCLUSIVE},
    ),
    "the champion is not loaded": (
        {"rollback": RollbackTarget(version=1, is_loaded=False)},
        {"rollback_target_is_loadable": Outcome.FAIL},
    ),
    "the server does not say": (
        {"rollback": RollbackTarget(version=1)},
        {"rollback_target_is_loadable": Outcome.INCONCLUSIVE},
    ),
    "the first release": ({"rollback": RollbackTarget(version=None)}, {}),
    "the contract of the champion is not known": (
        {"kept": None},
        {"contract_is_kept": Outcome.INCONCLUSIVE},
    ),
    "another output": (
        {"offered": CONTRACT.model_copy(update={"output": "p"})},
        {"contract_is_kept": Outcome.FAIL},
    ),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES.keys())
def test_one_thing_is_held_by_its_rule(
    change: dict[str, Any], expected: dict[str, Outcome]
) -> None:
    """By that rule, and by no other."""
    assert held(judge(replace(GOOD, **change))) == expected


@pytest.mark.parametrize(
    ("limit", "change"),
    [
        ("latency_p99_limit_ms", {"load": replace(LOAD, latencies_ms=(10.0,) * 3)}),
        ("memory_limit_mb", {"memory_mb": 100.0}),
        ("start_limit_s", {"start_s": 5.0}),
    ],
)
def test_a_value_at_its_limit_keeps_it(limit: str, change: dict[str, Any]) -> None:
    """At most means at most; a hair less and it fails."""
    evidence = replace(GOOD, **change)
    assert judge(evidence).outcome is Outcome.PASS
    tighter = POLICY.model_copy(update={limit: getattr(POLICY, limit) * 0.999})
    assert judge(evidence, tighter).outcome is Outcome.FAIL


def test_throughput_is_judged_where_it_is_declared() -> None:
    """Without a limit there is neither a check nor a finding."""
    silent = POLICY.model_copy(update={"minimum_requests_per_s": None})
    assert "throughput" in POLICY.judged
    assert "throughput" not in silent.judged
    verdict = judge(replace(GOOD, load=replace(LOAD, seconds=1e9)), silent)
    assert verdict.outcome is Outcome.PASS
    assert "throughput" not in {finding.rule for finding in verdict.findings}


@pytest.mark.parametrize(
    "change",
    [
        {"smoke_rows": 0},
        {"load_connections": 0},
        {"load_connections": 1000},
        {"load_seconds": math.inf},
        {"error_limit_share": 1.1},
        {"latency_p99_limit_ms": 0},
        {"contract": {"lost_words_limit_share": -0.1}},
        {"p99": 3},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    """Unknown words too."""
    with pytest.raises(ValidationError):
        StagingPolicy.model_validate(change)


@given(
    latencies=st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200),
    level=st.floats(0.01, 1.0),
)
def test_a_quantile_is_kept_by_its_share_and_by_no_smaller_value(
    latencies: list[float], level: float
) -> None:
    """The smallest of the latencies below or at which that share lies."""
    measured = replace(LOAD, latencies_ms=tuple(latencies))
    found = measured.quantile_ms(level)
    assert found in latencies
    n = len(latencies)
    assert sum(one <= found for one in latencies) >= level * n - 1e-6
    assert sum(one < found for one in latencies) < level * n + 1e-6
