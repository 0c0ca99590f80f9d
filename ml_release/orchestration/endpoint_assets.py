"""The endpoints of a line: materializing one is the move to it."""

from collections.abc import Mapping

import dagster as dg

from ml_release.domain.rollout import Stage
from ml_release.domain.traffic import traffic_over_time
from ml_release.errors import MlReleaseError
from ml_release.orchestration.build_page import environment_drift_metadata
from ml_release.orchestration.rendering import picture, reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.environment_drift import environment_drift
from ml_release.workflows.promotion import Moved, Request, promote

_ENDPOINTS = {
    Stage.SHADOW: (("staging_endpoint",), "The version that is asked in secret, if one is."),
    Stage.CANARY: (
        ("shadow_endpoint", "approval"),
        "The version that answers a share, if one does.",
    ),
    Stage.PRODUCTION: (("canary_endpoint", "approval"), "What is declared to answer by default."),
}


class Promotion(dg.Config):
    """Which version to move here, the newest registered one if empty; who asks, and why."""

    version: int | None = None
    by: str = "dagster"
    reason: str = "materialized in Dagster"


def endpoint_key(line: ReleaseLine, stage: Stage = Stage.PRODUCTION) -> dg.AssetKey:
    """Key of the endpoint of a stage."""
    return dg.AssetKey([line.name, f"{stage.value}_endpoint"])


def release_group(line: ReleaseLine) -> str:
    """Group of the endpoints: materializing all of a line's data and models releases nothing."""
    return f"{line.name}_release"


def endpoint_asset(line: ReleaseLine, wiring: Wiring, stage: Stage) -> dg.AssetsDefinition:
    """The asset ``<line>/<stage>_endpoint``, for shadow, canary and production."""
    before, description = _ENDPOINTS[stage]

    @dg.asset(
        key=endpoint_key(line, stage),
        deps=[dg.AssetKey([line.name, name]) for name in before],
        group_name=release_group(line),
        kinds={"git", "onnx"},
        description=f"{description} Materializing it is the move, if its gates are open.",
    )
    def endpoint(context: dg.AssetExecutionContext, config: Promotion) -> dg.MaterializeResult:
        with reported():
            moved = promote(
                line,
                config.version,
                to=stage,
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
        return dg.MaterializeResult(metadata=endpoint_metadata(line, wiring, moved))

    return endpoint


def reached(moved: Moved) -> Stage:
    """Which endpoint a move has changed."""
    after = moved.declaration.state
    before = None if moved.before is None else moved.before.state
    if before is None or before.champion.version != after.champion.version:
        return Stage.PRODUCTION
    rollout = after.rollout or before.rollout
    legs = {"shadow": Stage.SHADOW, "canary": Stage.CANARY, "watch": Stage.PRODUCTION}
    return Stage.PRODUCTION if rollout is None else legs[rollout.leg]


def endpoint_metadata(
    line: ReleaseLine, wiring: Wiring, moved: Moved
) -> Mapping[str, dg.MetadataValue]:
    """What is declared now, by whom and why, with the shares over time."""
    declaration, before = moved.declaration, moved.before
    state = declaration.state
    rollout = state.rollout
    withdrawn = ", ".join(str(number) for number in state.withdrawn)
    history = wiring.deployments.history(line.name, wiring.environment)
    return {
        # What answers by default, also on the pages of shadow and canary.
        "version": dg.MetadataValue.int(state.champion.version),
        "weight percent": dg.MetadataValue.float(state.champion.weight_percent),
        "shares": dg.MetadataValue.text(
            ", ".join(
                f"{v.role} version {v.version}: {v.weight_percent:g} %" for v in state.variants
            )
        ),
        "release under way": dg.MetadataValue.text("none" if rollout is None else str(rollout)),
        "traffic over time": picture(
            wiring.plotter.traffic(traffic_over_time(history), until=wiring.clock.now())
        ),
        "by": dg.MetadataValue.text(declaration.actor),
        "reason": dg.MetadataValue.text(declaration.reason),
        "changed": dg.MetadataValue.bool(moved.changed),
        "before": dg.MetadataValue.text(
            "nothing" if before is None else f"version {before.state.champion.version}"
        ),
        "withdrawn": dg.MetadataValue.text(withdrawn or "none"),
        "waivers since registration": dg.MetadataValue.text(
            "\n".join(moved.waiver_changes) or "unchanged"
        ),
        "taken back by": dg.MetadataValue.text(", ".join(moved.methods) or "nothing"),
        "why this version": dg.MetadataValue.text(moved.why or "it was the one to move"),
        "commit": dg.MetadataValue.text(declaration.commit),
        "model digest": dg.MetadataValue.text(state.champion.model_digest),
        **_environment_drift(line, wiring, state.champion.model_digest),
    }


def _environment_drift(
    line: ReleaseLine, wiring: Wiring, model_digest: str
) -> Mapping[str, dg.MetadataValue]:
    try:
        found = environment_drift(
            line, model_digest, evidence=wiring.evidence, workplace=wiring.workplace
        )
    except (MlReleaseError, OSError) as error:
        # The move is made: a record that cannot be read must not make it look as if it were not.
        return {"environment drift": dg.MetadataValue.text(f"not known: {error}")}
    return environment_drift_metadata(found)
