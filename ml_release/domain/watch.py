"""Whether a release that answers everybody may leave the watch: finish, hold, or roll back.

Harm that is shown rolls back. Finishing takes time, traffic, matured labels, and every rule passed.
Everything else holds, and says what it waits for: no traffic, no labels, a broken source. A watch
that has become too old for that is decided by the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Outcome, Verdict
from ml_release.domain.watch_evidence import Baseline as Baseline  # noqa: PLC0414 (passed on)
from ml_release.domain.watch_evidence import (
    WatchEvidence as WatchEvidence,  # noqa: PLC0414, TC001 (passed on)
)
from ml_release.domain.watch_findings import DESCRIPTIONS as DESCRIPTIONS  # noqa: PLC0414
from ml_release.domain.watch_findings import watch_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.verdict import Finding

JUDGE = "watch/1"
RULES = tuple(DESCRIPTIONS)
Answer = Literal["finish", "hold", "roll_back"]
Share = Annotated[float, Field(gt=0, lt=1)]
ScoreName = Literal["auc_score", "log_loss"]


class WatchPolicy(BaseModel):
    """When a watch ends, and how.

    Attributes
    ----------
    minimum_hours
        Nothing finishes earlier; hours since the release answers everybody.
    maximum_days, at_maximum
        What is done with a watch that is older and neither finished nor harmful.
    minimum_requests
        That the version was to answer.
    window_minutes, violations_needed, window_minimum_requests
        Errors, latency and missing answers are harm if so many windows in a row show more than
        their limit, or if the whole watch does even without its worst windows, one fewer than
        that. Windows with fewer requests are joined with the next ones.
    error_rate_limit, missing_answer_limit
        Shares of requests and of rows.
    error_increase_limit
        Greatest increase of the error rate over the control's during the canary.
    minimum_baseline_requests
        Fewer requests of the control are no baseline.
    latency_p99_limit_ms
        99th percentile, of requests as the endpoint server measures them.
    minimum_labelled, labelled_share_floor
        Answers with a label that is due, and their share of all those that are due. Labels of
        binary classifiers only: others are not judged by labels.
    score_margins
        ``auc_score`` or ``log_loss`` to how much worse than the worse end of its evaluated interval
        it may be served. None named: no score is judged.
    sampled_answers
        So many answers of a watch, drawn by chance, wait for their labels.
    confidence
        One-sided, of every rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_hours: Annotated[float, Field(gt=0)] = 24.0
    maximum_days: Annotated[float, Field(gt=0)] = 14.0
    at_maximum: Answer = "hold"
    minimum_requests: Annotated[int, Field(ge=1)] = 1000
    window_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    violations_needed: Annotated[int, Field(ge=1)] = 3
    window_minimum_requests: Annotated[int, Field(ge=1)] = 20
    error_rate_limit: Share = 0.01
    error_increase_limit: Share = 0.01
    minimum_baseline_requests: Annotated[int, Field(ge=1)] = 200
    latency_p99_limit_ms: Annotated[float, Field(gt=0)] = 100.0
    missing_answer_limit: Share = 0.01
    minimum_labelled: Annotated[int, Field(ge=2)] = 500
    labelled_share_floor: Annotated[float, Field(ge=0, le=1)] = 0.8
    score_margins: Mapping[ScoreName, Annotated[float, Field(gt=0, le=1)]] = {"auc_score": 0.03}
    sampled_answers: Annotated[int, Field(ge=2, le=100_000)] = 10_000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        problems = []
        if self.maximum_days * 24 <= self.minimum_hours:
            problems.append(
                f"maximum_days: expected more than minimum_hours = {self.minimum_hours:g} hours,"
                f" found {self.maximum_days:g} days"
            )
        if self.sampled_answers < self.minimum_labelled:
            problems.append(
                f"sampled_answers: expected at least minimum_labelled = {self.minimum_labelled},"
                f" found {self.sampled_answers}; so many labels would never be there"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def digest(self) -> str:
        """Of its canonical form."""
        return digest_of_json(self.model_dump(mode="json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchVerdict:
    """What is to be done with a watched release, and why.

    Attributes
    ----------
    verdict
        Its findings; its evidence names the answer too, so that the record holds it.
    waits_for
        In words, every rule that is neither passed nor failed; empty unless it holds.
    """

    answer: Answer
    reason: str
    verdict: Verdict
    waits_for: tuple[str, ...] = ()


def judge_watch(evidence: WatchEvidence, policy: WatchPolicy) -> WatchVerdict:
    """Judge a watched release as of ``evidence.now``."""
    findings = watch_findings(evidence, policy)
    answer, reason = _answer(evidence, policy, findings)
    held = [f for f in findings if f.votes and f.outcome is not Outcome.PASS]
    return WatchVerdict(
        answer=answer,
        reason=reason,
        waits_for=tuple(f.sentence() for f in held) if answer == "hold" else (),
        verdict=Verdict(
            judge=JUDGE,
            line=evidence.line,
            subject_digest=evidence.model_digest,
            evidence={
                "answer": answer,
                "declared_commit": evidence.declared_commit,
                "policy_digest": policy.digest,
                "champion_digest": evidence.model_digest,
                "judged_at": evidence.now.isoformat(),
            },
            findings=findings,
        ),
    )


def _answer(
    evidence: WatchEvidence, policy: WatchPolicy, findings: Sequence[Finding]
) -> tuple[Answer, str]:
    voting = [finding for finding in findings if finding.votes]
    harm = [finding for finding in voting if finding.outcome is Outcome.FAIL]
    waiting = [finding for finding in voting if finding.outcome is not Outcome.PASS]
    if harm:
        return "roll_back", "; ".join(finding.sentence() for finding in harm)
    if not waiting:
        return "finish", "every rule passed"
    rules = ", ".join(dict.fromkeys(finding.rule for finding in waiting))
    # What cannot be read is repaired, not waited for: age says nothing of it.
    if evidence.source_problem:
        return "hold", f"the evidence is not whole: {evidence.source_problem}"
    if evidence.age > timedelta(days=policy.maximum_days):
        return policy.at_maximum, (
            f"older than {policy.maximum_days:g} days with open rules ({rules}); the policy says"
            f" {policy.at_maximum.replace('_', ' ')}"
        )
    return "hold", f"open rules: {rules}"
