"""Whether a rollback has worked, by what was served since: judged on counts of the inference log.

What Git declares says what should serve. That it does is only shown by answers: those of the
restored version, and none any more of the withdrawn one. Without traffic nobody can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ml_release.domain.deployment import Declaration

JUDGE = "rollback_verification/1"
READY = "endpoint_is_ready"
ANSWERS = "restored_version_answers"
SILENT = "withdrawn_version_is_silent"
ERRORS = "errors_are_as_before"
LATENCY = "latency_is_as_before"
SCORES = "answers_are_the_restored_models"
MEAN = "mean_score_is_as_before"
FEATURES = "features_match"
MONITORED = "drift_is_watched"
DESCRIPTIONS = {
    READY: "The endpoint says that it is ready for the line.",
    ANSWERS: "Enough requests were answered by the restored version since the rollback.",
    SILENT: "Nobody was answered by the withdrawn version once the endpoint had time to switch.",
    ERRORS: "The restored version fails no more often than it did before.",
    LATENCY: "The restored version is about as fast as it was before.",
    SCORES: "Every answer is, bit for bit, what the restored artefact says to the logged features.",
    MEAN: "The mean answer is about what it was before; other traffic has another mean.",
    FEATURES: "Answers come from the restored artefact and its features.",
    MONITORED: "A window of the restored version's answers was recorded.",
}
RULES = tuple(DESCRIPTIONS)


class VerificationPolicy(BaseModel):
    """When a rollback counts as verified.

    Attributes
    ----------
    minimum_requests
        Answered by the restored version since; fewer say nothing.
    grace_s
        Seconds from the commit, within which the withdrawn version may still answer: the endpoint
        has to learn of it.
    error_share_margin
        By how much the share of failed requests may exceed that of before, from 0 to 1.
    latency_ratio_limit
        p95 since, over p95 before.
    mean_score_margin
        By how much the mean answer may differ from that of before, as a share of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_requests: Annotated[int, Field(ge=1)] = 20
    grace_s: Annotated[float, Field(ge=0)] = 30.0
    error_share_margin: Annotated[float, Field(ge=0, le=1)] = 0.01
    latency_ratio_limit: Annotated[float, Field(ge=1)] = 1.5
    mean_score_margin: Annotated[float, Field(ge=0)] = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The last rollback of a line.

    Attributes
    ----------
    restored
        The declaration that made it.
    withdrawn
        The versions that it took out of service.
    commits
        Of every declaration since, itself included, under which the traffic is what it left.
    """

    restored: Declaration
    withdrawn: tuple[int, ...]
    commits: frozenset[str]


def last_rollback(history: Sequence[Declaration]) -> RolledBack | None:
    """The newest declaration that took a version out of service; None if there is none.

    Parameters
    ----------
    history
        Sealed declarations, oldest first.
    """
    for place in range(len(history) - 1, 0, -1):
        before, after = history[place - 1].state, history[place].state
        gone = set(after.withdrawn) - set(before.withdrawn)
        if not gone or (before.variants, before.shadows) == (after.variants, after.shadows):
            continue
        commits = []
        for later in history[place:]:
            if later.state.variants != after.variants:
                break
            commits.append(later.commit)
        return RolledBack(
            restored=history[place], withdrawn=tuple(sorted(gone)), commits=frozenset(commits)
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Requests that one version answered, or failed to, in some time.

    Attributes
    ----------
    requests, failed
        Requests, and those among them that were not answered as they should be.
    latency_p95_ms, mean_score
        None without any; ``mean_score`` also for answers that are several probabilities.
    """

    requests: int = 0
    failed: int = 0
    latency_p95_ms: float | None = None
    mean_score: float | None = None

    @property
    def failed_share(self) -> float | None:
        """From 0 to 1; None without a request."""
        return self.failed / self.requests if self.requests else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSeen:
    """What is known of a rollback.

    Attributes
    ----------
    rolled_back_at
        Time of the commit, to the second.
    is_ready
        What the endpoint says; None if it could not be asked.
    before, since
        Of the restored version, before the rollback and since.
    first_restored_at, last_withdrawn_at
        When the restored version was first asked since, and a withdrawn one last; None for never.
    late
        Requests that a withdrawn version answered after the grace.
    rescored, unequal
        Rows since that were asked of the artefact again, and those that it answers otherwise.
    is_masked
        Whether some features are logged as hashes or not at all, so that nothing can be asked.
    foreign
        Rows since that name another artefact, or other features than it has.
    window_version, window_rows
        Of the newest recorded window; None and 0 without one.
    """

    version: int
    withdrawn: tuple[int, ...]
    rolled_back_at: datetime
    is_ready: bool | None
    before: Answered
    since: Answered
    first_restored_at: datetime | None
    last_withdrawn_at: datetime | None
    late: int
    rescored: int
    unequal: int
    is_masked: bool
    foreign: int
    window_version: int | None
    window_rows: int

    @property
    def seconds_to_restored(self) -> float | None:
        """From the commit to the first request of the restored version; None if there is none."""
        return _seconds(self.rolled_back_at, self.first_restored_at)

    @property
    def seconds_to_silence(self) -> float | None:
        """From the commit to the last request of a withdrawn version; below 0 if before it."""
        return _seconds(self.rolled_back_at, self.last_withdrawn_at)


def judge_rollback(
    seen: RollbackSeen, policy: VerificationPolicy, *, line: str, commit: str
) -> Verdict:
    """Whether a rollback has worked; inconclusive as long as nobody asked the restored version."""
    subject = f"version {seen.version}"
    n = seen.since.requests
    has_before = seen.before.requests >= policy.minimum_requests
    findings = (
        _ready(seen, subject),
        compare(
            rule=ANSWERS,
            subject=subject,
            observed=n or None,
            limit=policy.minimum_requests,
            bound="at least",
            unit="requests",
            n=n,
            minimum_n=policy.minimum_requests,
            detail="" if n else "not verified yet: no requests since",
        ),
        _silent(seen, policy),
        _beside(
            ERRORS,
            subject,
            seen.since.failed_share,
            None if not has_before else seen.before.failed_share,
            lambda before: min(1.0, before + policy.error_share_margin),
            unit="share of the requests",
            n=n,
            policy=policy,
        ),
        _beside(
            LATENCY,
            subject,
            seen.since.latency_p95_ms,
            None if not has_before else seen.before.latency_p95_ms,
            lambda before: before * policy.latency_ratio_limit,
            unit="ms, p95",
            n=n,
            policy=policy,
        ),
        _scores(seen, subject, policy),
        _mean(seen, subject, policy),
        compare(
            rule=FEATURES,
            subject=subject,
            observed=seen.foreign if n else None,
            limit=0,
            bound="at most",
            unit="rows",
            n=n,
            minimum_n=policy.minimum_requests,
        ),
        _monitored(seen, subject),
    )
    return Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=commit,
        evidence={"commit": commit},
        findings=findings,
    )


def _ready(seen: RollbackSeen, subject: str) -> Finding:
    if seen.is_ready is None:
        # It need not be within reach of whoever asks: what was served is in the log.
        said = "it could not be asked from here; its log is judged"
        return Finding(
            rule=READY, subject=subject, outcome=Outcome.INCONCLUSIVE, votes=False, detail=said
        )
    outcome = Outcome.PASS if seen.is_ready else Outcome.FAIL
    return Finding(rule=READY, subject=subject, outcome=outcome)


def _silent(seen: RollbackSeen, policy: VerificationPolicy) -> Finding:
    names = ", ".join(f"version {number}" for number in seen.withdrawn)
    asked = seen.since.requests + seen.late
    return compare(
        rule=SILENT,
        subject=names,
        # Silence is only heard where somebody asks.
        observed=seen.late if asked else None,
        limit=0,
        bound="at most",
        unit=f"requests more than {policy.grace_s:g} s after the rollback",
        n=asked,
        detail="" if asked else "not verified yet: no requests since",
    )


def _beside(
    rule: str,
    subject: str,
    since: float | None,
    before: float | None,
    limit: Callable[[float], float],
    *,
    unit: str,
    n: int,
    policy: VerificationPolicy,
) -> Finding:
    if before is None:
        said = f"fewer than {policy.minimum_requests} requests before to compare with"
        return Finding(
            rule=rule,
            subject=subject,
            outcome=Outcome.INCONCLUSIVE,
            observed=since,
            n=n,
            detail=said,
        )
    return compare(
        rule=rule,
        subject=subject,
        observed=since,
        limit=limit(before),
        bound="at most",
        unit=unit,
        n=n,
        minimum_n=policy.minimum_requests,
        detail=f"before: {before:.6g}" if since is not None else "",
    )


def _scores(seen: RollbackSeen, subject: str, policy: VerificationPolicy) -> Finding:
    if seen.is_masked:
        said = "logged features are masked, so nothing can be asked again; the mean is judged"
        return Finding(
            rule=SCORES, subject=subject, outcome=Outcome.INCONCLUSIVE, votes=False, detail=said
        )
    return compare(
        rule=SCORES,
        subject=subject,
        observed=seen.unequal if seen.rescored else None,
        limit=0,
        bound="at most",
        unit="rows answered otherwise",
        n=seen.rescored,
        minimum_n=policy.minimum_requests,
    )


def _mean(seen: RollbackSeen, subject: str, policy: VerificationPolicy) -> Finding:
    before, since = seen.before.mean_score, seen.since.mean_score
    relative = None
    if before is not None and since is not None and before != 0:
        relative = abs(since - before) / abs(before)
    return compare(
        rule=MEAN,
        subject=subject,
        observed=relative,
        limit=policy.mean_score_margin,
        bound="at most",
        unit="of the mean before",
        n=seen.since.requests,
        minimum_n=policy.minimum_requests,
        # Another hour asks other things: where every answer can be asked again, that decides.
        votes=seen.is_masked,
    )


def _monitored(seen: RollbackSeen, subject: str) -> Finding:
    is_own = seen.window_version == seen.version and seen.window_rows > 0
    if is_own:
        return Finding(rule=MONITORED, subject=subject, outcome=Outcome.PASS, n=seen.window_rows)
    said = (
        "no window was recorded"
        if seen.window_version is None
        else f"the newest window is of version {seen.window_version}, with {seen.window_rows} rows"
    )
    return Finding(rule=MONITORED, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=said)


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()
