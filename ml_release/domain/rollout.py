"""Stages of a release, and the moves allowed between them, for people and automation alike.

A version goes registered, staging, shadow, canary (a step per weight), production; a line may
declare fewer stages in its policy, and nobody skips one that is declared. The first version of a
line has nobody to be compared with: it goes from staging to production. Whether the evidence is
there is gathered elsewhere and comes in as findings; what the state then says is in
`ml_release.domain.rollout_moves`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.verdict import Finding


class Stage(StrEnum):
    """Where a version stands."""

    REGISTERED = "registered"
    STAGING = "staging"
    SHADOW = "shadow"
    CANARY = "canary"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    WITHDRAWN = "withdrawn"


Gate = Literal["evidence", "staging", "approval", "drill", "shadow", "canary"]
"""What is asked for again at every move that needs it; which finding answers is told by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The stages a line declares for its releases.

    Attributes
    ----------
    has_staging, has_shadow
        Whether the policy declares them.
    weights_percent
        Share of the canary at each step, rising; none for a line without canary.
    needs_drill
        Whether a rollback has to have been rehearsed lately before a version answers anybody; not
        for the first one, before which nothing can be.
    """

    has_staging: bool = True
    has_shadow: bool = True
    weights_percent: tuple[float, ...] = ()
    needs_drill: bool = False

    def after_staging(self, *, is_first: bool) -> tuple[Destination, ...]:
        """Every place a version takes in production, in order; one for the first version."""
        shadow = (Destination(stage=Stage.SHADOW),) if self.has_shadow and not is_first else ()
        steps = () if is_first else tuple(range(len(self.weights_percent)))
        canary = tuple(Destination(stage=Stage.CANARY, step=step) for step in steps)
        return (*shadow, *canary, Destination(stage=Stage.PRODUCTION))

    def all(self, *, is_first: bool) -> tuple[Destination, ...]:
        """Every place on the way, in order."""
        staging = (Destination(stage=Stage.STAGING),) if self.has_staging else ()
        return (*staging, *self.after_staging(is_first=is_first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place on the way; ``step`` counts the weights of the canary from 0."""

    stage: Stage
    step: int | None = None

    def __str__(self) -> str:
        """In words."""
        return self.stage.value if self.step is None else f"{self.stage.value} step {self.step + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a version stands, and what is known of it.

    Attributes
    ----------
    place
        The place it holds now.
    champion
        The version that answers by default; None before the first release.
    under_way, is_watched
        Another version that is being released, None where there is none; and whether it answers
        everybody already and is under watch.
    experiment
        Name of the experiment that runs, None where none does.
    predecessor
        The version kept warm behind the champion; None where there is none.
    gates
        Of every gate that was asked, the finding. One that is not there was not asked, which lets
        nothing through.
    budget
        Whether the error budgets let it be promoted; only a failure holds it. None where nobody is
        served yet.
    """

    line: str
    version: int
    place: Destination
    champion: int | None
    under_way: int | None = None
    is_watched: bool = False
    experiment: str | None = None
    predecessor: int | None = None
    gates: Mapping[Gate, Finding] = field(default_factory=dict)
    budget: Finding | None = None


def place_of(state: DeclaredState | None, version: int, *, was_staged: bool) -> Destination:
    """Where a version stands by what production declares.

    Parameters
    ----------
    was_staged
        Whether staging declares it, or has a verdict on it.
    """
    if state is None:
        return Destination(stage=Stage.STAGING if was_staged else Stage.REGISTERED)
    if version in state.withdrawn:
        return Destination(stage=Stage.WITHDRAWN)
    if version == state.champion.version:
        return Destination(stage=Stage.PRODUCTION)
    rollout = state.rollout
    if rollout is not None and rollout.version == version and rollout.leg != "watch":
        is_shadow = rollout.leg == "shadow"
        stage = Stage.SHADOW if is_shadow else Stage.CANARY
        return Destination(stage=stage, step=None if is_shadow else rollout.step)
    return Destination(stage=Stage.STAGING if was_staged else Stage.REGISTERED)


def next_place(standing: Standing, path: Path) -> Destination | None:
    """The next place on the way; None for a version that answers all, or may not move."""
    way = path.all(is_first=standing.champion is None)
    if standing.place.stage in (Stage.PRODUCTION, Stage.WITHDRAWN):
        return None
    if standing.place in way:
        return way[way.index(standing.place) + 1]
    # A policy that lost the place a version holds: where it goes from here nobody has declared.
    if standing.place.stage in (Stage.SHADOW, Stage.CANARY):
        return None
    # Registered only, or staged under a policy that had staging while this one has none.
    return way[0]


def gates_of(place: Destination, path: Path, *, is_first: bool) -> tuple[Gate, ...]:
    """What has to hold for a move to ``place``, in the order it is asked.

    Nobody is answered by a version that was not approved; whatever was needed before is needed
    again at every later move.

    >>> path = Path(weights_percent=(5.0, 50.0))
    >>> gates_of(Destination(stage=Stage.CANARY, step=1), path, is_first=False)
    ('evidence', 'staging', 'approval', 'canary')
    """
    gates: list[Gate] = ["evidence"]
    if place.stage is Stage.STAGING:
        return tuple(gates)
    if path.has_staging:
        gates.append("staging")
    if place.stage is Stage.SHADOW:
        return tuple(gates)
    gates.append("approval")
    if not is_first:
        if path.needs_drill:
            gates.append("drill")
        way = path.after_staging(is_first=False)
        before = way[way.index(place) - 1] if place in way and way.index(place) else None
        if before is not None and before.stage is Stage.SHADOW:
            gates.append("shadow")
        elif before is not None:
            gates.append("canary")
    return tuple(gates)


def gates_to_answer(path: Path) -> tuple[Gate, ...]:
    """What has to hold for a version that answers anybody, on whichever way it came there.

    >>> gates_to_answer(Path())
    ('evidence', 'staging', 'approval')
    """
    return gates_of(Destination(stage=Stage.PRODUCTION), path, is_first=True)


def refusals(standing: Standing, to: Stage | None, path: Path) -> tuple[str, ...]:
    """Why a version may not move to ``to``, its next place for None; empty if it may.

    Every reason at once, so that nobody has to try again to learn the next one.
    """
    subject = f"version {standing.version}"
    if standing.place.stage is Stage.WITHDRAWN:
        return (
            f"{subject} was withdrawn. Train and release a new version, or have a named person lift"
            " it",
        )
    following = next_place(standing, path)
    if following is None:
        return (_no_way_on(standing),)
    reasons = []
    if to is not None and to is not following.stage:
        reasons.append(
            f"{subject} stands at {standing.place}, and the next place is {following}; expected"
            f" no stage skipped, found a move to {to.value}"
        )
        # Also of a version that was staged once, and whose verdict counts no more.
        if following.stage is Stage.STAGING and "staging" in standing.gates:
            reasons += [said for said in (_held_by("staging", standing),) if said is not None]
    if following.stage is not Stage.STAGING:
        if standing.under_way is not None:
            reasons.append(_other(standing))
        if standing.experiment is not None:
            reasons.append(f"experiment {standing.experiment} runs; end it first")
        if (frozen := frozen_by(standing)) is not None:
            reasons.append(frozen)
    gates = gates_of(following, path, is_first=standing.champion is None)
    return (*reasons, *held_by(gates, standing))


def frozen_by(standing: Standing) -> str | None:
    """Why no version may be put beside or in the place of what serves; None if one may.

    Staging is a server of its own: what is spent there is nobody's budget.
    """
    budget = standing.budget
    return budget.detail if budget is not None and budget.outcome is Outcome.FAIL else None


def held_by(gates: Sequence[Gate], standing: Standing) -> tuple[str, ...]:
    """Why gates are shut, each in words; empty if all of them are open."""
    evidence = standing.gates.get("evidence")
    if evidence is not None and evidence.outcome is not Outcome.PASS:
        # What rests on the evidence could not be asked.
        gates = tuple(gate for gate in gates if gate in standing.gates)
    return tuple(said for gate in gates if (said := _held_by(gate, standing)) is not None)


def _held_by(gate: Gate, standing: Standing) -> str | None:
    finding = standing.gates.get(gate)
    if finding is None:
        return f"{gate}: nothing is recorded"
    return None if finding.outcome is Outcome.PASS else f"{gate}: {finding.sentence()}"


def _other(standing: Standing) -> str:
    """Who has to be through before: two releases at once would answer for one another."""
    other = f"version {standing.under_way}"
    if standing.is_watched:
        return (
            f"{other} answers everybody and is under watch until its labels have matured; wait,"
            f" or end the watch with `ml-release settle {standing.line}`"
        )
    return f"{other} is being released; let it end, or roll it back first"


def _no_way_on(standing: Standing) -> str:
    if standing.place.stage is Stage.PRODUCTION:
        return f"version {standing.version} answers all production traffic already"
    return (
        f"version {standing.version} stands at {standing.place}, which the present policy does not"
        " declare; roll it back"
    )
