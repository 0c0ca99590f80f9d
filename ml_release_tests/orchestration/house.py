"""The small line as Dagster definitions, with every port in memory and no MLflow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_release.adapters.hashed_ngrams import HashedNgrams
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.jobs import training_request
from ml_release.orchestration.resources import TRACKING
from ml_release.orchestration.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml_release.adapters.in_memory import InMemoryExperiments, InMemoryRun
    from ml_release_tests.small_line import House


class _Tracking:
    """Stands for the MLflow resource: opens runs of the in-memory experiments."""

    def __init__(self, experiments: InMemoryExperiments) -> None:
        self._experiments = experiments

    @contextmanager
    def run(self) -> Iterator[InMemoryRun]:
        yield self._experiments.start()


def wiring_of(house: House) -> Wiring:
    """The ports of a house."""
    return Wiring(
        environment=house.environment,
        clock=house.clock,
        landing=house.landing,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        probe=house.probe,
        trial_server=house.trial_server,
        compiler=house.compiler,
        search=house.search,
        experiments=house.experiments,
        registry=house.registry,
        deployments=house.deployments,
        switches=house.switches,
        online=house.online,
        inference_log=house.inference_log,
        inference_archive=house.inference_archive,
        profiles=house.profiles,
        answers=house.answers,
        plotter=house.plotter,
        attributor=house.attributor,
        text_classifier=HashedNgrams(),
        reports=house.reports,
        drift_pages=house.drift_pages,
        gauges=house.gauges,
        workplace=house.workplace,
        notifier=house.notifier,
    )


def definitions_of(house: House) -> dg.Definitions:
    """All that Dagster would load of the small line."""
    return build_definitions(
        [house.line],
        wiring=wiring_of(house),
        resources={TRACKING: tracking_of(house)},
    )


def tracking_of(house: House) -> dg.ResourceDefinition:
    """What opens runs of the in-memory experiments."""
    return dg.ResourceDefinition.hardcoded_resource(_Tracking(house.experiments))


def run(
    house: House,
    job: str,
    instance: dg.DagsterInstance,
    *,
    run_config: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    assets: Sequence[str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job of the small line, or only some of its assets; Ada promotes unless told."""
    if job == "promote" and run_config is None:
        run_config = promotion_config()
    return (
        definitions_of(house)
        .resolve_job_def(f"{house.line.name}_{job}")
        .execute_in_process(
            instance=instance,
            run_config=run_config or {},
            tags=tags or {},
            asset_selection=None
            if assets is None
            else [dg.AssetKey([house.line.name, name]) for name in assets],
            raise_on_error=False,
        )
    )


def promotion_config(**form: Any) -> dict[str, Any]:
    """The form of the promote job."""
    filled = {"by": "ada", "reason": "passed its gates", **form}
    return {"ops": {"small_line_promote_version": {"config": filled}}}


def train(
    house: House, instance: dg.DagsterInstance, *, last: str = "2013-03"
) -> dg.ExecuteInProcessResult:
    """Run the training job on the first months."""
    config, tags = training_request(house.line, first="2013-01", last=last, fresh_from="2013-01")
    return run(house, "train", instance, run_config=config, tags=tags)


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    """Last parts of the keys of the assets a run has materialized."""
    return {
        event.asset_key.path[-1]
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the step that failed first says."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data is not None:
            return event.step_failure_data.user_failure_data.description or ""
    return ""
