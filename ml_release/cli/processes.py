"""Processes beside this one: the endpoint server, the Dagster UI and daemon, the MLflow UI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from ml_release.adapters.http_endpoint import trusting
from ml_release.errors import InputError, UnavailableError
from ml_release.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ml_release.settings import Settings

LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 10.0
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process to keep running.

    Attributes
    ----------
    ready
        Address that answers once it can be used.
    certificate
        What it answers with, if that is over TLS.
    """

    name: str
    command: Sequence[str]
    port: int
    ready: str
    certificate: Path | None = None

    @property
    def url(self) -> str:
        """Where people look."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{LOOPBACK}:{self.port}"


def endpoint_service(port: int, *, certificate: Path | None = None) -> Service:
    """The endpoint server; with ``certificate`` as its settings have it."""
    scheme = "http" if certificate is None else "https"
    return Service(
        name="endpoint",
        command=[sys.executable, "-m", "ml_release.serving", "--port", str(port)],
        port=port,
        ready=f"{scheme}://{LOOPBACK}:{port}/v2/health/live",
        certificate=certificate,
    )


def dagster_service(port: int, *, workspace: Path) -> Service:
    """The Dagster UI with its daemon, which runs the sensors and the queue."""
    return Service(
        name="dagster",
        command=[
            *(sys.executable, "-m", "dagster", "dev"),
            *("-w", str(workspace), "-h", LOOPBACK, "-p", str(port)),
        ],
        port=port,
        ready=f"http://{LOOPBACK}:{port}/server_info",
    )


def mlflow_service(port: int, settings: Settings) -> Service:
    """The MLflow UI on the same store."""
    return Service(
        name="mlflow",
        command=[
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", settings.tracking_uri),
            *("--artifacts-destination", settings.mlflow_artifacts.as_uri()),
            *("--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        ],
        port=port,
        ready=f"http://{LOOPBACK}:{port}/health",
    )


@contextmanager
def running(
    services: Sequence[Service],
    *,
    settings: Settings,
    on_ready: Callable[[Service], None] | None = None,
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start services, wait until each answers, and stop them all at the end of the block.

    What they print goes to ``<home>/logs/<name>.log``.

    Raises
    ------
    InputError
        If a port is taken; nothing is started then.
    UnavailableError
        If a service ends or does not answer in time.
    """
    for service in services:
        _require_free(service)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with _ending_as_for_ctrl_c():
        yield from _run(services, settings=settings, logs=logs, on_ready=on_ready)


def _run(
    services: Sequence[Service],
    *,
    settings: Settings,
    logs: Path,
    on_ready: Callable[[Service], None] | None,
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in services:
            with (logs / f"{service.name}.log").open("wb") as log:
                started[service.name] = subprocess.Popen(
                    list(service.command),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=child_environment(settings),
                    # A group of its own: Ctrl-C reaches us alone, and we stop each in order.
                    start_new_session=True,
                )
        for service in services:
            _await(service, started[service.name], log=logs / f"{service.name}.log")
            if on_ready is not None:
                on_ready(service)
        yield started
    finally:
        for process in started.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in started.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _require_free(service: Service) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, service.port))
        except OSError as error:
            message = (
                f"{service.name}: expected port {service.port} to be free on {LOOPBACK}, found it"
                f" taken ({error.strerror}). Stop what listens there, or choose another port."
            )
            raise InputError(message) from error


def _await(service: Service, process: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    verify = True if service.certificate is None else trusting(service.certificate)
    with httpx.Client(trust_env=False, timeout=2.0, verify=verify) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                message = f"{service.name} ended with exit code {process.returncode}:\n{tail}"
                raise UnavailableError(message)
            try:
                if client.get(service.ready).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    message = f"{service.name} did not answer at {service.ready} in {_READY_SECONDS:g} s; see {log}"
    raise UnavailableError(message)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Also when the leader has ended: its children may go on.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def _ending_as_for_ctrl_c() -> Iterator[None]:
    """Let a supervisor's SIGTERM and a closed terminal end a block as Ctrl-C does.

    A shell also starts background jobs with SIGINT ignored. Signals belong to the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    former = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
