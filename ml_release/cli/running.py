"""Run a Dagster job on the configured instance, with progress, so that the UI shows its run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_release.cli.console import messages, progress_bar
from ml_release.definitions import local_definitions
from ml_release.errors import (
    DeclarationError,
    InputError,
    IntegrityError,
    LogFullError,
    MlReleaseError,
    NotFoundError,
    RefusedError,
    StaleWriteError,
    UnavailableError,
)
from ml_release.orchestration.instance import open_instance
from ml_release.orchestration.rendering import ERROR_KIND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.progress import Progress, TaskID

    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings

_LOGGER = "progress"
_KINDS: dict[str, type[MlReleaseError]] = {
    kind.__name__: kind
    for kind in (
        DeclarationError,
        InputError,
        IntegrityError,
        LogFullError,
        NotFoundError,
        RefusedError,
        StaleWriteError,
        UnavailableError,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A run that succeeded.

    Attributes
    ----------
    metadata
        Per asset, by the last part of its key, what its materialization says.
    checks
        How many checks passed.
    """

    run_id: str
    metadata: Mapping[str, Mapping[str, Any]]
    checks: int


def run_job(
    name: str,
    *,
    settings: Settings,
    wiring: Wiring,
    run_config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
) -> JobRun:
    """Run a job, or only some of its assets, to its end.

    Raises
    ------
    RefusedError
        If a blocking check did not pass, naming every finding with observed value and limit.
    MlReleaseError
        As the step raised it.
    """
    with progress_bar() as progress:
        task = progress.add_task(name, total=None)
        handler = _ProgressHandler(progress, task)
        definitions = local_definitions(
            settings, wiring=wiring, loggers={_LOGGER: _logger(handler)}
        )
        job = definitions.resolve_job_def(name)
        progress.update(task, total=len(assets or list(job.nodes)))
        with open_instance(settings) as instance:
            result = job.execute_in_process(
                instance=instance,
                # A logger that the run does not name is not used.
                run_config={**(run_config or {}), "loggers": {_LOGGER: {}}},
                tags=dict(tags or {}),
                asset_selection=assets,
                raise_on_error=False,
            )
        progress.update(task, description=f"{name} {'done' if result.success else 'stopped'}")
    failed = [
        check
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    if failed:
        rows = "\n".join(
            f"  - {line}" for check in failed for line in (check.description or "").splitlines()
        )
        subject = failed[0].asset_key.to_user_string()
        message = f"{name} stopped: checks of {subject} did not pass.\n{rows}\nRun {result.run_id}"
        raise RefusedError(message)
    if not result.success:
        raise _cause(name, result)
    return JobRun(
        run_id=result.run_id,
        metadata={
            event.asset_key.path[-1]: {
                key: value.value for key, value in event.materialization.metadata.items()
            }
            for event in result.all_events
            if event.is_step_materialization and event.asset_key is not None
        },
        checks=sum(check.passed for check in result.get_asset_check_evaluations()),
    )


def _cause(name: str, result: dg.ExecuteInProcessResult) -> Exception:
    """The error of the step that failed first, as it was raised, or what Dagster says of it."""
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        failure = event.step_failure_data
        user = failure.user_failure_data
        if user is not None and ERROR_KIND in user.metadata:
            kind = _KINDS.get(str(user.metadata[ERROR_KIND].value), MlReleaseError)
            return kind(user.description or name)
        error = failure.error
        detail = "no message" if error is None else (error.cause or error).to_string()
        return RuntimeError(f"{name}: step {event.step_key} broke: {detail}")
    return RuntimeError(f"{name}: run {result.run_id} failed before its first step")


class _ProgressHandler(logging.Handler):
    """Shows steps as they begin and end, and what assets log, above the bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__(level=logging.DEBUG)
        self._progress = progress
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        about: dict[str, Any] = getattr(record, "dagster_meta", {})
        event = about.get("dagster_event")
        step = (about.get("step_key") or "").split("__")[-1]
        if event is None:
            if record.levelno >= logging.INFO and step:
                text = about.get("orig_message") or record.getMessage()
                messages.print(f"  [dim]{step}[/dim] {text}", markup=True)
        elif event.is_step_start:
            self._progress.update(self._task, description=step.replace("_", " "))
        elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
            self._progress.advance(self._task)


def _logger(handler: logging.Handler) -> dg.LoggerDefinition:
    @dg.logger
    def progress_logger(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("ml_release.cli", level=logging.DEBUG)  # noqa: LOG001 (kept out of the tree: it has one handler and one reader)
        logger.addHandler(handler)
        return logger

    return progress_logger
