"""The server's own log: one line per record, with what is known and nothing of a request."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from ml_release.errors import UnavailableError
from ml_release.serving.structured_logs import JsonFormatter, TextFormatter


def record(message: str = "request", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("ml_release.x", logging.WARNING, "f", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def raised(error: Exception) -> logging.LogRecord:
    try:
        raise error
    except type(error):
        info = sys.exc_info()
    return logging.LogRecord("ml_release.x", logging.ERROR, "f", 1, "broke", (), info)


def test_a_record_is_one_object_with_the_known_fields() -> None:
    """What is not known is left out, and what is no field of ours too."""
    text = JsonFormatter().format(
        record("two\nlines", request_id="r1", line="small_line", status=200, features={"age": 41})
    )
    assert "\n" not in text
    document = json.loads(text)
    assert document.pop("time").endswith("+00:00")
    assert document == {
        "level": "warning",
        "logger": "ml_release.x",
        "message": "two\nlines",
        "request_id": "r1",
        "line": "small_line",
        "status": 200,
    }


def test_text_for_a_person_is_one_line_too() -> None:
    """Whatever the message holds."""
    text = TextFormatter().format(record("two\nlines", request_id="r1"))
    assert text.endswith("WARNING ml_release.x two lines request_id=r1")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (ValueError("could not convert 'Ada Lovelace'"), False),
        (UnavailableError("the disk is full: Ada Lovelace"), True),
    ],
)
def test_the_words_of_a_foreign_exception_stay_out(
    formatter: logging.Formatter, error: Exception, is_told: bool
) -> None:
    """They may quote a request; type and places are kept."""
    text = formatter.format(raised(error))
    assert ("Ada Lovelace" in text) == is_told
    assert type(error).__name__ in text
    assert "test_structured_logs.py" in text


def test_a_stream_that_is_no_terminal_gets_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless text is asked for."""
    from ml_release.serving import structured_logs

    seen: list[logging.Formatter | None] = []
    monkeypatch.setattr(
        logging, "basicConfig", lambda **given: seen.append(given["handlers"][0].formatter)
    )
    for chosen in (None, "json", "text"):
        structured_logs.start_logging(chosen, stream=io.StringIO())
    assert [type(one) for one in seen] == [JsonFormatter, JsonFormatter, TextFormatter]
