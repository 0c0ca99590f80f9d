"""A request for predictions: read, assigned, answered by a version or by none, logged, counted.

The order is fixed: read the table once, decode, assign, predict, write the log, answer. The last
two are done by `finishing`, for one request or for all that `turns` brought together.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.domain.assignment import Assigned, assign
from ml_release.errors import InputError
from ml_release.serving.binary_tensors import LENGTH_HEADER, json_length
from ml_release.serving.csv_rows import CSV_TYPE
from ml_release.serving.finishing import Finishing
from ml_release.serving.predictions import (
    Answered,
    Asked,
    history_age_days,
    predict,
    predict_isolated,
    predict_together,
    static_records,
)
from ml_release.serving.protocols import (
    DECISION,
    PredictionRequest,
    count_invocations,
    count_rows,
    decode_csv,
    decode_infer,
    decode_invocations,
    encode_invocations,
    encode_static,
)
from ml_release.serving.replies import (
    JSON_HEADER,
    NOT_LOGGED,
    HttpError,
    Reply,
)
from ml_release.serving.request_headers import new_request_id, read_context, usable_id
from ml_release.serving.single_row import SingleRow
from ml_release.serving.stated_version import champion_by_name, is_beside_a_split
from ml_release.serving.turns import Turn
from ml_release.serving.workers import IsolatedModel

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from datetime import datetime

    from ml_release.domain.artefact import Signature
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.kill_switches import KillSwitches
    from ml_release.serving.line_counts import LineCounts
    from ml_release.serving.model_table import Answering, LineState, Route
    from ml_release.serving.recording import Recorder
    from ml_release.serving.request_headers import HeaderValues, RequestContext
    from ml_release.serving.shadows import Shadows
    from ml_release.serving.turns import Waiting

    Replied = Reply | Awaitable[Reply]

MAX_ROWS = 10_000
_STATIC_OUTPUT = "static"
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class InferenceRoute:
    """Answers requests for predictions, in either protocol.

    Attributes
    ----------
    recorder
        Takes records before a client hears of them.
    """

    recorder: Recorder
    now: Callable[[], datetime]
    switches: KillSwitches
    bandits: Bandits
    shadows: Shadows
    counts: MutableMapping[str, LineCounts]
    _last_failure: dict[str, str] = field(default_factory=dict)
    _turn: Turn | None = None
    _finishing: Finishing = field(init=False)

    def __post_init__(self) -> None:
        self._finishing = Finishing(
            recorder=self.recorder, bandits=self.bandits, shadows=self.shadows, counts=self.counts
        )

    def answer_in_turns(self, loop: AbstractEventLoop) -> None:
        """From now on, answer together what is read in one turn of a loop, the caller's own."""
        self._turn = Turn(loop, self._answer_together)

    def reply(
        self,
        line: str,
        state: LineState,
        headers: HeaderValues,
        body: bytes,
        *,
        is_v2: bool,
        version: str | None = None,
    ) -> Replied:
        """Answer one request; the answer of a version in its own process is still to come.

        Parameters
        ----------
        version
            As the path names it; None if it names none.
        """
        begun = time.perf_counter()
        static = self.switches.answer(line, state.kill_switch)
        if static is not None:
            return self._answer_without_model(line, state, static, headers, body, is_v2=is_v2)
        route = serving_route(line, state)
        named = None if version is None else champion_by_name(line, route, version)
        context, request = self._read(line, route, headers, body, is_v2=is_v2)
        request_id = context.request_id or usable_id(request.request_id) or new_request_id()
        is_pinned = named is not None and is_beside_a_split(route)
        assigned = (
            # Asked for by name, it was met by no chance and counts for no arm.
            Assigned(route.champion.variant.version, None, None, 1.0)
            if is_pinned
            else assign(
                route.declaration.state,
                unit=context.unit,
                request_id=request_id,
                arm_percent=self.bandits.percent(line, route.declaration.state.experiment),
            )
        )
        asked = Asked(
            line=line,
            route=route,
            context=context,
            request=request,
            request_id=request_id,
            assigned=assigned,
            is_pinned=is_pinned,
            is_v2=is_v2,
            begun=begun,
            age_days=history_age_days(route, context),
        )
        chosen = route.answering_for(assigned.version)
        if isinstance(chosen.loaded.model, IsolatedModel):
            return self._ask_isolated(asked, chosen, chosen.loaded.model)
        failure = None
        if assigned.version != chosen.variant.version:
            failure = f"version {assigned.version} is not loaded"
        turn = self._turn
        if (
            turn is not None
            and turn.is_on
            and isinstance(request.columns, SingleRow)
            # Of a model that takes each alone, the first would only wait for the last.
            and chosen.loaded.takes_rows_together
        ):
            return turn.join(asked, chosen, failure)
        return self._finishing.reply(
            Answered(asked, chosen, predict(chosen, route, request), failure)
        )

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
        return self._finishing.reply(Answered(asked, chosen, answer, failure))

    def _answer_together(self, waiting: Sequence[Waiting]) -> None:
        """Answer requests of one route to one version: each as alone, with one write to the log."""
        chosen, route = waiting[0].chosen, waiting[0].asked.route
        answers = predict_together(chosen, route, [one.asked.request for one in waiting])
        answered = [
            Answered(one.asked, one.chosen, answer, one.failure)
            for one, answer in zip(waiting, answers, strict=True)
        ]
        for one, reply in zip(waiting, self._finishing.replies(answered), strict=True):
            # Nobody waits any more for one whose client went away.
            if one.reply.done():
                continue
            if isinstance(reply, Reply):
                one.reply.set_result(reply)
            else:
                one.reply.set_exception(reply)

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
        _refuse_static_vector(line, state)
        context = read_context(headers, now=self.now())
        rows, stated_id = _counted(headers, body, state, is_v2=is_v2)
        refuse_too_many(rows)
        request_id = context.request_id or usable_id(stated_id) or new_request_id()
        commit = state.declared_commit or "none"
        records = static_records(
            static, rows, line=line, request_id=request_id, context=context, commit=commit
        )
        written = self.recorder.record(line, records, {})
        self.counts[line].static += 1
        predictions = [static] * rows
        output = _STATIC_OUTPUT
        if state.route is not None:
            output = state.route.champion.loaded.signature.output
        content = (
            encode_static(predictions, line=line, output=output, request_id=request_id)
            if is_v2
            else encode_invocations(predictions)
        )
        headers_out = (
            ("x-request-id", request_id),
            ("x-variant", "kill_switch"),
            *(() if written is not None else (NOT_LOGGED,)),
        )
        return Reply(200, content, (JSON_HEADER, *headers_out), written)

    def _read(
        self, line: str, route: Route, headers: HeaderValues, body: bytes, *, is_v2: bool
    ) -> tuple[RequestContext, PredictionRequest]:
        # All variants of a route take the same columns; the reconciler sees to that.
        signature = route.champion.loaded.signature
        try:
            context = read_context(headers, now=self.now())
            request = _decoded(headers, body, signature, is_v2=is_v2)
            refuse_too_many(request.rows)
            _refuse_undeclared_output(request, route)
        except (InputError, HttpError):
            self.counts[line].rejected += 1
            raise
        return context, request


def serving_route(line: str, state: LineState) -> Route:
    """What answers for a line; `HttpError` 503 while nothing is loaded."""
    if state.route is None:
        reasons = "; ".join(state.problems) or "it is still being loaded"
        message = f"model {line}: declared, but no version is loaded ({reasons})"
        raise HttpError(503, message)
    return state.route


def refuse_too_many(rows: int) -> None:
    """`HttpError` 413 for more rows than one request may have."""
    if rows > MAX_ROWS:
        message = f"request: expected at most {MAX_ROWS} rows, found {rows}"
        raise HttpError(413, message)


def _refuse_undeclared_output(request: PredictionRequest, route: Route) -> None:
    if DECISION in request.outputs and route.threshold is None:
        signature = route.champion.loaded.signature
        why = "no threshold is declared"
        if signature.classes:
            why = "no threshold decides between several classes"
        message = f"outputs: expected {signature.output!r}, found {DECISION!r}, but {why}"
        raise InputError(message)


def _refuse_static_vector(line: str, state: LineState) -> None:
    """`HttpError` 503 where one number is declared for a line that answers several."""
    classes = () if state.route is None else state.route.champion.loaded.signature.classes
    if classes:
        message = (
            f"model {line}: its kill switch is engaged and no model is asked, but one static number"
            f" is no answer of a line that gives the probabilities of {len(classes)} classes."
            " Declare another version and release the switch."
        )
        raise HttpError(503, message)


def _decoded(
    headers: HeaderValues, body: bytes, signature: Signature, *, is_v2: bool
) -> PredictionRequest:
    if is_v2:
        stated = headers.get(LENGTH_HEADER)
        if stated is None:
            return decode_infer(body, signature)
        length = json_length(stated, body)
        return decode_infer(body[:length], signature, binary=body[length:])
    if _is_csv(headers):
        return decode_csv(body, signature)
    return decode_invocations(body, signature)


def _counted(
    headers: HeaderValues, body: bytes, state: LineState, *, is_v2: bool
) -> tuple[int, str | None]:
    """Rows of a request that no model will see, and the id its body names."""
    if is_v2:
        stated = headers.get(LENGTH_HEADER)
        return count_rows(body if stated is None else body[: json_length(stated, body)])
    if _is_csv(headers):
        # Lines cannot be told from quoted breaks without its columns.
        signature = serving_route("", state).champion.loaded.signature
        return decode_csv(body, signature).rows, None
    return count_invocations(body), None


def _is_csv(headers: HeaderValues) -> bool:
    return (headers.get("content-type") or "").lower().startswith(CSV_TYPE)
