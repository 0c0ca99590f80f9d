"""The asset ``<line>/drill``: materializing it rehearses a rollback on a server of its own."""

import dagster as dg
from pydantic import Field

from ml_release.domain import drill as drills
from ml_release.orchestration.endpoint_assets import endpoint_key, release_group
from ml_release.orchestration.rendering import check_results, check_specs, reported
from ml_release.orchestration.tables import number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.drilling import Drilled, drill
from ml_release.workflows.promotion import Request


class DrillForm(dg.Config):
    """How often, who asks, and why."""

    rounds: int | None = Field(default=None, description="Empty: as the policy says.")
    by: str = "dagster"
    reason: str = "materialized in Dagster"


def drill_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/drill``."""
    key = dg.AssetKey([line.name, "drill"])

    @dg.asset(
        key=key,
        deps=[endpoint_key(line)],
        check_specs=check_specs(key, drills.DESCRIPTIONS, blocking=False),
        group_name=release_group(line),
        kinds={"json"},
        description="A rollback, rehearsed and measured where it harms nobody.",
    )
    def drilled(context: dg.AssetExecutionContext, config: DrillForm) -> dg.MaterializeResult:
        with reported():
            found = drill(
                line,
                environment=wiring.environment,
                rounds=config.rounds,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                server=wiring.trial_server,
                models=wiring.models,
                loader=wiring.loader,
                online=wiring.online,
                evidence=wiring.evidence,
                deployments=wiring.deployments,
                clock=wiring.clock,
                progress=lambda done, total: context.log.info("round %s of %s", done, total),
            )
        return dg.MaterializeResult(
            metadata=_shown(found),
            check_results=check_results(key, drills.RULES, {line.name: found.verdict}),
        )

    return drilled


def _shown(found: Drilled) -> dict[str, int | float | str]:
    record = found.record
    return {
        "outcome": found.verdict.outcome.value,
        "released": record.released,
        "restored": record.restored,
        "same model": "yes, there is nothing to go back to yet" if record.is_same_model else "no",
        "rounds": len(record.rounds),
        "requests": sum(one.requests for one in record.rounds),
        "failed": record.failed,
        "detection, s, p95": number(drills.p95(one.detection_s for one in record.rounds)),
        "commit, s, p95": number(drills.p95(one.commit_s for one in record.rounds)),
        "first request restored, s, p95": number(record.restored_p95_s()),
        "last request on the bad version, s, p95": number(record.silent_p95_s()),
        "verdict digest": found.verdict.digest,
    }
