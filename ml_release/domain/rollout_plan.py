"""What a release would go through from where it stands: shown before anybody moves anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.rollout import (
    Destination,
    Stage,
    gates_of,
    next_place,
    refusals,
)

if TYPE_CHECKING:
    from ml_release.domain.rollout import Standing
    from ml_release.domain.rollout_policy import RolloutPolicy
    from ml_release.domain.verdict import Finding

_MINUTES_PER_HOUR, _MINUTES_PER_DAY = 60.0, 1440.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPlace:
    """One place on the way.

    Attributes
    ----------
    weight_percent
        Share of the requests that the version answers there.
    sample_percent
        Share of the requests that it is asked in secret.
    minimum_minutes, minimum_requests
        The place is held at least so long and until the version has answered so many.
    minutes_at_traffic
        About how long that takes at the traffic of the newest window; None if that is not known.
    gates
        What is asked before it.
    """

    place: Destination
    weight_percent: float
    sample_percent: float
    minimum_minutes: float
    minimum_requests: int
    minutes_at_traffic: float | None
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """The way that is left to a version.

    Attributes
    ----------
    reasons
        Why the next move would be refused now; empty if it would be made.
    findings
        What is known of the gates of the next move.
    places
        What is left, in order; empty for a version that answers all, or may not move.
    rollback_target
        The version that answers again if this one is taken back; None if there is none yet.
    requests_per_minute
        Traffic of the newest window; None if nothing was observed.
    """

    line: str
    version: int
    stands_at: Destination
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    places: tuple[PlannedPlace, ...]
    rollback_target: int | None
    requests_per_minute: float | None


def plan_rollout(
    standing: Standing,
    policy: RolloutPolicy,
    *,
    requests_per_minute: float | None = None,
) -> RolloutPlan:
    """The way from where a version stands to production."""
    path = policy.path
    is_first = standing.champion is None
    following = next_place(standing, path)
    way = path.all(is_first=is_first)
    left = way[way.index(following) :] if following in way else ()
    gates = () if following is None else gates_of(following, path, is_first=is_first)
    places = tuple(
        _planned(
            place,
            policy,
            gates=gates_of(place, path, is_first=is_first),
            requests_per_minute=requests_per_minute,
        )
        for place in left
    )
    return RolloutPlan(
        line=standing.line,
        version=standing.version,
        stands_at=standing.place,
        reasons=refusals(standing, None, path),
        findings=(
            *(standing.gates[gate] for gate in gates if gate in standing.gates),
            *(() if following is None or standing.budget is None else (standing.budget,)),
        ),
        places=places,
        rollback_target=standing.predecessor
        if standing.champion == standing.version
        else standing.champion,
        requests_per_minute=requests_per_minute,
    )


def _planned(
    place: Destination,
    policy: RolloutPolicy,
    *,
    gates: tuple[str, ...],
    requests_per_minute: float | None,
) -> PlannedPlace:
    weight = sample = minutes = 0.0
    requests = 0
    if place.stage is Stage.SHADOW:
        sample, requests = policy.shadow_sample_percent, policy.shadow.minimum_pairs
        minutes = policy.shadow.minimum_hours * _MINUTES_PER_HOUR
    elif place.stage is Stage.CANARY and place.step is not None:
        step = policy.canary_steps[place.step]
        weight, minutes, requests = (
            step.weight_percent,
            step.minimum_minutes,
            step.minimum_requests,
        )
    elif place.stage is Stage.PRODUCTION:
        weight = 100.0
    per_minute = (requests_per_minute or 0.0) * max(weight, sample) / 100.0
    at_traffic = None
    if per_minute > 0:
        at_traffic = max(minutes, requests / per_minute)
    return PlannedPlace(
        place=place,
        weight_percent=weight,
        sample_percent=sample,
        minimum_minutes=minutes,
        minimum_requests=requests,
        minutes_at_traffic=at_traffic,
        gates=gates,
    )


def per_minute(rows: int, days: int) -> float | None:
    """Requests per minute of a window; None for one that holds nothing.

    >>> per_minute(1440, 1)
    1.0
    """
    return rows / (days * _MINUTES_PER_DAY) if rows and days else None
