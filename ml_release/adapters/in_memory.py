"""Every port in memory, for tests and for trying things out; nothing outlives the process.

They keep the duties their ports document, so that a workflow tested on them meets the same
refusals as on the real ones. What they leave out is only what a process cannot lose.
"""

from __future__ import annotations

import io
import math
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

from ml_release.domain.artefact_forms import form_problem
from ml_release.domain.build_record import BuildRecord
from ml_release.domain.deployment import Declaration, from_yaml, path_of, to_yaml
from ml_release.domain.gates_servability import Servability
from ml_release.domain.identity import (
    ModelVersion,
    SnapshotId,
    canonical_json,
    check_digest,
    check_line_name,
    digest_hex,
    digest_of_bytes,
    digest_of_json,
)
from ml_release.domain.withdrawals import keeping, known_to_all
from ml_release.errors import InputError, IntegrityError, NotFoundError, StaleWriteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.features import Columns
    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.incident import Incident
    from ml_release.domain.monitoring_page import MonitoringPage
    from ml_release.domain.release_report import ReleaseReport
    from ml_release.domain.search import Trial
    from ml_release.ports import ModelLoader
    from ml_release.spec.landing_source import LandingSource


class InMemoryClock:
    """`Clock` that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        """The present moment."""
        return self._now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by


class InMemoryWorkplace:
    """`Workplace` of given sources, in a checkout without changes until it is moved elsewhere.

    Parameters
    ----------
    sources
        Content per path.
    """

    def __init__(self, sources: Mapping[str, bytes] | None = None) -> None:
        content = {"ml_release/__init__.py": b""} if sources is None else sources
        files = {path: digest_of_bytes(text) for path, text in content.items()}
        self._build = BuildRecord(
            code_commit="0" * 40,
            code_dirty=False,
            code_digest=digest_of_json(files),
            code_files=files,
            lock_digest=digest_of_bytes(b"numpy==2.4.6"),
            python="3.11.7",
            implementation="CPython",
            platform="Linux glibc2.36",
            machine="x86_64",
            packages={"numpy": "2.4.6"},
        )

    def build(self, modules: Sequence[str]) -> BuildRecord:  # noqa: ARG002 (all sources are given)
        """What is here at this moment."""
        return self._build

    def move(self, **changes: object) -> None:
        """Let fields of the record be others from now on."""
        self._build = BuildRecord.model_validate({**self._build.model_dump(), **changes})


class InMemoryLanding:
    """`Landing` of tables that a test delivers."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}

    def deliver(self, path: str, table: pd.DataFrame) -> str:
        """Let a table arrive under its path in the landing zone; its digest."""
        self._tables[path] = table.copy()
        return _digest_of(table)

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        """Partitions that have arrived and that the line declares, in order."""
        before, after = source.rows.split("{partition}")
        arrived = (
            path.removeprefix(before).removesuffix(after)
            for path in self._tables
            if path.startswith(before) and path.endswith(after)
        )
        last = source.last_partition
        return tuple(
            sorted(
                name
                for name in arrived
                if len(name) == len(source.first_partition)
                and name >= source.first_partition
                and (last is None or name <= last)
            )
        )

    def read(self, source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        """The rows of one partition and every companion table."""
        tables = {"rows": self._table(source.rows.replace("{partition}", partition))}
        for name, path in source.companions.items():
            tables[name] = self._table(path)
        return tables

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        """The rows of one file that has a digest."""
        table = self._table(path)
        check_digest(f"landing table {path}", expected=digest, found=_digest_of(table))
        return table

    def _table(self, path: str) -> pd.DataFrame:
        if path not in self._tables:
            message = f"landing table {path}: expected it to have arrived, found it missing"
            raise NotFoundError(message)
        return self._tables[path].copy()


def _digest_of(table: pd.DataFrame) -> str:
    """Of its columns and rows as words: no file has given a table its bytes."""
    return digest_of_bytes(table.to_csv(index=False).encode())


class InMemoryTables:
    """`Tables` that keep every version of every partition."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, str], list[tuple[SnapshotId, bytes]]] = {}
        self._lock = threading.Lock()

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition; the same rows again write nothing."""
        import pyarrow as pa
        from pyarrow import parquet

        subject = f"{check_line_name(line)} {check_line_name(table)} {partition}"
        if rows.empty:
            message = f"{subject}: expected rows, found none; nothing was written"
            raise InputError(message)
        buffer = io.BytesIO()
        try:
            parquet.write_table(pa.Table.from_pandas(rows, preserve_index=False), buffer)
        except (pa.ArrowException, TypeError, ValueError) as error:
            message = f"{subject}: expected columns of one type each, found {error}"
            raise InputError(message) from error
        content = buffer.getvalue()
        digest = digest_of_bytes(content)
        with self._lock:
            writes = self._writes.setdefault((line, table), [])
            standing = self._newest(line, table).get(partition)
            if standing is not None and standing.digest == digest:
                return standing
            snapshot = SnapshotId(
                line=line,
                partition=partition,
                table_version=len(writes) + 1,
                digest=digest,
                rows=len(rows),
            )
            writes.append((snapshot, content))
        return snapshot

    def write_batches(
        self, line: str, table: str, partition: str, batches: Iterable[pd.DataFrame]
    ) -> SnapshotId:
        """The same for rows that come in batches."""
        import pandas as pd

        frames = list(batches)
        subject = f"{line} {table} {partition}"
        if any(set(frame) != set(frames[0]) for frame in frames):
            message = f"{subject}: expected batches of the columns {list(frames[0])}, found others"
            raise InputError(message)
        rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        return self.write(line, table, partition, rows)

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot, compared with its digest."""
        import pandas as pd

        subject = f"{snapshot.line} {table} {snapshot.partition}"
        writes = self._writes.get((snapshot.line, table), [])
        if not 1 <= snapshot.table_version <= len(writes):
            message = f"{subject}: no table version {snapshot.table_version}"
            raise NotFoundError(message)
        for kept, content in reversed(writes[: snapshot.table_version]):
            if kept.partition == snapshot.partition:
                check_digest(subject, expected=snapshot.digest, found=kept.digest)
                return pd.read_parquet(io.BytesIO(content))
        message = f"{subject}: no such partition in version {snapshot.table_version}"
        raise IntegrityError(message)

    def scan(
        self, snapshot: SnapshotId, table: str, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """The rows of a snapshot in batches, compared with its digest before the first."""
        rows = self.read(snapshot, table)
        starts = range(0, len(rows), rows_per_batch)
        return (rows[s : s + rows_per_batch].reset_index(drop=True) for s in starts)

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""
        with self._lock:
            newest = self._newest(line, table)
        return tuple(newest[partition] for partition in sorted(newest))

    def _newest(self, line: str, table: str) -> dict[str, SnapshotId]:
        writes = self._writes.get((line, table), [])
        return {
            snapshot.partition: replace(snapshot, table_version=len(writes))
            for snapshot, _ in writes
        }


class InMemoryEvidence:
    """`EvidenceStore` in two dictionaries."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str, str], bytes] = {}
        self._newest: dict[tuple[str, str], str] = {}

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""
        key = (check_line_name(line), check_line_name(kind))
        self._documents[(*key, subject)] = document
        self._newest[key] = subject
        return digest_of_bytes(document)

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none."""
        return self._documents.get((line, kind, subject))

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none."""
        return self._newest.get((line, kind))


class InMemoryModels:
    """`ModelStore` in a dictionary; nothing is signed, since nobody else can write there.

    Attributes
    ----------
    artefacts
        Files per model digest; a test may change one to see that it is noticed.
    """

    def __init__(self) -> None:
        self.artefacts: dict[str, dict[str, bytes]] = {}

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files; return the model digest."""
        if not files or not all(name and "/" not in name and name != ".." for name in files):
            message = f"model artefact: expected plain file names, found {sorted(files)}"
            raise InputError(message)
        if problem := form_problem(files):
            message = f"model artefact: {problem}. Nothing was kept."
            raise InputError(message)
        digest = _artefact_digest(files)
        if digest in self.artefacts:
            self.read(digest)
        self.artefacts.setdefault(digest, dict(files))
        return digest

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, verified."""
        digest_hex(model_digest)
        if model_digest not in self.artefacts:
            message = f"model {model_digest}: no such artefact. Train and register it again."
            raise NotFoundError(message)
        files = self.artefacts[model_digest]
        check_digest("model", expected=model_digest, found=_artefact_digest(files))
        if problem := form_problem(files):
            message = f"model {model_digest}: {problem}. Train again."
            raise IntegrityError(message)
        return dict(files)


def _artefact_digest(files: Mapping[str, bytes]) -> str:
    return digest_of_json({name: digest_of_bytes(content) for name, content in files.items()})


class InMemoryRun:
    """`ExperimentRun` that remembers what it was told.

    Attributes
    ----------
    trials
        Run identifier of every trial below it to the trial.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.trials: dict[str, Trial] = {}
        self.params: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    @property
    def run_id(self) -> str:
        """Its identifier."""
        return self._run_id

    @property
    def address(self) -> str | None:
        """None: no browser shows it."""
        return None

    def log(self, *, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record parameters and metrics; metrics that are not finite are left out."""
        self.params |= {name: str(value) for name, value in params.items()}
        self.metrics |= {name: value for name, value in metrics.items() if math.isfinite(value)}

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.tags |= tags

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artefacts of the run."""
        self.files |= {f"{folder}/{name}": content for name, content in files.items()}

    def add_trial(self, trial: Trial, *, objective: str) -> str:  # noqa: ARG002 (the trial is kept whole)
        """Remember a trial; return the identifier of its run."""
        run_id = f"{self._run_id}-trial-{len(self.trials)}"
        self.trials[run_id] = trial
        return run_id


class InMemoryExperiments:
    """`Experiments` in a dictionary; `start` opens a run."""

    def __init__(self) -> None:
        self._runs: dict[str, InMemoryRun] = {}

    def start(self) -> InMemoryRun:
        """A new run."""
        run = InMemoryRun(f"run-{len(self._runs) + 1}")
        self._runs[run.run_id] = run
        return run

    def resume(self, run_id: str) -> InMemoryRun:
        """A run that was opened before."""
        if run_id not in self._runs:
            message = f"experiment run {run_id}: no such run; known: {sorted(self._runs)}"
            raise NotFoundError(message)
        return self._runs[run_id]


class InMemoryRegistry:
    """`ModelRegistry` beside the experiments its versions came from.

    Attributes
    ----------
    aliases
        Version number per line and alias.
    """

    def __init__(self, experiments: InMemoryExperiments) -> None:
        self._experiments = experiments
        self._versions: dict[str, list[ModelVersion]] = {}
        self._lock = threading.Lock()
        self.aliases: dict[tuple[str, str], int] = {}

    def register(
        self, line: str, *, model_digest: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Add a version. A model digest that is registered already returns its version."""
        self._experiments.resume(run_id)
        with self._lock:
            versions = self._versions.setdefault(check_line_name(line), [])
            for version in versions:
                if version.model_digest == model_digest:
                    return version
            version = ModelVersion(
                line=line, number=len(versions) + 1, model_digest=model_digest, tags=dict(tags)
            )
            versions.append(version)
        return version

    def versions(self, line: str) -> tuple[ModelVersion, ...]:
        """All versions, in the order of their numbers."""
        return tuple(self._versions.get(line, ()))

    def point_alias(self, line: str, alias: str, number: int) -> None:
        """Make ``alias`` name the version ``number``."""
        numbers = [version.number for version in self.versions(line)]
        if number not in numbers:
            message = f"{line} version {number}: no such version; known: {numbers}"
            raise NotFoundError(message)
        self.aliases[line, alias] = number

    def named(self, line: str, alias: str) -> int | None:
        """Number of the version an alias names, None if it names none."""
        return self.aliases.get((line, alias))

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Tags of an experiment run."""
        return dict(self._experiments.resume(run_id).tags)


class InMemoryDeployments:
    """`Deployments` as one list per line and environment."""

    def __init__(self) -> None:
        self._histories: dict[str, list[Declaration]] = {}
        self._lock = threading.Lock()

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, None if nothing ever was."""
        history = self.history(line, environment)
        return history[-1] if history else None

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Add a declaration, if the one that stands is still the expected one."""
        path = path_of(state.line, state.environment)
        for key, value in trailers.items():
            if ":" in key or len(key.splitlines()) != 1 or len(value.splitlines()) != 1:
                message = f"trailer {key!r}: expected one line, found {value!r}"
                raise InputError(message)
        with self._lock:
            history = self._histories.setdefault(path, [])
            standing = history[-1] if history else None
            found = None if standing is None else standing.commit
            if found != expected_commit:
                message = f"{path}: expected to replace commit {expected_commit}, found {found}"
                raise StaleWriteError(message)
            state = keeping(state, known_to_all(one.state for one in history))
            if standing is not None and standing.state == state:
                return standing
            # Through text and back, as every reader of a file gets it.
            written = from_yaml(to_yaml(state), subject=path)
            commit = canonical_json([found, to_yaml(state), dict(trailers), at.isoformat()])
            declaration = Declaration(
                state=written,
                commit=digest_hex(digest_of_bytes(commit))[:40],
                committed_at=at.astimezone(UTC).replace(microsecond=0).isoformat(),
                actor=trailers.get("Actor", "unknown"),
                reason=trailers.get("Reason", "unknown"),
                trailers=dict(trailers),
                # Nobody else can write here.
                seal_problem="",
            )
            history.append(declaration)
        return declaration

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """What is declared now."""
        return self.read(line, environment)

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first."""
        return tuple(self._histories.get(path_of(line, environment), ()))


class InMemoryOnlineHistory:
    """`OnlineHistory` in a dictionary."""

    def __init__(self) -> None:
        self._tables: dict[str, HistoryTable] = {}

    def publish(self, line: str, table: HistoryTable) -> None:
        """Replace the table."""
        self._tables[check_line_name(line)] = table

    def read(self, line: str) -> HistoryTable | None:
        """The table, None if none was published."""
        return self._tables.get(line)


class SameProcessProbe:
    """`ServabilityProbe` in the process that asks; its memory is the size of the files."""

    def __init__(self, loader: ModelLoader) -> None:
        self._loader = loader

    def measure(self, files: Mapping[str, bytes], values: Columns) -> Servability:
        """Load and ask every row on its own."""
        start = perf_counter()
        model = self._loader.load(files)
        load_ms = (perf_counter() - start) * 1000
        times = []
        for row in range(len(next(iter(values.values())))):
            start = perf_counter()
            model.predict({name: column[row : row + 1] for name, column in values.items()})
            times.append((perf_counter() - start) * 1000)
        ordered = sorted(times)
        return Servability(
            n=len(times),
            load_ms=load_ms,
            p50_ms=ordered[len(times) // 2],
            p95_ms=ordered[len(times) * 95 // 100],
            p99_ms=ordered[len(times) * 99 // 100],
            memory_mb=sum(map(len, files.values())) / 1e6,
        )


class InMemoryReports:
    """`ReportWriter` that keeps files in a dictionary; a page is the text of its report."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def page(self, report: ReleaseReport) -> bytes:
        """The representation of the content."""
        return repr(report).encode()

    def incident_page(self, incident: Incident) -> bytes:
        """The representation of the content."""
        return repr(incident).encode()

    def monitoring_page(self, page: MonitoringPage) -> bytes:
        """The representation of the content."""
        return repr(page).encode()

    def keep(self, line: str, name: str, content: bytes) -> str:
        """Remember a file; its place is its name."""
        place = f"{check_line_name(line)}/{name}"
        self.files[place] = content
        return place
