"""Whether Git, the registry and the inference log tell the same story.

Git declares what should serve, the registry says what a version is, the log shows what was served.
Each is kept by another hand. Where two of them disagree, this names the disagreement; Git decides
what is right. What cannot be read is never taken for agreement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.identity import digest_of_json
from ml_release.domain.truth_findings import DESCRIPTIONS as DESCRIPTIONS  # noqa: PLC0414 (passed on)
from ml_release.domain.truth_findings import truth_findings
from ml_release.domain.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.kill_switch import Pulled
    from ml_release.domain.truth_tally import ServedMinute, Split

JUDGE = "three_truths/1"
RULES = tuple(DESCRIPTIONS)


class TruthsPolicy(BaseModel):
    """How the three truths are compared.

    Attributes
    ----------
    grace_seconds
        How long a server may go on by the declaration before: it looks for a new one, loads and
        warms a version, and finishes what is in flight. A pulled kill switch has so long to come
        into Git.
    window_minutes
        How far back is looked, up to now.
    minimum_requests
        Answered in the window, below which nobody can tell.
    alpha
        Probability with which a split as declared is taken for one that is not, over the whole
        life of a declaration, and with which chance alone leaves out a version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    grace_seconds: Annotated[float, Field(ge=0)] = 120.0
    window_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    minimum_requests: Annotated[int, Field(ge=1)] = 20
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.001

    @property
    def grace(self) -> timedelta:
        """As a length of time."""
        return timedelta(seconds=self.grace_seconds)

    @property
    def window(self) -> timedelta:
        """As a length of time."""
        return timedelta(minutes=self.window_minutes)

    @property
    def digest(self) -> str:
        """Of the whole policy."""
        return digest_of_json(self.model_dump(mode="json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySays:
    """What the registry says of a line.

    Attributes
    ----------
    digests
        Version to model digest.
    champion
        The version its alias names; None if it names none.
    problem
        Why it cannot be asked; "" if it can.
    """

    digests: Mapping[int, str] = field(default_factory=dict)
    champion: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSays:
    """What the inference log shows of the window, see `TruthTally`; ``problem`` as above."""

    served: tuple[ServedMinute, ...] = ()
    splits: tuple[Split, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeTruths:
    """Everything that is compared, as it was found at one moment.

    Attributes
    ----------
    history
        Every declaration, oldest first, also those that were edited by hand.
    pulled
        What was last done to the kill switch at the endpoint and is not in Git; None for nothing.
    switch_problem
        Why that cannot be told; "" if it can.
    """

    line: str
    environment: str
    now: datetime
    history: tuple[Declaration, ...]
    registry: RegistrySays
    log: LogSays
    pulled: Pulled | None = None
    switch_problem: str = ""


def judge_truths(truths: ThreeTruths, policy: TruthsPolicy) -> Verdict:
    """Every disagreement of the three as a finding; passes only if all were read and agree."""
    commit = truths.history[-1].commit if truths.history else "none"
    return Verdict(
        judge=JUDGE,
        line=truths.line,
        subject_digest=digest_of_json(
            [
                [(one.commit, one.seal_problem) for one in truths.history],
                sorted(truths.registry.digests.items()),
                truths.registry.champion,
                [one.model_dump(mode="json") for one in truths.log.served],
                [one.model_dump(mode="json") for one in truths.log.splits],
            ]
        ),
        evidence={
            "environment": truths.environment,
            "declared_commit": commit,
            "policy_digest": policy.digest,
            "judged_at": truths.now.isoformat(),
        },
        findings=truth_findings(truths, policy),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """What the three say of one version; "" where one says nothing of it."""

    version: int
    declared: str
    git_digest: str
    registry_digest: str
    log_digests: str
    requests: int
    first_seen: str
    last_seen: str


def version_rows(truths: ThreeTruths) -> tuple[VersionRow, ...]:
    """One row per version that is declared, registered or was served in the window, in order."""
    sealed = [one.state for one in truths.history if not one.seal_problem]
    state = sealed[-1] if sealed else None
    declared: dict[int, tuple[str, str]] = {}
    if state is not None:
        if state.rollback_target is not None:
            target = state.rollback_target
            declared[target.version] = ("kept warm", target.model_digest)
        for one in state.withdrawn:
            declared[one] = ("withdrawn", "")
        for shadow in state.shadows:
            said = f"shadow of {shadow.sample_percent:g} %"
            declared[shadow.version] = (said, shadow.model_digest)
        for variant in state.variants:
            said = f"{variant.role}, {variant.weight_percent:g} %"
            declared[variant.version] = (said, variant.model_digest)
    served = {one.version for one in truths.log.served if one.version}
    return tuple(
        _row(number, declared.get(number, ("", "")), truths)
        for number in sorted({*declared, *served, *truths.registry.digests})
    )


def _row(number: int, declared: tuple[str, str], truths: ThreeTruths) -> VersionRow:
    own = [one for one in truths.log.served if one.version == number]
    return VersionRow(
        version=number,
        declared=declared[0],
        git_digest=declared[1],
        registry_digest=truths.registry.digests.get(number, ""),
        log_digests=", ".join(sorted({one.model_digest for one in own})),
        requests=sum(one.requests for one in own),
        first_seen=min((one.first for one in own), default=truths.now).isoformat() if own else "",
        last_seen=max((one.last for one in own), default=truths.now).isoformat() if own else "",
    )
