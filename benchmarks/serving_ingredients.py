"""What each ingredient of one answer costs: the stages of a request, timed in their order."""

from __future__ import annotations

import itertools
import json
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ml_release.domain.assignment import assign
from ml_release.lines.flight_delay.line import LINE
from ml_release.serving.predictions import Answer, Asked, history_age_days, records_of
from ml_release.serving.protocols import decode_infer, encode_infer
from ml_release.serving.request_headers import new_request_id, read_context
from ml_release.serving.row_plan import RowModel
from ml_release.serving.server import build
from ml_release.serving.single_row import SingleRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from served_flights import Flights, Record

ROWS = 500
HEADERS = {"content-type": "application/json"}


def ingredients(
    flights: Flights, body_of: Callable[[list[Record]], dict[str, Any]], *, quick: bool
) -> dict[str, float]:
    """Median microseconds per stage of a request with one row, and of the whole without network."""
    parts = build(flights.settings)
    parts.reconciler.reconcile()
    endpoint = parts.endpoint
    bodies = [json.dumps(body_of([row])).encode() for row in flights.raw[:ROWS]]
    found: dict[str, list[float]] = {}
    whole = []
    for _ in range(2 if quick else 8):
        for body in bodies:
            _stages(endpoint, body, found)
        begun = perf_counter()
        for body in bodies:
            endpoint.handle("POST", f"/v2/models/{LINE.name}/infer", HEADERS, body)
        whole.append((perf_counter() - begun) / len(bodies))
    parts.log.close()
    return {
        **{stage: round(median(times) * 1e6, 1) for stage, times in found.items()},
        "whole answer": round(min(whole) * 1e6, 1),
    }


def _stages(endpoint: Any, body: bytes, found: dict[str, list[float]]) -> None:  # noqa: ANN401
    moments = [("", perf_counter())]

    def passed(stage: str) -> None:
        moments.append((stage, perf_counter()))

    route = endpoint.table().lines[LINE.name].route
    chosen = route.champion
    signature, row_model = chosen.loaded.signature, chosen.loaded.row_model
    if not isinstance(row_model, RowModel):
        raise TypeError(chosen)
    begun = perf_counter()
    passed("table")
    context = read_context(HEADERS, now=endpoint.now())
    request_id = new_request_id()
    passed("headers")
    request = decode_infer(body, signature)
    if not isinstance(request.columns, SingleRow):
        raise TypeError(request)
    passed("decode")
    state = route.declaration.state
    assigned = assign(state, unit=context.unit, request_id=request_id)
    passed("routing")
    prepared = row_model.plan.prepare(request.columns, route.history)
    passed("features")
    prediction = row_model.model.predict_row(prepared.encoded)
    passed("model")
    answer = Answer(
        features=[prepared.readable], predictions=[prediction], misses=[prepared.misses]
    )
    asked = Asked(
        line=LINE.name,
        route=route,
        context=context,
        request=request,
        request_id=request_id,
        assigned=assigned,
        is_pinned=False,
        is_v2=True,
        begun=begun,
        age_days=history_age_days(route, context),
    )
    records = records_of(answer, asked, chosen=chosen, failure=None, latency_ms=0.1)
    passed("records")
    endpoint.log.append_records(LINE.name, records)
    passed("log write")
    encode_infer(answer.predictions, signature=signature, version=1, request_id=request_id)
    passed("encode")
    for (_, before), (stage, after) in itertools.pairwise(moments):
        found.setdefault(stage, []).append(after - before)
