"""Whether the very artefact that would serve loads, answers like its estimator, and fits in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, compare

RULE = "is_servable"
DESCRIPTIONS = {
    RULE: "The artefact loads and answers like the estimator, fast enough and small enough.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

Positive = Annotated[float, Field(gt=0)]


class ServabilityPolicy(BaseModel):
    """What the artefact may cost, measured in a process of its own.

    Attributes
    ----------
    parity_limit
        Largest absolute difference between the artefact's and the estimator's answers.
    latency_limit_ms, latency_p99_limit_ms
        Time for one row, features encoded, at the median and at the 99th percentile.
    load_limit_ms
        Time from the files to a model that has answered once.
    memory_limit_mb
        Resident memory that loading and answering adds to the process, in 10^6 bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parity_limit: Annotated[float, Field(ge=0)] = 1e-12
    latency_limit_ms: Positive = 10.0
    latency_p99_limit_ms: Positive = 50.0
    load_limit_ms: Positive = 5000.0
    memory_limit_mb: Positive = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Servability:
    """What loading and asking the artefact took.

    Attributes
    ----------
    p50_ms, p95_ms, p99_ms
        Time of one row over ``n`` rows asked one by one.
    """

    n: int
    load_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServabilityEvidence:
    """What is known of the artefact.

    Attributes
    ----------
    parity
        Largest absolute difference of artefact and estimator over ``rows``; NaN if unknown.
    repeats
        Whether the same rows asked again gave the same answers, bit by bit.
    measured
        None with a ``problem`` if the artefact could not be loaded or did not answer, which fails;
        None without one if it was not asked, which is inconclusive.
    """

    rows: int
    parity: float
    repeats: bool
    measured: Servability | None
    problem: str = ""


def judge_servability(
    evidence: ServabilityEvidence, policy: ServabilityPolicy
) -> tuple[Finding, ...]:
    """Hold the artefact against the policy."""
    measured = evidence.measured
    if evidence.problem or measured is None:
        outcome = Outcome.FAIL if evidence.problem else Outcome.INCONCLUSIVE
        detail = evidence.problem or "nothing was measured"
        return (Finding(rule=RULE, subject="artefact", outcome=outcome, detail=detail),)
    repeats = Outcome.PASS if evidence.repeats else Outcome.FAIL
    limits = (
        ("latency of one row", measured.p50_ms, policy.latency_limit_ms, "ms, median"),
        ("slowest rows", measured.p99_ms, policy.latency_p99_limit_ms, "ms, 99th percentile"),
        ("load time", measured.load_ms, policy.load_limit_ms, "ms"),
        ("memory", measured.memory_mb, policy.memory_limit_mb, "MB"),
    )
    return (
        compare(
            rule=RULE,
            subject="answers like the estimator",
            observed=evidence.parity,
            limit=policy.parity_limit,
            bound="at most",
            unit="largest difference of answers",
            n=evidence.rows,
        ),
        Finding(
            rule=RULE,
            subject="answers the same twice",
            outcome=repeats if evidence.rows else Outcome.INCONCLUSIVE,
            n=evidence.rows,
            detail="" if evidence.rows else "there was no row to ask twice",
        ),
        *(
            compare(
                rule=RULE,
                subject=subject,
                observed=observed,
                limit=limit,
                bound="at most",
                unit=unit,
                n=measured.n,
            )
            for subject, observed, limit, unit in limits
        ),
    )
