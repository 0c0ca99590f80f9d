"""The real endpoint server as a process on a throw-away home, for one version on trial.

Its home holds declared state for the line on trial, a log and switches of its own, and links to
the artefacts that are declared and to the keys they are verified with. Process group and home are
gone at the end, whatever happened.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.adapters.trial_server.http_load import LOOPBACK, ask_under_load, prebuilt
from ml_release.domain.identity import digest_hex
from ml_release.domain.trial import LoadMeasured, Served, TrialReply
from ml_release.errors import UnavailableError
from ml_release.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from httpx import Client

    from ml_release.domain.trial import Trial, TrialLoad
    from ml_release.ports import Deployments, InferenceLog, OnlineHistory
    from ml_release.settings import Settings

# By name: the endpoint server stands in a layer above.
_MODULE = "ml_release.serving"
_OUT, _LOG = "server.out", "server.log"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ANNOUNCED = re.compile(r" at http://127\.0\.0\.1:(\d+): ")
_WATCH = """
import os, shutil, signal, sys
# Nothing is ever written: this ends when whoever holds the other end of the pipe does.
sys.stdin.buffer.read()
try:
    os.killpg(int(sys.argv[1]), signal.SIGKILL)
except ProcessLookupError:
    pass
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_ASK_SECONDS = 30.0
_TAIL_LINES = 15
_OK = 200
_OF_THE_OPERATOR = (
    "ML_RELEASE_TOKENS",
    "ML_RELEASE_TOKEN",
    "ML_RELEASE_OPEN_PAGES",
    "ML_RELEASE_TLS_CERT",
    "ML_RELEASE_TLS_KEY",
    "ML_RELEASE_DRAIN_SECONDS",
    "ML_RELEASE_LOG_FORMAT",
    "ML_RELEASE_ACCESS_LOG",
    "ML_RELEASE_OTEL",
    # What is declared for a trial is shared with nobody, and nothing is fetched over it.
    "ML_RELEASE_DEPLOYMENTS_REMOTE",
)
"""How production is operated; a server on trial is asked by one client, on loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a home consists of, made over its folders.

    The server reads declared state the way it is written here, so this has to be the writer that
    the engine uses; in the order of the fields of `Settings`: ``deployments``, ``online`` and
    ``inference``.
    """

    deployments: Callable[[Path], Deployments]
    online: Callable[[Path], OnlineHistory]
    inference: Callable[[Path], InferenceLog]


class TrialServerProcess:
    """`TrialServer` as a process of this machine.

    Parameters
    ----------
    settings
        Whose artefacts and keys are used.
    now
        The clock, for the commit of the declared state.
    """

    def __init__(self, settings: Settings, *, parts: Parts, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._parts = parts
        self._now = now

    @contextmanager
    def start(self, trial: Trial) -> Iterator[RunningProcess]:
        """Furnish a home, start the server in it, and take both away at the end."""
        from httpx import Client

        home = Path(tempfile.mkdtemp(prefix="ml_release-trial-"))
        try:
            settings = dataclasses.replace(
                self._settings,
                home=home,
                environment=trial.state.environment,
                # Of the disk of a throw-away folder nothing has to stay free.
                log_min_free_bytes=0,
            )
            deployments = self._furnish(settings, trial)
            with (
                _process(settings) as process,
                Client(trust_env=False, timeout=_ASK_SECONDS) as client,
            ):
                port, start_s = _await_answering(process, client, trial, home=home)
                yield RunningProcess(
                    start_s=start_s,
                    deployments=deployments,
                    _line=trial.state.line,
                    _process=process,
                    _port=port,
                    _client=client,
                    _log=self._parts.inference(settings.inference),
                )
        finally:
            # Links are removed, never what they lead to.
            shutil.rmtree(home, ignore_errors=True)

    def _furnish(self, settings: Settings, trial: Trial) -> Deployments:
        state = trial.state
        settings.models.mkdir()
        declared = [*state.variants, state.rollback_target, *trial.later]
        for name in {digest_hex(one.model_digest) for one in declared if one is not None}:
            artefact = self._settings.models / name
            if artefact.exists():
                (settings.models / name).symlink_to(artefact)
        if self._settings.keys.exists():
            settings.keys.symlink_to(self._settings.keys)
        if trial.history is not None:
            self._parts.online(settings.online).publish(state.line, trial.history)
        deployments = self._parts.deployments(settings.deployments)
        deployments.declare(
            state,
            expected_commit=None,
            trailers={"Actor": "staging", "Reason": "on trial", "Release": state.release},
            at=self._now(),
        )
        return deployments


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """`RunningTrial` over HTTP."""

    start_s: float
    deployments: Deployments
    _line: str
    _process: subprocess.Popen[bytes]
    _port: int
    _client: Client
    _log: InferenceLog

    def ask(
        self, method: str, path: str, *, body: bytes = b"", request_id: str | None = None
    ) -> TrialReply:
        """One request on a connection that is kept."""
        return _ask(self._client, self._port, method, path, body=body, request_id=request_id)

    def load(
        self, path: str, load: TrialLoad, *, on_progress: Callable[[int, int], None] | None = None
    ) -> LoadMeasured:
        """Many requests on a few connections; none is sent before all are made."""
        ids = [request.request_id for request in load.requests]
        total = len(ids)
        requests = prebuilt(path, [request.body for request in load.requests], ids=ids)
        try:
            answers = ask_under_load(
                self._port,
                requests,
                connections=load.connections,
                seconds=load.seconds,
                on_progress=None if on_progress is None else lambda done: on_progress(done, total),
            )
        except UnavailableError:
            # It listened a moment ago. Nobody was answered, as far as anybody can show.
            return LoadMeasured(acknowledged=(), failed=total, seconds=0.0, latencies_ms=())
        return LoadMeasured(
            acknowledged=tuple(ids[a.request] for a in answers if a.status == _OK),
            failed=sum(a.status != _OK for a in answers),
            seconds=max((a.answered_s for a in answers), default=0.0),
            latencies_ms=tuple((a.answered_s - a.sent_s) * 1000 for a in answers if a.status),
        )

    def logged(self) -> Mapping[str, int]:
        """Rows by request id, as every reader of the log sees them."""
        records, _ = self._log.records(self._line, after={})
        if records.empty:
            return {}
        return {str(name): int(n) for name, n in records["request_id"].value_counts().items()}

    def served(self) -> tuple[Served, ...]:
        """One per request, by its first row."""
        records, _ = self._log.records(self._line, after={})
        answers = records[(records["row"] == 0) & ~records["shadow"]]
        answers = answers.sort_values("received_time", kind="stable")
        return tuple(
            Served(
                version=int(version),
                route_commit=str(commit),
                received_time=moment.to_pydatetime(),
                is_ok=outcome == "ok",
            )
            for version, commit, moment, outcome in zip(
                answers["version"],
                answers["route_commit"],
                answers["received_time"],
                answers["outcome"],
                strict=True,
            )
        )

    def memory_mb(self) -> float | None:
        """As the operating system has it."""
        if self._process.poll() is not None:
            return None
        statm = Path(f"/proc/{self._process.pid}/statm")
        if statm.exists():
            return int(statm.read_text(encoding="ascii").split()[1]) * _PAGE_BYTES / 1e6
        # Elsewhere than on Linux. A slim image of Linux may lack the command.
        asked = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)],  # noqa: S607 (of the system)
            capture_output=True,
            text=True,
            check=False,
        )
        kibibytes = asked.stdout.strip()
        return int(kibibytes) * 1024 / 1e6 if kibibytes.isdigit() else None


@contextmanager
def _process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, which is gone at the end."""
    environment = child_environment(settings) | dict.fromkeys(_OF_THE_OPERATOR, "")
    out, log = settings.home / _OUT, settings.home / _LOG
    with out.open("wb") as said, log.open("wb") as logged:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, "--host", LOOPBACK, "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=logged,
            env=environment,
            process_group=0,
        )
    try:
        with _watched(process, settings.home):
            yield process
    finally:
        # Without draining: nobody else asks it.
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        # Also when the leader has ended: its children may go on.
        _kill_group(process)
        process.wait()


@contextmanager
def _watched(process: subprocess.Popen[bytes], home: Path) -> Iterator[None]:
    """Let another process end the group and remove the home, should this one be killed."""
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCH, str(process.pid), str(home)],
        stdin=subprocess.PIPE,
        # A group of its own: Ctrl-C is for us, and it outlives the one it watches.
        process_group=0,
    )
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _await_answering(
    process: subprocess.Popen[bytes], client: Client, trial: Trial, *, home: Path
) -> tuple[int, float]:
    """Port and seconds, once the server answers for the version."""
    begun = time.perf_counter()
    subject = f"trial of {trial.state.line} version {trial.state.champion.version}"
    port = None
    while time.perf_counter() - begun < trial.start_limit_s:
        if process.poll() is not None:
            message = (
                f"{subject}: expected a server that answers, it ended with"
                f" {_ending(process.returncode)}:\n{_tail(home)}"
            )
            raise UnavailableError(message)
        announced = _ANNOUNCED.search((home / _OUT).read_text(errors="replace"))
        if announced is not None:
            port = int(announced[1])
            break
        time.sleep(_POLL_SECONDS)
    if port is None:
        message = (
            f"{subject}: expected a server that answers within {trial.start_limit_s:g} s, found"
            f" none:\n{_tail(home)}"
        )
        raise UnavailableError(message)
    # What is declared was loaded, or reported, before the server said where it is.
    seconds = time.perf_counter() - begun
    ready = _ask(client, port, "GET", f"/v2/models/{trial.state.line}/ready")
    if ready.status != _OK:
        problems = _ask(client, port, "GET", "/status").body
        message = (
            f"{subject}: expected a server that has loaded it, found"
            f" {'; '.join(_problems(problems, trial.state.line)) or 'no reason'}\n{_tail(home)}"
        )
        raise UnavailableError(message)
    return port, seconds


def _problems(status: bytes, line: str) -> list[str]:
    try:
        document = json.loads(status)
        of_line = document["lines"].get(line, {}).get("problems", [])
        return [*document["problems"], *of_line]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _tail(home: Path) -> str:
    words = (home / _LOG).read_text(errors="replace").splitlines()
    return "\n".join(words[-_TAIL_LINES:]) or "(its log is empty)"


def _ask(
    client: Client,
    port: int,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    request_id: str | None = None,
) -> TrialReply:
    from httpx import HTTPError

    headers = {"content-type": "application/json"} if method == "POST" else {}
    if request_id is not None:
        headers["x-request-id"] = request_id
    try:
        answer = client.request(
            method, f"http://{LOOPBACK}:{port}{path}", content=body or None, headers=headers
        )
    except HTTPError as error:
        return TrialReply(status=0, body=str(error).encode())
    version = answer.headers.get("x-model-version", "")
    return TrialReply(
        status=answer.status_code,
        body=answer.content,
        version=int(version) if version.isdigit() else None,
    )
