"""Whether what was served was declared: versions, withdrawals, kill switch, route commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.declared_spans import answers, is_asked, spans_of
from ml_release.domain.kill_switch import adopted
from ml_release.domain.truth_rules import cannot_tell, finding, present
from ml_release.domain.truth_tally import KILL_SWITCH, SHADOW
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.three_truths import ThreeTruths, TruthsPolicy
    from ml_release.domain.truth_tally import ServedMinute

_SHOWN = 12


def declared_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """Per version that answered, whether a sealed declaration named it at that time."""
    rule = "served_versions_were_declared"

    def holds(one: ServedMinute) -> Callable[[DeclaredState], bool]:
        asked = is_asked if one.variant == SHADOW else answers
        return lambda state: asked(state, one.version, one.model_digest)

    def problem(one: ServedMinute) -> str:
        spans = spans_of(truths.history, holds(one))
        times = (one.first, one.last)
        if all(any(s.holds_at(at, grace=policy.grace) for s in spans) for at in times):
            return ""
        known = "never declared" if not spans else "not declared at that time"
        return f"{_seen(one)}: {known}"

    return _of_served(rule, truths, problem)


def withdrawn_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """Per version that answered, whether it was withdrawn then, and servers had to know."""

    def problem(one: ServedMinute) -> str:
        spans = spans_of(truths.history, lambda state: one.version in state.withdrawn)
        for span in spans:
            # What came in before the servers could know is no violation.
            is_over = span.end is not None and one.last > span.end
            if one.last > span.begin + policy.grace and not is_over:
                return f"{_seen(one)}: withdrawn at {span.begin.isoformat()}"
        return ""

    return _of_served("withdrawn_versions_are_silent", truths, problem)


def _of_served(
    rule: str, truths: ThreeTruths, problem: Callable[[ServedMinute], str]
) -> tuple[Finding, ...]:
    """One finding per version that a model of was asked, with what is wrong in its minutes."""
    by_version: dict[int, list[ServedMinute]] = {}
    for one in truths.log.served:
        if one.variant != KILL_SWITCH:
            by_version.setdefault(one.version, []).append(one)
    if truths.log.problem or not by_version:
        return (cannot_tell(rule, truths.log.problem or "nothing was served by a model"),)
    return tuple(
        _named(rule, f"version {number}", [said for one in own if (said := problem(one))], own)
        for number, own in sorted(by_version.items())
    )


def _named(rule: str, subject: str, said: list[str], own: Iterable[ServedMinute]) -> Finding:
    more = f"; and in {len(said) - _SHOWN} more minutes" if len(said) > _SHOWN else ""
    return Finding(
        rule=rule,
        subject=subject,
        outcome=Outcome.FAIL if said else Outcome.PASS,
        n=sum(one.requests for one in own),
        detail="; ".join(said[:_SHOWN]) + more,
    )


def _seen(one: ServedMinute) -> str:
    return (
        f"{one.requests} requests from {one.first:%Y-%m-%d %H:%M:%S} to {one.last:%H:%M:%S} UTC as"
        f" {one.variant}, digest {one.model_digest[:19]}, route commit {one.route_commit[:12]}"
    )


def switch_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """Whether Git says what was pulled, and has named a switch whenever one answered."""
    rule = "kill_switch_is_declared"
    problem = truths.switch_problem or truths.log.problem
    if problem:
        return (cannot_tell(rule, problem),)
    findings = [*_pulled(rule, truths, policy), *_answered_without(rule, truths, policy)]
    if findings:
        return tuple(findings)
    return (finding(rule, "switch", Outcome.PASS, "not pulled, and it answered nothing"),)


def _pulled(rule: str, truths: ThreeTruths, policy: TruthsPolicy) -> Iterable[Finding]:
    pulled, state = truths.pulled, present(truths)
    if pulled is None:
        return
    declared = None if state is None else state.kill_switch
    if adopted(declared, pulled) == declared:
        yield finding(rule, "switch", Outcome.PASS, "what was pulled stands in Git")
        return
    said = "pulled" if pulled.engaged else "released"
    detail = f"{said} by {pulled.by} at {pulled.at.isoformat()} and not in Git: {pulled.reason}"
    is_late = truths.now - pulled.at > policy.grace
    yield finding(rule, "switch", Outcome.FAIL if is_late else Outcome.INCONCLUSIVE, detail)


def _answered_without(rule: str, truths: ThreeTruths, policy: TruthsPolicy) -> Iterable[Finding]:
    """Whether a switch stood in Git, or soon after, when rows were answered without a model."""
    own = [one for one in truths.log.served if one.variant == KILL_SWITCH]
    if not own:
        return
    if truths.pulled is not None:
        # Its own finding says whether it is late.
        return
    spans = spans_of(
        truths.history, lambda state: state.kill_switch is not None and state.kill_switch.engaged
    )

    def is_covered(at: datetime) -> bool:
        return any(
            span.begin - policy.grace <= at and (span.end is None or at <= span.end + policy.grace)
            for span in spans
        )

    said = [
        f"{_seen(one)}: no switch was declared"
        for one in own
        if not (is_covered(one.first) and is_covered(one.last))
    ]
    yield _named(rule, "answers without a model", said, own)


def commit_findings(truths: ThreeTruths) -> tuple[Finding, ...]:
    """Per declaration that servers routed by, whether it is there and sealed."""
    rule = "route_commits_are_known"
    if truths.log.problem or not truths.log.served:
        return (cannot_tell(rule, truths.log.problem or "nothing was served"),)
    known = {one.commit: one for one in truths.history}
    found = []
    for commit in sorted({one.route_commit for one in truths.log.served}):
        one = known.get(commit)
        if one is None:
            said = "servers routed by it, and the repository does not hold it"
        else:
            said = one.seal_problem
        found.append(
            finding(rule, f"commit {commit[:12]}", Outcome.FAIL if said else Outcome.PASS, said)
        )
    return tuple(found)
