"""Answers requests: an HTTP request as values in, a reply out.

No network here: `app` feeds it. The order is fixed: read the table once, decode, predict, write
the log, answer. A request whose records could not be written gets no prediction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ml_release.domain.assignment import assign
from ml_release.domain.inference import Reward
from ml_release.domain.kill_switch import Pulled, answer_to_pull
from ml_release.errors import InputError, RefusedError, UnavailableError
from ml_release.serving.bandits import Met
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.metrics import metrics_reply
from ml_release.serving.predictions import (
    Asked,
    history_age_days,
    predict,
    predict_isolated,
    records_of,
    static_records,
)
from ml_release.serving.protocols import (
    PredictionRequest,
    count_rows,
    decode_infer,
    decode_invocations,
    encode_infer,
    encode_invocations,
    encode_static,
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
from ml_release.serving.stated_pull import decode_pull
from ml_release.serving.stated_rewards import decode_rewards
from ml_release.serving.status import status_document
from ml_release.serving.status_page import status_page
from ml_release.serving.vitals import Vitals
from ml_release.serving.workers import IsolatedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from pathlib import Path

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.domain.experiment import Experiment
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.kill_switches import KillSwitches
    from ml_release.serving.model_table import Answering, LineState, ModelTable, Route
    from ml_release.serving.predictions import Answer
    from ml_release.serving.routes import Action
    from ml_release.serving.shadows import Shadows

    Replied = Reply | Coroutine[Any, Any, Reply]

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
    switches: KillSwitches
    bandits: Bandits
    shadows: Shadows
    inference: Path
    vitals: Vitals = field(default_factory=Vitals)
    counts: dict[str, LineCounts] = field(default_factory=lambda: defaultdict(LineCounts))
    _started_at: str = ""
    _last_failure: dict[str, str] = field(default_factory=dict)
    _actions: dict[Action, Callable[[str, HeaderValues, bytes], Replied]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self._started_at = self.now().isoformat()
        self._actions = {
            "infer": self._infer,
            "invocations": self._invocations,
            "labels": self._labels,
            "rewards": self._rewards,
            "kill_switch": self._kill_switch,
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
        """Answer one request, for callers without an event loop: as `answer`, waited for."""
        reply = self.answer(method, path, headers, body)
        return reply if isinstance(reply, Reply) else asyncio.run(reply)

    def answer(
        self, method: str, path: str, headers: HeaderValues, body: bytes
    ) -> Reply | Coroutine[Any, Any, Reply]:
        """Answer one request; whatever goes wrong is an answer too.

        The answer of a variant in a process of its own is still to come; every other one is there.
        """
        try:
            address, line = find_address(method, path)
            reply = self._actions[address.action](line, headers, body)
        # The client gets an answer, the operator a traceback; the next request is not affected.
        except Exception as error:  # noqa: BLE001
            return _refusal(error, method, path)
        return reply if isinstance(reply, Reply) else _guarded(reply, method, path)

    def _infer(self, line: str, headers: HeaderValues, body: bytes) -> Replied:
        return self._predict(line, headers, body, is_v2=True)

    def _invocations(self, line: str, headers: HeaderValues, body: bytes) -> Replied:
        return self._predict(line, headers, body, is_v2=False)

    def _predict(self, line: str, headers: HeaderValues, body: bytes, *, is_v2: bool) -> Replied:
        begun = time.perf_counter()
        state = self._known_line(line)
        static = self.switches.answer(line, state.kill_switch)
        if static is not None:
            return self._answer_without_model(line, state, static, headers, body, is_v2=is_v2)
        route = _serving_route(line, state)
        context, request = self._read(line, route, headers, body, is_v2=is_v2)
        request_id = context.request_id or usable_id(request.request_id) or new_request_id()
        assigned = assign(
            route.declaration.state,
            unit=context.unit,
            request_id=request_id,
            arm_percent=self.bandits.percent(line, route.declaration.state.experiment),
        )
        asked = Asked(
            line=line,
            route=route,
            context=context,
            request=request,
            request_id=request_id,
            assigned=assigned,
            is_v2=is_v2,
            begun=begun,
        )
        chosen = route.answering_for(assigned.version)
        if isinstance(chosen.loaded.model, IsolatedModel):
            return self._ask_isolated(asked, chosen, chosen.loaded.model)
        failure = None
        if assigned.version != chosen.variant.version:
            failure = f"version {assigned.version} is not loaded"
        return self._finish(asked, chosen, predict(chosen, route, request), failure)

    async def _ask_isolated(self, asked: Asked, chosen: Answering, model: IsolatedModel) -> Reply:
        """Ask a variant that has not proven itself; the champion answers in its place."""
        answer = await predict_isolated(chosen, model, asked.route, asked.request)
        failure = None
        if answer.error is not None:
            failure = f"version {chosen.variant.version}: {answer.error}"
            # Said once: a canary that is down fails thousands of times a second.
            if self._last_failure.get(asked.line) != failure:
                self._last_failure[asked.line] = failure
                _LOG.warning("%s, request %s: %s", asked.line, asked.request_id, failure)
            chosen = asked.route.champion
            answer = predict(chosen, asked.route, asked.request)
        return self._finish(asked, chosen, answer, failure)

    def _finish(
        self, asked: Asked, chosen: Answering, answer: Answer, failure: str | None
    ) -> Reply:
        """Write the log, count, and answer; ``failure`` says why another than the assigned did."""
        line, route, request, assigned = asked.line, asked.route, asked.request, asked.assigned
        counts = self.counts[line]
        of_variant = counts.variant(chosen.variant.role, chosen.variant.version)
        of_variant.fallbacks += failure is not None
        records = records_of(
            answer,
            asked,
            chosen=chosen,
            failure=failure,
            latency_ms=_milliseconds_since(asked.begun),
        )
        try:
            self.log.append_records(line, records)
        except UnavailableError:
            counts.unlogged += 1
            of_variant.add_error("unlogged", at=asked.begun)
            raise
        counts.fallbacks[assigned.version] += failure is not None
        headers_out: tuple[tuple[str, str], ...] = (
            ("x-request-id", asked.request_id),
            *chosen.headers,
        )
        if answer.error is not None:
            counts.failed += 1
            of_variant.add_error("failed", at=asked.begun)
            message = (
                f"{line} version {chosen.variant.version}, request {asked.request_id}:"
                f" {answer.error}"
            )
            # Without its words, which may quote the request: they are in the inference log.
            _LOG.error(
                "the model failed; its record in the inference log says how",
                extra={
                    "line": line,
                    "version": chosen.variant.version,
                    "variant": chosen.variant.role,
                    "request_id": asked.request_id,
                },
            )
            return error_reply(500, message, headers_out)
        if assigned.experiment is not None:
            headers_out = (*headers_out, ("x-experiment", assigned.experiment))
            # What the champion earns in the place of an arm says nothing about either.
            if failure is None:
                met = Met(assigned.experiment, assigned.version, assigned.propensity)
                self.bandits.remember(line, asked.request_id, met)
        decisions = _decisions(answer.predictions, route.declaration.state.threshold)
        content = (
            encode_infer(
                answer.predictions,
                signature=chosen.loaded.signature,
                version=chosen.variant.version,
                request_id=asked.request_id,
                decisions=decisions,
            )
            if asked.is_v2
            else encode_invocations(answer.predictions, decisions=decisions)
        )
        latency_ms = _milliseconds_since(asked.begun)
        of_variant.add_answered(
            at=asked.begun,
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
            age_days=history_age_days(route, asked.context),
            latency_ms=latency_ms,
        )
        if route.shadows:
            self.shadows.offer(asked)
        return Reply(200, content, (JSON_HEADER, *headers_out))

    def _answer_without_model(
        self,
        line: str,
        state: LineState,
        static: float,
        headers: HeaderValues,
        body: bytes,
        *,
        is_v2: bool,
    ) -> Reply:
        """Every row gets the declared answer: no model is asked, and none has to be loaded."""
        context = read_context(headers, now=self.now())
        rows, stated_id = count_rows(body, is_v2=is_v2)
        _refuse_too_many(rows)
        request_id = context.request_id or usable_id(stated_id) or new_request_id()
        commit = state.declared_commit or "none"
        self.log.append_records(
            line,
            static_records(
                static, rows, line=line, request_id=request_id, context=context, commit=commit
            ),
        )
        self.counts[line].static += 1
        predictions = [static] * rows
        content = (
            encode_static(predictions, line=line, request_id=request_id)
            if is_v2
            else encode_invocations(predictions)
        )
        headers_out = (("x-request-id", request_id), ("x-variant", "kill_switch"))
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
        try:
            _refuse_too_many(request.rows)
        except HttpError:
            self.counts[line].rejected += 1
            raise
        return context, request

    def _labels(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        self._known_line(line)
        labels = decode_labels(body, received_time=self.now().isoformat())
        self.log.append_labels(line, labels)
        self.counts[line].labels += len(labels)
        return json_reply({"accepted": len(labels)})

    def _rewards(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        self._known_line(line)
        received = self.now().isoformat()
        unmatched, repeated, kept = [], 0, []
        experiment = self._experiment(line)
        for stated in decode_rewards(body):
            met = self.bandits.met(line, stated.request_id)
            if met is None and stated.version is not None and experiment is not None:
                # Longer ago than is remembered: the client names the version it was told.
                met = Met(experiment.name, stated.version, 0.0)
                if stated.version not in experiment.versions:
                    met = None
            if met is not None and self.bandits.is_rewarded(
                line, met.experiment, stated.request_id
            ):
                repeated += 1
                continue
            if met is None:
                unmatched.append(stated.request_id)
            kept.append(
                Reward(
                    request_id=stated.request_id,
                    reward=stated.reward,
                    experiment=None if met is None else met.experiment,
                    version=None if met is None else met.version,
                    propensity=None if met is None else met.propensity or None,
                    event_time=stated.event_time or received,
                    received_time=received,
                )
            )
        if kept:
            self.log.append_rewards(line, kept)
        for reward in kept:
            self.bandits.add(line, reward)
        return json_reply({"accepted": len(kept), "repeated": repeated, "unmatched": unmatched})

    def _experiment(self, line: str) -> Experiment | None:
        route = self._known_line(line).route
        return None if route is None else route.declaration.state.experiment

    def _kill_switch(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        state = self._known_line(line)
        wanted = decode_pull(body)
        loaded = state.route
        answer = None
        if wanted.engaged:
            try:
                answer = answer_to_pull(
                    line,
                    state.kill_switch,
                    wanted.answer,
                    is_probability=None
                    if loaded is None
                    else loaded.champion.loaded.signature.output_kind == "probability",
                )
            except RefusedError as error:
                raise HttpError(409, str(error)) from error
        pulled = Pulled(
            engaged=wanted.engaged,
            answer=answer,
            by=wanted.by,
            reason=wanted.reason,
            at=self.now(),
        )
        self.switches.pull(line, pulled)
        _LOG.warning(
            "kill switch of %s %s by %s: %s",
            line,
            "pulled" if pulled.engaged else "released",
            pulled.by,
            pulled.reason,
        )
        static = self.switches.answer(line, state.kill_switch)
        declared = state.kill_switch is not None and state.kill_switch.engaged
        return json_reply({"line": line, "answers": static, "engaged_in_git": declared})

    def _metadata(self, line: str) -> Reply:
        route = _serving_route(line, self._known_line(line))
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


def _refusal(error: Exception, method: str, path: str) -> Reply:
    if isinstance(error, HttpError):
        return error.reply()
    if isinstance(error, InputError):
        return error_reply(400, str(error))
    if isinstance(error, UnavailableError):
        _LOG.warning("%s", error)
        return error_reply(503, str(error))
    _LOG.error("%s %s", method, path, exc_info=error)
    return error_reply(500, "the server failed on this request; its log says why")


async def _guarded(reply: Coroutine[Any, Any, Reply], method: str, path: str) -> Reply:
    try:
        return await reply
    # As in `answer`.
    except Exception as error:  # noqa: BLE001
        return _refusal(error, method, path)


def _serving_route(line: str, state: LineState) -> Route:
    if state.route is None:
        reasons = "; ".join(state.problems) or "it is still being loaded"
        message = f"model {line}: declared, but no version is loaded ({reasons})"
        raise HttpError(503, message)
    return state.route


def _refuse_too_many(rows: int) -> None:
    if rows > MAX_ROWS:
        message = f"request: expected at most {MAX_ROWS} rows, found {rows}"
        raise HttpError(413, message)


def _decisions(predictions: list[float], threshold: float | None) -> list[int] | None:
    if threshold is None:
        return None
    return [int(prediction >= threshold) for prediction in predictions]


def _server() -> Reply:
    try:
        number = version("ml-release")
    # Run from a checkout that is not installed.
    except PackageNotFoundError:
        number = "unknown"
    return json_reply({"name": "ml_release", "version": number, "extensions": []})


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1e3
