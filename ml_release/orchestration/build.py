"""From release lines to everything Dagster loads of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.rollout import Stage
from ml_release.orchestration.acting_sensors import auto_rollback_sensor, reduce_canary_sensor
from ml_release.orchestration.backtest_asset import backtest_asset
from ml_release.orchestration.card_asset import model_card_asset
from ml_release.orchestration.data_assets import features_asset, landing_spec, snapshot_asset
from ml_release.orchestration.decision_asset import decision_asset
from ml_release.orchestration.drill_asset import drill_asset
from ml_release.orchestration.endpoint_assets import endpoint_asset
from ml_release.orchestration.experiment_assets import experiment_report_asset
from ml_release.orchestration.experiment_jobs import (
    begin_experiment_job,
    end_experiment_job,
    experiment_sensor,
)
from ml_release.orchestration.fairness_asset import fairness_report_asset
from ml_release.orchestration.incident_assets import (
    incident_sensor,
    incident_spec,
    write_incident_job,
)
from ml_release.orchestration.jobs import (
    compare_job,
    drill_job,
    keep_log_job,
    monitor_job,
    score_job,
    stage_job,
    train_job,
)
from ml_release.orchestration.kill_switch_job import adopt_kill_switch_job, kill_switch_sensor
from ml_release.orchestration.kpi_asset import release_kpis_asset
from ml_release.orchestration.label_assets import labels_asset
from ml_release.orchestration.log_assets import finished_segments_sensor, inference_archive_asset
from ml_release.orchestration.model_assets import (
    candidate_asset,
    evaluation_asset,
    registered_version_asset,
)
from ml_release.orchestration.monitoring_assets import (
    drift_report_asset,
    inference_window_asset,
    performance_report_asset,
)
from ml_release.orchestration.monitoring_page_assets import (
    evidently_report_asset,
    monitoring_report_asset,
)
from ml_release.orchestration.release_jobs import (
    approval_spec,
    approve_job,
    promote_job,
    reject_job,
    rollback_job,
    settle_job,
)
from ml_release.orchestration.restore_job import restore_job
from ml_release.orchestration.retraining_sensors import retraining_schedules, retraining_sensors
from ml_release.orchestration.rollout_assets import rollout_job, rollout_sensor, verdict_specs
from ml_release.orchestration.scorecard_asset import gate_scorecard_asset
from ml_release.orchestration.scoring_asset import batch_predictions_asset
from ml_release.orchestration.sensors import new_records_sensor
from ml_release.orchestration.slo_asset import slo_report_asset
from ml_release.orchestration.staging_asset import staging_endpoint_asset
from ml_release.orchestration.text_asset import text_report_asset
from ml_release.orchestration.truth_assets import three_truths_asset, truths_sensor
from ml_release.orchestration.verification_asset import rollback_verification_asset
from ml_release.orchestration.waiver_job import waiver_job
from ml_release.orchestration.withdrawal_jobs import lift_job, withdraw_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_release.orchestration.wiring import Wiring
    from ml_release.spec.release_line import ReleaseLine

_STAGES = (Stage.SHADOW, Stage.CANARY, Stage.PRODUCTION)


def build_definitions(
    lines: Iterable[ReleaseLine],
    *,
    wiring: Wiring,
    resources: Mapping[str, object],
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs and sensors of every line; Dagster's own loggers unless given."""
    with warnings.catch_warnings():
        # backfill_policy is in beta: the snapshot test of the asset graph would see it change.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions.merge(
            dg.Definitions(
                resources=resources,
                executor=dg.in_process_executor,
                loggers=None if loggers is None else dict(loggers),
            ),
            *(_line_definitions(line, wiring) for line in lines),
        )


def _line_definitions(line: ReleaseLine, wiring: Wiring) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            landing_spec(line),
            approval_spec(line),
            *verdict_specs(line),
            incident_spec(line),
            *(endpoint_asset(line, wiring, stage) for stage in _STAGES),
            *(
                make(line, wiring)
                for make in (
                    snapshot_asset,
                    features_asset,
                    backtest_asset,
                    candidate_asset,
                    evaluation_asset,
                    model_card_asset,
                    gate_scorecard_asset,
                    registered_version_asset,
                    staging_endpoint_asset,
                    inference_archive_asset,
                    batch_predictions_asset,
                    inference_window_asset,
                    labels_asset,
                    drift_report_asset,
                    performance_report_asset,
                    fairness_report_asset,
                    *((text_report_asset,) if line.text_columns else ()),
                    slo_report_asset,
                    release_kpis_asset,
                    decision_asset,
                    evidently_report_asset,
                    monitoring_report_asset,
                    rollback_verification_asset,
                    drill_asset,
                    experiment_report_asset,
                    three_truths_asset,
                )
            ),
        ],
        jobs=[
            train_job(line),
            stage_job(line),
            drill_job(line),
            promote_job(line, wiring),
            approve_job(line, wiring),
            reject_job(line, wiring),
            rollback_job(line, wiring),
            rollout_job(line, wiring),
            settle_job(line, wiring),
            withdraw_job(line, wiring),
            lift_job(line, wiring),
            restore_job(line, wiring),
            write_incident_job(line, wiring),
            waiver_job(line, wiring),
            monitor_job(line),
            keep_log_job(line),
            compare_job(line),
            score_job(line),
            adopt_kill_switch_job(line, wiring),
            begin_experiment_job(line, wiring),
            end_experiment_job(line, wiring),
        ],
        sensors=[
            new_records_sensor(line, wiring),
            *retraining_sensors(line, wiring),
            auto_rollback_sensor(line, wiring),
            reduce_canary_sensor(line, wiring),
            finished_segments_sensor(line, wiring),
            kill_switch_sensor(line, wiring),
            rollout_sensor(line, wiring),
            incident_sensor(line, wiring),
            experiment_sensor(line, wiring),
            truths_sensor(line, wiring),
        ],
        schedules=retraining_schedules(line, wiring),
    )
