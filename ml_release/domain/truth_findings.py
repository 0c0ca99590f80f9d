"""Every rule by which Git, the registry and the inference log are compared, as findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.declared_spans import answers, counted, is_asked, spans_of
from ml_release.domain.kill_switch import adopted
from ml_release.domain.truth_shares import presence_findings, share_findings
from ml_release.domain.truth_tally import KILL_SWITCH, SHADOW
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.three_truths import ThreeTruths, TruthsPolicy
    from ml_release.domain.truth_tally import ServedMinute

DESCRIPTIONS = {
    "all_three_can_be_read": "Git, the registry, the log and the kill switch could be asked.",
    "traffic_is_enough": "Enough was served in the window to compare with.",
    "declaration_is_sealed": "What Git declares now was sealed by a trusted key.",
    "declared_versions_are_registered": "The registry knows every version that is declared.",
    "digests_agree": "Git, registry and log name one model digest for every version.",
    "champion_alias_follows_git": "The registry's alias names the champion that Git declares.",
    "served_versions_were_declared": "Nothing answered that was not declared at that time.",
    "declared_versions_are_served": "Every version that is declared to answer does answer.",
    "withdrawn_versions_are_silent": "No version answered after it was withdrawn.",
    "shares_are_as_declared": "Requests are split as each declaration says.",
    "kill_switch_is_declared": "A kill switch that is pulled, or has answered, stands in Git.",
    "route_commits_are_known": "Every declaration that servers routed by is in the repository.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

_SHOWN = 12


def truth_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """All of them, in the order of `DESCRIPTIONS`."""
    return (
        *_readable(truths),
        _traffic(truths, policy),
        _sealed(truths),
        *_registered(truths),
        *_digests(truths),
        _alias(truths),
        *_were_declared(truths, policy),
        *presence_findings(truths, policy),
        *_withdrawn(truths, policy),
        *share_findings(truths, policy),
        *_kill_switch(truths, policy),
        *_commits(truths),
    )


def present(truths: ThreeTruths) -> DeclaredState | None:
    """The newest state that counts; None if nothing sealed is declared."""
    sealed = counted(truths.history)
    return sealed[-1].state if sealed else None


def finding(rule: str, subject: str, outcome: Outcome, detail: str = "") -> Finding:
    """A finding that is not about a number."""
    return Finding(rule=rule, subject=subject, outcome=outcome, detail=detail)


def cannot_tell(rule: str, detail: str) -> Finding:
    """What nobody can tell is neither a pass nor a failure."""
    return finding(rule, "all", Outcome.INCONCLUSIVE, detail)


def _readable(truths: ThreeTruths) -> tuple[Finding, ...]:
    rule = "all_three_can_be_read"
    problems = {
        "Git": "" if truths.history else f"nothing is declared in {truths.environment}",
        "registry": truths.registry.problem,
        "inference log": truths.log.problem,
        "kill switch": truths.switch_problem,
    }
    return tuple(
        finding(rule, name, Outcome.INCONCLUSIVE if problem else Outcome.PASS, problem)
        for name, problem in problems.items()
    )


def _traffic(truths: ThreeTruths, policy: TruthsPolicy) -> Finding:
    requests = sum(one.requests for one in truths.log.served if one.variant != SHADOW)
    is_enough = requests >= policy.minimum_requests and not truths.log.problem
    return Finding(
        rule="traffic_is_enough",
        subject=f"last {policy.window_minutes} minutes",
        outcome=Outcome.PASS if is_enough else Outcome.INCONCLUSIVE,
        observed=requests,
        limit=policy.minimum_requests,
        bound="at least",
        unit="requests",
    )


def _sealed(truths: ThreeTruths) -> Finding:
    rule = "declaration_is_sealed"
    if not truths.history:
        return cannot_tell(rule, "nothing is declared")
    newest = truths.history[-1]
    outcome = Outcome.FAIL if newest.seal_problem else Outcome.PASS
    return finding(rule, f"commit {newest.commit[:12]}", outcome, newest.seal_problem)


def _declared_digests(truths: ThreeTruths) -> dict[int, set[str]]:
    """Version to the digests under which the present state declares it."""
    state = present(truths)
    found: dict[int, set[str]] = {}
    if state is not None:
        target = () if state.rollback_target is None else (state.rollback_target,)
        for one in (*state.variants, *state.shadows, *target):
            found.setdefault(one.version, set()).add(one.model_digest)
    return found


def _registered(truths: ThreeTruths) -> tuple[Finding, ...]:
    rule = "declared_versions_are_registered"
    declared = sorted(_declared_digests(truths))
    if truths.registry.problem or not declared:
        return (cannot_tell(rule, truths.registry.problem or "no version is declared"),)
    return tuple(
        finding(rule, f"version {number}", Outcome.PASS)
        if number in truths.registry.digests
        else finding(
            rule,
            f"version {number}",
            Outcome.FAIL,
            "declared, but the registry knows no such version",
        )
        for number in declared
    )


def _digests(truths: ThreeTruths) -> tuple[Finding, ...]:
    rule = "digests_agree"
    found: dict[int, dict[str, set[str]]] = {}
    for number, digests in _declared_digests(truths).items():
        found.setdefault(number, {})["Git"] = digests
    for one in truths.log.served:
        if one.variant != KILL_SWITCH:
            known = found.setdefault(one.version, {})
            known["log"] = known.get("log", set()) | {one.model_digest}
    if not found:
        return (cannot_tell(rule, "nothing is declared, and nothing was served"),)
    for number, digest in truths.registry.digests.items():
        if number in found:
            found[number]["registry"] = {digest}
    return tuple(_agreement(rule, number, found[number]) for number in sorted(found))


def _agreement(rule: str, number: int, said: dict[str, set[str]]) -> Finding:
    subject = f"version {number}"
    several = len(set().union(*said.values())) > 1
    if several:
        rows = [f"{name} says {', '.join(sorted(digests))}" for name, digests in said.items()]
        return finding(rule, subject, Outcome.FAIL, "; ".join(rows))
    if len(said) == 1:
        (name,) = said
        detail = f"only {name} names a digest: nothing to compare it with"
        return finding(rule, subject, Outcome.INCONCLUSIVE, detail)
    return finding(rule, subject, Outcome.PASS, f"named by {', '.join(said)}")


def _alias(truths: ThreeTruths) -> Finding:
    rule = "champion_alias_follows_git"
    state = present(truths)
    if truths.environment != "production":
        # Shown, and no objection: the alias names who answers in production.
        return replace(cannot_tell(rule, "the alias follows production"), votes=False)
    if truths.registry.problem or state is None:
        return cannot_tell(rule, truths.registry.problem or "nothing sealed is declared")
    wanted, named = state.champion.version, truths.registry.champion
    said = "names nothing" if named is None else f"names version {named}"
    return finding(
        rule,
        "alias champion",
        Outcome.PASS if named == wanted else Outcome.FAIL,
        "" if named == wanted else f"{said}, Git declares version {wanted}; Git decides",
    )


def _were_declared(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
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


def _withdrawn(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
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


def _kill_switch(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
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


def _commits(truths: ThreeTruths) -> tuple[Finding, ...]:
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
