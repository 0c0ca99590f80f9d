"""One request through one model, and the records that it leaves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.inference import InferenceRecord
from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from ml_release.domain.assignment import Assigned
    from ml_release.domain.features import Columns
    from ml_release.serving.model_table import Answering, Route
    from ml_release.serving.protocols import PredictionRequest
    from ml_release.serving.request_headers import RequestContext

_LOG = logging.getLogger(__name__)

FeatureRow = dict[str, float | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model made of a request.

    Attributes
    ----------
    features
        Per row the readable values the model saw; missing is None. Where the model failed before
        there were any, the columns of the request.
    predictions
        Per row a probability, or the value of a regression; empty if the model failed.
    misses
        Per row the look-ups of history features that met no key; empty if the model failed.
    error
        What went wrong; None if nothing did.
    """

    features: list[FeatureRow]
    predictions: list[float]
    misses: list[int]
    error: str | None = None


def predict(chosen: Answering, route: Route, request: PredictionRequest) -> Answer:
    """Let the chosen version answer. A model that fails gives an answer with an error."""
    try:
        values, predictions, misses = chosen.loaded.predict(request.columns, route.history)
        return Answer(
            features=_readable_rows(values),
            predictions=predictions.tolist(),
            misses=misses.tolist(),
        )
    # The exceptions of onnxruntime and of scikit-learn share no base below Exception. Whatever a
    # model does, the request is recorded and answered as failed; no prediction is made up.
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, MlReleaseError):
            _LOG.warning("version %s", chosen.variant.version, exc_info=True)
        return Answer(
            features=_readable_rows(_words_for_timestamps(request.columns)),
            predictions=[],
            misses=[],
            error=f"the model failed ({type(error).__name__}: {error})",
        )


def records_of(
    answer: Answer,
    *,
    line: str,
    request_id: str,
    context: RequestContext,
    chosen: Answering,
    route: Route,
    assigned: Assigned,
    latency_ms: float,
) -> list[InferenceRecord]:
    """One record per row of the request."""
    has_failed = answer.error is not None
    age_days = history_age_days(route, context)
    version = chosen.variant.version
    threshold = route.declaration.state.threshold
    stood_in = assigned.version != version
    fallen_back = f"version {assigned.version} is not loaded" if stood_in else None
    outcome = "error" if has_failed else "fallback" if stood_in else "ok"
    return [
        InferenceRecord(
            request_id=request_id,
            row=row,
            event_time=context.event_time,
            received_time=context.received_time,
            line=line,
            variant=chosen.variant.role,
            version=version,
            model_digest=chosen.variant.model_digest,
            route_commit=route.declaration.commit,
            # The bucket of a request without a unit is chance: nobody can look it up again.
            bucket=None if context.unit is None else assigned.bucket,
            features=features,
            history_digest=None if route.history is None else route.history.digest,
            history_age_days=age_days,
            history_misses=None if has_failed else answer.misses[row],
            prediction=None if has_failed else answer.predictions[row],
            latency_ms=latency_ms,
            outcome=outcome,
            error=answer.error or fallen_back,
            shadow=False,
            assigned_version=assigned.version if stood_in else None,
            experiment=assigned.experiment,
            propensity=assigned.propensity,
            decision=None if has_failed else decision_on(answer.predictions[row], threshold),
        )
        for row, features in enumerate(answer.features)
    ]


def decision_on(prediction: float, threshold: float | None) -> int | None:
    """1 from the threshold on, 0 below it; None without one."""
    return None if threshold is None else int(prediction >= threshold)


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
    if route.history is None:
        return None
    return route.history.age_days(datetime.fromisoformat(context.event_time))


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
