"""Processes that are started, awaited and stopped together."""

from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from ml_release.cli.processes import LOOPBACK, Service, free_port, running
from ml_release.errors import InputError, UnavailableError
from ml_release.settings import read_settings

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from ml_release.settings import Settings

# Not HTTPServer: that asks for the name of its own address, which takes long without a network.
SERVER = """
import http.server, socketserver, sys
handler = http.server.SimpleHTTPRequestHandler
socketserver.TCPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"ML_RELEASE_HOME": str(tmp_path)})


def service(name: str = "files", program: str = SERVER, port: int | None = None) -> Service:
    port = port or free_port()
    return Service(
        name=name,
        command=[sys.executable, "-c", program, str(port)],
        port=port,
        ready=f"http://{LOOPBACK}:{port}/",
    )


def test_services_answer_inside_the_block_and_end_with_it(settings: Settings) -> None:
    """What they print is kept in the home folder."""
    first, second = service("first"), service("second")
    ready: list[str] = []
    with running(
        [first, second], settings=settings, on_ready=lambda one: ready.append(one.name)
    ) as processes:
        assert ready == ["first", "second"]
        assert httpx.get(first.url, trust_env=False).is_success
        started = list(processes.values())
        assert [process.poll() for process in started] == [None, None]
    assert None not in [process.poll() for process in started]
    assert (settings.home / "logs" / "first.log").exists()


def test_services_end_when_the_block_raises(settings: Settings) -> None:
    """Nothing is left behind."""
    started: list[subprocess.Popen[bytes]] = []

    def interrupted() -> None:
        with running([service()], settings=settings) as processes:
            started.extend(processes.values())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [process.poll() is None for process in started] == [False]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_services_end_with_a_signal(settings: Settings, number: signal.Signals) -> None:
    """A supervisor's, a closed terminal's or Ctrl-C: each ends the block, and the services."""
    started: list[subprocess.Popen[bytes]] = []
    former = signal.getsignal(number)

    def signalled() -> None:
        with running([service()], settings=settings) as processes:
            started.extend(processes.values())
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        signalled()
    assert [process.poll() is None for process in started] == [False]
    assert signal.getsignal(number) == former


def test_a_taken_port_is_named_and_nothing_is_started(settings: Settings) -> None:
    """Not even the services whose port is free."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        both = [service("first"), service("second", port=port)]
        with (
            pytest.raises(InputError, match=f"second: expected port {port}"),
            running(both, settings=settings),
        ):
            pytest.fail("it started")
    assert not (settings.home / "logs").exists()


def test_a_service_that_ends_is_named_with_what_it_said(settings: Settings) -> None:
    """And the other one is stopped."""
    broken = service("broken", program="import sys; sys.exit('no configuration')")
    with (
        pytest.raises(UnavailableError, match="broken ended with exit code 1:\nno configuration"),
        running([service("fine"), broken], settings=settings),
    ):
        pytest.fail("it is ready")
