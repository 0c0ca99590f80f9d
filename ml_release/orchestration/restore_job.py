"""The job ``<line>_restore``: one commit that declares the last sealed state again."""

import dagster as dg

from ml_release.orchestration.endpoint_assets import endpoint_key, endpoint_metadata
from ml_release.orchestration.jobs import op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.promotion import Request
from ml_release.workflows.restoring import restore


class Restoring(dg.Config):
    """Who asks, and why; which unsealed commit to seal, only where none is sealed at all."""

    by: str
    reason: str
    adopt: str | None = None


def restore_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_restore``."""

    @dg.op(name=f"{line.name}_restore_sealed", description="Declare the last sealed state again.")
    def restore_sealed(context: dg.OpExecutionContext, config: Restoring) -> None:
        with reported():
            moved = restore(
                line,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
                adopt=config.adopt,
            )
        context.log_event(
            dg.AssetMaterialization(
                asset_key=endpoint_key(line), metadata=endpoint_metadata(line, wiring, moved)
            )
        )

    return op_job(
        line,
        "restore",
        restore_sealed,
        description="Declare the last sealed state again, after somebody edited it by hand.",
    )
