"""All routes of the endpoint: an HTTP request as values in, a reply out.

No network here: `app` feeds it. What predicts is `inference_route`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from ml_release.errors import InputError, LogFullError, UnavailableError
from ml_release.serving.binary_tensors import EXTENSION
from ml_release.serving.inference_route import MAX_ROWS, InferenceRoute, serving_route
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.metrics import metrics_reply
from ml_release.serving.openapi import openapi_document
from ml_release.serving.protocols import model_metadata
from ml_release.serving.pulling import pull_switch
from ml_release.serving.replies import RETRY_HEADER, HttpError, Reply, error_reply, json_reply
from ml_release.serving.routes import ADDRESSES, ONLY_LINE, find_address
from ml_release.serving.stated_labels import decode_labels
from ml_release.serving.stated_version import answering_version
from ml_release.serving.status import status_document
from ml_release.serving.status_page import status_page
from ml_release.serving.taking_rewards import take_rewards
from ml_release.serving.told_labels import ToldLabels
from ml_release.serving.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import datetime
    from pathlib import Path

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.kill_switches import KillSwitches
    from ml_release.serving.model_table import LineState, ModelTable, Route
    from ml_release.serving.monitoring_gauges import MonitoringGauges
    from ml_release.serving.recording import Recorder
    from ml_release.serving.request_headers import HeaderValues
    from ml_release.serving.routes import Action, Address
    from ml_release.serving.shadows import Shadows

    Replied = Reply | Awaitable[Reply]

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
    gauges
        What monitoring has left of the lines, metrics too.
    """

    environment: str
    table: Callable[[], ModelTable]
    log: InferenceLogFiles
    recorder: Recorder
    now: Callable[[], datetime]
    switches: KillSwitches
    bandits: Bandits
    shadows: Shadows
    inference: Path
    gauges: MonitoringGauges
    told_labels: ToldLabels = field(default_factory=ToldLabels)
    vitals: Vitals = field(default_factory=Vitals)
    counts: dict[str, LineCounts] = field(default_factory=lambda: defaultdict(LineCounts))
    _started_at: str = ""
    _route: InferenceRoute = field(init=False)
    _actions: dict[Action, Callable[[str, HeaderValues, bytes], Replied]] = field(
        default_factory=dict
    )
    _version_actions: dict[Action, Callable[[str, str, HeaderValues, bytes], Replied]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self._started_at = self.now().isoformat()
        self._route = InferenceRoute(
            recorder=self.recorder,
            now=self.now,
            switches=self.switches,
            bandits=self.bandits,
            shadows=self.shadows,
            counts=self.counts,
        )
        self._actions = {
            "infer": self._infer,
            "invocations": self._invocations,
            "only_invocations": self._invocations,
            "labels": self._labels,
            "rewards": self._rewards,
            "kill_switch": self._kill_switch,
            "metadata": lambda line, _headers, _body: self._metadata(line),
            "line_ready": lambda line, _headers, _body: self._line_ready(line),
            "line_ping": lambda line, _headers, _body: self._ping(line),
            "only_ping": lambda line, _headers, _body: self._ping(line),
            "live": lambda _line, _headers, _body: json_reply({"live": True}),
            "ready": lambda _line, _headers, _body: self._ready(),
            "server": lambda _line, _headers, _body: _server(),
            "server_version": lambda line, _headers, _body: self._server_version(line),
            "openapi": lambda _line, _headers, _body: self._openapi(),
            "status": lambda _line, _headers, _body: json_reply(self._status()),
            "page": lambda _line, _headers, _body: self._page(),
            "metrics": lambda _line, _headers, _body: metrics_reply(
                self.table(),
                self.counts,
                self.vitals,
                inference=self.inference,
                gauges=self.gauges,
                now=self.now().timestamp(),
            ),
        }
        self._version_actions = {
            "infer_version": self._infer_version,
            "metadata_version": lambda line, version, _headers, _body: self._metadata(
                line, version
            ),
            "version_ready": lambda line, version, _headers, _body: self._version_ready(
                line, version
            ),
        }

    def answer_in_turns(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, requests that come in one turn of the caller's loop share their work."""
        self._route.answer_in_turns(loop)

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
            address, line, version = find_address(method, path)
            line = line or self.line_meant_by(address)
            reply = (
                self._version_actions[address.action](line, version, headers, body)
                if version
                else self._actions[address.action](line, headers, body)
            )
        # The client gets an answer, the operator a traceback; the next request is not affected.
        except Exception as error:  # noqa: BLE001
            return _refusal(error, method, path)
        return reply if isinstance(reply, Reply) else _guarded(reply, method, path)

    def line_meant_by(self, address: Address) -> str:
        """The line of MLflow's addresses that name none: the only one there is.

        Empty for every other address.

        Raises
        ------
        HttpError
            404 if there is not exactly one.
        """
        if address.action not in ONLY_LINE:
            return ""
        lines = sorted(self.table().lines)
        if len(lines) != 1:
            message = (
                f"this address: expected one line declared in {self.environment}, found {lines};"
                " name it as in /models/{line}/invocations"
            )
            raise HttpError(404, message)
        return lines[0]

    def _infer(self, line: str, headers: HeaderValues, body: bytes) -> Replied:
        return self._route.reply(line, self._known_line(line), headers, body, is_v2=True)

    def _infer_version(
        self, line: str, version: str, headers: HeaderValues, body: bytes
    ) -> Replied:
        state = self._known_line(line)
        return self._route.reply(line, state, headers, body, is_v2=True, version=version)

    def _invocations(self, line: str, headers: HeaderValues, body: bytes) -> Replied:
        return self._route.reply(line, self._known_line(line), headers, body, is_v2=False)

    def _labels(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        self._known_line(line)
        labels = decode_labels(body, received_time=self.now().isoformat())
        written = self.log.append_labels(line, labels)
        self.counts[line].labels += len(labels)
        conflicts = self.told_labels.conflicts(line, labels)
        reply = {"accepted": len(labels), **({"conflicts": conflicts} if conflicts else {})}
        return json_reply(reply)._replace(written=written)

    def _rewards(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        route = self._known_line(line).route
        taken, written = take_rewards(
            line,
            None if route is None else route.declaration.state.experiment,
            body,
            bandits=self.bandits,
            log=self.log,
            received_time=self.now().isoformat(),
        )
        return json_reply(taken)._replace(written=written)

    def _kill_switch(self, line: str, _headers: HeaderValues, body: bytes) -> Reply:
        state = self._known_line(line)
        return json_reply(pull_switch(line, state, body, switches=self.switches, now=self.now()))

    def _metadata(self, line: str, version: str | None = None) -> Reply:
        route = self._serving_route(line)
        described = route.champion if version is None else answering_version(line, route, version)
        loaded = described.loaded
        return json_reply(
            model_metadata(loaded.signature, list(route.answering), platform=loaded.model.platform)
        )

    def _line_ready(self, line: str) -> Reply:
        is_ready = self._known_line(line).route is not None
        return json_reply({"name": line, "ready": is_ready}, status=200 if is_ready else 503)

    def _version_ready(self, line: str, version: str) -> Reply:
        answering_version(line, self._serving_route(line), version)
        return json_reply({"name": line, "version": version, "ready": True})

    def _ping(self, line: str) -> Reply:
        self._serving_route(line)
        return Reply(200, b"\n")

    def _server_version(self, line: str) -> Reply:
        if line:
            self._known_line(line)
        return Reply(200, _version_number().encode(), (("content-type", "text/plain"),))

    def _openapi(self) -> Reply:
        document = openapi_document(
            ADDRESSES, self.table().lines, server_version=_version_number(), max_rows=MAX_ROWS
        )
        return json_reply(document)

    def _ready(self) -> Reply:
        is_ready = self.table().is_ready and not self.vitals.is_draining
        return json_reply({"ready": is_ready}, status=200 if is_ready else 503)

    def _status(self) -> dict[str, object]:
        document = status_document(
            self.table(),
            self.counts,
            environment=self.environment,
            started_at=self._started_at,
            seconds=time.perf_counter(),
            static_answers={
                name: static
                for name, state in self.table().lines.items()
                if (static := self.switches.answer(name, state.kill_switch)) is not None
            },
            more_problems=[
                *(f"tokens file: {problem}" for problem in self.vitals.access_problems()),
                *(["stopping: requests are still answered"] if self.vitals.is_draining else []),
            ],
            notes=self.vitals.notes(),
        )
        return {**document, "log": asdict(self.log.health())}

    def _page(self) -> Reply:
        page = status_page(self._status(), now=self.now().isoformat())
        return Reply(200, page.encode(), _HTML_HEADERS)

    def _serving_route(self, line: str) -> Route:
        return serving_route(line, self._known_line(line))

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
        more = (RETRY_HEADER,) if isinstance(error, LogFullError) else ()
        return error_reply(503, str(error), more)
    _LOG.error("%s %s", method, path, exc_info=error)
    return error_reply(500, "the server failed on this request; its log says why")


async def _guarded(reply: Awaitable[Reply], method: str, path: str) -> Reply:
    try:
        return await reply
    # As in `answer`.
    except Exception as error:  # noqa: BLE001
        return _refusal(error, method, path)


def _server() -> Reply:
    return json_reply(
        {"name": "ml_release", "version": _version_number(), "extensions": [EXTENSION]}
    )


def _version_number() -> str:
    try:
        return installed_version("ml-release")
    # Run from a checkout that is not installed.
    except PackageNotFoundError:
        return "unknown"
