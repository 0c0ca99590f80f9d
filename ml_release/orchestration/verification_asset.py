"""The asset ``<line>/rollback_verification``: whether the last rollback has worked."""

import dagster as dg

from ml_release.domain import rollback_verification
from ml_release.orchestration.rendering import check_news, check_specs, reported
from ml_release.orchestration.tables import number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.rollback_verification import VerifiedRollback, verify_rollback


def rollback_verification_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/rollback_verification``."""
    key = dg.AssetKey([line.name, "rollback_verification"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "inference_window"])],
        check_specs=check_specs(key, rollback_verification.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"json"},
        description="Whether the last rollback has worked, by what was served since.",
    )
    def verification() -> dg.MaterializeResult:
        with reported():
            found = verify_rollback(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                deployments=wiring.deployments,
                models=wiring.models,
                loader=wiring.loader,
                evidence=wiring.evidence,
                endpoint=None if wiring.endpoint is None else wiring.endpoint(),
            )
        return dg.MaterializeResult(
            metadata={"outcome": "nothing was rolled back"} if found is None else _shown(found),
            # A line without traffic, or without a rollback, is nothing to be alarmed about.
            check_results=check_news(
                key,
                rollback_verification.RULES,
                line.name,
                None if found is None else found.verdict,
            ),
        )

    return verification


def _shown(found: VerifiedRollback) -> dict[str, int | float | str]:
    seen = found.seen
    return {
        "outcome": found.verdict.outcome.value,
        "restored version": seen.version,
        "withdrawn": ", ".join(map(str, seen.withdrawn)),
        "commit": found.rolled_back.restored.commit,
        "by": found.rolled_back.restored.actor,
        "reason": found.rolled_back.restored.reason,
        "requests since": seen.since.requests,
        "seconds to the first request of the restored version": number(seen.seconds_to_restored),
        "seconds to the last request of the withdrawn version": number(seen.seconds_to_silence),
        "mean score before": number(seen.before.mean_score),
        "mean score since": number(seen.since.mean_score),
        "verdict digest": found.verdict.digest,
    }
