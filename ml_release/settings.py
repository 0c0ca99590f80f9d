"""The one place that reads the environment, once per process, and the layout of the home folder.

Nothing is created here. ``ML_RELEASE_HOME`` holds everything generated; each part can point
elsewhere by its own variable.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENTS = ("staging", "production")
_LAST_PORT = 65_535


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
    signing_key
        ``ML_RELEASE_SIGNING_KEY``, file of the private key that signs model artefacts; by default
        None, a key made in the home folder.
    verify_keys
        ``ML_RELEASE_VERIFY_KEY``, files of the public keys whose signatures are trusted, separated
        as in ``PATH``; by default none, which trusts the key that signs.
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
    def switches(self) -> Path:
        """Kill switches that were pulled at the server and are not in Git yet."""
        return self.home / "switches"

    @property
    def online(self) -> Path:
        """History tables the endpoint server looks up."""
        return self.home / "online"

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
        return f"http://127.0.0.1:{self.server_port}"


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
    if problems:
        message = "; ".join(problems)
        raise InputError(message)
    home = Path(value("ML_RELEASE_HOME", ".ml_release")).absolute()
    signing_key = value("ML_RELEASE_SIGNING_KEY", "")
    return Settings(
        home=home,
        data=Path(value("ML_RELEASE_DATA", "data")).absolute(),
        lake=_folder_or_address(value("ML_RELEASE_LAKE", str(home / "lake"))),
        tracking_uri=value("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}"),
        dagster_home=Path(value("DAGSTER_HOME", str(home / "dagster"))).absolute(),
        environment=environment,
        server_port=int(port),
        signing_key=Path(signing_key).absolute() if signing_key else None,
        verify_keys=tuple(
            Path(part).absolute()
            for part in value("ML_RELEASE_VERIFY_KEY", "").split(os.pathsep)
            if part
        ),
    )


def _folder_or_address(text: str) -> str:
    return text if "://" in text else str(Path(text).absolute())


def refuse_telemetry() -> None:
    """Keep vendors from reporting use, unless the user has said otherwise in the environment."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have these settings."""
    return {
        **os.environ,
        "ML_RELEASE_HOME": str(settings.home),
        "ML_RELEASE_DATA": str(settings.data),
        "ML_RELEASE_LAKE": settings.lake,
        "ML_RELEASE_ENVIRONMENT": settings.environment,
        "ML_RELEASE_PORT": str(settings.server_port),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "DAGSTER_HOME": str(settings.dagster_home),
        # Empty counts as not set.
        "ML_RELEASE_SIGNING_KEY": str(settings.signing_key or ""),
        "ML_RELEASE_VERIFY_KEY": os.pathsep.join(map(str, settings.verify_keys)),
        # The MLflow UI would start a queue with five workers for jobs that nobody sends.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
