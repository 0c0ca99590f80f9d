"""What the jobs of a release tell people, after the act and never in its way."""

import dagster as dg

from ml_release.domain.approvals import Approvals
from ml_release.domain.deployment import DeclaredState
from ml_release.domain.notices import (
    Notice,
    approval_wanted,
    canary_advanced,
    held,
    rolled_back,
)
from ml_release.domain.verdict import Outcome
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.notifying import notify
from ml_release.workflows.promotion import Moved
from ml_release.workflows.rollout_tick import Tick


def tell(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    line: ReleaseLine,
    wiring: Wiring,
    *notices: Notice | None,
) -> None:
    """Send what was not said yet; what could not be sent is a warning of the run."""
    told = notify(
        line.name,
        notices,
        notifier=wiring.notifier,
        evidence=wiring.evidence,
        clock=wiring.clock,
    )
    for notice in told.sent:
        context.log.info("told: %s", notice.title)
    if told.problem:
        context.log.warning("%d notices wait: %s", len(told.failed), told.problem)


def notice_of_rollback(line: ReleaseLine, moved: Moved) -> Notice | None:
    """A version was taken back; None where nothing changed, or nothing was withdrawn."""
    before, after = moved.before, moved.declaration.state
    known = set() if before is None else set(before.state.withdrawn)
    withdrawn = sorted(set(after.withdrawn) - known)
    if not moved.changed or not withdrawn:
        return None
    return rolled_back(
        line.name,
        version=withdrawn[-1],
        to=after.champion.version,
        reason=moved.declaration.reason,
        key=moved.declaration.commit,
    )


def notice_of_approvals(line: ReleaseLine, version: int, judged: Approvals) -> Notice | None:
    """A version has an approval and needs more; None where it has enough, or was rejected."""
    if judged.finding.outcome is not Outcome.INCONCLUSIVE:
        return None
    words = "+".join(word.by for word in judged.counted)
    return approval_wanted(line.name, version=version, detail=judged.finding.detail, key=words)


def notices_of_tick(line: ReleaseLine, tick: Tick) -> tuple[Notice | None, ...]:
    """What one look at a release has led to, in the words of those who are told."""
    judged, moved, reason = tick.judged, tick.moved, tick.decision.reason
    if judged is None:
        return ()
    if moved is not None:
        return (notice_of_rollback(line, moved) or _of_advance(line, moved, judged.version),)
    if judged.answer not in ("hold", "advance"):
        return ()
    # It could go on: people, or something that is named, keep it from that.
    waits = tick.approval is not None and tick.approval.outcome is Outcome.INCONCLUSIVE
    if waits and judged.answer == "advance":
        return (approval_wanted(line.name, version=judged.version, detail=reason, key=judged.leg),)
    return (held(line.name, version=judged.version, where=judged.leg, reason=reason),)


def _of_advance(line: ReleaseLine, moved: Moved, version: int) -> Notice | None:
    """A version answers a larger share; None for the end of a watch, which changes no share."""
    after = moved.declaration.state
    percent = _share(after, version)
    before = 0.0 if moved.before is None else _share(moved.before.state, version)
    if not moved.changed or percent <= before:
        return None
    return canary_advanced(
        line.name,
        version=version,
        percent=percent,
        reason=moved.declaration.reason,
        key=moved.declaration.commit,
    )


def _share(state: DeclaredState, version: int) -> float:
    return sum(one.weight_percent for one in state.variants if one.version == version)
