"""Asks shadow versions what they would have answered, off the request path and within a budget.

A request that was logged is offered to a bounded queue; a thread takes what has gathered there,
asks each shadow once for all of its rows, and writes the answers to the log. A shadow that is slow
makes the queue overflow: what does not fit is dropped and counted. Nobody waits for a shadow.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.assignment import is_sampled
from ml_release.errors import UnavailableError
from ml_release.serving.predictions import failed, predict_rows, shadow_records

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ml_release.serving.line_counts import LineCounts
    from ml_release.serving.model_table import ShadowVersion
    from ml_release.serving.predictions import Answer, Asked
    from ml_release.serving.recording import Recorder

GATHER_SECONDS = 0.02
WAITING = 2_000
MAX_ROWS = 2_000
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Shadows:
    """The queue and its thread.

    Attributes
    ----------
    share_of_time
        At most this part of the thread's time is spent on shadows, so that they take no more than
        this part of one processor from live requests, their own processes aside.
    """

    recorder: Recorder
    counts: MutableMapping[str, LineCounts]
    share_of_time: float = 0.25
    _queue: queue.Queue[tuple[Asked, ShadowVersion]] = field(
        default_factory=lambda: queue.Queue(maxsize=WAITING)
    )
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def offer(self, asked: Asked) -> None:
        """Let every shadow whose sample contains the request be asked, later and maybe never."""
        for version in asked.route.shadows:
            shadow = version.shadow
            if asked.request.rows > MAX_ROWS or not is_sampled(
                asked.request_id, version=shadow.version, sample_percent=shadow.sample_percent
            ):
                continue
            try:
                self._queue.put_nowait((asked, version))
            except queue.Full:
                self.counts[asked.line].shadows_dropped += 1

    def start(self) -> None:
        """Ask in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. What is still in the queue is not asked."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(GATHER_SECONDS):
            begun = time.monotonic()
            self.ask_waiting()
            spent = time.monotonic() - begun
            self._stopping.wait(spent * (1 / self.share_of_time - 1))

    def ask_waiting(self) -> None:
        """Ask everything that waits now, each shadow once for many rows."""
        batches: dict[int, list[tuple[Asked, ShadowVersion]]] = {}
        rows: dict[int, int] = {}
        for _ in range(self._queue.qsize()):
            asked, version = self._queue.get_nowait()
            key = id(version)
            # A batch is bounded, so that one answer is: what goes beyond waits no longer.
            if rows.get(key, 0) + asked.request.rows > MAX_ROWS:
                self.counts[asked.line].shadows_dropped += 1
                continue
            rows[key] = rows.get(key, 0) + asked.request.rows
            batches.setdefault(key, []).append((asked, version))
        for batch in batches.values():
            try:
                self._ask(batch)
            # The thread must outlive whatever one shadow does: dead, no other would be asked.
            except Exception:  # noqa: BLE001
                _LOG.exception("shadow version %s", batch[0][1].shadow.version)
                self.counts[batch[0][0].line].shadows_failed += len(batch)

    def _ask(self, batch: list[tuple[Asked, ShadowVersion]]) -> None:
        first, version = batch[0]
        line, shadow = first.line, version.shadow
        begun = time.perf_counter()
        answers = _answers([asked for asked, _ in batch], version)
        each_ms = (time.perf_counter() - begun) * 1e3 / len(batch)
        records = [
            record
            for (asked, _), answer in zip(batch, answers, strict=True)
            for record in shadow_records(
                answer,
                asked,
                version=shadow.version,
                model_digest=shadow.model_digest,
                latency_ms=each_ms,
            )
        ]
        counts = self.counts[line]
        bad = sum(answer.error is not None for answer in answers)
        counts.shadows_failed += bad
        counts.shadows_asked += len(answers) - bad
        try:
            self.recorder.record(line, records, version.loaded.masks)
        except UnavailableError as error:
            _LOG.warning("shadow version %s: %s", shadow.version, error)


def _answers(asked: list[Asked], version: ShadowVersion) -> list[Answer]:
    """One answer per request, of one question for all their rows.

    Where that fails, each request is asked alone, so that only those fail that do so by themselves:
    the failures of champion and shadow are compared request by request. A shadow that is gone is
    not asked again.
    """
    history = asked[0].route.history
    try:
        columns = {
            name: np.concatenate([one.request.columns[name] for one in asked])
            for name in asked[0].request.columns
        }
        whole = predict_rows(version.loaded, columns, history)
    # As in `predict`: what a model raises has no common base.
    except Exception as error:  # noqa: BLE001
        if len(asked) > 1 and not isinstance(error, UnavailableError):
            return [_answers([one], version)[0] for one in asked]
        return [failed(one.request, error) for one in asked]
    answers, start = [], 0
    for one in asked:
        end = start + one.request.rows
        answers.append(whole.rows(start, end))
        start = end
    return answers
