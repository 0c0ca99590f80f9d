"""The endpoint server: one process on the loopback interface that answers what Git declares.

There are no tokens yet, so nobody but programs on this machine may ask; another address is
refused. One worker runs predictions inline: they take microseconds, and one table that is replaced
whole then means one moment at which all traffic switches.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.reward_segments import RewardSegments
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.errors import InputError
from ml_release.serving.app import EndpointApp
from ml_release.serving.bandits import Bandits
from ml_release.serving.endpoint import Endpoint
from ml_release.serving.kill_switches import KillSwitches
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.loaders import serving_loader
from ml_release.serving.reconciler import RETRY_SECONDS, Reconciler
from ml_release.serving.shadows import Shadows
from ml_release.serving.versions import Versions
from ml_release.serving.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.settings import Settings

_BACKLOG = 1024
_STOP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers.

    Attributes
    ----------
    url
        Where, with the port that was taken.
    stop
        Ends it, from any thread; `serve` then returns.
    """

    url: str
    endpoint: Endpoint
    stop: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A server without its network: what tests drive directly."""

    endpoint: Endpoint
    reconciler: Reconciler
    log: InferenceLogFiles


def build(settings: Settings, *, environment: str | None = None) -> Parts:
    """Put the parts together over the folders of ``settings``; nothing is loaded yet."""
    chosen = environment or settings.environment
    log = InferenceLogFiles(settings.inference, now=_now)
    switches = KillSwitches(SwitchFiles(settings.switches), environment=chosen)
    bandits = Bandits(rewards=RewardSegments(settings.inference).rewards)
    counts: dict[str, LineCounts] = defaultdict(LineCounts)
    shadows = Shadows(log=log, counts=counts)
    reconciler = Reconciler(
        deployments=GitDeployments(settings.deployments),
        versions=Versions(
            models=ModelFiles(
                settings.models,
                ModelSignatures(
                    settings.keys,
                    signing_key=settings.signing_key,
                    verify_keys=settings.verify_keys,
                ),
            ),
            loader=serving_loader(),
            workers=Workers(),
            retry_seconds=RETRY_SECONDS,
        ),
        online=OnlineFiles(settings.online),
        environment=chosen,
        now=_now,
        switches=switches,
        bandits=bandits,
    )
    endpoint = Endpoint(
        environment=chosen,
        table=lambda: reconciler.table,
        log=log,
        now=_now,
        switches=switches,
        bandits=bandits,
        shadows=shadows,
        counts=counts,
    )
    return Parts(endpoint=endpoint, reconciler=reconciler, log=log)


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    environment: str | None = None,
    on_ready: Callable[[Running], None] | None = None,
) -> None:
    """Serve until stopped, by SIGTERM and SIGINT if this is the main thread.

    Parameters
    ----------
    host
        A loopback address.
    port
        0 takes any free one; by default that of ``settings``.
    environment
        Whose declared state is served; by default that of ``settings``.
    on_ready
        Called once, when everything declared was loaded or reported and requests are taken.

    Raises
    ------
    InputError
        If the address is not a loopback address, or the port is taken.
    """
    listener = _bind(_loopback(host), settings.server_port if port is None else port)
    parts = build(settings, environment=environment)
    try:
        # Before anybody can connect: the first answer is one of the declared version.
        parts.reconciler.reconcile()
        listener.listen(_BACKLOG)
        parts.reconciler.start()
        parts.endpoint.shadows.start()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(listener, parts.endpoint, on_ready))
    finally:
        parts.endpoint.shadows.stop()
        parts.reconciler.stop()
        parts.reconciler.close()
        parts.log.close()
        listener.close()


async def _serve(
    listener: socket.socket, endpoint: Endpoint, on_ready: Callable[[Running], None] | None
) -> None:
    url = _url(listener)
    server = _EmbeddedServer(EndpointApp(endpoint), listener)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(server.stop)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
    if on_ready is not None:
        running = Running(url=url, endpoint=endpoint, stop=stop)
        # After Granian's own start, which takes one turn of the loop.
        loop.call_soon(on_ready, running)
    await server.serve()


class _EmbeddedServer(Server):
    """Granian in this process, on a socket that is already bound.

    Granian binds with SO_REUSEPORT, under which a second server takes half of the requests of the
    first instead of failing.
    """

    def __init__(self, app: EndpointApp, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            log_enabled=False,
        )
        self.workers_kill_timeout = _STOP_SECONDS
        self._listener = listener

    def _init_shared_socket(self) -> None:
        uds = False
        # Its new owner closes it.
        self._shd = SocketHolder(self._listener.detach(), uds, _BACKLOG)  # type: ignore[assignment,call-arg]


def _loopback(host: str) -> str:
    name = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        message = (
            f"host {host!r}: expected a loopback address such as 127.0.0.1. The server has no"
            " access tokens yet, so it answers programs on this machine only; put a proxy that"
            " checks who asks in front of it."
        )
        raise InputError(message)
    return name


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # Lets a server start again at once after another one has ended, not beside a running one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        message = (
            f"port {port} on {host}: expected a free port, found that it cannot be taken"
            f" ({error}). Stop the server that runs there, or choose another with --port or"
            " ML_RELEASE_PORT."
        )
        raise InputError(message) from error
    listener.setblocking(False)  # noqa: FBT003 (its only form)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster event loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _now() -> datetime:
    return datetime.now(tz=UTC)
