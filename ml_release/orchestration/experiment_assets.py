"""The asset ``<line>/experiment_report``: what the declared experiment has shown so far."""

import dagster as dg

from ml_release.domain import experiment_verdict
from ml_release.domain.experiment_split import OVERLAP
from ml_release.errors import NotFoundError
from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.experiment_page import report_metadata
from ml_release.orchestration.rendering import check_results, check_specs, reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.experiments import (
    declared_experiment,
    record_experiment,
    report_experiment,
)


def experiment_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/experiment_report``."""
    key = dg.AssetKey([line.name, "experiment_report"])

    @dg.asset(
        key=key,
        deps=[endpoint_key(line)],
        check_specs=check_specs(key, experiment_verdict.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"numpy"},
        description="The arms of the declared experiment beside its control, with intervals that"
        " hold at every look; recorded for the sensor that ends it for harm.",
    )
    def experiment_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            declared = declared_experiment(
                line, environment=wiring.environment, deployments=wiring.deployments
            )
            if declared is None:
                return _nothing("no experiment is declared")
            try:
                report = report_experiment(
                    line,
                    environment=wiring.environment,
                    inference_log=wiring.inference_log,
                    deployments=wiring.deployments,
                    evidence=wiring.evidence,
                    plotter=wiring.plotter,
                    now=wiring.clock.now(),
                )
            except NotFoundError as error:
                # Declared by hand, without a plan: said in every report, and no run is stopped.
                context.log.warning("%s", error)
                return _nothing(str(error))
            record_experiment(line, report, evidence=wiring.evidence)
        context.log.info("%s: %s", report.analysis.answer.value, report.analysis.reason)
        return dg.MaterializeResult(
            metadata=report_metadata(report),
            check_results=check_results(
                key,
                tuple(experiment_verdict.DESCRIPTIONS),
                {declared.name: report.verdict},
                severity=dg.AssetCheckSeverity.WARN,
                warning=(OVERLAP,),
            ),
        )

    def _nothing(said: str) -> dg.MaterializeResult:
        return dg.MaterializeResult(
            metadata={"answer": said},
            check_results=check_results(
                key,
                tuple(experiment_verdict.DESCRIPTIONS),
                {},
                severity=dg.AssetCheckSeverity.WARN,
            ),
        )

    return experiment_report
