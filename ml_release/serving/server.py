"""The endpoint server: one process that answers what Git declares.

Without access tokens nobody but programs on this machine may ask; with them others may, over TLS.
One worker runs predictions inline: they take microseconds, and one table that is replaced
whole then means one moment at which all traffic switches.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.git_deployments.remote import GitRemote
from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.mask_keys import MaskKeyFile
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.moved_clock import MovedClock
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.reward_segments import RewardSegments
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.domain.log_health import LogBounds
from ml_release.errors import InputError
from ml_release.serving.access import Access
from ml_release.serving.app import EndpointApp
from ml_release.serving.attendance import Attendance
from ml_release.serving.bandits import Bandits
from ml_release.serving.endpoint import Endpoint
from ml_release.serving.kill_switches import KillSwitches
from ml_release.serving.line_counts import LineCounts
from ml_release.serving.listening import bind, host_to_listen_on, url_of
from ml_release.serving.loaders import serving_loader
from ml_release.serving.log_upkeep import keep_segments_short
from ml_release.serving.monitoring_gauges import MonitoringGauges
from ml_release.serving.reconciler import RETRY_SECONDS, Reconciler
from ml_release.serving.recording import Recorder
from ml_release.serving.remote_follower import RemoteFollower
from ml_release.serving.shadows import Shadows
from ml_release.serving.tls import check_tls
from ml_release.serving.token_file import TokenFile
from ml_release.serving.versions import Versions
from ml_release.serving.vitals import Vitals
from ml_release.serving.workers import Workers

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ml_release.serving.tracing import Tracing
    from ml_release.settings import EndpointSettings, Settings

_BACKLOG = 1024
_STOP_SECONDS = 5
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers.

    Attributes
    ----------
    url
        Where, with the port that was taken.
    stop
        Ends it without draining, from any thread; `serve` then returns.
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
    follower: RemoteFollower | None = None


def build(settings: Settings, *, environment: str | None = None) -> Parts:
    """Put the parts together over the folders of ``settings``; nothing is loaded yet."""
    chosen = environment or settings.environment
    now = _now if settings.clock is None else MovedClock(settings.clock, real=_now).now
    log = InferenceLogFiles(
        settings.inference,
        now=now,
        durability=settings.log_durability,
        bounds=LogBounds(
            max_bytes=settings.log_max_bytes,
            min_free_bytes=settings.log_min_free_bytes,
            when_full=settings.log_when_full,
        ),
    )
    switches = KillSwitches(SwitchFiles(settings.switches), environment=chosen)
    bandits = Bandits(rewards=RewardSegments(settings.inference).rewards)
    counts: dict[str, LineCounts] = defaultdict(LineCounts)
    recorder = Recorder(
        log=log, counts=counts, mask_key=MaskKeyFile(settings.keys / "inference_log.key").read
    )
    shadows = Shadows(recorder=recorder, counts=counts)
    vitals = Vitals()
    keys = SigningKeys(
        settings.keys, signing_key=settings.signing_key, verify_keys=settings.verify_keys
    )
    reconciler = Reconciler(
        deployments=GitDeployments(settings.deployments, Seals(keys)),
        versions=Versions(
            models=ModelFiles(settings.models, ModelSignatures(keys)),
            loader=serving_loader(),
            workers=Workers(),
            retry_seconds=RETRY_SECONDS,
        ),
        online=OnlineFiles(settings.online),
        environment=chosen,
        now=now,
        switches=switches,
        bandits=bandits,
        vitals=vitals,
    )
    endpoint = Endpoint(
        environment=chosen,
        table=lambda: reconciler.table,
        log=log,
        recorder=recorder,
        now=now,
        switches=switches,
        bandits=bandits,
        shadows=shadows,
        counts=counts,
        inference=settings.inference,
        gauges=MonitoringGauges(settings.gauges, environment=chosen),
        vitals=vitals,
    )
    follower = None
    if settings.remote is not None:
        remote = GitRemote(
            settings.deployments,
            settings.remote.address,
            branch=settings.remote.branch,
            now=now,
        )
        follower = RemoteFollower(remote, seconds=settings.remote.fetch_seconds)
        vitals.notes = lambda: follower.notes
    return Parts(endpoint=endpoint, reconciler=reconciler, log=log, follower=follower)


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    environment: str | None = None,
    is_behind_proxy: bool = False,
    on_ready: Callable[[Running], None] | None = None,
) -> None:
    """Serve until stopped, by SIGTERM and SIGINT if this is the main thread.

    SIGTERM drains: the server says that it is not ready, answers for the drain time of
    ``settings``, then finishes what it has begun. SIGINT, or a second SIGTERM, leaves the time out.

    Parameters
    ----------
    host
        A loopback address; with access tokens also another.
    port
        0 takes any free one; by default that of ``settings``.
    environment
        Whose declared state is served; by default that of ``settings``.
    is_behind_proxy
        Whether a proxy ends TLS in front of this server, so that it may go without.
    on_ready
        Called once, when everything declared was loaded or reported and requests are taken.

    Raises
    ------
    InputError
        If the address may not be listened on, the port is taken, or the tokens file, the
        certificate or the collector of traces cannot be used. Also for an address that others can
        reach while the clock is moved.
    """
    chosen = settings.endpoint
    if chosen.tls_certificate is not None and chosen.tls_key is not None:
        check_tls(chosen.tls_certificate, chosen.tls_key, now=_now())
    address = host_to_listen_on(
        host,
        has_tokens=chosen.tokens is not None,
        has_tls=chosen.tls_certificate is not None,
        is_behind_proxy=is_behind_proxy,
    )
    if settings.clock is not None and not ip_address(address).is_loopback:
        message = (
            f"host {host!r}: expected a loopback address such as 127.0.0.1 while ML_RELEASE_CLOCK"
            f" moves the clock ({settings.clock}): records of real clients would be of a time that"
            " is not"
        )
        raise InputError(message)
    parts = build(settings, environment=environment)
    access = _access(chosen, parts.endpoint.vitals)
    listener = bind(address, settings.server_port if port is None else port)
    tracing = None
    try:
        tracing = _tracing(chosen, parts.endpoint.environment)
        attendance = Attendance(
            vitals=parts.endpoint.vitals,
            lines=lambda: parts.reconciler.table.lines,
            access=access,
            tracing=tracing,
            has_access_log=chosen.has_access_log,
        )
        if parts.follower is not None and not settings.deployments.exists():
            # With nothing declared here yet there is nothing a slow remote could hold up.
            parts.follower.follow()
        # Before anybody can connect: the first answer is one of the declared version.
        parts.reconciler.reconcile()
        listener.listen(_BACKLOG)
        parts.reconciler.start()
        if parts.follower is not None:
            parts.follower.start()
        parts.endpoint.shadows.start()
        app = EndpointApp(parts.endpoint, attendance)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(listener, app, parts.endpoint, chosen, on_ready))
    finally:
        if parts.follower is not None:
            parts.follower.stop()
        parts.endpoint.shadows.stop()
        parts.reconciler.stop()
        parts.reconciler.close()
        parts.log.close()
        listener.close()
        if tracing is not None:
            tracing.close()
    _LOG.info("stopped")


def _access(chosen: EndpointSettings, vitals: Vitals) -> Access | None:
    if chosen.tokens is None:
        return None
    access = Access(TokenFile(chosen.tokens), now=_now, open_pages=chosen.open_pages)
    vitals.refused = access.refused
    vitals.access_problems = lambda: access.problems
    return access


def _tracing(chosen: EndpointSettings, environment: str) -> Tracing | None:
    if chosen.otel is None:
        return None
    from ml_release.serving.tracing import tracing_to

    return tracing_to(chosen.otel, environment=environment)


async def _serve(
    listener: socket.socket,
    app: EndpointApp,
    endpoint: Endpoint,
    chosen: EndpointSettings,
    on_ready: Callable[[Running], None] | None,
) -> None:
    has_tls = chosen.tls_certificate is not None
    url = url_of(listener, has_tls=has_tls)
    server = _EmbeddedServer(app, listener, chosen)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(server.stop)

    def drain() -> None:
        vitals = endpoint.vitals
        if vitals.is_draining:
            server.stop()  # type: ignore[no-untyped-call]
            return
        vitals.is_draining = True
        _LOG.info("draining for %g s", chosen.drain_seconds)
        loop.call_later(chosen.drain_seconds, server.stop)

    if threading.current_thread() is threading.main_thread():
        loop.add_signal_handler(signal.SIGTERM, drain)
        loop.add_signal_handler(signal.SIGINT, server.stop)
    if on_ready is not None:
        running = Running(url=url, endpoint=endpoint, stop=stop)
        # After Granian's own start, which takes one turn of the loop.
        loop.call_soon(on_ready, running)
    upkeep = loop.create_task(keep_segments_short(endpoint.log))
    try:
        await server.serve()
    finally:
        upkeep.cancel()


class _EmbeddedServer(Server):
    """Granian in this process, on a socket that is already bound.

    Granian binds with SO_REUSEPORT, under which a second server takes half of the requests of the
    first instead of failing.
    """

    def __init__(self, app: EndpointApp, listener: socket.socket, chosen: EndpointSettings) -> None:
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
            ssl_cert=chosen.tls_certificate,
            ssl_key=chosen.tls_key,
        )
        self.workers_kill_timeout = _STOP_SECONDS
        self._listener = listener

    def _init_shared_socket(self) -> None:
        uds = False
        # Its new owner closes it.
        self._shd = SocketHolder(self._listener.detach(), uds, _BACKLOG)  # type: ignore[assignment,call-arg]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster event loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _now() -> datetime:
    """The machine's time, which also a server in another time judges tokens and certificates by."""
    return datetime.now(tz=UTC)
