"""The server's own log: one JSON object per line for machines, plain text for a terminal.

Neither holds values of features: an exception of a model or a library may quote them, so of a
traceback the places and the type are kept, and the message only if it is one of ours or of the
operating system. What a model said is in the inference log, beside the request it was about.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

LogFormat = Literal["text", "json"]
FIELDS = (
    "request_id",
    "line",
    "version",
    "variant",
    "status",
    "latency_ms",
    "token",
    "method",
    "path",
    "commit",
    "trace_id",
)
"""What a record may carry besides its message, given as ``extra``; nothing else is written."""

_ExcInfo = tuple[type[BaseException], BaseException, "TracebackType | None"]


class JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, message, and those of `FIELDS` that are known."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if (trace := _trace(record)) is not None:
            document["exception"] = trace
        return msgspec.json.encode(document, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """One line for a person, and the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        moment = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        text = f"{moment} {record.levelname} {record.name} {record.getMessage()}"
        known = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        # A message is one line, whoever wrote what stands in it.
        text = " ".join(f"{text} {known}".split("\n")).rstrip()
        trace = _trace(record)
        return text if trace is None else f"{text}\n{trace}"


def start_logging(chosen: LogFormat | None, *, stream: TextIO | None = None) -> None:
    """Send the logs of this process to standard error.

    Parameters
    ----------
    chosen
        None takes text for a terminal, JSON otherwise.
    """
    stream = stream or sys.stderr
    is_text = stream.isatty() if chosen is None else chosen == "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, object]:
    values = ((name, getattr(record, name, None)) for name in FIELDS)
    return {name: value for name, value in values if value is not None}


def _trace(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[0] is None:
        return None
    return _exception(record.exc_info)


def _exception(info: _ExcInfo) -> str:
    kind, error, frames = info
    places = "".join(traceback.format_tb(frames))
    name = f"{kind.__module__}.{kind.__qualname__}"
    is_safe = isinstance(error, MlReleaseError | OSError)
    return f"{places}{name}: {error if is_safe else '(its message may quote a request)'}"
