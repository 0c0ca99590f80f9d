"""The staging endpoint: materializing it is the move; its checks are what a server has shown."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_release.domain import staging_gates
from ml_release.domain.staging_gates import StagingPolicy
from ml_release.orchestration.endpoint_assets import release_group
from ml_release.orchestration.rendering import check_results, check_specs, picture, reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.promotion import Request
from ml_release.workflows.staging import Verified, declare_in_staging, verify_in_staging

_QUARTERS = 4


class Staging(dg.Config):
    """Which version to try, the newest registered one if empty; who asks, and why."""

    version: int | None = None
    by: str = "dagster"
    reason: str = "materialized in Dagster"


def staging_key(line: ReleaseLine) -> dg.AssetKey:
    """Key of the staging endpoint."""
    return dg.AssetKey([line.name, "staging_endpoint"])


def staging_endpoint_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/staging_endpoint``."""
    key, limits = staging_key(line), line.policies.rollout.staging
    descriptions = {rule: staging_gates.DESCRIPTIONS[rule] for rule in limits.judged}

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "registered_version"])],
        check_specs=check_specs(key, descriptions, blocking=True),
        group_name=release_group(line),
        kinds={"git", "onnx"},
        description="A version on a real server of its own, before anybody is answered by it;"
        " materializing it tries the version, and declares it in staging if it passes.",
    )
    def staging_endpoint(
        context: dg.AssetExecutionContext, config: Staging
    ) -> dg.MaterializeResult:
        request = Request(by=config.by, reason=config.reason, run_id=context.run.run_id)

        def tell(step: str, done: int, total: int) -> None:
            if done % max(total // _QUARTERS, 1) == 0 or done == total:
                context.log.info("%s: %s of %s requests", step, done, total)

        with reported():
            verified = verify_in_staging(
                line,
                config.version,
                policy=limits,
                server=wiring.trial_server,
                evidence=wiring.evidence,
                models=wiring.models,
                loader=wiring.loader,
                tables=wiring.tables,
                online=wiring.online,
                registry=wiring.registry,
                experiments=wiring.experiments,
                deployments=wiring.deployments,
                clock=wiring.clock,
                progress=tell,
            )
            declared = _declare(line, wiring, limits, verified, request)
        plots = _latencies(wiring, verified, limits)
        return dg.MaterializeResult(
            metadata={
                **_metadata(verified),
                **declared,
                "limits": dg.JsonMetadataValue(limits.model_dump(mode="json")),
                **{name: picture(png) for name, png in plots.items()},
            },
            check_results=check_results(
                key,
                limits.judged,
                {line.name: verified.verdict},
                plots={"latency_is_within_limit": plots},
            ),
        )

    return staging_endpoint


def _declare(
    line: ReleaseLine,
    wiring: Wiring,
    policy: StagingPolicy,
    verified: Verified,
    request: Request,
) -> dict[str, str | bool]:
    if not verified.is_fit:
        return {"commit": "none, the verdict does not pass", "changed": False}
    declaration, changed = declare_in_staging(
        line,
        verified.version.number,
        policy=policy,
        request=request,
        evidence=wiring.evidence,
        models=wiring.models,
        registry=wiring.registry,
        deployments=wiring.deployments,
        clock=wiring.clock,
    )
    return {
        "commit": declaration.commit,
        "changed": changed,
        "by": declaration.actor,
        "reason": declaration.reason,
    }


def _metadata(verified: Verified) -> Mapping[str, Any]:
    verdict, load = verified.verdict, verified.load
    found: dict[str, Any] = {
        "version": verified.version.number,
        "model digest": verified.version.model_digest,
        "outcome": verdict.outcome.value,
        "verdict digest": verdict.digest,
        "evidence": dg.JsonMetadataValue(dict(verdict.evidence)),
    }
    if load is None:
        return found
    figures = {
        "p50 ms": load.quantile_ms(0.5),
        "p99 ms": load.quantile_ms(0.99),
        "requests per second": load.requests_per_s,
    }
    return {
        **found,
        "requests": load.requests,
        "failed requests": load.failed,
        **{name: value for name, value in figures.items() if value is not None},
    }


def _latencies(wiring: Wiring, verified: Verified, policy: StagingPolicy) -> dict[str, bytes]:
    if verified.load is None:
        return {}
    limit_ms = policy.latency_p99_limit_ms
    png = wiring.plotter.latencies(verified.load.latencies_ms, limit_ms=limit_ms)
    return {"latencies.png": png}
