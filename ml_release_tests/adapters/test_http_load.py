"""The load generator: every request once, and whatever does not come back is a failure."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.trial_server.http_load import ask_under_load, prebuilt, whole_length
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def server(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A port where every request that comes in is answered by a function."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(65536):
                seen.append(request)
                try:
                    answer(connection, request)
                except OSError:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        # Closing alone does not wake a thread that waits.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def requests(count: int) -> list[bytes]:
    return prebuilt("/x", [b"{}"] * count, ids=[f"id-{number}" for number in range(count)])


def test_every_request_is_sent_once_with_its_id() -> None:
    """Over a few connections, each answer with its time."""
    with server(lambda connection, _request: connection.sendall(OK)) as (port, seen):
        answers = ask_under_load(port, requests(40), connections=4, seconds=30)
    assert sorted(answer.request for answer in answers) == list(range(40))
    assert {answer.status for answer in answers} == {200}
    assert all(0 <= answer.sent_s <= answer.answered_s for answer in answers)
    stated = sorted(request.split(b"x-request-id: ")[1].split(b"\r\n")[0] for request in seen)
    assert stated == sorted(f"id-{number}".encode() for number in range(40))


def test_answers_in_pieces_are_put_together() -> None:
    """A head may come without its body."""

    def in_pieces(connection: socket.socket, _request: bytes) -> None:
        for piece in (OK[:20], OK[20:-1], OK[-1:]):
            connection.sendall(piece)
            time.sleep(0.01)

    with server(in_pieces) as (port, _):
        answers = ask_under_load(port, requests(3), connections=1, seconds=30)
    assert [answer.status for answer in answers] == [200] * 3


def test_other_statuses_are_told() -> None:
    """Whoever asks decides what they mean."""
    with server(lambda connection, _request: connection.sendall(BUSY)) as (port, _):
        answers = ask_under_load(port, requests(2), connections=1, seconds=30)
    assert [answer.status for answer in answers] == [503, 503]


def test_a_closed_connection_is_no_answer_and_the_others_go_on() -> None:
    """The next request takes a new connection."""

    def close_at_the_second(connection: socket.socket, request: bytes) -> None:
        if b"id-1\r\n" in request:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(OK)

    with server(close_at_the_second) as (port, _):
        answers = ask_under_load(port, requests(4), connections=1, seconds=30)
    assert [(answer.request, answer.status) for answer in answers] == [
        (0, 200),
        (1, 0),
        (2, 200),
        (3, 200),
    ]


def test_an_answer_that_never_comes_is_waited_for_only_so_long() -> None:
    """It counts as none."""
    with server(lambda _connection, _request: None) as (port, _):
        begun = time.monotonic()
        answers = ask_under_load(port, requests(2), connections=2, seconds=0.2, grace_s=0.3)
        assert time.monotonic() - begun < 10
    assert [answer.status for answer in answers] == [0, 0]


def test_nothing_is_sent_after_its_time() -> None:
    """However many requests are left; endless ones end too."""

    def slowly(connection: socket.socket, _request: bytes) -> None:
        time.sleep(0.05)
        connection.sendall(OK)

    with server(slowly) as (port, seen):
        answers = ask_under_load(port, requests(1000), connections=1, seconds=0.3)
        assert 1 <= len(answers) == len(seen) < 100
        again = ask_under_load(port, requests(2), connections=1, seconds=0.4, is_endless=True)
    assert len(again) > 2
    assert {answer.request for answer in again} == {0, 1}


def test_without_a_server_it_says_where_it_looked() -> None:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"nothing listens on port {port}"):
        ask_under_load(port, requests(1), connections=1, seconds=1)


def test_an_answer_without_a_length_cannot_be_read() -> None:
    """A head that is not whole yet may still get one."""
    assert whole_length(b"HTTP/1.1 200 OK\r\n") is None
    with pytest.raises(UnavailableError, match="content-length"):
        whole_length(b"HTTP/1.1 200 OK\r\n\r\n")
