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
from ml_release.serving.histories import Histories
from ml_release.serving.model_table import (
    LineState,
    ModelTable,
    Route,
    answering,
    load_version,
)
from ml_release.serving.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml_release.adapters.git_deployments import GitDeployments
    from ml_release.adapters.model_files import ModelFiles
    from ml_release.adapters.online_files import OnlineFiles
    from ml_release.domain.answering import ModelLoader
    from ml_release.domain.deployment import Declaration, Variant
    from ml_release.domain.history_table import HistoryTable
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
    vitals
        Where switches and passes are counted.
    retry_seconds
        How long to wait before something that failed is tried again.
    """

    def __init__(
        self,
        *,
        deployments: GitDeployments,
        models: ModelFiles,
        loader: ModelLoader,
        online: OnlineFiles,
        environment: str,
        now: Callable[[], datetime],
        vitals: Vitals | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._deployments = deployments
        self._models = models
        self._loader = loader
        self._environment = environment
        self._now = now
        self._vitals = vitals or Vitals()
        self._retry_seconds = retry_seconds
        self._table = ModelTable()
        self._loaded: dict[tuple[str, str], LoadedVersion] = {}
        self._histories = Histories(online)
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
            if not self._table.problems:
                self._vitals.reconciled_at = time.monotonic()
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
        lines = {
            name: self._line_state(name, table.lines.get(name, LineState()))
            for name in self._deployments.lines(self._environment)
        }
        self._table = ModelTable(lines=lines, commit=head, is_reconciled=True)
        self._next_retry = time.monotonic() + self._retry_seconds
        self._forget_unused()

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
        seen = self._histories.current(line)
        loaded = {
            variant.version: self._version(line, variant, seen.table, problems)
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
            else self._version(line, state.rollback_target, seen.table, problems)
        )
        route = current.route
        if is_served_whole or is_fallback:
            route = self._route(declaration, fit, warm, seen.table, current.route)
        declared = (*state.variants, *filter(None, (state.rollback_target,)))
        return LineState(
            route=route,
            declared_commit=declaration.commit,
            declared_digests=frozenset(variant.model_digest for variant in declared),
            problems=tuple(problems),
            history_problem=seen.problem,
        )

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
            self._vitals.swaps[declaration.state.line] += 1
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
        """Keep what serves, and what is declared to: the rest of it may load on the next try."""
        in_use = {
            (name, digest)
            for name, line in self._table.lines.items()
            for digest in line.declared_digests | line.served_digests
        }
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key in in_use}

    def _refresh_histories(self) -> None:
        """Give every route the newest history table, in one replacement of the table."""
        changed: dict[str, LineState] = {}
        for name, line in self._table.lines.items():
            seen = self._histories.current(name)
            if line.route is None:
                continue
            if seen.table is not line.route.history or seen.problem != line.history_problem:
                changed[name] = dataclasses.replace(
                    line,
                    route=dataclasses.replace(line.route, history=seen.table),
                    history_problem=seen.problem,
                )
        if changed:
            self._table = dataclasses.replace(self._table, lines={**self._table.lines, **changed})
