"""The asset that compares Git, registry and log, its job, and the sensor that asks for it."""

import dagster as dg

from ml_release.domain import three_truths
from ml_release.domain.notices import truth_violated
from ml_release.domain.three_truths import version_rows
from ml_release.domain.verdict import Outcome
from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.jobs import LINE_TAG
from ml_release.orchestration.rendering import check_results, check_specs, reported
from ml_release.orchestration.tables import text_table
from ml_release.orchestration.telling import tell
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.three_truths import Compared, compare_truths

_SECONDS_BETWEEN_TICKS = 60
_TRUTHS = "three_truths"
_COLUMNS = (
    "version",
    "declared",
    "git_digest",
    "registry_digest",
    "log_digests",
    "requests",
    "first_seen",
    "last_seen",
)


def three_truths_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/three_truths``."""
    key = dg.AssetKey([line.name, _TRUTHS])

    @dg.asset(
        key=key,
        deps=[endpoint_key(line)],
        check_specs=check_specs(key, three_truths.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"git", "mlflow"},
        description="Whether what Git declares, what the registry knows and what was served agree.",
    )
    def compared_truths(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            found = compare_truths(
                line,
                environment=wiring.environment,
                evidence=wiring.evidence,
                registry=wiring.registry,
                deployments=wiring.deployments,
                switches=wiring.switches,
                inference_log=wiring.inference_log,
                clock=wiring.clock,
            )
        if found.healed.changed:
            context.log.warning(
                "the alias named version %s; it follows Git again, and names version %s",
                found.healed.before,
                found.healed.after,
            )
        tell(context, line, wiring, truth_violated(found.verdict, environment=wiring.environment))
        return dg.MaterializeResult(
            metadata=_metadata(found),
            check_results=[
                result._replace(severity=_severity(result))
                for result in check_results(key, three_truths.RULES, {line.name: found.verdict})
            ],
        )

    return compared_truths


def truths_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for the comparison when the log or Git has moved, and every hour in any case."""

    @dg.sensor(
        name=f"{line.name}_three_truths",
        job_name=f"{line.name}_compare_truths",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares Git, registry and log when one of them has moved.",
    )
    def moved_truths(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        with reported():
            standing = wiring.deployments.read(line.name, wiring.environment)
            size = wiring.inference_log.size(line.name)
        if standing is None and not size:
            return dg.SkipReason("nothing is declared, and nothing was served")
        commit = "none" if standing is None else standing.commit
        # The hour: the registry may be edited, and a time of grace end, while nothing else moves.
        seen = f"{size}:{commit}:{wiring.clock.now():%Y%m%dT%H}"
        if seen == context.cursor:
            return dg.SkipReason(f"nothing has moved since commit {commit[:12]} and {size} bytes")
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"truths:{seen}", tags={LINE_TAG: line.name})],
            cursor=seen,
        )

    return moved_truths


def _severity(result: dg.AssetCheckResult) -> dg.AssetCheckSeverity:
    """Only a disagreement is an error; what nobody can tell yet is a warning, and no pass."""
    outcome = result.metadata["outcome"].value
    is_warning = outcome == Outcome.INCONCLUSIVE.value
    return dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR


def _metadata(found: Compared) -> dict[str, dg.MetadataValue]:
    rows = version_rows(found.truths)
    return {
        "outcome": dg.MetadataValue.text(found.verdict.outcome.value),
        "disagreements": dg.MetadataValue.md(
            "\n".join(f"- {one.sentence()}" for one in found.verdict.objections) or "none"
        ),
        "versions": text_table(
            _COLUMNS, ([str(getattr(row, name)) for name in _COLUMNS] for row in rows)
        ),
        "declared commit": dg.MetadataValue.text(found.verdict.evidence["declared_commit"]),
        "alias": dg.MetadataValue.text(
            found.healed.problem
            or f"names version {found.healed.after}"
            + (f", named {found.healed.before} before" if found.healed.changed else "")
        ),
        "verdict digest": dg.MetadataValue.text(found.verdict.digest),
    }
