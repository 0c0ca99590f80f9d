"""The assets of a model on its way: candidate, evaluation, registered version."""

from collections.abc import Mapping

import dagster as dg

from ml_release.domain import evaluation_gates
from ml_release.orchestration.backtest_asset import trained as remember_trained
from ml_release.orchestration.backtest_asset import training_reason
from ml_release.orchestration.build_page import build_metadata, environment_drift_metadata
from ml_release.orchestration.evaluation_page import evaluation_metadata, report_metadata
from ml_release.orchestration.rendering import check_results, check_specs, picture, reported
from ml_release.orchestration.resources import TRACKING
from ml_release.orchestration.tables import (
    kept_out_table,
    left_out_table,
    number,
    search_table,
    waived_table,
)
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.environment_drift import environment_drift
from ml_release.workflows.evaluation import evaluate_candidate
from ml_release.workflows.registration import register_version
from ml_release.workflows.release_reports import write_report
from ml_release.workflows.training import train_candidate

_OF_RUN = "candidate_of_run"


class TrainingWindow(dg.Config):
    """Months to train on, both included; empty for the oldest or newest that has features.

    ``trials`` and ``search_seconds`` are the budget of the search; empty for that of the policy.
    ``by`` is who asks for it: whoever trains a version may not be the one who approves it.
    """

    first: str | None = None
    last: str | None = None
    trials: int | None = None
    search_seconds: float | None = None
    by: str = "dagster"


def candidate_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/candidate``."""

    @dg.asset(
        key=[line.name, "candidate"],
        deps=[dg.AssetKey([line.name, name]) for name in ("features", "backtest")],
        required_resource_keys={TRACKING},
        group_name=line.name,
        kinds={"scikitlearn", "mlflow", "onnx"},
        description="A model fitted on all but the last days of a window, as code-free artefact.",
    )
    def candidate(
        context: dg.AssetExecutionContext, config: TrainingWindow
    ) -> dg.MaterializeResult:
        def progress(done: int, total: int, best: float | None) -> None:
            context.log.info("trial %s of %s, best so far %s", done, total, number(best))

        with reported(), context.resources.mlflow.run() as run:
            asked = training_reason(line, wiring, context)
            trained = train_candidate(
                line,
                first=config.first,
                last=config.last,
                trials=config.trials,
                search_seconds=config.search_seconds,
                tables=wiring.tables,
                evidence=wiring.evidence,
                models=wiring.models,
                compiler=wiring.compiler,
                search=wiring.search,
                plotter=wiring.plotter,
                attributor=wiring.attributor,
                workplace=wiring.workplace,
                run=run,
                now=wiring.clock.now(),
                by=config.by,
                asked=asked,
                progress=progress,
            )
            remember_trained(line, wiring, context)
        record = trained.record
        wiring.evidence.record(line.name, _OF_RUN, context.run.run_id, record.model_digest.encode())
        return dg.MaterializeResult(
            metadata={
                "model digest": record.model_digest,
                "MLflow run": record.run_id,
                "asked for by": f"{asked.trigger}: {asked.reason}",
                "backtest": asked.backtest or "none",
                "window": f"{record.window_from} to {record.window_to}",
                "left out": left_out_table(record.left_out),
                "kept out of training": kept_out_table(record.kept_out),
                "holdout from": record.holdout_from,
                "training rows": record.train_rows,
                "holdout rows": record.holdout_rows,
                "data digest": record.data_digest,
                "feature version": record.feature_version,
                **build_metadata(record.build),
                "features": dg.JsonMetadataValue(dict(record.partitions)),
                "parameters": dg.JsonMetadataValue(dict(record.parameters)),
                "search": search_table(record.search),
                "calibration": "none"
                if record.calibration is None
                else dg.JsonMetadataValue(record.calibration.model_dump()),
                **{name: picture(png) for name, png in trained.plots.items()},
            }
        )

    return candidate


def evaluation_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/evaluation``."""
    key = dg.AssetKey([line.name, "evaluation"])
    policy = line.policies.evaluation
    descriptions = {rule: evaluation_gates.DESCRIPTIONS[rule] for rule in policy.judged}

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "candidate"])],
        check_specs=check_specs(key, descriptions, blocking=True, warning=policy.warning),
        group_name=line.name,
        kinds={"onnx", "mlflow"},
        description="The newest candidate on later days, beside the champion: what a release rests"
        " on.",
    )
    def evaluation(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            found = evaluate_candidate(
                line,
                model_digest=trained_in_this_run(line, wiring, context),
                environment=wiring.environment,
                landing=wiring.landing,
                tables=wiring.tables,
                evidence=wiring.evidence,
                models=wiring.models,
                loader=wiring.loader,
                probe=wiring.probe,
                deployments=wiring.deployments,
                registry=wiring.registry,
                experiments=wiring.experiments,
                plotter=wiring.plotter,
                attributor=wiring.attributor,
                now=wiring.clock.now(),
            )
            report = write_report(
                line,
                model_digest=found.candidate.model_digest,
                tables=wiring.tables,
                evidence=wiring.evidence,
                experiments=wiring.experiments,
                reports=wiring.reports,
                now=wiring.clock.now(),
            )
        return dg.MaterializeResult(
            metadata={**evaluation_metadata(found), **report_metadata(report)},
            check_results=check_results(
                key,
                policy.judged,
                {line.name: found.verdict},
                plots={
                    "probabilities_are_calibrated": _only(found.plots, "reliability.png"),
                    "score_is_above_floor": _only(found.plots, "roc.png"),
                    "no_worse_than_champion": _only(found.plots, "roc.png"),
                    "slices_are_good_enough": _only(found.plots, "slices.png"),
                    "attributions_are_stable": _only(found.plots, "importances.png"),
                },
                warning=policy.warning,
            ),
        )

    return evaluation


def registered_version_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/registered_version``."""

    @dg.asset(
        key=[line.name, "registered_version"],
        deps=[
            dg.AssetKey([line.name, "candidate"]),
            dg.AssetKey([line.name, "evaluation"]),
            dg.AssetKey([line.name, "model_card"]),
        ],
        group_name=line.name,
        kinds={"mlflow"},
        description="The newest candidate in the model registry, once its recorded verdict passes.",
    )
    def registered_version(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            version, found = register_version(
                line,
                model_digest=trained_in_this_run(line, wiring, context),
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                now=wiring.clock.now(),
            )
        for waived in found.waived:
            context.log.error("%s", waived.sentence())
        return dg.MaterializeResult(
            metadata={
                "version": version.number,
                "waived": waived_table(found.waived),
                "model digest": version.model_digest,
                "verdict digest": found.verdict.digest,
                "MLflow run": found.candidate.run_id,
                **environment_drift_metadata(
                    environment_drift(
                        line,
                        version.model_digest,
                        evidence=wiring.evidence,
                        workplace=wiring.workplace,
                    )
                ),
            }
        )

    return registered_version


def trained_in_this_run(
    line: ReleaseLine, wiring: Wiring, context: dg.AssetExecutionContext
) -> str | None:
    """The candidate this very run has trained; None, for the newest one, if it has trained none.

    Two runs at once would otherwise judge and register each other's candidates.
    """
    found = wiring.evidence.find(line.name, _OF_RUN, context.run.run_id)
    return None if found is None else found.decode()


def _only(plots: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    return {name: plots[name]} if name in plots else {}
