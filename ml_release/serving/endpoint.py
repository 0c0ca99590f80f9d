"""Answers requests: an HTTP request as values in, a reply out.

No network here: `app` feeds it. The order is fixed: read the table once, decode, predict, write
the log, answer. A request whose records could not be written gets no prediction.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ml_release.domain.assignment import bucket_of
from ml_release.errors import InputError, UnavailableError
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.metrics import metrics_reply
from ml_release.serving.predictions import history_age_days, predict, records_of
from ml_release.serving.protocols import (
    PredictionRequest,
    decode_infer,
    decode_invocations,
    encode_infer,
    encode_invocations,
    model_metadata,
)
from ml_release.serving.replies import JSON_HEADER, HttpError, Reply, error_reply, json_reply
from ml_release.serving.request_headers import (
    HeaderValues,
    RequestContext,
    new_request_id,
    read_context,
    usable_id,
)
from ml_release.serving.routes import find_address
from ml_release.serving.stated_labels import decode_labels
from ml_release.serving.status import status_document
from ml_release.serving.status_page import status_page
from ml_release.serving.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.serving.model_table import Answering, LineState, ModelTable, Route
    from ml_release.serving.routes import Action

MAX_ROWS = 10_000
_LOG = logging.getLogger(__name__)
_HTML_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("cache-control", "no-store"),
)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """All routes over one model table.

    Attributes
    ----------
    table
        Gives the current table; asked once per request.
    log
        Where records and labels go before a client hears of them.
    inference
        The folder of that log, whose size is a metric.
    """

    environment: str
    table: Callable[[], ModelTable]
    log: InferenceLogFiles
    now: Callable[[], datetime]
    inference: Path
    vitals: Vitals = field(default_factory=Vitals)
    counts: dict[str, LineCounts] = field(default_factory=lambda: defaultdict(LineCounts))
    _started_at: str = ""
    _actions: dict[Action, Callable[[str, HeaderValues, bytes], Reply]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self._started_at = self.now().isoformat()
        self._actions = {
            "infer": self._infer,
            "invocations": self._invocations,
            "labels": self._labels,
            "metadata": lambda line, _headers, _body: self._metadata(line),
            "line_ready": lambda line, _headers, _body: self._line_ready(line),
            "live": lambda _line, _headers, _body: json_reply({"live": True}),
            "ready": lambda _line, _headers, _body: self._ready(),
            "server": lambda _line, _headers, _body: _server(),
            "status": lambda _line, _headers, _body: json_reply(self._status()),
            "page": lambda _line, _headers, _body: self._page(),
            "metrics": lambda _line, _headers, _body: metrics_reply(
                self.table(), self.counts, self.vitals, inference=self.inference
            ),
        }

    def handle(self, method: str, path: str, headers: HeaderValues, body: bytes) -> Reply:
        """Answer one request; whatever goes wrong is an answer too."""
        try:
            address, line = find_address(method, path)
            return self._actions[address.action](line, headers, body)
        except HttpError as error:
            return error.reply()
        except InputError as error:
            return error_reply(400, str(error))
        except UnavailableError as error:
            _LOG.warning("%s", error)
            return error_reply(503, str(error))
        # The client gets an answer, the operator a traceback; the next request is not affected.
        except Exception:  # noqa: BLE001
            _LOG.exception("%s %s", method, path)
            return error_reply(500, "the server failed on this request; its log says why")

    def _infer(self, line: str, headers: HeaderValues, body: bytes) -> Reply:
        return self._predict(line, headers, body, is_v2=True)

    def _invocations(self, line: str, headers: HeaderValues, body: bytes) -> Reply:
        return self._predict(line, headers, body, is_v2=False)

    def _predict(self, line: str, headers: HeaderValues, body: bytes, *, is_v2: bool) -> Reply:
        begun = time.perf_counter()
        route = self._serving_route(line)
        context, request = self._read(line, route, headers, body, is_v2=is_v2)
        request_id = context.request_id or usable_id(request.request_id) or new_request_id()
        # A release is one split: the same units meet the canary as its weight grows, and other
        # units meet the next one.
        bucket = bucket_of(context.unit or request_id, route.declaration.state.release)
        chosen = route.pick(bucket)
        counts = self.counts[line]
        of_variant = counts.variant(chosen.variant.role, chosen.variant.version)
        if route.is_fallback(bucket):
            of_variant.fallbacks += 1
        answer = predict(chosen, route, request)
        records = records_of(
            answer,
            line=line,
            request_id=request_id,
            context=context,
            chosen=chosen,
            route=route,
            bucket=None if context.unit is None else bucket,
            latency_ms=_milliseconds_since(begun),
        )
        try:
            self.log.append_records(line, records)
        except UnavailableError:
            counts.unlogged += 1
            of_variant.add_error("unlogged", at=begun)
            raise
        headers_out = (("x-request-id", request_id), *chosen.headers)
        if answer.error is not None:
            counts.failed += 1
            of_variant.add_error("failed", at=begun)
            message = (
                f"{line} version {chosen.variant.version}, request {request_id}: {answer.error}"
            )
            # Without its words, which may quote the request: they are in the inference log.
            _LOG.error(
                "the model failed; its record in the inference log says how",
                extra={
                    "line": line,
                    "version": chosen.variant.version,
                    "variant": chosen.variant.role,
                    "request_id": request_id,
                },
            )
            return error_reply(500, message, headers_out)
        content = (
            _encoded(answer.predictions, chosen, request_id)
            if is_v2
            else encode_invocations(answer.predictions)
        )
        latency_ms = _milliseconds_since(begun)
        of_variant.add_answered(
            at=begun,
            features=answer.features,
            probabilities=(
                answer.predictions if chosen.loaded.signature.output_kind == "probability" else ()
            ),
            latency_ms=latency_ms,
        )
        counts.add_answered(
            version=chosen.variant.version,
            rows=request.rows,
            look_ups=request.rows * len(chosen.loaded.model.plan.history_features),
            misses=sum(answer.misses),
            age_days=history_age_days(route, context),
            latency_ms=latency_ms,
        )
        return Reply(200, content, (JSON_HEADER, *headers_out))

    def _read(
        self, line: str, route: Route, headers: HeaderValues, body: bytes, *, is_v2: bool
    ) -> tuple[RequestContext, PredictionRequest]:
        # All variants of a route take the same columns; the reconciler sees to that.
        signature = route.champion.loaded.signature
        try:
            context = read_context(headers, now=self.now())
            request = (decode_infer if is_v2 else decode_invocations)(body, signature)
        except InputError:
            self.counts[line].rejected += 1
            raise
        if request.rows > MAX_ROWS:
            self.counts[line].rejected += 1
            message = f"request: expected at most {MAX_ROWS} rows, found {request.rows}"
            raise HttpError(413, message)
        return context, request

    def _labels(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        self._known_line(line)
        labels = decode_labels(body, received_time=self.now().isoformat())
        self.log.append_labels(line, labels)
        self.counts[line].labels += len(labels)
        return json_reply({"accepted": len(labels)})

    def _metadata(self, line: str) -> Reply:
        route = self._serving_route(line)
        loaded = route.champion.loaded
        return json_reply(
            model_metadata(loaded.signature, list(route.answering), platform=loaded.model.platform)
        )

    def _line_ready(self, line: str) -> Reply:
        is_ready = self._known_line(line).route is not None
        return json_reply({"name": line, "ready": is_ready}, status=200 if is_ready else 503)

    def _ready(self) -> Reply:
        is_ready = self.table().is_ready and not self.vitals.is_draining
        return json_reply({"ready": is_ready}, status=200 if is_ready else 503)

    def _status(self) -> dict[str, object]:
        return status_document(
            self.table(),
            self.counts,
            environment=self.environment,
            started_at=self._started_at,
            seconds=time.perf_counter(),
            more_problems=[
                *(f"tokens file: {problem}" for problem in self.vitals.access_problems()),
                *(["stopping: requests are still answered"] if self.vitals.is_draining else []),
            ],
        )

    def _page(self) -> Reply:
        page = status_page(self._status(), now=self.now().isoformat())
        return Reply(200, page.encode(), _HTML_HEADERS)

    def _known_line(self, line: str) -> LineState:
        lines = self.table().lines
        if line not in lines:
            message = (
                f"model {line[:80]!a}: expected a line declared in {self.environment}, one of"
                f" {sorted(lines)}"
            )
            raise HttpError(404, message)
        return lines[line]

    def _serving_route(self, line: str) -> Route:
        state = self._known_line(line)
        if state.route is None:
            reasons = "; ".join(state.problems) or "it is still being loaded"
            message = f"model {line}: declared, but no version is loaded ({reasons})"
            raise HttpError(503, message)
        return state.route


def _encoded(predictions: list[float], chosen: Answering, request_id: str) -> bytes:
    return encode_infer(
        predictions,
        signature=chosen.loaded.signature,
        version=chosen.variant.version,
        request_id=request_id,
    )


def _server() -> Reply:
    try:
        number = version("ml-release")
    # Run from a checkout that is not installed.
    except PackageNotFoundError:
        number = "unknown"
    return json_reply({"name": "ml_release", "version": number, "extensions": []})


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1e3
