"""The jobs of a release, each with a form: promote, approve, reject, roll back."""

from enum import Enum

import dagster as dg
from pydantic import Field

from ml_release.domain.rollout import Stage
from ml_release.errors import MlReleaseError
from ml_release.orchestration.endpoint_assets import (
    endpoint_key,
    endpoint_metadata,
    reached,
    release_group,
)
from ml_release.orchestration.incident_assets import tell_incident
from ml_release.orchestration.jobs import op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.tables import digests_table
from ml_release.orchestration.telling import (
    notice_of_approvals,
    notice_of_rollback,
    tell,
)
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.approving import approve
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release.workflows.promotion import Moved, Request, find_version, promote, roll_back
from ml_release.workflows.rejecting import reject
from ml_release.workflows.rollout_tick import settle

WORD = "approval"
"""Name of the asset that shows what people said."""


def approval_spec(line: ReleaseLine) -> dg.AssetSpec:
    """The asset ``<line>/approval``: made by people, through the jobs below."""
    return dg.AssetSpec(
        key=[line.name, WORD],
        deps=[dg.AssetKey([line.name, "staging_endpoint"])],
        group_name=release_group(line),
        kinds={"person"},
        description="Who let a version through or did not, on which evidence, and why.",
    )


class NextStage(Enum):
    """Where to; a version moves to the next stage and to no other."""

    NEXT = "next"
    SHADOW = "shadow"
    CANARY = "canary"
    PRODUCTION = "production"

    @property
    def stage(self) -> Stage | None:
        """None for whichever comes next."""
        return None if self is NextStage.NEXT else Stage(self.value)


class PromotionForm(dg.Config):
    """Which version to move on, the newest registered one if empty; where to, who asks, and why."""

    version: int | None = Field(default=None, description="Number in the registry; empty: newest.")
    to: NextStage = Field(
        default=NextStage.NEXT, description="The stage it is to reach: the next one, or none."
    )
    by: str = Field(description="Who asks for it.")
    reason: str = Field(description="Why; goes into the commit.")


class ApprovalForm(dg.Config):
    """Which version, the newest registered one if empty; whose word, and why."""

    version: int | None = Field(default=None, description="Number in the registry; empty: newest.")
    by: str = Field(description="Whose word it is. Whoever trained the version may not approve it.")
    reason: str = Field(description="Why; goes into the record.")


class RollbackForm(dg.Config):
    """Which version to go back to, the last one that may serve if empty; who asks, and why."""

    version: int | None = Field(
        default=None,
        description="Empty: a release under way is taken back, otherwise the last good version.",
    )
    bad: int | None = Field(
        default=None,
        description="The version that is to serve no more; nothing is done once it does not.",
    )
    by: str = Field(description="Who asks for it.")
    reason: str = Field(description="Why; goes into the commit.")


class SettlingForm(dg.Config):
    """Who ends the watch, and why."""

    by: str = Field(description="Who answers for it.")
    reason: str = Field(description="Why it need not be watched any longer; goes into the commit.")


def promote_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_promote``: one commit that moves a version to its next stage."""

    @dg.op(
        name=f"{line.name}_promote_version",
        description="Ask every gate again and declare the next stage.",
    )
    def promote_version(context: dg.OpExecutionContext, config: PromotionForm) -> None:
        with reported():
            moved = promote(
                line,
                config.version,
                to=config.to.stage,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        for change in moved.waiver_changes:
            context.log.warning("waivers since registration: %s", change)
        materialize_endpoint(context, line, wiring, moved)

    return op_job(
        line,
        "promote",
        promote_version,
        description="Move a registered version to its next stage: shadow, canary, production.",
    )


def approve_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_approve``: somebody's word on the evidence as it is."""

    @dg.op(name=f"{line.name}_approve_version", description="Record an approval; nothing moves.")
    def approve_version(context: dg.OpExecutionContext, config: ApprovalForm) -> None:
        with reported():
            version = find_version(line, config.version, registry=wiring.registry)
            judged = approve(
                line,
                version,
                Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                clock=wiring.clock,
            )
        context.log.info("%s", judged.finding.sentence())
        context.log_event(
            dg.AssetMaterialization(
                asset_key=dg.AssetKey([line.name, WORD]),
                metadata={
                    "version": version.number,
                    "said": f"approved by {config.by}: {config.reason}",
                    "outcome": judged.finding.outcome.value,
                    "approved by": ", ".join(word.by for word in judged.counted) or "nobody",
                    "finding": judged.finding.sentence(),
                    "on the evidence": digests_table(judged.counted[-1].evidence)
                    if judged.counted
                    else "nothing",
                },
            )
        )
        tell(context, line, wiring, notice_of_approvals(line, version.number, judged))

    return op_job(
        line,
        "approve",
        approve_version,
        description="Let a version through on the evidence as it is; it lapses when that changes.",
    )


def reject_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_reject``: a version is not let through, and is taken out of service."""

    @dg.op(
        name=f"{line.name}_reject_version",
        description="Record a rejection, and roll the version back where it serves.",
    )
    def reject_version(context: dg.OpExecutionContext, config: ApprovalForm) -> None:
        with reported():
            version = find_version(line, config.version, registry=wiring.registry)
            found = reject(
                line,
                version,
                Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                environment=wiring.environment,
                evidence=wiring.evidence,
                models=wiring.models,
                loader=wiring.loader,
                online=wiring.online,
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
            )
        context.log_event(
            dg.AssetMaterialization(
                asset_key=dg.AssetKey([line.name, WORD]),
                metadata={
                    "version": version.number,
                    "said": f"rejected by {config.by}: {config.reason}",
                    "outcome": "fail",
                    "rolled back": found.moved is not None,
                    "problem": found.problem or "none",
                },
            )
        )
        if found.problem:
            context.log.error("the rejection stands, but it still serves: %s", found.problem)
        if found.moved is not None:
            show_move(context, line, wiring, found.moved)
            tell(context, line, wiring, notice_of_rollback(line, found.moved))

    return op_job(
        line,
        "reject",
        reject_version,
        description="Do not let a version through; where it serves it is rolled back.",
    )


def rollback_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_rollback``: one commit that restores a version and withdraws the other."""

    @dg.op(name=f"{line.name}_roll_back", description="Declare the last good version.")
    def roll_back_op(context: dg.OpExecutionContext, config: RollbackForm) -> None:
        with reported():
            moved = roll_back(
                line,
                config.version,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                models=wiring.models,
                loader=wiring.loader,
                online=wiring.online,
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
                bad=config.bad,
            )
        show_move(context, line, wiring, moved)
        tell(context, line, wiring, notice_of_rollback(line, moved))

    return op_job(
        line,
        "rollback",
        roll_back_op,
        description="Take back a release, or go back to the last good version; withdraw the bad.",
    )


def settle_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_settle``: a person ends the watch of a release."""

    @dg.op(name=f"{line.name}_settle_watch", description="End the watch; the version stays.")
    def settle_watch(context: dg.OpExecutionContext, config: SettlingForm) -> None:
        with reported():
            moved = settle(
                line,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        materialize_endpoint(context, line, wiring, moved)

    return op_job(
        line,
        "settle",
        settle_watch,
        description="End the watch of a release by hand, on somebody's word.",
    )


def materialize_endpoint(
    context: dg.OpExecutionContext, line: ReleaseLine, wiring: Wiring, moved: Moved
) -> None:
    """Show a move on the page of the endpoint that it changed."""
    context.log_event(
        dg.AssetMaterialization(
            asset_key=endpoint_key(line, reached(moved)),
            metadata=endpoint_metadata(line, wiring, moved),
        )
    )


def show_move(
    context: dg.OpExecutionContext, line: ReleaseLine, wiring: Wiring, moved: Moved
) -> None:
    """All that follows a move that may take a version back: alias, page, incident."""
    point_champion(context, line, wiring, moved)
    materialize_endpoint(context, line, wiring, moved)
    tell_incident(context, line, wiring, moved)


def point_champion(
    context: dg.OpExecutionContext, line: ReleaseLine, wiring: Wiring, moved: Moved
) -> None:
    """Let the alias follow what is declared, if the registry is there to be told."""
    number = moved.declaration.state.champion.version
    try:
        wiring.registry.point_alias(line.name, CHAMPION_ALIAS, number)
    except MlReleaseError as error:
        # The rollback is done: Git decides what serves. The registry may be down.
        context.log.warning("the alias %s was not moved: %s", CHAMPION_ALIAS, error)
