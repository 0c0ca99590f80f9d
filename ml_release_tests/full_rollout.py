"""The small line with every stage of a release, and the verdicts that let a version go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ml_release.domain.approvals import ApprovalPolicy
from ml_release.domain.canary_metric import CanaryMetric
from ml_release.domain.canary_policy import CanaryPolicy, CanaryStep
from ml_release.domain.identity import digest_of_json
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.domain.shadow_policy import ShadowPolicy
from ml_release.domain.staging_gates import StagingPolicy
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.domain.watch import WatchPolicy
from ml_release.workflows.approving import approve
from ml_release.workflows.promotion import Moved, Request, find_version, promote, roll_back
from ml_release.workflows.rollout_tick import settle
from ml_release.workflows.stage_verdicts import CANARY_VERDICT, SHADOW_VERDICT, bound
from ml_release.workflows.staging import declare_in_staging, verify_in_staging
from ml_release.workflows.training import train_candidate
from ml_release_tests.small_line import MONTHS, House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.domain.approvals import Approvals
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.rollout import Stage
    from ml_release.spec.release_line import ReleaseLine

AUTHOR = "Carl"
APPROVER = Request(by="Bea", reason="read the report", run_id="run-of-the-word")
WEIGHTS = (5.0, 25.0, 50.0)

FULL = RolloutPolicy(
    stages=("staging", "shadow", "canary"),
    staging=StagingPolicy(
        smoke_rows=40,
        load_requests=60,
        minimum_load_requests=50,
        latency_p99_limit_ms=5000.0,
        start_limit_s=60.0,
    ),
    approval=ApprovalPolicy(needed=1),
    shadow=ShadowPolicy(
        minimum_pairs=50,
        minimum_hours=0.1,
        slice_minimum_pairs=10,
        block_pairs=20,
        error_rate_limit=0.1,
        latency_ratio_limit=None,
    ),
    canary=CanaryPolicy(
        metrics=(CanaryMetric(name="errors", kind="error_rate", tolerance=0.1),),
        reference_requests=100,
    ),
    canary_steps=tuple(
        CanaryStep(weight_percent=weight, minimum_minutes=10.0, minimum_requests=50)
        for weight in WEIGHTS
    ),
    watch=WatchPolicy(
        minimum_hours=1.0,
        minimum_requests=100,
        minimum_labelled=100,
        labelled_share_floor=0.5,
        score_margins={"auc_score": 0.2},
    ),
)

PLACES = ("staged", "approved", "shadow", "canary 1", "canary 2", "canary 3", "watch", "settled")
"""How far a version may be brought, in order."""


def with_rollout(line: ReleaseLine, **changes: Any) -> ReleaseLine:
    """The line with every stage declared, and what else a test changes of its policy."""
    fields = {name: getattr(FULL, name) for name in RolloutPolicy.model_fields}
    policy = RolloutPolicy.model_validate({**fields, **changes})
    policies = line.policies.model_copy(update={"rollout": policy})
    return line.model_copy(update={"policies": policies})


def next_version(house: House, *, by: str | None = AUTHOR) -> int:
    """A further registered version that somebody has trained against what serves now."""
    trees = house.line.parameters["max_iter"] + 1
    parameters = {**house.line.parameters, "max_iter": trees}
    house.line = house.line.model_copy(update={"parameters": parameters})
    train_candidate(
        house.line,
        first=None,
        last=None,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        compiler=house.compiler,
        search=house.search,
        plotter=house.plotter,
        attributor=house.attributor,
        workplace=house.workplace,
        run=house.experiments.start(),
        now=house.clock.now(),
        by=by,
    )
    steps.evaluate(house)
    return steps.register(house).number


def stage(house: House, number: int | None = None) -> Declaration:
    """Let a version meet a server, and declare it in staging."""
    policy = house.line.policies.rollout.staging
    verify_in_staging(
        house.line,
        number,
        policy=policy,
        server=house.trial_server,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        tables=house.tables,
        online=house.online,
        registry=house.registry,
        experiments=house.experiments,
        deployments=house.deployments,
        clock=house.clock,
    )
    declaration, _ = declare_in_staging(
        house.line,
        number,
        policy=policy,
        request=steps.REQUEST,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )
    return declaration


def let_through(
    house: House, number: int | None = None, *, request: Request = APPROVER
) -> Approvals:
    """Approve, on the evidence as it is."""
    return approve(
        house.line,
        find_version(house.line, number, registry=house.registry),
        request,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        clock=house.clock,
    )


def move(house: House, number: int | None = None, to: Stage | None = None) -> Moved:
    """Promote to the next place, or to a named stage."""
    return promote(
        house.line,
        number,
        to=to,
        environment=house.environment,
        request=steps.REQUEST,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def take_back(house: House, number: int | None = None) -> Moved:
    """Roll back."""
    return roll_back(
        house.line,
        number,
        environment=house.environment,
        request=steps.REQUEST,
        models=house.models,
        loader=house.loader,
        deployments=house.deployments,
        clock=house.clock,
    )


def verdict_on(
    house: House,
    leg: Literal["shadow", "canary"],
    number: int,
    outcome: Outcome = Outcome.PASS,
    **names: str,
) -> Verdict:
    """What a judge of live traffic would say of a version on its present step."""
    policy = house.line.policies.rollout
    standing = house.deployments.read(steps.LINE, house.environment)
    assert standing is not None
    judged_by = policy.shadow if leg == "shadow" else policy.canary
    version = find_version(house.line, number, registry=house.registry)
    verdict = Verdict(
        judge=f"{leg}/1",
        line=steps.LINE,
        subject_digest=version.model_digest,
        evidence={
            "champion_digest": standing.state.champion.model_digest,
            "policy_digest": digest_of_json(judged_by.model_dump(mode="json")),
        },
        findings=(Finding(rule="planted", subject="the test", outcome=outcome),),
    )
    found = bound(verdict, standing, now=house.clock.now())
    evidence = {**found.evidence, **names}
    return Verdict(
        judge=found.judge,
        line=found.line,
        subject_digest=found.subject_digest,
        evidence={name: value for name, value in evidence.items() if value},
        findings=found.findings,
    )


def judged(house: House, number: int, outcome: Outcome = Outcome.PASS, **names: str) -> Verdict:
    """Record a verdict on the leg the release under way stands on; gives the verdict.

    ``names`` replace what it was given on; "" leaves a name out.
    """
    leg: Literal["shadow", "canary"] = "shadow" if rollout_of(house) == "shadow" else "canary"
    verdict = verdict_on(house, leg, number, outcome, **names)
    kind = SHADOW_VERDICT if leg == "shadow" else CANARY_VERDICT
    house.evidence.record(steps.LINE, kind, verdict.subject_digest, verdict.to_json())
    return verdict


def rollout_of(house: House) -> str | None:
    """The leg of the release under way."""
    state = state_of(house)
    return None if state.rollout is None else state.rollout.leg


def state_of(house: House) -> DeclaredState:
    """What production declares."""
    found = house.deployments.read(steps.LINE, house.environment)
    assert found is not None
    return found.state


def bring(house: House, number: int, place: str, *, only: bool = False) -> None:
    """Take a registered version up to one of `PLACES`, every gate on the way open.

    With ``only`` from the place before.
    """
    end = PLACES.index(place) + 1
    for there in PLACES[end - 1 if only else 0 : end]:
        if there == "staged":
            stage(house, number)
        elif there == "approved":
            let_through(house, number)
        elif there == "settled":
            settle(
                house.line,
                environment=house.environment,
                request=steps.REQUEST,
                deployments=house.deployments,
                clock=house.clock,
            )
        else:
            if there != "shadow":
                judged(house, number)
            move(house, number)


def at_every_place(folder: Callable[[str], Path]) -> dict[str, House]:
    """Version 2 at every place of the way beside version 1, and registered only."""
    house = House(folder("first"))
    steps.prepare(house, *MONTHS)
    steps.release(house, last="2013-03")
    house.line = with_rollout(house.line)
    next_version(house)
    found = {"registered": house}
    for place in PLACES:
        house = house.copied(folder(place.replace(" ", "-")))
        bring(house, 2, place, only=True)
        found[place] = house
    return found
