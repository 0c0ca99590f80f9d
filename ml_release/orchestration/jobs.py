"""The jobs of a line that make assets: train, stage, monitor, compare, score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

    from ml_release.spec.release_line import ReleaseLine

TRAINED = (
    "snapshot",
    "features",
    "backtest",
    "candidate",
    "evaluation",
    "model_card",
    "registered_version",
)
MONITORED = (
    "inference_window",
    "labels",
    "drift_report",
    "performance_report",
    "fairness_report",
    "slo_report",
    "release_kpis",
    "rollback_verification",
    "experiment_report",
    "decision",
    "evidently_report",
    "monitoring_report",
)
FIRST_PARTITION_TAG = "dagster/asset_partition_range_start"
LAST_PARTITION_TAG = "dagster/asset_partition_range_end"
LINE_TAG = "ml_release/line"
REASON_TAG = "ml_release/reason"
TRIGGER_TAG = "ml_release/trigger"
REQUEST_TAG = "ml_release/request"
_TAG = 500
"""Letters of a tag; the whole reason is in the record."""
_IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def run_in_flight(instance: dg.DagsterInstance, line: ReleaseLine, name: str) -> str | None:
    """The id of a run of ``<line>_<name>`` that is to do something, or does it; None without."""
    of_job = dg.RunsFilter(job_name=f"{line.name}_{name}", statuses=_IN_FLIGHT)
    runs = instance.get_runs(of_job, limit=1)
    return runs[0].run_id if runs else None


def op_job(
    line: ReleaseLine, name: str, op: dg.OpDefinition, *, description: str
) -> dg.JobDefinition:
    """The job ``<line>_<name>`` of one op, whose configuration is its form in the UI."""

    @dg.job(
        name=f"{line.name}_{name}",
        description=description,
        tags={LINE_TAG: line.name},
        executor_def=dg.in_process_executor,
    )
    def made() -> None:
        op()

    return made


def train_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_train``: snapshot to registered version, through the gates."""
    return _job(line, "train", TRAINED, "From landed rows to a registered version, if it earns it.")


def stage_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_stage``: let a registered version meet a real server."""
    return _job(
        line,
        "stage",
        ("staging_endpoint",),
        "Try a registered version on a server of its own, and declare it in staging.",
    )


def drill_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_drill``: rehearse a rollback where it harms nobody."""
    return _job(line, "drill", ("drill",), "Rehearse a rollback on a server of its own.")


def monitor_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_monitor``: read the inference log and judge it."""
    return _job(
        line,
        "monitor",
        (*MONITORED, *(("text_report",) if line.text_columns else ())),
        "Read the log: window, labels, drift, performance, promises, KPIs; decide what to do.",
    )


def keep_log_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_keep_log``: archive the finished log, delete what is too old."""
    return _job(line, "keep_log", ("inference_archive",), "Archive the log, forget what is old.")


def score_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_score``: answer every row of some months."""
    return _job(line, "score", ("batch_predictions",), "Answer every row of a month.")


def compare_job(line: ReleaseLine) -> UnresolvedAssetJobDefinition:
    """The job ``<line>_compare_truths``: hold Git, registry and log against one another."""
    return _job(
        line,
        "compare_truths",
        ("three_truths",),
        "Compare what Git declares, what the registry knows and what was served.",
    )


def training_request(
    line: ReleaseLine,
    *,
    first: str,
    last: str,
    fresh_from: str,
    trials: int | None = None,
    search_seconds: float | None = None,
    by: str | None = None,
    trigger: str | None = None,
    reason: str | None = None,
    request: str | None = None,
) -> tuple[dict[str, object], dict[str, str]]:
    """Run configuration and tags of a training run.

    Parameters
    ----------
    first, last
        Window to train on, both included.
    fresh_from
        First partition whose snapshot and features are made again; earlier ones stay.
    trials, search_seconds
        Budget of the search; None for that of the policy.
    by
        Who asks for it; None for the orchestrator itself.
    trigger, reason, request
        What asks, why, and the key of the governor's request; None where there is none.
    """
    budget = {"trials": trials, "search_seconds": search_seconds, "by": by}
    asked = {name: value for name, value in budget.items() if value is not None}
    config: dict[str, object] = {
        "ops": {f"{line.name}__candidate": {"config": {"first": first, "last": last, **asked}}}
    }
    said = {TRIGGER_TAG: trigger, REASON_TAG: reason, REQUEST_TAG: request}
    tags = {
        FIRST_PARTITION_TAG: fresh_from,
        LAST_PARTITION_TAG: last,
        LINE_TAG: line.name,
        **{name: " ".join(value.split())[:_TAG] for name, value in said.items() if value},
    }
    return config, tags


def _job(
    line: ReleaseLine, name: str, assets: tuple[str, ...], description: str
) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        f"{line.name}_{name}",
        selection=dg.AssetSelection.assets(*(dg.AssetKey([line.name, asset]) for asset in assets)),
        description=description,
        tags={LINE_TAG: line.name},
        # One process per run: a step process that imports its libraries pays more than its work.
        executor_def=dg.in_process_executor,
    )
