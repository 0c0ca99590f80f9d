"""The production endpoint: materializing it is the move, and a rollback is a job of its own."""

from collections.abc import Mapping

import dagster as dg

from ml_release.errors import MlReleaseError
from ml_release.orchestration.build_page import environment_drift_metadata
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release.workflows.environment_drift import environment_drift
from ml_release.workflows.promotion import Moved, Request, promote, roll_back


class Promotion(dg.Config):
    """Which version to declare, the newest registered one if empty; who asks, and why."""

    version: int | None = None
    by: str = "dagster"
    reason: str = "materialized in Dagster"


class Rollback(dg.Config):
    """Which version to go back to, the last one that may serve if empty; who asks, and why."""

    version: int | None = None
    by: str
    reason: str


def endpoint_key(line: ReleaseLine) -> dg.AssetKey:
    """Key of the production endpoint."""
    return dg.AssetKey([line.name, "production_endpoint"])


def production_endpoint_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/production_endpoint``."""

    @dg.asset(
        key=endpoint_key(line),
        deps=[dg.AssetKey([line.name, "registered_version"])],
        group_name=line.name,
        kinds={"git", "onnx"},
        description="What is declared to answer in production; materializing it promotes.",
    )
    def production_endpoint(
        context: dg.AssetExecutionContext, config: Promotion
    ) -> dg.MaterializeResult:
        with reported():
            moved = promote(
                line,
                config.version,
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
        return dg.MaterializeResult(metadata=move_metadata(line, wiring, moved))

    return production_endpoint


def rollback_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_rollback``: one commit that restores a version and withdraws the other."""

    @dg.op(name=f"{line.name}_roll_back", description="Declare the last good version.")
    def roll_back_op(context: dg.OpExecutionContext, config: Rollback) -> None:
        with reported():
            moved = roll_back(
                line,
                config.version,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                models=wiring.models,
                loader=wiring.loader,
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
            )
        try:
            wiring.registry.point_alias(
                line.name, CHAMPION_ALIAS, moved.declaration.state.champion.version
            )
        except MlReleaseError as error:
            # The rollback is done: Git decides what serves. The registry may be down.
            context.log.warning("the alias %s was not moved: %s", CHAMPION_ALIAS, error)
        context.log_event(
            dg.AssetMaterialization(
                asset_key=endpoint_key(line), metadata=move_metadata(line, wiring, moved)
            )
        )

    @dg.job(
        name=f"{line.name}_rollback",
        description="Go back to the last version that may serve, and withdraw the present one.",
        tags={"ml_release/line": line.name},
        executor_def=dg.in_process_executor,
    )
    def rollback() -> None:
        roll_back_op()

    return rollback


def move_metadata(
    line: ReleaseLine, wiring: Wiring, moved: Moved
) -> Mapping[str, dg.MetadataValue]:
    """What a move left behind, for the record of the endpoint."""
    declaration, before = moved.declaration, moved.before
    state = declaration.state
    withdrawn = ", ".join(str(number) for number in state.withdrawn)
    return {
        "version": dg.MetadataValue.int(state.champion.version),
        "weight percent": dg.MetadataValue.float(state.champion.weight_percent),
        "changed": dg.MetadataValue.bool(moved.changed),
        "before": dg.MetadataValue.text(
            "nothing" if before is None else f"version {before.state.champion.version}"
        ),
        "withdrawn": dg.MetadataValue.text(withdrawn or "none"),
        "waivers since registration": dg.MetadataValue.text(
            "\n".join(moved.waiver_changes) or "unchanged"
        ),
        "commit": dg.MetadataValue.text(declaration.commit),
        "by": dg.MetadataValue.text(declaration.actor),
        "reason": dg.MetadataValue.text(declaration.reason),
        "model digest": dg.MetadataValue.text(state.champion.model_digest),
        **environment_drift_metadata(
            environment_drift(
                line,
                state.champion.model_digest,
                evidence=wiring.evidence,
                workplace=wiring.workplace,
            )
        ),
    }
