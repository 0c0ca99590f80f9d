"""What every adapter of `Notifier` has to do, on loopback servers that take, refuse and hang."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.apprise_notifier import AppriseNotifier
from ml_release.adapters.in_memory import InMemoryNotifier
from ml_release.adapters.notice_file import NoticeFile
from ml_release.domain.notices import rolled_back
from ml_release.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ml_release.ports import Notifier

NOTICE = rolled_back("flight_delay", version=3, to=2, reason="ä errors", key="c1")
SECRET = "s3cr3t-in-the-path"


class Hook:
    """A server that keeps what it is told; ``status`` is its answer."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.told.append(json.loads(body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/hooks/{SECRET}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    one = Hook()
    thread = threading.Thread(target=one.server.serve_forever, daemon=True)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that says a little now and then, so that no read times out."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not ended.wait(0.2):
                    connection.sendall(b"x-wait: 1\r\n")

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    yield f"json://127.0.0.1:{listening.getsockname()[1]}/hooks/{SECRET}"
    ended.set()
    serving.join(5)
    listening.close()


def nowhere() -> str:
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"json://127.0.0.1:{listening.getsockname()[1]}/hooks/{SECRET}"


@pytest.fixture(params=["in_memory", "file", "apprise"])
def told(
    request: pytest.FixtureRequest, tmp_path: Path, hook: Hook
) -> tuple[Notifier, Callable[[], list[str]]]:
    """A notifier, and the titles that arrived."""
    if request.param == "in_memory":
        notifier = InMemoryNotifier()
        return notifier, lambda: [one.title for one in notifier.sent]
    if request.param == "file":
        path = tmp_path / "home" / "notices.log"

        def titles() -> list[str]:
            lines = path.read_text(encoding="utf-8").splitlines()
            return [json.loads(line)["title"] for line in lines]

        return (
            NoticeFile(path, now=lambda: datetime(2013, 10, 1, tzinfo=UTC)),
            titles,
        )
    return AppriseNotifier([hook.url]), lambda: [one["title"] for one in hook.told]


@pytest.fixture(params=["in_memory", "file", "apprise"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Notifier:
    """A notifier that cannot tell anybody."""
    if request.param == "in_memory":
        notifier = InMemoryNotifier()
        notifier.problem = "down"
        return notifier
    if request.param == "file":
        return NoticeFile(tmp_path, now=lambda: datetime(2013, 10, 1, tzinfo=UTC))
    return AppriseNotifier([nowhere()])


def test_every_notice_arrives_in_order(
    told: tuple[Notifier, Callable[[], list[str]]],
) -> None:
    """Once each."""
    notifier, titles = told
    other = NOTICE.model_copy(update={"title": "another\nöne"})
    notifier.send(NOTICE)
    notifier.send(other)
    assert len(titles()) == 2
    assert titles()[0] == NOTICE.title


def test_nobody_told_is_unavailable(broken: Notifier) -> None:
    """One kind of error, whatever is wrong."""
    with pytest.raises(UnavailableError):
        broken.send(NOTICE)


def test_a_refusal_is_named_without_the_secret(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error nor any log holds the path, where a token may be."""
    hook.status = 500
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(UnavailableError, match=r"address 1 \(json\): did not take it") as raised,
    ):
        AppriseNotifier([hook.url]).send(NOTICE)
    assert SECRET not in str(raised.value)
    assert SECRET not in caplog.text


def test_what_is_no_address_is_not_repeated() -> None:
    """A typing error may hold a token as well."""
    with pytest.raises(UnavailableError, match="expected an apprise address") as raised:
        AppriseNotifier([f"nonsense://{SECRET}"]).send(NOTICE)
    assert SECRET not in str(raised.value)
    with pytest.raises(InputError, match="at least one"):
        AppriseNotifier([])


def test_a_server_that_hangs_is_left_after_the_limit(hanging: str) -> None:
    """Though it never stops answering."""
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="no answer in time") as raised:
        AppriseNotifier([hanging], limit_seconds=0.5).send(NOTICE)
    assert time.monotonic() - begun < 5
    assert SECRET not in str(raised.value)


def test_one_address_that_takes_it_is_enough(
    hook: Hook, hanging: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one is named in the log, masked, and holds up nobody."""
    with caplog.at_level(logging.WARNING):
        AppriseNotifier([hanging, hook.url], limit_seconds=3.0).send(NOTICE)
    assert [one["title"] for one in hook.told] == [NOTICE.title]
    assert "address 1 (json)" in caplog.text
    assert SECRET not in caplog.text


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """It may name people."""
    path = tmp_path / "notices.log"
    NoticeFile(path, now=lambda: datetime(2013, 10, 1, tzinfo=UTC)).send(NOTICE)
    assert path.stat().st_mode & 0o077 == 0
