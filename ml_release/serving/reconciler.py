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

from ml_release.domain.deployment import several_class_problems
from ml_release.domain.sealing import refusal
from ml_release.errors import MlReleaseError
from ml_release.serving.histories import Histories
from ml_release.serving.model_table import (
    LineState,
    ModelTable,
    Route,
    ShadowVersion,
    answering,
)
from ml_release.serving.versions import gone_of
from ml_release.serving.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml_release.adapters.git_deployments import GitDeployments
    from ml_release.adapters.online_files import OnlineFiles
    from ml_release.domain.deployment import Declaration, DeclaredState, Shadow, Variant
    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.kill_switches import KillSwitches
    from ml_release.serving.model_table import LoadedVersion
    from ml_release.serving.versions import Versions

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
    switches, bandits
        Brought up to date with every pass.
    vitals
        Where switches and passes are counted.
    retry_seconds
        How long to wait before something that failed is tried again.
    """

    def __init__(
        self,
        *,
        deployments: GitDeployments,
        versions: Versions,
        online: OnlineFiles,
        environment: str,
        now: Callable[[], datetime],
        switches: KillSwitches,
        bandits: Bandits,
        vitals: Vitals | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._deployments = deployments
        self._versions = versions
        self._environment = environment
        self._now = now
        self._vitals = vitals or Vitals()
        self._retry_seconds = retry_seconds
        self._table = ModelTable()
        self._histories = Histories(online)
        self._switches = switches
        self._bandits = bandits
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

    def close(self) -> None:
        """Let every version go; nothing answers any more."""
        self._table = ModelTable()
        self._versions.close()

    def _run(self, poll_seconds: float) -> None:
        while not self._stopping.wait(poll_seconds):
            # Only once somebody answers: a server starts faster than its spare process.
            if any(line.route is not None for line in self._table.lines.values()):
                self._versions.workers.prepare()
            self.reconcile()

    def reconcile(self) -> None:
        """One pass. What fails is reported in the table, never raised."""
        try:
            # Before declared state is read: a switch on its way into Git is then in one of them.
            pulled = self._switches.seen()
            self._refresh_histories()
            self._refresh_routes()
            self._switches.take_over(*pulled)
            for name, line in self._table.lines.items():
                if line.route is not None:
                    self._bandits.refresh(name, line.route.declaration.state.experiment)
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
        has_problems = bool(table.problems) or any(
            line.problems or _lost(line) for line in table.lines.values()
        )
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
        is_known = declaration.commit == current.declared_commit
        if is_known and not current.problems and not _lost(current):
            return current
        declared_commit = declaration.commit
        problems: list[str] = []
        if declaration.seal_problem:
            # What a trusted key sealed last is what serves, also on a server that starts.
            sealed = self._deployments.sealed(line, self._environment)
            problems.append(_refusal(line, declaration, sealed, current))
            if sealed is None:
                return dataclasses.replace(
                    current, declared_commit=declared_commit, problems=tuple(problems)
                )
            declaration = sealed
        state = declaration.state
        seen = self._histories.current(line)

        def load(number: int, digest: str, *, isolated: bool) -> LoadedVersion | None:
            try:
                return self._versions.get(
                    line,
                    digest,
                    seen.table,
                    isolated=isolated,
                    # Something answers already: what comes into its process may not end it.
                    try_first=not isolated and current.route is not None,
                )
            except (MlReleaseError, OSError) as error:
                problems.append(f"version {number}: {error}")
                return None

        champion = load(state.champion.version, state.champion.model_digest, isolated=False)
        others = {
            version.version: load(version.version, version.model_digest, isolated=True)
            for version in _beside_the_champion(state)
        }
        fit = {
            number: version
            for number, version in others.items()
            if version is not None and _stands_beside(champion, number, version, problems)
        }
        if champion is not None:
            problems += several_class_problems(champion.signature.classes, state)
            fit[state.champion.version] = champion
        target = state.rollback_target
        warm = None if target is None else load(target.version, target.model_digest, isolated=False)
        # A declaration that cannot be served whole does not replace one that is. With nothing to
        # fall back on, the champion answers in the place of what is missing. Shadows answer nobody.
        is_served_whole = all(variant.version in fit for variant in state.variants)
        is_fallback = current.route is None and champion is not None
        route = current.route
        if is_served_whole or is_fallback:
            route = self._route(declaration, fit, warm, seen.table, current.route)
        return LineState(
            route=route,
            declared_commit=declared_commit,
            places=_places(state) | (_places_of(route) if route is not None else frozenset()),
            problems=tuple(problems),
            history_problem=seen.problem,
            kill_switch=state.kill_switch,
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
            or {*current.answering, *(s.shadow.version for s in current.shadows)} != fit.keys()
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
            shadows=tuple(
                ShadowVersion(shadow=shadow, loaded=fit[shadow.version])
                for shadow in declaration.state.shadows
                if shadow.version in fit
            ),
            history=history,
            since=self._now().isoformat() if is_new or current is None else current.since,
        )

    def _forget_unused(self) -> None:
        """Keep what serves, and what is declared to: the rest of it may load on the next try."""
        self._versions.keep_only(
            {
                (name, digest, isolated)
                for name, line in self._table.lines.items()
                for digest, isolated in line.places
            }
        )

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


def _refusal(
    line: str, declared: Declaration, sealed: Declaration | None, current: LineState
) -> str:
    said = refusal(
        declared.seal_problem,
        line=line,
        sealed=None if sealed is None else sealed.state,
        found=declared.state,
    )
    if sealed is None:
        serves = "Nothing else may" if current.route is None else "What serves goes on to"
        return f"{said}. {serves} serve."
    return f"{said}. Commit {sealed.commit[:12]}, the last one that is sealed, serves instead."


def _stands_beside(
    champion: LoadedVersion | None, number: int, version: LoadedVersion, problems: list[str]
) -> bool:
    if champion is None:
        return True
    if version.signature.inputs != champion.signature.inputs:
        problems.append(
            f"version {number}: expected the inputs of the champion, found others; a request is"
            " read before it is known who answers it"
        )
        return False
    expected, found = champion.signature.classes, version.signature.classes
    if found != expected:
        problems.append(
            f"version {number}: expected the classes of the champion, {list(expected)}, found"
            f" {list(found)}; a client reads an answer without asking whose it is"
        )
        return False
    return True


def _lost(line: LineState) -> bool:
    """Whether the process of a version that answers, or is asked in secret, is gone."""
    route = line.route
    if route is None:
        return False
    loaded = [a.loaded for a in route.answering.values()] + [s.loaded for s in route.shadows]
    return any(gone_of(version) is not None for version in loaded)


def _beside_the_champion(state: DeclaredState) -> list[Variant | Shadow]:
    others: list[Variant | Shadow] = [*state.variants, *state.shadows]
    return [version for version in others if version.version != state.champion.version]


def _places(state: DeclaredState) -> frozenset[tuple[str, bool]]:
    """Digest and whether in a process of its own, of everything a state names."""
    target = () if state.rollback_target is None else (state.rollback_target,)
    return frozenset(
        {(version.model_digest, False) for version in (state.champion, *target)}
        | {(version.model_digest, True) for version in _beside_the_champion(state)}
    )


def _places_of(route: Route) -> frozenset[tuple[str, bool]]:
    return _places(route.declaration.state)
