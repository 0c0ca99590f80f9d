"""Makes what is served equal to what is declared, in the background.

A pass looks at the head of the deployments repository, loads and warms up what is new, and only
then replaces the table, whole. Whatever cannot be read or loaded leaves the current version
serving, stands in the table as a problem, and is tried again. Nothing is ever declared here.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from typing import TYPE_CHECKING

from ml_release.errors import MlReleaseError
from ml_release.serving.model_table import (
    LineState,
    ModelTable,
    Route,
    answering,
    load_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml_release.adapters.git_deployments import GitDeployments
    from ml_release.adapters.model_files import ModelFiles
    from ml_release.adapters.online_files import OnlineFiles
    from ml_release.adapters.onnx_models import OnnxLoader
    from ml_release.domain.deployment import Declaration, Variant
    from ml_release.domain.history import HistoryTable
    from ml_release.serving.model_table import LoadedVersion

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class Reconciler:
    """Owns the model table; one thread reconciles, any thread reads `table`.

    Parameters
    ----------
    environment
        Whose declared state is served.
    now
        The clock, for the time a switch happened.
    retry_seconds
        How long to wait before something that failed is tried again.
    """

    def __init__(
        self,
        *,
        deployments: GitDeployments,
        models: ModelFiles,
        loader: OnnxLoader,
        online: OnlineFiles,
        environment: str,
        now: Callable[[], datetime],
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._deployments = deployments
        self._models = models
        self._loader = loader
        self._online = online
        self._environment = environment
        self._now = now
        self._retry_seconds = retry_seconds
        self._table = ModelTable()
        self._loaded: dict[tuple[str, str], LoadedVersion] = {}
        self._histories: dict[str, _SeenHistory] = {}
        self._next_retry = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def table(self) -> ModelTable:
        """What is served now."""
        return self._table

    def start(self, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Reconcile again and again in a thread of its own, until `stop`."""
        self._thread = threading.Thread(
            target=self._run, args=(poll_seconds,), name="reconciler", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is loaded goes on to answer."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, poll_seconds: float) -> None:
        while not self._stopping.wait(poll_seconds):
            self.reconcile()

    def reconcile(self) -> None:
        """One pass. What fails is reported in the table, never raised."""
        try:
            self._refresh_histories()
            self._refresh_routes()
        # The thread must outlive whatever a repository or a file system can raise: dead, it would
        # freeze what is served without anybody noticing.
        except Exception as error:  # noqa: BLE001
            if not self._table.problems:
                _LOG.warning("reconciling failed", exc_info=not isinstance(error, MlReleaseError))
            self._report(f"reconciling: {type(error).__name__}: {error}")

    def _report(self, problem: str) -> None:
        self._table = dataclasses.replace(self._table, problems=(problem,))
        self._next_retry = time.monotonic() + self._retry_seconds

    def _refresh_routes(self) -> None:
        table = self._table
        head = self._deployments.head()
        has_problems = bool(table.problems) or any(line.problems for line in table.lines.values())
        is_due = has_problems and time.monotonic() >= self._next_retry
        if table.is_reconciled and head == table.commit and not is_due:
            return
        if head is None and table.commit is not None:
            self._report(
                "deployments: expected a repository with declared state, found none. What was"
                " declared last goes on to serve; restore the repository."
            )
            return
        problems: list[str] = []
        lines = {}
        for name in self._declared_lines(problems):
            lines[name] = self._line_state(name, table.lines.get(name, LineState()))
        self._table = ModelTable(
            lines=lines, commit=head, is_reconciled=True, problems=tuple(problems)
        )
        self._next_retry = time.monotonic() + self._retry_seconds
        self._forget_unused()

    def _declared_lines(self, problems: list[str]) -> tuple[str, ...]:
        """Names of the lines, the known ones if one broken declaration hides the others."""
        try:
            return self._deployments.lines(self._environment)
        except MlReleaseError as error:
            problems.append(f"deployments: {error}")
            return tuple(self._table.lines)

    def _line_state(self, line: str, current: LineState) -> LineState:
        try:
            declaration = self._deployments.read(line, self._environment)
        except MlReleaseError as error:
            return dataclasses.replace(current, problems=(str(error),))
        if declaration is None:
            return current
        if declaration.commit == current.declared_commit and not current.problems:
            return current
        state = declaration.state
        problems: list[str] = []
        history = self._history(line, problems)
        loaded = {
            variant.version: self._version(line, variant, history, problems)
            for variant in state.variants
        }
        fit = {number: version for number, version in loaded.items() if version is not None}
        champion = fit.get(state.champion.version)
        for number, version in list(fit.items()):
            if champion is not None and version.signature.inputs != champion.signature.inputs:
                problems.append(
                    f"version {number}: expected the inputs of the champion, found others; a"
                    " request is read before it is known who answers it"
                )
                del fit[number]
        # A declaration that cannot be served whole does not replace one that is. With nothing to
        # fall back on, the champion answers in the place of what is missing.
        is_served_whole = len(fit) == len(loaded)
        is_fallback = current.route is None and champion is not None
        warm = (
            None
            if state.rollback_target is None
            else self._version(line, state.rollback_target, history, problems)
        )
        route = current.route
        if is_served_whole or is_fallback:
            route = self._route(declaration, fit, warm, history, current.route)
        return LineState(route=route, declared_commit=declaration.commit, problems=tuple(problems))

    def _route(
        self,
        declaration: Declaration,
        fit: dict[int, LoadedVersion],
        warm: LoadedVersion | None,
        history: HistoryTable | None,
        current: Route | None,
    ) -> Route:
        is_new = (
            current is None
            or current.declaration.commit != declaration.commit
            or current.answering.keys() != fit.keys()
        )
        if is_new:
            _LOG.info(
                "%s: %s by commit %s",
                declaration.state.line,
                ", ".join(f"version {number}" for number in fit),
                declaration.commit[:12],
            )
        return Route(
            declaration=declaration,
            answering={
                variant.version: answering(declaration, variant, fit[variant.version])
                for variant in declaration.state.variants
                if variant.version in fit
            },
            warm=warm,
            history=history,
            since=self._now().isoformat() if is_new or current is None else current.since,
        )

    def _version(
        self, line: str, variant: Variant, history: HistoryTable | None, problems: list[str]
    ) -> LoadedVersion | None:
        key = (line, variant.model_digest)
        if key not in self._loaded:
            try:
                files = self._models.read(variant.model_digest)
                self._loaded[key] = load_version(
                    line, variant.model_digest, files, self._loader, history
                )
            except (MlReleaseError, OSError) as error:
                problems.append(f"version {variant.version}: {error}")
                return None
        return self._loaded[key]

    def _forget_unused(self) -> None:
        in_use = {
            (name, loaded.model_digest)
            for name, line in self._table.lines.items()
            if line.route is not None
            for loaded in (
                *(answer.loaded for answer in line.route.answering.values()),
                line.route.warm,
            )
            if loaded is not None
        }
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key in in_use}

    def _refresh_histories(self) -> None:
        """Give every route the newest history table, in one replacement of the table."""
        changed: dict[str, LineState] = {}
        for name, line in self._table.lines.items():
            if line.route is None:
                continue
            problems: list[str] = []
            history = self._history(name, problems)
            is_known = set(problems) <= set(line.problems)
            if history is line.route.history and is_known:
                continue
            changed[name] = dataclasses.replace(
                line,
                route=dataclasses.replace(line.route, history=history),
                problems=line.problems if is_known else (*line.problems, *problems),
            )
        if changed:
            self._table = dataclasses.replace(self._table, lines={**self._table.lines, **changed})

    def _history(self, line: str, problems: list[str]) -> HistoryTable | None:
        """The history table, read again only if the file is another one than before."""
        seen = self._histories.get(line, _SeenHistory())
        try:
            stat = self._online.path(line).stat()
        except OSError as error:
            if seen.table is not None:
                problems.append(
                    f"history of {line}: the file cannot be read any more ({error}); the table as"
                    f" of {seen.table.as_of} goes on to answer"
                )
            return seen.table
        mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if mark != seen.mark:
            try:
                seen = _SeenHistory(mark=mark, table=self._online.read(line))
            except (MlReleaseError, OSError) as error:
                seen = _SeenHistory(mark=mark, table=seen.table, problem=str(error))
            self._histories[line] = seen
        if seen.problem is not None:
            problems.append(f"history of {line}: {seen.problem}")
        return seen.table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _SeenHistory:
    mark: tuple[int, int, int] | None = None
    table: HistoryTable | None = None
    problem: str | None = None
