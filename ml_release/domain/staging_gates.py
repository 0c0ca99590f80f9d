"""May this version go on from staging? What a real server was seen to do, held against a policy.

Nothing is asked or measured here; what was not seen is inconclusive.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain import request_contract
from ml_release.domain.identity import digest_of_json
from ml_release.domain.request_contract import ContractPolicy, judge_contract
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.staging_evidence import (
        Described,
        Refusals,
        RollbackTarget,
        SmokeAnswer,
        StagingEvidence,
    )
    from ml_release.domain.trial import LoadMeasured

JUDGE = "staging_gates/1"
DESCRIPTIONS = {
    "loads_in_time": "A new server process answers for the version soon after its start.",
    "explains_itself": "The server names the version and the digest that were declared, and"
    " every answer names the version.",
    "answers_as_recorded": "Answers over HTTP are those of the artefact in process, bit for bit.",
    "answers_are_finite": "Every answer is a finite number.",
    request_contract.RULE: request_contract.DESCRIPTIONS[request_contract.RULE],
    "malformed_requests_are_refused": "Bad bodies get a 4xx, and the server answers on.",
    "latency_is_within_limit": "Under load 99 of 100 requests are answered within the limit.",
    "errors_under_load": "Under load every request is answered.",
    "throughput": "Under load enough requests are answered per second.",
    "every_row_is_logged": "Whatever was answered is in the inference log.",
    "memory_is_within_limit": "The server keeps within its memory.",
    "rollback_target_is_loadable": "The present champion is loaded beside it, ready to answer.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)
_THROUGHPUT = "throughput"
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class StagingPolicy(BaseModel):
    """What a version has to do on a server before anybody meets it.

    Attributes
    ----------
    smoke_rows, minimum_smoke_rows
        Real rows that are asked one by one and compared; fewer than the minimum decide nothing.
    load_requests, load_connections, load_seconds
        Load: so many requests, at most so many at once, for at most so long.
    minimum_load_requests
        Fewer answered requests decide nothing about latency, errors and throughput.
    latency_p99_limit_ms
        As the client sees it under load.
    error_limit_share
        Of the requests under load, from 0 to 1.
    minimum_requests_per_s
        Answered under load; None does not judge it.
    memory_limit_mb
        Resident memory of the server process after the load, with the champion loaded besides, in
        10^6 bytes.
    start_limit_s
        From the start of the process until it answers for the version; it is ended after that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    smoke_rows: Count = 200
    minimum_smoke_rows: Count = 30
    load_requests: Count = 2000
    load_connections: Annotated[int, Field(ge=1, le=256)] = 8
    load_seconds: Positive = 20.0
    minimum_load_requests: Count = 200
    latency_p99_limit_ms: Positive = 250.0
    error_limit_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    minimum_requests_per_s: Positive | None = None
    memory_limit_mb: Positive = 1000.0
    start_limit_s: Positive = 60.0
    contract: ContractPolicy = Field(default_factory=ContractPolicy)

    @property
    def judged(self) -> tuple[str, ...]:
        """Rules that are applied: throughput only where a limit is declared."""
        left_out = {_THROUGHPUT} if self.minimum_requests_per_s is None else set()
        return tuple(rule for rule in RULES if rule not in left_out)

    @property
    def digest(self) -> str:
        """Digest of the policy, which a verdict names."""
        return digest_of_json(self.model_dump(mode="json"))


def judge_staging(
    evidence: StagingEvidence,
    policy: StagingPolicy,
    *,
    line: str,
    version: int,
    model_digest: str,
    rests_on: Mapping[str, str],
) -> Verdict:
    """Hold what was seen against the policy.

    Parameters
    ----------
    rests_on
        Digests of what was compared with; that of the policy is added.
    """
    findings = (
        _loads(evidence, policy),
        *_explains(evidence.described, version, model_digest),
        *_smoke(evidence.smoke, policy),
        *judge_contract(
            evidence.kept, evidence.offered, policy.contract, subject=evidence.contract_of
        ),
        *_refuses(evidence.refusals),
        *_load(evidence.load, policy),
        _logs(evidence),
        compare(
            rule="memory_is_within_limit",
            subject="server process",
            observed=evidence.memory_mb,
            limit=policy.memory_limit_mb,
            bound="at most",
            unit="MB",
        ),
        _rollback(evidence.rollback),
    )
    return Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=model_digest,
        evidence={**rests_on, "policy_digest": policy.digest},
        findings=findings,
    )


def _loads(evidence: StagingEvidence, policy: StagingPolicy) -> Finding:
    rule, subject = "loads_in_time", "server process"
    if evidence.problem:
        # Whatever the reason, this version was not seen to load: in production it would be an
        # outage.
        return Finding(rule=rule, subject=subject, outcome=Outcome.FAIL, detail=evidence.problem)
    return compare(
        rule=rule,
        subject=subject,
        observed=evidence.start_s,
        limit=policy.start_limit_s,
        bound="at most",
        unit="s",
    )


def _explains(described: Described | None, version: int, model_digest: str) -> tuple[Finding, ...]:
    rule = "explains_itself"
    if described is None:
        return (_unseen(rule, "server", "the server was not asked what it serves"),)
    answers = sum(described.named.values())
    others = {number: n for number, n in described.named.items() if number != version}
    claims = (
        ("version", described.versions == (version,), f"found {list(described.versions)}"),
        (
            "model digest",
            described.model_digest == model_digest,
            f"found {described.model_digest or 'none'}",
        ),
    )
    return (
        *(
            Finding(
                rule=rule,
                subject=subject,
                outcome=Outcome.PASS if holds else Outcome.FAIL,
                detail="" if holds else found,
            )
            for subject, holds, found in claims
        ),
        compare(
            rule=rule,
            subject="answers of another version, or of none",
            observed=float(sum(others.values())) if answers else None,
            limit=0,
            bound="at most",
            unit="answers",
            n=answers,
            detail=f"found {_counts(others)}" if others else "",
        ),
    )


def _counts(named: Mapping[int | None, int]) -> str:
    return ", ".join(f"{n} of {'none' if v is None else v}" for v, n in named.items())


def _smoke(smoke: tuple[SmokeAnswer, ...], policy: StagingPolicy) -> tuple[Finding, ...]:
    different = [one for one in smoke if not one.is_equal]
    answered = [one.answered for one in smoke if one.answered is not None]
    wild = sum(not all(map(math.isfinite, answer)) or not answer for answer in answered)
    return (
        compare(
            rule="answers_as_recorded",
            subject="real rows",
            observed=float(len(different)) if smoke else None,
            limit=0,
            bound="at most",
            unit="rows answered otherwise",
            n=len(smoke),
            # One difference is a proof; that there is none takes enough rows.
            minimum_n=1 if different else policy.minimum_smoke_rows,
            detail=_difference(different[0]) if different else "",
        ),
        compare(
            rule="answers_are_finite",
            subject="real rows",
            observed=float(wild) if answered else None,
            limit=0,
            bound="at most",
            unit="answers that are not finite",
            n=len(answered),
            minimum_n=1 if wild else policy.minimum_smoke_rows,
        ),
    )


def _difference(one: SmokeAnswer) -> str:
    expected = ", ".join(map(repr, one.expected))
    found = "no answer" if one.answered is None else ", ".join(map(repr, one.answered))
    return f"expected {expected}, found {found}" + (f" ({one.problem})" if one.problem else "")


def _refuses(refusals: Refusals | None) -> tuple[Finding, ...]:
    rule = "malformed_requests_are_refused"
    if refusals is None:
        return (_unseen(rule, "bad bodies", "none was sent"),)
    taken = ", ".join(f"{name}: {status}" for name, status in refusals.taken.items())
    return (
        compare(
            rule=rule,
            subject="bad bodies",
            observed=float(len(refusals.taken)),
            limit=0,
            bound="at most",
            unit="bodies without a 4xx",
            n=refusals.cases,
            detail=taken,
        ),
        Finding(
            rule=rule,
            subject="a good request after them",
            outcome=Outcome.PASS if refusals.answers_on else Outcome.FAIL,
            detail="" if refusals.answers_on else "it is not answered as before",
        ),
    )


def _load(load: LoadMeasured | None, policy: StagingPolicy) -> tuple[Finding, ...]:
    sent = 0 if load is None else load.requests
    answers = 0 if load is None else len(load.latencies_ms)
    acknowledged = 0 if load is None else len(load.acknowledged)
    minimum = policy.minimum_load_requests
    found = [
        compare(
            rule="latency_is_within_limit",
            subject="99th percentile",
            observed=None if load is None else load.quantile_ms(0.99),
            limit=policy.latency_p99_limit_ms,
            bound="at most",
            unit="ms",
            n=answers,
            minimum_n=minimum,
        ),
        compare(
            rule="errors_under_load",
            subject="requests",
            observed=None if load is None or not sent else load.failed / sent,
            limit=policy.error_limit_share,
            bound="at most",
            unit="share not answered with 200",
            n=sent,
            minimum_n=minimum,
        ),
    ]
    if policy.minimum_requests_per_s is not None:
        found.append(
            compare(
                rule=_THROUGHPUT,
                subject=f"{policy.load_connections} connections",
                observed=None if load is None else load.requests_per_s,
                limit=policy.minimum_requests_per_s,
                bound="at least",
                unit="requests per second",
                n=acknowledged,
                minimum_n=minimum,
            )
        )
    return tuple(found)


def _logs(evidence: StagingEvidence) -> Finding:
    unlogged = evidence.unlogged
    return compare(
        rule="every_row_is_logged",
        subject="acknowledged requests",
        observed=None if unlogged is None or not evidence.acknowledged else float(unlogged),
        limit=0,
        bound="at most",
        unit="requests that are not in the log once",
        n=evidence.acknowledged,
    )


def _rollback(target: RollbackTarget | None) -> Finding:
    rule = "rollback_target_is_loadable"
    if target is None:
        return _unseen(rule, "champion", "it was not looked at")
    if target.version is None:
        return Finding(
            rule=rule,
            subject="no champion",
            outcome=Outcome.PASS,
            detail="nothing answers in production yet, so there is nothing to go back to",
        )
    subject = f"version {target.version}"
    if target.is_loaded is None:
        return _unseen(rule, subject, "the server did not say whether it is loaded")
    outcome = Outcome.PASS if target.is_loaded else Outcome.FAIL
    detail = "" if target.is_loaded else target.problem or "it is not loaded"
    return Finding(rule=rule, subject=subject, outcome=outcome, detail=detail)


def _unseen(rule: str, subject: str, detail: str) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail)
