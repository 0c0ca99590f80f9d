"""A server on trial that is no process: the version is loaded here, and answers here.

It takes MLflow's ``dataframe_records`` only, and refuses what the endpoint server refuses.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.artefact import SIGNATURE_FILE, signature_from_json
from ml_release.domain.features import feature_values
from ml_release.domain.history_table import look_up
from ml_release.domain.trial import LoadMeasured, Served, TrialReply
from ml_release.errors import InputError, IntegrityError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from ml_release.domain.answering import LoadedModel, ModelLoader
    from ml_release.domain.artefact import InputField, Signature
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.trial import Trial, TrialLoad
    from ml_release.ports import Deployments, ModelStore

_BEGINNING = datetime(2013, 1, 1, tzinfo=UTC)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int, float),
    "string": (str,),
    "timestamp": (str,),
}


class InMemoryTrialServer:
    """`TrialServer` in the process that asks; its memory is the size of the files.

    Parameters
    ----------
    deployments
        Makes the declared state of one trial.
    now
        The clock, for the commits and the log.
    """

    def __init__(
        self,
        models: ModelStore,
        loader: ModelLoader,
        *,
        deployments: Callable[[], Deployments],
        now: Callable[[], datetime] = lambda: _BEGINNING,
    ) -> None:
        self._models = models
        self._loader = loader
        self._deployments = deployments
        self._now = now

    @contextmanager
    def start(self, trial: Trial) -> Iterator[RunningInMemory]:
        """Load what is declared; a version to go back to that cannot be loaded is left out."""
        champion = trial.state.champion
        begun = perf_counter()
        deployments = self._deployments()
        deployments.declare(
            trial.state,
            expected_commit=None,
            trailers={"Actor": "staging", "Reason": "on trial"},
            at=self._now(),
        )
        try:
            files = self._models.read(champion.model_digest)
            loaded = {champion.model_digest: self._loader.load(files)}
            for later in trial.later:
                loaded[later.model_digest] = self._loader.load(
                    self._models.read(later.model_digest)
                )
            target = trial.state.rollback_target
            if target is not None and self._is_loadable(trial):
                loaded[target.model_digest] = self._loader.load(
                    self._models.read(target.model_digest)
                )
        except (IntegrityError, NotFoundError) as error:
            message = (
                f"trial of {trial.state.line} version {champion.version}: expected a server that"
                f" has loaded it, found {error}"
            )
            raise UnavailableError(message) from error
        yield RunningInMemory(
            start_s=perf_counter() - begun,
            deployments=deployments,
            _now=self._now,
            _trial=trial,
            _loaded=loaded,
            _signature=signature_from_json(files[SIGNATURE_FILE]),
            _is_warm=self._is_loadable(trial),
            _memory_mb=sum(map(len, files.values())) / 1e6,
        )

    def _is_loadable(self, trial: Trial) -> bool:
        target = trial.state.rollback_target
        if target is None:
            return False
        try:
            self._loader.load(self._models.read(target.model_digest))
        except (IntegrityError, NotFoundError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningInMemory:
    """`RunningTrial` that answers by itself."""

    start_s: float
    deployments: Deployments
    _now: Callable[[], datetime]
    _trial: Trial
    _loaded: Mapping[str, LoadedModel]
    _signature: Signature
    _is_warm: bool
    _memory_mb: float
    _rows: dict[str, int] = field(default_factory=dict)
    _served: list[Served] = field(default_factory=list)

    def ask(
        self, method: str, path: str, *, body: bytes = b"", request_id: str | None = None
    ) -> TrialReply:
        """Predictions, the description of the line, or the status."""
        declaration = self._declared()
        line, champion = self._trial.state.line, declaration.state.champion
        if (method, path) == ("GET", f"/v2/models/{line}"):
            return _reply({"name": line, "versions": [str(champion.version)]})
        if (method, path) == ("GET", "/status"):
            return _reply({"problems": [], "lines": {line: self._status()}})
        if (method, path) != ("POST", f"/models/{line}/invocations"):
            return _reply({"error": f"nothing answers at {path}"}, status=404)
        try:
            columns, rows = self._columns(body)
        except InputError as error:
            return _reply({"error": str(error)}, status=400)
        predictions = self._predict(columns, self._loaded[champion.model_digest])
        self._served.append(
            Served(
                version=champion.version,
                route_commit=declaration.commit,
                received_time=self._now(),
                is_ok=True,
            )
        )
        name = request_id or f"request-{len(self._rows)}"
        self._rows[name] = self._rows.get(name, 0) + rows
        return _reply({"predictions": predictions.tolist()}, version=champion.version)

    def load(
        self, path: str, load: TrialLoad, *, on_progress: Callable[[int, int], None] | None = None
    ) -> LoadMeasured:
        """One after the other, whatever the number of connections."""
        acknowledged, latencies = [], []
        begun, total = perf_counter(), len(load.requests)
        for done, request in enumerate(load.requests, start=1):
            sent = perf_counter()
            if sent - begun >= load.seconds:
                break
            reply = self.ask("POST", path, body=request.body, request_id=request.request_id)
            latencies.append((perf_counter() - sent) * 1000)
            if reply.status == 200:  # noqa: PLR2004 (HTTP)
                acknowledged.append(request.request_id)
            if on_progress is not None:
                on_progress(done, total)
        return LoadMeasured(
            acknowledged=tuple(acknowledged),
            failed=len(latencies) - len(acknowledged),
            seconds=perf_counter() - begun,
            latencies_ms=tuple(latencies),
        )

    def logged(self) -> Mapping[str, int]:
        """What was answered."""
        return dict(self._rows)

    def served(self) -> tuple[Served, ...]:
        """What was answered, in that order."""
        return tuple(self._served)

    def memory_mb(self) -> float | None:
        """Of the files."""
        return self._memory_mb

    def _status(self) -> dict[str, object]:
        state = self._declared().state
        champion, target = state.champion, state.rollback_target
        return {
            "problems": [],
            "serving": {
                "variants": [{"version": champion.version, "model_digest": champion.model_digest}],
                "rollback_target": None
                if target is None
                else {"version": target.version, "loaded": self._is_warm},
            },
        }

    def _declared(self) -> Declaration:
        state = self._trial.state
        found = self.deployments.sealed(state.line, state.environment)
        assert found is not None  # noqa: S101 (declared before anything was asked)
        return found

    def _predict(
        self, columns: Mapping[str, npt.NDArray[np.generic]], model: LoadedModel
    ) -> npt.NDArray[np.float64]:
        plan = model.plan
        found, _ = look_up(plan.history_features, self._trial.history, columns)
        return model.predict(feature_values(plan.features, {**columns, **found}))

    def _columns(self, body: bytes) -> tuple[dict[str, npt.NDArray[np.generic]], int]:
        records = _records(body)
        names = {field.name for field in self._signature.inputs}
        for record in records:
            if not isinstance(record, dict) or record.keys() != names:
                message = f"row: expected the columns {sorted(names)}, found {record!r}"
                raise InputError(message)
        columns = {
            field.name: _column(field, [record[field.name] for record in records])
            for field in self._signature.inputs
        }
        return columns, len(records)


def _records(body: bytes) -> list[Any]:
    def refuse(constant: str) -> float:
        message = f"{constant} is no JSON"
        raise ValueError(message)

    try:
        records = json.loads(body, parse_constant=refuse)["dataframe_records"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"body: expected dataframe_records, found something else ({error})"
        raise InputError(message) from error
    if not isinstance(records, list) or not records:
        message = f"dataframe_records: expected at least one row, found {records!r}"
        raise InputError(message)
    return records


def _column(field: InputField, values: list[Any]) -> npt.NDArray[np.generic]:
    allowed = (*_TYPES[field.type], *((type(None),) if field.nullable else ()))
    if bad := [value for value in values if type(value) not in allowed]:
        message = f"field {field.name!r}: expected a {field.type}, found {bad[0]!r}"
        raise InputError(message)
    if field.type == "string":
        column = np.empty(len(values), dtype=np.object_)
        column[:] = values
        return column
    if field.type == "number":
        numbers = np.array([np.nan if value is None else value for value in values], np.float64)
        if np.isinf(numbers).any():
            message = f"field {field.name!r}: expected finite numbers"
            raise InputError(message)
        return numbers
    try:
        moments = [None if value is None else datetime.fromisoformat(value) for value in values]
    except ValueError as error:
        message = f"field {field.name!r}: expected a local time ({error})"
        raise InputError(message) from error
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        message = f"field {field.name!r}: expected a local time without a zone"
        raise InputError(message)
    return np.array(moments, dtype="datetime64[us]")


def _reply(document: object, *, status: int = 200, version: int | None = None) -> TrialReply:
    return TrialReply(status=status, body=json.dumps(document).encode(), version=version)
