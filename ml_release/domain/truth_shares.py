"""Whether every declared version answers, and requests are split as declared."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.assignment import BUCKETS
from ml_release.domain.declared_spans import counted
from ml_release.domain.sample_ratio import log_e_sample_ratio
from ml_release.domain.truth_tally import KILL_SWITCH, SHADOW
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.three_truths import ThreeTruths, TruthsPolicy
    from ml_release.domain.truth_tally import ServedMinute, Split

_PRESENCE = "declared_versions_are_served"
_SHARES = "shares_are_as_declared"


def presence_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """Per variant whether it answered since its declaration had to be known to every server.

    A version that got nothing fails once chance alone would leave it out with a probability below
    ``alpha``; until then nobody can tell.
    """
    sealed = counted(truths.history)
    if truths.log.problem or not sealed:
        return (_unknown(_PRESENCE, truths.log.problem or "nothing sealed is declared"),)
    state = sealed[-1].state
    if state.kill_switch is not None and state.kill_switch.engaged:
        detail = "the kill switch is engaged in Git: no version is to answer"
        return (Finding(rule=_PRESENCE, subject="all", outcome=Outcome.PASS, detail=detail),)
    known_from = datetime.fromisoformat(sealed[-1].committed_at) + policy.grace
    recent = [
        one
        for one in truths.log.served
        if one.first >= known_from and one.variant not in (SHADOW, KILL_SWITCH)
    ]
    return tuple(
        _presence(variant.version, variant.model_digest, state, recent, policy)
        for variant in state.variants
        if variant.weight_percent > 0
    )


def _presence(
    number: int,
    model_digest: str,
    state: DeclaredState,
    recent: list[ServedMinute],
    policy: TruthsPolicy,
) -> Finding:
    requests = sum(one.requests for one in recent)
    own = sum(
        one.requests for one in recent if (one.version, one.model_digest) == (number, model_digest)
    )
    share = least_share(state, number)
    # Probability that chance gives none of so many independent requests to it.
    chance = (1 - share) ** requests
    if own:
        outcome, detail = Outcome.PASS, ""
    elif requests >= policy.minimum_requests and chance < policy.alpha:
        outcome = Outcome.FAIL
        detail = f"declared for at least {100 * share:g} % of the requests, and answered none"
    else:
        outcome = Outcome.INCONCLUSIVE
        detail = f"answered none of {requests} requests: too few to tell"
    return Finding(
        rule=_PRESENCE,
        subject=f"version {number}",
        outcome=outcome,
        observed=own,
        limit=1,
        bound="at least",
        unit="requests",
        n=requests,
        detail=detail,
    )


def least_share(state: DeclaredState, number: int) -> float:
    """The least probability, from 0 to 1, with which a request meets a variant.

    With an experiment it is that of the requests that take no part: which of its arms a unit meets
    may be learned.
    """
    weight = sum(one.weight_percent for one in state.variants if one.version == number)
    outside = 1.0 if state.experiment is None else 1 - state.experiment.share_percent / 100
    return outside * weight / 100


def share_findings(truths: ThreeTruths, policy: TruthsPolicy) -> tuple[Finding, ...]:
    """Per declaration that was routed by in the window: its split, and its units, as declared.

    Requests without a unit meet their variants by chance: tested so that one may look at every
    time. The bucket of a unit decides alone: one request that met another variant is one too many.
    """
    states = {one.commit: one.state for one in counted(truths.history)}
    splits = [split for split in truths.log.splits if split.route_commit in states]
    if truths.log.problem or not splits:
        return (_unknown(_SHARES, truths.log.problem or "no request was split by a declaration"),)
    found: list[Finding] = []
    for split in splits:
        found += _of_split(split, states[split.route_commit], policy)
    return tuple(found)


def _of_split(split: Split, state: DeclaredState, policy: TruthsPolicy) -> list[Finding]:
    subject = f"commit {split.route_commit[:12]}"
    found = []
    if split.units:
        found.append(
            Finding(
                rule=_SHARES,
                subject=f"{subject}, requests with a unit",
                outcome=Outcome.FAIL if split.misrouted else Outcome.PASS,
                observed=split.misrouted,
                limit=0,
                unit="requests assigned otherwise than their bucket says",
                n=split.units,
            )
        )
    by_chance = sum(split.by_chance.values())
    # Where all name units, their buckets have said everything.
    if by_chance >= policy.minimum_requests or not split.units:
        found.append(_by_chance(split, state, policy, subject))
    return found


def _by_chance(split: Split, state: DeclaredState, policy: TruthsPolicy, subject: str) -> Finding:
    shares = bucket_shares(state)
    n = sum(split.by_chance.values())
    strange = sorted(v for v, count in split.by_chance.items() if count and not shares.get(v))
    seen = ", ".join(f"version {v}: {count}" for v, count in sorted(split.by_chance.items()))
    wanted = ", ".join(f"version {v}: {100 * share:g} %" for v, share in sorted(shares.items()))
    detail = f"served {seen or 'nothing'}; declared {wanted}"
    limit = math.log(1 / policy.alpha)
    versions = [v for v, share in sorted(shares.items()) if share > 0]
    log_e = 0.0
    if strange:
        outcome, detail = Outcome.FAIL, f"{detail}; no share is declared for {strange}"
    elif n < policy.minimum_requests:
        outcome = Outcome.INCONCLUSIVE
    else:
        counts = [split.by_chance.get(v, 0) for v in versions]
        log_e = float(log_e_sample_ratio(counts, [shares[v] for v in versions]))
        outcome = Outcome.PASS if log_e < limit else Outcome.FAIL
    return Finding(
        rule=_SHARES,
        subject=subject,
        outcome=outcome,
        observed=None if strange or n < policy.minimum_requests else log_e,
        limit=limit,
        unit="nats against the declared split",
        n=n,
        detail=detail,
    )


def bucket_shares(state: DeclaredState) -> dict[int, float]:
    """Version to its part of the buckets, as `ml_release.domain.assignment.pick` cuts them.

    >>> from ml_release.domain.deployment import DeclaredState, Evidence, Variant
    >>> state = DeclaredState(
    ...     line="flight_delay",
    ...     environment="production",
    ...     release="flight_delay-2",
    ...     variants=(
    ...         Variant(role="champion", version=3, model_digest="a", weight_percent=95),
    ...         Variant(role="canary", version=4, model_digest="b", weight_percent=5),
    ...     ),
    ...     evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
    ... )
    >>> bucket_shares(state)
    {3: 0.95, 4: 0.05}
    """
    if len(state.variants) == 1:
        return {state.variants[0].version: 1.0}
    reached, below = 0.0, 0
    found: dict[int, float] = {}
    for variant in state.variants:
        reached += variant.weight_percent
        bound = min(round(reached * BUCKETS / 100), BUCKETS)
        found[variant.version] = (bound - below) / BUCKETS
        below = bound
    return found


def _unknown(rule: str, detail: str) -> Finding:
    return Finding(rule=rule, subject="all", outcome=Outcome.INCONCLUSIVE, detail=detail)
