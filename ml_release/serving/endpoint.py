"""Answers requests: an HTTP request as values in, status, headers and body out.

No network here: `app` feeds it. The order is fixed: read the table once, decode, predict, write
the log, answer. A request whose record could not be written is not answered with a prediction.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ml_release import __name__ as _product
from ml_release.domain.assignment import bucket_of
from ml_release.domain.inference import InferenceRecord, Label
from ml_release.errors import InputError, MlReleaseError, UnavailableError
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.protocols import (
    decode_infer,
    decode_invocations,
    encode_infer,
    encode_invocations,
    model_metadata,
)
from ml_release.serving.request_headers import (
    RequestContext,
    new_request_id,
    read_context,
    usable_id,
    utc_time,
)
from ml_release.serving.status import status_document
from ml_release.serving.status_page import status_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.domain.features import Columns
    from ml_release.serving.model_table import Answering, LineState, ModelTable, Route
    from ml_release.serving.protocols import PredictionRequest

MAX_ROWS = 10_000
_LOG = logging.getLogger(__name__)
_JSON = ("content-type", "application/json")
_HTML_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("cache-control", "no-store"),
)


class Reply(NamedTuple):
    """What goes back to the client."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (_JSON,)


class HttpError(Exception):
    """A request that ends with a status other than 200."""

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    def reply(self) -> Reply:
        """The error as JSON."""
        return error_reply(self.status, str(self), self.headers)


def error_reply(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """An error as JSON: ``{"error": message}``."""
    return Reply(status, msgspec.json.encode({"error": message}), (_JSON, *headers))


class _StatedLabel(msgspec.Struct, forbid_unknown_fields=True):
    request_id: str
    label: int
    event_time: str | None = None


class _StatedLabels(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[_StatedLabel]


_LABELS = msgspec.json.Decoder(_StatedLabels)
_LABEL = msgspec.json.Decoder(_StatedLabel)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """All routes over one model table.

    Attributes
    ----------
    table
        Gives the current table; asked once per request.
    log
        Where records and labels go before a client hears of them.
    """

    environment: str
    table: Callable[[], ModelTable]
    log: InferenceLogFiles
    now: Callable[[], datetime]
    started_at: str = ""
    counts: dict[str, LineCounts] = field(default_factory=lambda: defaultdict(LineCounts))

    def __post_init__(self) -> None:
        self.started_at = self.started_at or self.now().isoformat()

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; whatever goes wrong is an answer too.

        Parameters
        ----------
        headers
            Anything with ``get`` for names in lower case.
        """
        try:
            action, line = self._route(method, path)
            return action(line, headers, body)
        except HttpError as error:
            return error.reply()
        except InputError as error:
            return error_reply(400, str(error))
        except UnavailableError as error:
            _LOG.warning("%s", error)
            return error_reply(503, str(error))
        # The client gets an answer, the operator a traceback; the next request is not affected.
        except Exception:
            _LOG.exception("%s %s", method, path)
            return error_reply(500, "the server failed on this request; its log says why")

    def expects_body(self, method: str, path: str) -> bool:
        """Whether a request to this address is answered from its body.

        Raises
        ------
        HttpError
            404 or 405 if nothing answers there.
        """
        self._route(method, path)
        return method == "POST"

    def _route(
        self, method: str, path: str
    ) -> tuple[Callable[[str, Mapping[str, str], bytes], Reply], str]:
        """The action and the line an address names."""
        line = ""
        match path.split("/"):
            case ["", "v2", "models", line, "infer"]:
                allowed, action = "POST", self._infer
            case ["", "models", line, "invocations"]:
                allowed, action = "POST", self._invocations
            case ["", "models", line, "labels"]:
                allowed, action = "POST", self._labels
            case ["", "v2", "models", line]:
                allowed, action = "GET", self._metadata
            case ["", "v2", "models", line, "ready"]:
                allowed, action = "GET", self._line_ready
            case ["", "v2", "health", "live"]:
                allowed, action = "GET", self._live
            case ["", "v2", "health", "ready"]:
                allowed, action = "GET", self._ready
            case ["", "v2"]:
                allowed, action = "GET", self._server
            case ["", "status"]:
                allowed, action = "GET", self._status
            case ["", ""]:
                allowed, action = "GET", self._page
            case _:
                message = f"path {ascii(path[:200])}: nothing answers here; GET / lists the routes"
                raise HttpError(404, message)
        if method != allowed:
            message = f"path {path}: expected {allowed}, found {method}"
            raise HttpError(405, message, (("allow", allowed),))
        return action, line

    def _infer(self, line: str, headers: Mapping[str, str], body: bytes) -> Reply:
        return self._predict(line, headers, body, is_v2=True)

    def _invocations(self, line: str, headers: Mapping[str, str], body: bytes) -> Reply:
        return self._predict(line, headers, body, is_v2=False)

    def _predict(
        self, line: str, headers: Mapping[str, str], body: bytes, *, is_v2: bool
    ) -> Reply:
        begun = time.perf_counter()
        route = self._serving_route(line)
        counts = self.counts[line]
        try:
            context = read_context(headers, now=self.now())
            # The formats of a line's requests are those of its champion; a variant that takes
            # other columns is another line.
            decode = decode_infer if is_v2 else decode_invocations
            request = decode(body, route.champion.loaded.signature)
            if request.rows > MAX_ROWS:
                message = f"request: expected at most {MAX_ROWS} rows, found {request.rows}"
                raise HttpError(413, message)
        except (InputError, HttpError):
            counts.rejected += 1
            raise
        request_id = context.request_id or usable_id(request.request_id) or new_request_id()
        salt = route.declaration.state.release
        bucket = bucket_of(context.unit or request_id, salt)
        chosen = route.pick(bucket)
        sent = (_JSON, ("x-request-id", request_id), *chosen.headers)
        answer = _answer(chosen, route, request)
        records = _records(
            answer,
            line=line,
            request_id=request_id,
            context=context,
            chosen=chosen,
            commit=route.declaration.commit,
            bucket=None if context.unit is None else bucket,
            latency_ms=_milliseconds_since(begun),
        )
        try:
            self.log.append_records(line, records)
        except UnavailableError:
            counts.unlogged += 1
            raise
        if answer.error is not None:
            counts.failed += 1
            _LOG.error("%s: request %s: %s", line, request_id, answer.error)
            return error_reply(500, f"request {request_id}: {answer.error}", sent[1:])
        content = (
            encode_infer(
                answer.predictions,
                signature=chosen.loaded.signature,
                version=chosen.variant.version,
                request_id=request_id,
            )
            if is_v2
            else encode_invocations(answer.predictions)
        )
        counts.add_answered(
            version=chosen.variant.version,
            rows=request.rows,
            misses=answer.misses,
            latency_ms=_milliseconds_since(begun),
        )
        return Reply(200, content, sent)

    def _labels(self, line: str, _headers: Mapping[str, str], body: bytes) -> Reply:
        self._known_line(line)
        received_time = self.now().isoformat()
        labels = [
            _label(position, stated, received_time)
            for position, stated in enumerate(_stated_labels(body))
        ]
        self.log.append_labels(line, labels)
        self.counts[line].labels += len(labels)
        return _json({"accepted": len(labels)})

    def _metadata(self, line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        route = self._serving_route(line)
        return _json(model_metadata(route.champion.loaded.signature, list(route.answering)))

    def _line_ready(self, line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        is_ready = self._known_line(line).route is not None
        return _json({"name": line, "ready": is_ready}, status=200 if is_ready else 503)

    def _live(self, _line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        return _json({"live": True})

    def _ready(self, _line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        is_ready = self.table().is_ready
        return _json({"ready": is_ready}, status=200 if is_ready else 503)

    def _server(self, _line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        return _json({"name": _product, "version": "2", "extensions": []})

    def _status(self, _line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        return _json(self._status_document())

    def _page(self, _line: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
        page = status_page(self._status_document(), now=self.now().isoformat())
        return Reply(200, page.encode(), _HTML_HEADERS)

    def _status_document(self) -> dict[str, object]:
        return status_document(
            self.table(),
            self.counts,
            environment=self.environment,
            started_at=self.started_at,
        )

    def _known_line(self, line: str) -> LineState:
        state = self.table().lines.get(line)
        if state is None:
            known = sorted(self.table().lines)
            message = (
                f"model {ascii(line[:80])}: expected a declared line of {self.environment}, one of"
                f" {known}"
            )
            raise HttpError(404, message)
        return state

    def _serving_route(self, line: str) -> Route:
        state = self._known_line(line)
        if state.route is None:
            reasons = "; ".join(state.problems) or "it is still being loaded"
            message = f"model {line}: declared, but no version is loaded ({reasons})"
            raise HttpError(503, message)
        return state.route


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a model made of a request: an error, or features and a prediction per row."""

    rows: int
    features: list[dict[str, float | str | None]]
    predictions: list[float]
    misses: int = 0
    error: str | None = None


def _answer(chosen: Answering, route: Route, request: PredictionRequest) -> _Answer:
    try:
        values, predictions, misses = chosen.loaded.predict(request.columns, route.history)
        return _Answer(
            rows=request.rows,
            features=_readable_rows(values),
            predictions=predictions.tolist(),
            misses=misses,
        )
    # onnxruntime's exceptions have no base below Exception. Whatever a model does, the request is
    # recorded as failed and answered as failed.
    except Exception as error:
        if not isinstance(error, MlReleaseError):
            _LOG.exception("version %s of %s", chosen.variant.version, chosen.loaded.signature.line)
        message = f"the model failed ({type(error).__name__}: {error})"
        return _Answer(
            rows=request.rows,
            features=_readable_rows(_values_of(request.columns)),
            predictions=[],
            error=message,
        )


def _values_of(columns: Columns) -> dict[str, npt.NDArray[np.generic]]:
    """Columns of a request whose features could not be made, timestamps as words."""
    return {
        name: column.astype(str).astype(object) if column.dtype.kind == "M" else column
        for name, column in columns.items()
    }


def _readable_rows(
    values: Mapping[str, npt.NDArray[np.generic]],
) -> list[dict[str, float | str | None]]:
    """One mapping per row; NaN, which JSON does not have, becomes None."""
    columns = [
        # Only NaN differs from itself.
        [None if value != value else value for value in column.tolist()]  # noqa: PLR0124
        for column in values.values()
    ]
    names = tuple(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _records(
    answer: _Answer,
    *,
    line: str,
    request_id: str,
    context: RequestContext,
    chosen: Answering,
    commit: str,
    bucket: int | None,
    latency_ms: float,
) -> list[InferenceRecord]:
    outcome = "ok" if answer.error is None else "error"
    return [
        InferenceRecord(
            request_id=request_id,
            row=row,
            event_time=context.event_time,
            received_time=context.received_time,
            line=line,
            variant=chosen.variant.role,
            version=chosen.variant.version,
            model_digest=chosen.variant.model_digest,
            route_commit=commit,
            bucket=bucket,
            features=answer.features[row],
            prediction=answer.predictions[row] if answer.error is None else None,
            latency_ms=latency_ms,
            outcome=outcome,
            error=answer.error,
            shadow=False,
        )
        for row in range(answer.rows)
    ]


def _stated_labels(body: bytes) -> list[_StatedLabel]:
    try:
        # The one form has a list of labels, the other is a label; both refuse what they don't know.
        if b'"labels"' in body:
            return _LABELS.decode(body).labels
        return [_LABEL.decode(body)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = (
            'request body: expected {"labels": [{"request_id": ..., "label": 0 or 1}]} or one such'
            f" object, found {error}"
        )
        raise InputError(message) from error


def _label(position: int, stated: _StatedLabel, received_time: str) -> Label:
    subject = f"label {position}"
    if usable_id(stated.request_id) is None:
        message = f"{subject}, request_id: expected the id of a request, found {stated.request_id[:128]!a}"
        raise InputError(message)
    if stated.label not in {0, 1}:
        message = f"{subject}, label: expected 0 or 1, found {stated.label}"
        raise InputError(message)
    return Label(
        request_id=stated.request_id,
        label=stated.label,
        event_time=(
            received_time
            if stated.event_time is None
            else utc_time(f"{subject}, event_time", stated.event_time)
        ),
        received_time=received_time,
    )


def _json(document: object, *, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(document))


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1e3
