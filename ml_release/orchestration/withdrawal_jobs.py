"""The jobs of a named person: withdraw a version for ever, or lift it."""

import dagster as dg
from pydantic import Field

from ml_release.orchestration.jobs import op_job
from ml_release.orchestration.release_jobs import materialize_endpoint, show_move
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.promotion import Request
from ml_release.workflows.withdrawing import lift, withdraw


class WithdrawalForm(dg.Config):
    """Which version, whose word, and why."""

    version: int = Field(description="Number in the registry.")
    by: str = Field(description="Who answers for it.")
    reason: str = Field(description="Why; goes into the commit.")


def withdraw_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_withdraw``: a version never serves again until a person lifts it."""

    @dg.op(
        name=f"{line.name}_withdraw_version",
        description="Bar a version; where it serves it is taken back first.",
    )
    def withdraw_version(context: dg.OpExecutionContext, config: WithdrawalForm) -> None:
        with reported():
            moved = withdraw(
                line,
                config.version,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                models=wiring.models,
                loader=wiring.loader,
                online=wiring.online,
                registry=wiring.registry,
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
            )
        show_move(context, line, wiring, moved)

    return op_job(
        line,
        "withdraw",
        withdraw_version,
        description="Let a version never serve again, until a named person lifts it.",
    )


def lift_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_lift``: a withdrawn version may be released again, as a new one is."""

    @dg.op(
        name=f"{line.name}_lift_version",
        description="Let a withdrawn version be released again; its approvals lapse.",
    )
    def lift_version(context: dg.OpExecutionContext, config: WithdrawalForm) -> None:
        with reported():
            moved = lift(
                line,
                config.version,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                evidence=wiring.evidence,
                registry=wiring.registry,
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        materialize_endpoint(context, line, wiring, moved)

    return op_job(
        line,
        "lift",
        lift_version,
        description="Let a withdrawn version be released again, on a named person's word.",
    )
