"""``python -m ml_release.serving.variant_process FD``: one model, in a process of its own.

What the model does to this process, it does to no other: it may crash, hang, or ask for more memory
than it was given. The process waits with everything imported until it is told which model to be.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ml_release.serving.loaders import serving_loader
from ml_release.serving.worker_messages import (
    Answered,
    Ask,
    Failed,
    Load,
    Loaded,
    ToWorker,
    receive,
    send,
    values_of,
)

if TYPE_CHECKING:
    from ml_release.domain.answering import LoadedModel

_STATM = Path("/proc/self/statm")
_PR_SET_PDEATHSIG = 1
_NICENESS = 5
_DECODER = msgspec.msgpack.Decoder(ToWorker)


def work(connection: socket.socket) -> None:
    """Answer until the server closes the connection."""
    import onnxruntime  # noqa: F401 (imported before it is needed: a spare process loads at once)

    model: LoadedModel | None = None
    while (content := receive(connection)) is not None:
        message = _DECODER.decode(content)
        if isinstance(message, Load):
            model = _load(connection, message)
        elif model is not None:
            send(connection, _answer(model, message))


def _load(connection: socket.socket, message: Load) -> LoadedModel | None:
    try:
        _limit_memory(message.memory_bytes)
        model = serving_loader().load(message.files)
    # Whatever a loader raises, the server hears of it instead of a closed connection.
    except Exception as error:  # noqa: BLE001
        send(connection, Failed(number=None, error=f"{type(error).__name__}: {error}"))
        return None
    send(connection, Loaded(platform=model.platform))
    return model


def _answer(model: LoadedModel, question: Ask) -> Answered | Failed:
    try:
        predictions = np.ascontiguousarray(model.predict(values_of(question)), dtype=np.float64)
    # The exceptions of onnxruntime and of scikit-learn share no base below Exception.
    except Exception as error:  # noqa: BLE001
        return Failed(number=question.number, error=f"{type(error).__name__}: {error}")
    return Answered(
        number=question.number, predictions=predictions.tobytes(), shape=list(predictions.shape)
    )


def _limit_memory(more_bytes: int) -> None:
    """Address space may grow by so much from here on; where it is not known it stays unlimited."""
    if _STATM.exists():
        now = int(_STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, most))


def _end_with_the_server() -> None:
    """A process that hangs in native code does not notice that its server is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Work on the inherited socket."""
    _end_with_the_server()
    # The server itself goes first where both want the processor.
    os.nice(_NICENESS)
    # Stopping is the server's business: Ctrl-C reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(arguments[0])) as connection:
        try:
            work(connection)
        except OSError:
            # The server has closed in the middle of an answer: there is nobody left to tell.
            return


if __name__ == "__main__":
    main(sys.argv[1:])
