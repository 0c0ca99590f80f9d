"""One request through one model, and the records that it leaves."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ml_release.domain.assignment import Assigned
from ml_release.domain.history_table import HistoryTable
from ml_release.domain.inference import InferenceRecord
from ml_release.errors import MlReleaseError, UnavailableError
from ml_release.serving.model_table import Route
from ml_release.serving.protocols import PredictionRequest
from ml_release.serving.request_headers import RequestContext
from ml_release.serving.single_row import SingleRow
from ml_release.serving.stated_version import PINNED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from ml_release.domain.features import Columns
    from ml_release.serving.model_table import Answering, LoadedVersion
    from ml_release.serving.workers import IsolatedModel

_LOG = logging.getLogger(__name__)

FeatureRow = dict[str, float | str | None]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a model made of a request.

    Attributes
    ----------
    features
        Per row the readable values the model saw; missing is None. Where the model failed before
        there were any, the columns of the request.
    predictions
        Per row a probability, the value of a regression, or the probabilities of all classes;
        empty if the model failed.
    misses
        Per row the look-ups of history features that met no key; empty if the model failed.
    error
        What went wrong; None if nothing did.
    """

    features: list[FeatureRow]
    predictions: list[float] | list[list[float]]
    misses: list[int]
    error: str | None = None

    def of_row(self, row: int) -> tuple[float | None, tuple[float, ...] | None]:
        """The one number of a row and the probabilities of all its classes: at most one is there.

        Neither is if the model failed.
        """
        if self.error is not None:
            return None, None
        found = self.predictions[row]
        return (None, tuple(found)) if isinstance(found, list) else (found, None)

    def rows(self, start: int, end: int) -> Answer:
        """The answer to a part of the rows."""
        return Answer(
            features=self.features[start:end],
            predictions=self.predictions[start:end],
            misses=self.misses[start:end],
        )


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request that was read and assigned.

    Attributes
    ----------
    is_pinned
        Whether the client named the champion while others answer besides.
    begun
        When it came in, by `time.perf_counter`.
    age_days
        Of the history table at the event, as `InferenceRecord` has it.
    """

    line: str
    route: Route
    context: RequestContext
    request: PredictionRequest
    request_id: str
    assigned: Assigned
    is_pinned: bool
    is_v2: bool
    begun: float
    age_days: int | None


class Answered(NamedTuple):
    """One request with what became of it, on its way to the log and to its client.

    Attributes
    ----------
    chosen
        Who gave the answer.
    failure
        Why it is not the assigned version; None if it is.
    """

    asked: Asked
    chosen: Answering
    answer: Answer
    failure: str | None


def predict(chosen: Answering, route: Route, request: PredictionRequest) -> Answer:
    """Let the chosen version answer. A model that fails gives an answer with an error."""
    try:
        return predict_rows(chosen.loaded, request.columns, route.history)
    # The exceptions of onnxruntime and of scikit-learn share no base below Exception. Whatever a
    # model does, the request is recorded and answered as failed; no prediction is made up.
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, MlReleaseError):
            _LOG.warning("version %s", chosen.variant.version, exc_info=True)
        return failed(request, error)


def predict_together(
    chosen: Answering, route: Route, requests: Sequence[PredictionRequest]
) -> list[Answer]:
    """As `predict` of each, of requests of one row, which a version answers at once if it can."""
    rows = [request.columns for request in requests if isinstance(request.columns, SingleRow)]
    if len(rows) > 1 and len(rows) == len(requests) and chosen.loaded.row_model is not None:
        try:
            answered = chosen.loaded.predict_rows(rows, route.history)
            return [
                Answer([prepared.readable], [prediction], [prepared.misses])
                for prepared, prediction in answered
            ]
        # As in `predict`. Alone, each gets the answer or the error that is its own.
        except Exception:  # noqa: BLE001
            _LOG.debug("version %s: asked one by one", chosen.variant.version, exc_info=True)
    return [predict(chosen, route, request) for request in requests]


async def predict_isolated(
    chosen: Answering, model: IsolatedModel, route: Route, request: PredictionRequest
) -> Answer:
    """As `predict`, of a version in a process of its own, without waiting for it in this one."""
    loaded = chosen.loaded
    try:
        values, misses = loaded.prepare(request.columns, route.history)
        answering = asyncio.wrap_future(model.ask(values))
        await asyncio.wait({answering}, timeout=model.answer_s)
        if not answering.done():
            # Whatever becomes of it, nobody waits for it any more.
            answering.cancel()
            return failed(request, UnavailableError(model.was_late()))
        model.was_in_time()
        predictions = answering.result()
        loaded.check(predictions)
        return Answer(
            features=_readable_rows(values),
            predictions=predictions.tolist(),
            misses=misses.tolist(),
        )
    # As in `predict`.
    except Exception as error:  # noqa: BLE001
        return failed(request, error)


def predict_rows(loaded: LoadedVersion, columns: Columns, history: HistoryTable | None) -> Answer:
    """What a version makes of typed columns; raises what the version raises."""
    if isinstance(columns, SingleRow):
        one = loaded.predict_row(columns, history)
        if one is not None:
            prepared, prediction = one
            return Answer(
                features=[prepared.readable], predictions=[prediction], misses=[prepared.misses]
            )
    values, predictions, misses = loaded.predict(columns, history)
    return Answer(
        features=_readable_rows(values),
        predictions=predictions.tolist(),
        misses=misses.tolist(),
    )


def failed(request: PredictionRequest, error: Exception) -> Answer:
    """The answer of a model that gave none."""
    return Answer(
        features=_readable_rows(_words_for_timestamps(request.columns)),
        predictions=[],
        misses=[],
        error=f"the model failed ({type(error).__name__}: {error})",
    )


def records_of(
    answer: Answer, asked: Asked, *, chosen: Answering, failure: str | None, latency_ms: float
) -> list[InferenceRecord]:
    """One record per row of the request.

    Parameters
    ----------
    failure
        Why the assigned version did not answer; None if it did.
    """
    route, context, assigned = asked.route, asked.context, asked.assigned
    history, threshold, variant = route.history, route.threshold, chosen.variant
    has_failed = answer.error is not None
    outcome = "error" if has_failed else "ok" if failure is None else "fallback"
    return [
        InferenceRecord(
            request_id=asked.request_id,
            row=row,
            event_time=context.event_time,
            received_time=context.received_time,
            line=asked.line,
            variant=PINNED if asked.is_pinned else variant.role,
            version=variant.version,
            model_digest=variant.model_digest,
            route_commit=route.declaration.commit,
            # The bucket of a request without a unit is chance: nobody can look it up again.
            bucket=None if context.unit is None or asked.is_pinned else assigned.bucket,
            features=features,
            history_digest=None if history is None else history.digest,
            history_age_days=asked.age_days,
            history_misses=None if has_failed else answer.misses[row],
            prediction=prediction,
            latency_ms=latency_ms,
            outcome=outcome,
            error=answer.error or failure,
            shadow=False,
            assigned_version=None if failure is None else assigned.version,
            experiment=assigned.experiment,
            propensity=None if asked.is_pinned else assigned.propensity,
            decision=decision_on(prediction, threshold),
            probabilities=probabilities,
        )
        for row, features in enumerate(answer.features)
        for prediction, probabilities in (answer.of_row(row),)
    ]


def shadow_records(
    answer: Answer, asked: Asked, *, version: int, model_digest: str, latency_ms: float
) -> list[InferenceRecord]:
    """What a shadow made of a request that somebody else has answered, one record per row."""
    route, context = asked.route, asked.context
    has_failed = answer.error is not None
    return [
        InferenceRecord(
            request_id=asked.request_id,
            row=row,
            event_time=context.event_time,
            received_time=context.received_time,
            line=asked.line,
            variant="shadow",
            version=version,
            model_digest=model_digest,
            route_commit=route.declaration.commit,
            bucket=None,
            features=features,
            history_digest=None if route.history is None else route.history.digest,
            history_age_days=asked.age_days,
            history_misses=None if has_failed else answer.misses[row],
            prediction=prediction,
            latency_ms=latency_ms,
            outcome="error" if has_failed else "ok",
            error=answer.error,
            shadow=True,
            probabilities=probabilities,
        )
        for row, features in enumerate(answer.features)
        for prediction, probabilities in (answer.of_row(row),)
    ]


def decision_on(prediction: float | None, threshold: float | None) -> int | None:
    """1 from the threshold on, 0 below it; None without a prediction or a threshold."""
    return None if threshold is None or prediction is None else int(prediction >= threshold)


def static_records(
    answer: float, rows: int, *, line: str, request_id: str, context: RequestContext, commit: str
) -> list[InferenceRecord]:
    """One record per row of a request that no model answered, because the kill switch is pulled."""
    return [
        InferenceRecord(
            request_id=request_id,
            row=row,
            event_time=context.event_time,
            received_time=context.received_time,
            line=line,
            variant="kill_switch",
            version=0,
            model_digest="none",
            route_commit=commit,
            bucket=None,
            features={},
            history_digest=None,
            prediction=answer,
            latency_ms=0.0,
            outcome="ok",
            error=None,
            shadow=False,
        )
        for row in range(rows)
    ]


def history_age_days(route: Route, context: RequestContext) -> int | None:
    """Age of the route's history table at the event, as `InferenceRecord` has it."""
    history = route.history
    if history is None:
        return None
    # Without fractions of a second: requests of the same second share the work.
    second = context.event_time[:19] + context.event_time[-6:]
    return _age_days(history.as_of, history.time_zone, second)


@lru_cache(maxsize=1024)
def _age_days(as_of: str, time_zone: str | None, moment: str) -> int | None:
    table = HistoryTable(as_of=as_of, values={}, defaults={}, time_zone=time_zone)
    return table.age_days(datetime.fromisoformat(moment))


def _readable_rows(values: Mapping[str, npt.NDArray[np.generic]]) -> list[FeatureRow]:
    columns = [
        # JSON has no NaN; only NaN differs from itself.
        [None if value != value else value for value in column.tolist()]  # noqa: PLR0124
        for column in values.values()
    ]
    names = tuple(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _words_for_timestamps(columns: Columns) -> dict[str, npt.NDArray[np.generic]]:
    return {
        name: column.astype(str).astype(object) if column.dtype.kind == "M" else column
        for name, column in columns.items()
    }
