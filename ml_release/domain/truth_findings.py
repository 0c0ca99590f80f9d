"""Every rule by which Git, the registry and the inference log are compared, as findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.truth_rules import cannot_tell, finding, present
from ml_release.domain.truth_served import (
    commit_findings,
    declared_findings,
    switch_findings,
    withdrawn_findings,
)
from ml_release.domain.truth_shares import presence_findings, share_findings
from ml_release.domain.truth_tally import KILL_SWITCH, SHADOW
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.three_truths import ThreeTruths, TruthsPolicy

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


def truth_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """All of them, in the order of `DESCRIPTIONS`."""
    return (
        *_readable(truths),
        _traffic(truths, policy),
        _sealed(truths),
        *_registered(truths),
        *_digests(truths),
        _alias(truths),
        *declared_findings(truths, policy),
        *presence_findings(truths, policy),
        *withdrawn_findings(truths, policy),
        *share_findings(truths, policy),
        *switch_findings(truths, policy),
        *commit_findings(truths),
    )


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
