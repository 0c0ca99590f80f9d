"""From what a model said to a reply: logged, counted, and only then told.

A request whose records could not be written gets no prediction, unless the log is full and the
operator has declared that requests are answered unlogged then.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ml_release.errors import UnavailableError
from ml_release.serving.answers import answer_reply
from ml_release.serving.bandits import Met
from ml_release.serving.predictions import records_of
from ml_release.serving.protocols import DECISION, encode_infer, encode_invocations
from ml_release.serving.replies import NOT_LOGGED, Reply, error_reply

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from ml_release.domain.inference import InferenceRecord
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.line_counts import LineCounts
    from ml_release.serving.model_table import Answering
    from ml_release.serving.predictions import Answer, Answered, Asked
    from ml_release.serving.recording import Recorder
    from ml_release.serving.shadows import Shadows

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    """Takes answers to their clients.

    Attributes
    ----------
    recorder
        Takes records before a client hears of them.
    shadows
        Are offered what was answered.
    """

    recorder: Recorder
    bandits: Bandits
    shadows: Shadows
    counts: MutableMapping[str, LineCounts]

    def reply(self, one: Answered) -> Reply:
        """Write the log, count, and answer.

        Raises
        ------
        UnavailableError
            If the records could not be written.
        """
        return self._reply(one, self._log([one]))

    def replies(self, answered: Sequence[Answered]) -> list[Reply | Exception]:
        """As `reply` of each, of one line and one version, with one write to the log.

        An error that concerns one is in its place; one that concerns all is in every place.
        """
        try:
            written = self._log(answered)
        # Whatever it is, it is told to each of them.
        except Exception as error:  # noqa: BLE001
            return [error] * len(answered)
        replies: list[Reply | Exception] = []
        for one in answered:
            try:
                replies.append(self._reply(one, written))
            # The others are answered all the same.
            except Exception as error:  # noqa: BLE001
                replies.append(error)
        return replies

    def _log(self, answered: Sequence[Answered]) -> int | None:
        """Write the records of answers of one version; `UnavailableError` if they cannot be."""
        line, chosen = answered[0].asked.line, answered[0].chosen
        of_variant = self.counts[line].variant(chosen.variant.role, chosen.variant.version)
        records: list[InferenceRecord] = []
        for asked, _, answer, failure in answered:
            of_variant.fallbacks += failure is not None
            latency_ms = _milliseconds_since(asked.begun)
            records += records_of(
                answer, asked, chosen=chosen, failure=failure, latency_ms=latency_ms
            )
        try:
            return self.recorder.record(line, records, chosen.loaded.masks, requests=len(answered))
        except UnavailableError:
            for one in answered:
                of_variant.add_error("unlogged", at=one.asked.begun)
            raise

    def _reply(self, one: Answered, written: int | None) -> Reply:
        """Count and answer what was logged."""
        asked, chosen, answer, failure = one
        line, request, assigned = asked.line, asked.request, asked.assigned
        counts = self.counts[line]
        of_variant = counts.variant(chosen.variant.role, chosen.variant.version)
        counts.fallbacks[assigned.version] += failure is not None
        # Also where the answer failed: of pairs that are kept only if the champion answered, every
        # failure would be the shadow's.
        if asked.route.shadows:
            self.shadows.offer(asked)
        headers_out: tuple[tuple[str, str], ...] = (
            ("x-request-id", asked.request_id),
            *chosen.headers,
            *(() if written is not None else (NOT_LOGGED,)),
        )
        if answer.error is not None:
            counts.failed += 1
            of_variant.add_error("failed", at=asked.begun)
            failed = _failed_reply(asked, chosen, answer.error, headers_out)
            return failed._replace(written=written)
        if assigned.experiment is not None:
            headers_out = (*headers_out, ("x-experiment", assigned.experiment))
            # What the champion earns in the place of an arm says nothing about either.
            if failure is None:
                met = Met(assigned.experiment, assigned.version, assigned.propensity)
                self.bandits.remember(line, asked.request_id, met)
        content = _encoded(asked, chosen, answer)
        latency_ms = _milliseconds_since(asked.begun)
        is_probability = chosen.loaded.signature.output_kind == "probability"
        of_variant.add_answered(
            at=asked.begun,
            features=answer.features,
            probabilities=cast("list[float]", answer.predictions) if is_probability else (),
            latency_ms=latency_ms,
        )
        counts.add_answered(
            version=chosen.variant.version,
            rows=request.rows,
            look_ups=request.rows * len(chosen.loaded.model.plan.history_features),
            misses=sum(answer.misses),
            age_days=asked.age_days,
            latency_ms=latency_ms,
        )
        return answer_reply(content, headers_out, request.binary, written=written)


def _encoded(asked: Asked, chosen: Answering, answer: Answer) -> bytes:
    threshold = asked.route.threshold
    wanted = asked.request.outputs
    signature = chosen.loaded.signature
    decisions = None
    if threshold is not None and (not wanted or DECISION in wanted):
        numbers = cast("list[float]", answer.predictions)
        decisions = [int(prediction >= threshold) for prediction in numbers]
    if not asked.is_v2:
        return encode_invocations(
            answer.predictions, decisions=decisions, classes=signature.classes
        )
    return encode_infer(
        answer.predictions,
        signature=signature,
        version=chosen.variant.version,
        request_id=asked.request_id,
        decisions=decisions,
    )


def _failed_reply(
    asked: Asked, chosen: Answering, error: str, headers: tuple[tuple[str, str], ...]
) -> Reply:
    # Without its words, which may quote the request: they are in the inference log.
    _LOG.error(
        "the model failed; its record in the inference log says how",
        extra={
            "line": asked.line,
            "version": chosen.variant.version,
            "variant": chosen.variant.role,
            "request_id": asked.request_id,
        },
    )
    message = f"{asked.line} version {chosen.variant.version}, request {asked.request_id}: {error}"
    return error_reply(500, message, headers)


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1e3
