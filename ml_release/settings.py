"""The one place that reads the environment, once per process, and the layout of the home folder.

Nothing is created here. ``ML_RELEASE_HOME`` holds everything generated; each part can point
elsewhere by its own variable.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENVIRONMENTS = ("staging", "production")
LogDurability = Literal["process", "power"]
LogWhenFull = Literal["refuse", "answer_unlogged"]
_Word = TypeVar("_Word", bound=str)
_LAST_PORT = 65_535
_GIBIBYTE = 2**30
_LOG_MAX_BYTES = 64 * _GIBIBYTE
_LOG_MIN_FREE_BYTES = _GIBIBYTE // 4
_LONGEST_DRAIN = 600
_BETWEEN_ADDRESSES = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_OPEN_PAGES = {"metrics", "status"}
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 3600.0
_BRANCH_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")
# As git@host:path, which Git takes for ssh.
_HOST_AND_PATH = re.compile(r"[^/:]+@?[^/:]+:")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """How the endpoint server is operated, and what its clients on this machine say to it.

    Attributes
    ----------
    tokens
        ``ML_RELEASE_TOKENS``: file with the hashes of access tokens; None without. Without it the
        server answers on the loopback interface alone.
    token
        ``ML_RELEASE_TOKEN``: the access token that our own commands send; None without.
    open_pages
        ``ML_RELEASE_OPEN_PAGES``: which of ``metrics`` and ``status`` need no token, separated by
        commas; none by default.
    tls_certificate, tls_key
        ``ML_RELEASE_TLS_CERT`` and ``ML_RELEASE_TLS_KEY``: PEM files, both or neither.
    drain_seconds
        ``ML_RELEASE_DRAIN_SECONDS``: how long the server still answers after SIGTERM while it says
        that it is not ready, 0 to 600, by default 0.
    log_format
        ``ML_RELEASE_LOG_FORMAT``: ``text`` or ``json``; None takes text for a terminal.
    has_access_log
        ``ML_RELEASE_ACCESS_LOG``: ``true`` logs every request; false by default.
    otel
        ``ML_RELEASE_OTEL``: address of an OpenTelemetry collector for OTLP over HTTP, as
        ``http://127.0.0.1:4318``; None without.
    """

    tokens: Path | None = None
    token: str | None = field(default=None, repr=False)
    open_pages: frozenset[str] = frozenset()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    drain_seconds: float = 0.0
    log_format: Literal["text", "json"] | None = None
    has_access_log: bool = False
    otel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """The remote that the deployments repository is shared through.

    Attributes
    ----------
    address
        ``ML_RELEASE_DEPLOYMENTS_REMOTE``: a path, or an address that Git knows, without
        credentials.
    branch
        ``ML_RELEASE_DEPLOYMENTS_REMOTE_BRANCH``: of the remote, by default ``main``.
    fetch_seconds
        ``ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS``: how often the endpoint server looks at it, 0.1 to
        3600, by default 5.
    """

    address: str
    branch: str = "main"
    fetch_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where everything is.

    Attributes
    ----------
    home
        ``ML_RELEASE_HOME``, by default ``.ml_release`` in the working folder.
    data
        ``ML_RELEASE_DATA``, the landing zone, by default ``data`` in the working folder.
    lake
        ``ML_RELEASE_LAKE``, where the Delta tables of snapshots and features are: a folder, by
        default in the home folder, or an address as ``s3://bucket/prefix`` (with the usual
        ``AWS_`` variables for its credentials).
    tracking_uri
        ``MLFLOW_TRACKING_URI``, by default SQLite in the home folder.
    dagster_home
        ``DAGSTER_HOME``, by default in the home folder.
    environment
        ``ML_RELEASE_ENVIRONMENT``: which declared state is served, production by default.
    server_port
        ``ML_RELEASE_PORT``: port of the endpoint server on the loopback interface.
    log_durability
        ``ML_RELEASE_LOG_DURABILITY``: whether what was answered survives the end of the
        ``process`` (default) or a cut of the ``power`` too.
    log_max_bytes, log_min_free_bytes
        ``ML_RELEASE_LOG_MAX_BYTES``: room for the inference log, 64 GiB by default; and
        ``ML_RELEASE_LOG_MIN_FREE_BYTES`` that it leaves on the disk, 256 MiB by default.
    log_when_full
        ``ML_RELEASE_LOG_WHEN_FULL``: whether a request that cannot be logged is to ``refuse``
        (default) or to ``answer_unlogged``.
    signing_key
        ``ML_RELEASE_SIGNING_KEY``, file of the private key that signs model artefacts; by default
        None, a key made in the home folder.
    verify_keys
        ``ML_RELEASE_VERIFY_KEY``, files of the public keys whose signatures are trusted, separated
        as in ``PATH``; by default none, which trusts the key that signs.
    notify
        ``ML_RELEASE_NOTIFY``: apprise addresses of those who are told what happened, separated by
        commas; by default none, which tells a file in the home folder.
    endpoint
        How the endpoint server is operated.
    remote
        What the deployments repository is shared through; None where it is not.
    clock
        ``ML_RELEASE_CLOCK``: a file that moves the clock of every process of this installation,
        as `ml_release.adapters.moved_clock` has it; None takes the machine's own time.
    """

    home: Path
    data: Path
    lake: str
    tracking_uri: str
    dagster_home: Path
    environment: str
    server_port: int
    signing_key: Path | None
    verify_keys: tuple[Path, ...]
    log_durability: LogDurability = "process"
    log_max_bytes: int = _LOG_MAX_BYTES
    log_min_free_bytes: int = _LOG_MIN_FREE_BYTES
    log_when_full: LogWhenFull = "refuse"
    notify: tuple[str, ...] = field(default=(), repr=False)
    endpoint: EndpointSettings = EndpointSettings()
    remote: RemoteSettings | None = None
    clock: Path | None = None

    @property
    def evidence(self) -> Path:
        """Recorded verdicts and candidates."""
        return self.home / "evidence"

    @property
    def models(self) -> Path:
        """Model artefacts by digest."""
        return self.home / "models"

    @property
    def keys(self) -> Path:
        """The key pair for signatures on model artefacts."""
        return self.home / "keys"

    @property
    def deployments(self) -> Path:
        """The bare Git repository of declared state."""
        return self.home / "deployments"

    @property
    def inference(self) -> Path:
        """Segments of the inference log and of the labels."""
        return self.home / "inference"

    @property
    def monitoring(self) -> Path:
        """What was counted of the inference log, and what the server tells of it."""
        return self.home / "monitoring"

    @property
    def gauges(self) -> Path:
        """What the monitor job found, for the endpoint server to tell Prometheus."""
        return self.monitoring / "gauges"

    @property
    def switches(self) -> Path:
        """Kill switches that were pulled at the server and are not in Git yet."""
        return self.home / "switches"

    @property
    def online(self) -> Path:
        """History tables the endpoint server looks up."""
        return self.home / "online"

    @property
    def notices(self) -> Path:
        """What people were told, where nobody has said whom to tell."""
        return self.home / "notices.log"

    @property
    def reports(self) -> Path:
        """Pages of evaluated candidates and their model cards."""
        return self.home / "reports"

    @property
    def mlflow_artifacts(self) -> Path:
        """Artefacts of MLflow runs."""
        return self.home / "mlartifacts"

    @property
    def server_url(self) -> str:
        """Where the local endpoint server answers."""
        scheme = "http" if self.endpoint.tls_certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self.server_port}"


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; a variable that is set but empty counts as not set.

    Raises
    ------
    InputError
        If a variable cannot be used, naming every such variable.
    """
    variables = os.environ if environ is None else environ

    def value(name: str, default: str) -> str:
        return variables.get(name) or default

    environment = value("ML_RELEASE_ENVIRONMENT", "production")
    port = value("ML_RELEASE_PORT", "8500")
    problems = []
    if environment not in ENVIRONMENTS:
        problems.append(
            f"ML_RELEASE_ENVIRONMENT: expected {' or '.join(ENVIRONMENTS)}, found {environment!r}"
        )
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= _LAST_PORT):
        problems.append(f"ML_RELEASE_PORT: expected 1 to {_LAST_PORT}, found {port!r}")
    durability: LogDurability = _choice(
        value, "ML_RELEASE_LOG_DURABILITY", get_args(LogDurability), problems
    )
    when_full: LogWhenFull = _choice(
        value, "ML_RELEASE_LOG_WHEN_FULL", get_args(LogWhenFull), problems
    )
    max_bytes = _bytes(value, "ML_RELEASE_LOG_MAX_BYTES", _LOG_MAX_BYTES, problems)
    min_free_bytes = _bytes(value, "ML_RELEASE_LOG_MIN_FREE_BYTES", _LOG_MIN_FREE_BYTES, problems)
    notify = _addresses(variables.get("ML_RELEASE_NOTIFY") or "", problems)
    endpoint = _endpoint_settings(variables, problems)
    remote = _remote_settings(value, problems)
    if problems:
        message = "; ".join(problems)
        raise InputError(message)
    home = Path(value("ML_RELEASE_HOME", ".ml_release")).absolute()
    signing_key = value("ML_RELEASE_SIGNING_KEY", "")
    clock = value("ML_RELEASE_CLOCK", "")
    return Settings(
        home=home,
        data=Path(value("ML_RELEASE_DATA", "data")).absolute(),
        lake=_folder_or_address(value("ML_RELEASE_LAKE", str(home / "lake"))),
        tracking_uri=value("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}"),
        dagster_home=Path(value("DAGSTER_HOME", str(home / "dagster"))).absolute(),
        environment=environment,
        server_port=int(port),
        log_durability=durability,
        log_max_bytes=max_bytes,
        log_min_free_bytes=min_free_bytes,
        log_when_full=when_full,
        signing_key=Path(signing_key).absolute() if signing_key else None,
        verify_keys=tuple(
            Path(part).absolute()
            for part in value("ML_RELEASE_VERIFY_KEY", "").split(os.pathsep)
            if part
        ),
        notify=notify,
        endpoint=endpoint,
        remote=remote,
        clock=Path(clock).absolute() if clock else None,
    )


def _remote_settings(
    value: Callable[[str, str], str], problems: list[str]
) -> RemoteSettings | None:
    name = "ML_RELEASE_DEPLOYMENTS_REMOTE"
    address = value(name, "")
    branch = value(f"{name}_BRANCH", "main")
    pause = value("ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS", "5")
    if not _BRANCH_NAME.fullmatch(branch):
        problems.append(f"{name}_BRANCH: expected the plain name of a branch, found {branch!r}")
    try:
        seconds = float(pause)
    except ValueError:
        seconds = math.nan
    if not _SHORTEST_PAUSE <= seconds <= _LONGEST_PAUSE:
        problems.append(
            "ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS: expected seconds from"
            f" {_SHORTEST_PAUSE} to {_LONGEST_PAUSE}, found {pause!r}"
        )
    if not address:
        return None
    if "://" in address:
        try:
            parts = urlsplit(address)
            has_user = parts.username is not None and parts.scheme in {"http", "https"}
            has_secret = parts.password is not None or has_user
        except ValueError:
            has_secret = True
        if has_secret:
            # Not shown: it would stand in a log.
            problems.append(
                f"{name}: expected an address without credentials, found some in it; leave them to"
                " a key, an agent or Git's own configuration"
            )
    elif not _HOST_AND_PATH.match(address):
        address = str(Path(address).absolute())
    return RemoteSettings(address=address, branch=branch, fetch_seconds=seconds)


def _endpoint_settings(variables: Mapping[str, str], problems: list[str]) -> EndpointSettings:
    def path(name: str) -> Path | None:
        return Path(variables[name]).absolute() if variables.get(name) else None

    def one_of(name: str, words: tuple[str, ...], default: str) -> str:
        word = variables.get(name) or default
        if word not in (*words, default):
            problems.append(f"{name}: expected {' or '.join(words)}, found {word!r}")
        return word

    drain = variables.get("ML_RELEASE_DRAIN_SECONDS") or "0"
    try:
        drain_seconds = float(drain)
    except ValueError:
        drain_seconds = math.nan
    if not 0 <= drain_seconds <= _LONGEST_DRAIN:
        problems.append(
            f"ML_RELEASE_DRAIN_SECONDS: expected 0 to {_LONGEST_DRAIN}, found {drain!r}"
        )
    opened = variables.get("ML_RELEASE_OPEN_PAGES") or ""
    open_pages = frozenset(word.strip() for word in opened.split(",") if word.strip())
    if open_pages - _OPEN_PAGES:
        problems.append(
            f"ML_RELEASE_OPEN_PAGES: expected {' and '.join(sorted(_OPEN_PAGES))}, separated by"
            f" commas, found {opened!r}"
        )
    certificate, key = path("ML_RELEASE_TLS_CERT"), path("ML_RELEASE_TLS_KEY")
    if (certificate is None) != (key is None):
        problems.append(
            "ML_RELEASE_TLS_CERT, ML_RELEASE_TLS_KEY: expected both or neither, found one"
        )
    otel = variables.get("ML_RELEASE_OTEL") or None
    if otel is not None and not otel.startswith(("http://", "https://")):
        problems.append(
            f"ML_RELEASE_OTEL: expected the address of a collector like http://127.0.0.1:4318,"
            f" found {otel!r}"
        )
    log_format = one_of("ML_RELEASE_LOG_FORMAT", ("text", "json"), "")
    return EndpointSettings(
        tokens=path("ML_RELEASE_TOKENS"),
        token=variables.get("ML_RELEASE_TOKEN") or None,
        open_pages=open_pages,
        tls_certificate=certificate,
        tls_key=key,
        drain_seconds=drain_seconds,
        log_format="text" if log_format == "text" else "json" if log_format == "json" else None,
        has_access_log=one_of("ML_RELEASE_ACCESS_LOG", ("true", "false"), "false") == "true",
        otel=otel,
    )


def _choice(
    value: Callable[[str, str], str], name: str, choices: tuple[_Word, ...], problems: list[str]
) -> _Word:
    """One of some words, by default the first."""
    found = value(name, choices[0])
    for choice in choices:
        if found == choice:
            return choice
    problems.append(f"{name}: expected {' or '.join(choices)}, found {found!r}")
    return choices[0]


def _bytes(value: Callable[[str, str], str], name: str, default: int, problems: list[str]) -> int:
    found = value(name, str(default))
    if found.isascii() and found.isdigit():
        return int(found)
    problems.append(f"{name}: expected a number of bytes, found {found!r}")
    return default


def _addresses(text: str, problems: list[str]) -> tuple[str, ...]:
    """Apprise addresses; a comma that no scheme follows is part of one. None is ever repeated."""
    found = tuple(part.strip() for part in _BETWEEN_ADDRESSES.split(text) if part.strip())
    bad = [place for place, one in enumerate(found, 1) if "://" not in one]
    if bad:
        problems.append(
            "ML_RELEASE_NOTIFY: expected addresses like json://host/path, separated by commas,"
            f" found something else in place {', '.join(map(str, bad))}"
        )
    return found


def _folder_or_address(text: str) -> str:
    return text if "://" in text else str(Path(text).absolute())


def refuse_telemetry() -> None:
    """Keep vendors from reporting use, unless the user has said otherwise in the environment."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have these settings."""
    remote = settings.remote
    return {
        **os.environ,
        "ML_RELEASE_HOME": str(settings.home),
        "ML_RELEASE_DATA": str(settings.data),
        "ML_RELEASE_LAKE": settings.lake,
        "ML_RELEASE_ENVIRONMENT": settings.environment,
        "ML_RELEASE_PORT": str(settings.server_port),
        "ML_RELEASE_LOG_DURABILITY": settings.log_durability,
        "ML_RELEASE_LOG_MAX_BYTES": str(settings.log_max_bytes),
        "ML_RELEASE_LOG_MIN_FREE_BYTES": str(settings.log_min_free_bytes),
        "ML_RELEASE_LOG_WHEN_FULL": settings.log_when_full,
        "ML_RELEASE_NOTIFY": ",".join(settings.notify),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "DAGSTER_HOME": str(settings.dagster_home),
        # Empty counts as not set.
        "ML_RELEASE_SIGNING_KEY": str(settings.signing_key or ""),
        "ML_RELEASE_VERIFY_KEY": os.pathsep.join(map(str, settings.verify_keys)),
        "ML_RELEASE_CLOCK": str(settings.clock or ""),
        "ML_RELEASE_DEPLOYMENTS_REMOTE": "" if remote is None else remote.address,
        "ML_RELEASE_DEPLOYMENTS_REMOTE_BRANCH": "" if remote is None else remote.branch,
        "ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS": ""
        if remote is None
        else f"{remote.fetch_seconds:g}",
        # The MLflow UI would start a queue with five workers for jobs that nobody sends.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
