"""Models in processes of their own, as the server sees them.

A variant that is not the champion is one that has not proven itself. It answers from here: if it
raises, hangs, grows or crashes, the question fails and the server goes on (the bulkhead pattern,
Nygard, Release It!, 2018). One spare process waits with everything imported, so that a new variant
loads in the time its model takes.
"""

from __future__ import annotations

import itertools
import queue
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ml_release.domain.artefact import PLAN_FILE
from ml_release.domain.features import plan_from_json
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.serving.worker_messages import (
    Answered,
    Ask,
    Failed,
    FromWorker,
    Load,
    Loaded,
    ask_of,
    receive,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.domain.features import Columns, FeaturePlan

_DECODER = msgspec.msgpack.Decoder(FromWorker)
_MODULE = "ml_release.serving.variant_process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a variant in a process of its own may take.

    Attributes
    ----------
    answer_s
        A question that takes longer has failed.
    load_s
        A model that takes longer to load cannot be served.
    memory_bytes
        Address space beyond that of the empty process.
    waiting
        Questions that may wait at a time; one more fails at once.
    hangs
        So many questions in a row without an answer in time, and the process is ended.
    """

    answer_s: float = 0.25
    load_s: float = 30.0
    memory_bytes: int = 2 * 1024**3
    waiting: int = 64
    hangs: int = 5


class Process:
    """One child process with the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        self.connection = ours

    def end(self) -> None:
        """Kill it, whatever it does, and wait until it is gone."""
        self._child.kill()
        self._child.wait()
        self.connection.close()

    def how_it_ended(self) -> str:
        """In words; waits a moment for a process that has just closed its socket."""
        try:
            code = self._child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"


class IsolatedModel:
    """`LoadedModel` in a process of its own.

    Questions are answered in the order they are asked. Once the process is gone every question
    fails at once; a new model has to be loaded.
    """

    def __init__(
        self, process: Process, *, plan: FeaturePlan, platform: str, limits: Limits
    ) -> None:
        self._process = process
        self._plan = plan
        self._limits = limits
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[npt.NDArray[np.float64]]] = {}
        self._late = 0
        self._lock = threading.Lock()
        self._gone: str | None = None
        # Sending may have to wait for a process that does not read: never on the request path.
        self._outbox: queue.SimpleQueue[Ask | None] = queue.SimpleQueue()
        self.platform = platform
        for target in (self._listen, self._send):
            threading.Thread(target=target, name="variant", daemon=True).start()

    @property
    def plan(self) -> FeaturePlan:
        """The feature plan it was fitted with."""
        return self._plan

    @property
    def answer_s(self) -> float:
        """So long a question may take."""
        return self._limits.answer_s

    @property
    def gone(self) -> str | None:
        """Why it answers no more; None as long as it does."""
        return self._gone

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        """As `LoadedModel`; waits for the answer as long as for a model to load.

        Raises
        ------
        UnavailableError
            If it does not answer in time, is gone, or is too busy.
        IntegrityError
            If it answers that it cannot.
        """
        try:
            return self.ask(values).result(self._limits.load_s)
        except FutureTimeoutError as error:
            message = f"no answer within {self._limits.load_s:g} s"
            self._close(message)
            raise UnavailableError(message) from error

    def ask(self, values: Columns) -> Future[npt.NDArray[np.float64]]:
        """The answer to come; raises `UnavailableError` if it is gone or too busy."""
        with self._lock:
            if self._gone is not None:
                raise UnavailableError(self._gone)
            if len(self._waiting) >= self._limits.waiting:
                message = f"{len(self._waiting)} questions wait for it already"
                raise UnavailableError(message)
            number = next(self._numbers)
            future: Future[npt.NDArray[np.float64]] = Future()
            self._waiting[number] = future
        self._outbox.put(ask_of(number, values))
        return future

    def was_in_time(self) -> None:
        """An answer came in time: whatever was late before is forgiven."""
        self._late = 0

    def was_late(self) -> str:
        """A question got no answer in time, in words; too many in a row end the process."""
        with self._lock:
            self._late += 1
            late = self._late
        if late >= self._limits.hangs:
            self._close(f"{late} questions in a row got no answer in time")
        return f"no answer within {self._limits.answer_s:g} s"

    def end(self) -> None:
        """End the process."""
        self._close("it was ended")

    def _send(self) -> None:
        while (question := self._outbox.get()) is not None:
            try:
                send(self._process.connection, question)
            except OSError:
                # The listening thread finds out why, and tells everybody who waits.
                return

    def _listen(self) -> None:
        try:
            while (content := receive(self._process.connection)) is not None:
                self._take(_DECODER.decode(content))
            reason = self._process.how_it_ended()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = f"its connection broke ({error})"
        self._close(reason)

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Loaded) or message.number is None:
            return
        with self._lock:
            future = self._waiting.pop(message.number, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if isinstance(message, Answered):
            answer = np.frombuffer(message.predictions).reshape(message.shape)
            future.set_result(answer)
        else:
            future.set_exception(IntegrityError(message.error))

    def _close(self, reason: str) -> None:
        with self._lock:
            is_first = self._gone is None
            self._gone = self._gone or reason
            waiting, self._waiting = self._waiting, {}
        if is_first:
            self._process.end()
            self._outbox.put(None)
        for future in waiting.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(UnavailableError(reason))


class Workers:
    """Where isolated models come from; keeps one spare process ready."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._spare: Process | None = None
        self._lock = threading.Lock()

    def load(self, files: Mapping[str, bytes]) -> IsolatedModel:
        """Load a model in a process of its own.

        Raises
        ------
        IntegrityError
            If it cannot be loaded, takes too long, or takes its process down.
        """
        if PLAN_FILE not in files:
            message = f"model artefact: expected the file {PLAN_FILE}, found {sorted(files)}"
            raise IntegrityError(message)
        plan = plan_from_json(files[PLAN_FILE])
        process = self._take_spare()
        limits = self._limits
        try:
            process.connection.settimeout(limits.load_s)
            send(process.connection, Load(files=dict(files), memory_bytes=limits.memory_bytes))
            content = receive(process.connection)
            process.connection.settimeout(None)
        except TimeoutError as error:
            process.end()
            message = f"model artefact: expected it to load within {limits.load_s:g} s, it did not"
            raise IntegrityError(message) from error
        except OSError:
            content = None
        if content is None:
            how = process.how_it_ended()
            process.end()
            message = f"model artefact: it cannot be loaded: {how}"
            raise IntegrityError(message)
        answer = _DECODER.decode(content)
        if not isinstance(answer, Loaded):
            process.end()
            found = answer.error if isinstance(answer, Failed) else "an answer out of turn"
            message = f"model artefact: it cannot be loaded ({found})"
            raise IntegrityError(message)
        return IsolatedModel(process, plan=plan, platform=answer.platform, limits=limits)

    def prepare(self) -> None:
        """Have a spare process started, if there is none."""
        with self._lock:
            if self._spare is None:
                self._spare = Process()

    def close(self) -> None:
        """End the spare process; those that serve end with their models."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.end()

    def _take_spare(self) -> Process:
        with self._lock:
            spare, self._spare = self._spare, None
        return spare or Process()
