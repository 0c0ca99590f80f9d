"""Settings: read from the environment once, with defaults, refused with the variable's name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_release.errors import InputError
from ml_release.settings import (
    EndpointSettings,
    RemoteSettings,
    Settings,
    child_environment,
    read_settings,
)


def test_without_variables_everything_is_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production is served on port 8500 of the loopback interface, and nothing is created."""
    monkeypatch.chdir(tmp_path)
    settings = read_settings({})
    home = tmp_path / ".ml_release"
    assert settings == Settings(
        home=home,
        data=tmp_path / "data",
        lake=str(home / "lake"),
        tracking_uri=f"sqlite:///{home}/mlflow.db",
        dagster_home=home / "dagster",
        environment="production",
        server_port=8500,
        signing_key=None,
        verify_keys=(),
    )
    assert settings.server_url == "http://127.0.0.1:8500"
    assert list(tmp_path.iterdir()) == []


def test_every_part_can_point_elsewhere() -> None:
    """By its own variable."""
    settings = read_settings(
        {
            "ML_RELEASE_HOME": "/h",
            "ML_RELEASE_DATA": "/d",
            "ML_RELEASE_LAKE": "s3://bucket/lake",
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "DAGSTER_HOME": "/dagster",
            "ML_RELEASE_ENVIRONMENT": "staging",
            "ML_RELEASE_PORT": "9000",
            "ML_RELEASE_SIGNING_KEY": "/s.pem",
            "ML_RELEASE_VERIFY_KEY": os.pathsep.join(["/v.pem", "", "/w.pem"]),
        }
    )
    assert settings == Settings(
        home=Path("/h"),
        data=Path("/d"),
        lake="s3://bucket/lake",
        tracking_uri="http://mlflow:5000",
        dagster_home=Path("/dagster"),
        environment="staging",
        server_port=9000,
        signing_key=Path("/s.pem"),
        verify_keys=(Path("/v.pem"), Path("/w.pem")),
    )


def test_the_log_is_declared_by_four_variables() -> None:
    """Each with its default; words and numbers that are none are all named together."""
    defaults = read_settings({"ML_RELEASE_HOME": "/h"})
    assert (defaults.log_durability, defaults.log_when_full) == ("process", "refuse")
    assert (defaults.log_max_bytes, defaults.log_min_free_bytes) == (2**36, 2**28)
    chosen = {
        "ML_RELEASE_LOG_DURABILITY": "power",
        "ML_RELEASE_LOG_MAX_BYTES": "1000",
        "ML_RELEASE_LOG_MIN_FREE_BYTES": "0",
        "ML_RELEASE_LOG_WHEN_FULL": "answer_unlogged",
    }
    settings = read_settings(chosen)
    assert (settings.log_durability, settings.log_when_full) == ("power", "answer_unlogged")
    assert (settings.log_max_bytes, settings.log_min_free_bytes) == (1000, 0)
    assert {name: child_environment(settings)[name] for name in chosen} == chosen
    with pytest.raises(InputError) as caught:
        read_settings(dict.fromkeys(chosen, "-1"))
    assert all(name in str(caught.value) for name in chosen)


def test_the_home_moves_everything_generated() -> None:
    """No part of the home folder lies outside it or in another part."""
    settings = read_settings({"ML_RELEASE_HOME": "/h"})
    parts = [
        Path(settings.lake),
        settings.evidence,
        settings.models,
        settings.keys,
        settings.deployments,
        settings.inference,
        settings.online,
        settings.mlflow_artifacts,
        settings.dagster_home,
    ]
    assert len(set(parts)) == 9
    assert {part.parent for part in parts} == {Path("/h")}
    assert settings.tracking_uri == "sqlite:////h/mlflow.db"


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder later still finds them."""
    monkeypatch.chdir(tmp_path)
    assert read_settings({"ML_RELEASE_HOME": "h"}).home == tmp_path / "h"
    assert read_settings({"ML_RELEASE_DATA": "d"}).data == tmp_path / "d"


def test_a_variable_that_is_empty_counts_as_not_set() -> None:
    """An empty home would scatter everything over the working folder."""
    names = [
        "ML_RELEASE_HOME",
        "ML_RELEASE_DATA",
        "MLFLOW_TRACKING_URI",
        "DAGSTER_HOME",
        "ML_RELEASE_ENVIRONMENT",
        "ML_RELEASE_PORT",
        "ML_RELEASE_SIGNING_KEY",
        "ML_RELEASE_VERIFY_KEY",
    ]
    assert read_settings(dict.fromkeys(names, "")) == read_settings({})


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only here, and only at the edge."""
    monkeypatch.setenv("ML_RELEASE_PORT", "1234")
    assert read_settings().server_port == 1234


@pytest.mark.parametrize(("port", "number"), [("1", 1), ("65535", 65535)])
def test_ports_from_first_to_last_can_be_used(port: str, number: int) -> None:
    """Both ends are included."""
    assert read_settings({"ML_RELEASE_PORT": port}).server_port == number


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "85.0", "8 500", "²", " "])
def test_a_port_that_is_none_is_refused_by_its_name(port: str) -> None:
    """Instead of a ValueError from somewhere."""
    with pytest.raises(InputError, match=r"ML_RELEASE_PORT: expected 1 to 65535, found '"):
        read_settings({"ML_RELEASE_PORT": port})


def test_all_variables_that_cannot_be_used_are_named_together() -> None:
    """An unknown environment is an error that lists the known ones."""
    with pytest.raises(InputError) as refused:
        read_settings({"ML_RELEASE_PORT": "x", "ML_RELEASE_ENVIRONMENT": "prod"})
    assert "ML_RELEASE_PORT" in str(refused.value)
    assert "expected staging or production, found 'prod'" in str(refused.value)


def test_a_child_process_has_the_same_settings() -> None:
    """Keys among them, and those that are not set stay so."""
    for keys in ({}, {"ML_RELEASE_SIGNING_KEY": "/s.pem", "ML_RELEASE_VERIFY_KEY": "/v.pem"}):
        settings = read_settings({"ML_RELEASE_HOME": "/h", **keys})
        assert read_settings(child_environment(settings)) == settings


def test_the_endpoint_server_is_operated_by_variables() -> None:
    """Each has its own; TLS changes the scheme of its address."""
    settings = read_settings(
        {
            "ML_RELEASE_HOME": "/h",
            "ML_RELEASE_TOKENS": "/t",
            "ML_RELEASE_TOKEN": "mlr_secret",
            "ML_RELEASE_OPEN_PAGES": "metrics, status",
            "ML_RELEASE_TLS_CERT": "/c",
            "ML_RELEASE_TLS_KEY": "/k",
            "ML_RELEASE_DRAIN_SECONDS": "2.5",
            "ML_RELEASE_LOG_FORMAT": "json",
            "ML_RELEASE_ACCESS_LOG": "true",
            "ML_RELEASE_OTEL": "http://127.0.0.1:4318",
        }
    )
    assert settings.endpoint == EndpointSettings(
        tokens=Path("/t"),
        token="mlr_secret",
        open_pages=frozenset({"metrics", "status"}),
        tls_certificate=Path("/c"),
        tls_key=Path("/k"),
        drain_seconds=2.5,
        log_format="json",
        has_access_log=True,
        otel="http://127.0.0.1:4318",
    )
    assert settings.server_url == "https://127.0.0.1:8500"
    assert "mlr_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ML_RELEASE_OPEN_PAGES", "everything"),
        ("ML_RELEASE_TLS_CERT", "/c"),
        ("ML_RELEASE_TLS_KEY", "/k"),
        ("ML_RELEASE_DRAIN_SECONDS", "-1"),
        ("ML_RELEASE_DRAIN_SECONDS", "nan"),
        ("ML_RELEASE_DRAIN_SECONDS", "soon"),
        ("ML_RELEASE_LOG_FORMAT", "xml"),
        ("ML_RELEASE_ACCESS_LOG", "yes"),
        ("ML_RELEASE_OTEL", "127.0.0.1:4318"),
    ],
)
def test_a_variable_of_the_endpoint_server_that_cannot_be_used_is_named(
    name: str, value: str
) -> None:
    """No word falls silently to a default."""
    with pytest.raises(InputError, match=name):
        read_settings({name: value})


def test_no_remote_is_the_default() -> None:
    """The deployments repository is local until somebody says otherwise."""
    assert read_settings({}).remote is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("git@host:team/deployments.git", "git@host:team/deployments.git"),
        ("ssh://git@host/deployments", "ssh://git@host/deployments"),
        ("https://host/deployments.git", "https://host/deployments.git"),
        ("shared/deployments", str(Path("shared/deployments").absolute())),
    ],
)
def test_a_remote_is_an_address_or_an_absolute_path(given: str, kept: str) -> None:
    """With its branch and its pause; a child process has the same."""
    environ = {
        "ML_RELEASE_DEPLOYMENTS_REMOTE": given,
        "ML_RELEASE_DEPLOYMENTS_REMOTE_BRANCH": "live",
        "ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS": "0.5",
    }
    settings = read_settings(environ)
    assert settings.remote == RemoteSettings(address=kept, branch="live", fetch_seconds=0.5)
    assert read_settings(child_environment(settings)).remote == settings.remote


@pytest.mark.parametrize(
    "address",
    [
        "https://user:secret@host/x.git",
        "https://secret@host/x.git",
        "ssh://git:secret@host/x.git",
    ],
)
def test_a_remote_with_credentials_is_refused_without_showing_them(address: str) -> None:
    """They would stand in logs and in the environment of every child."""
    with pytest.raises(
        InputError, match=r"ML_RELEASE_DEPLOYMENTS_REMOTE: .* without credentials"
    ) as caught:
        read_settings({"ML_RELEASE_DEPLOYMENTS_REMOTE": address})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ML_RELEASE_DEPLOYMENTS_REMOTE_BRANCH", "-x"),
        ("ML_RELEASE_DEPLOYMENTS_REMOTE_BRANCH", "a b"),
        ("ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS", "0"),
        ("ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS", "nan"),
        ("ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS", "often"),
    ],
)
def test_a_branch_and_a_pause_make_sense(name: str, value: str) -> None:
    """Said with the name of the variable."""
    with pytest.raises(InputError, match=f"^{name}: expected"):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("json://host/a", ("json://host/a",)),
        ("slack://a/b/c, mailto://u:p@h", ("slack://a/b/c", "mailto://u:p@h")),
        ("mailto://h?to=a@b.c,d@e.f,json://h", ("mailto://h?to=a@b.c,d@e.f", "json://h")),
    ],
)
def test_addresses_of_those_who_are_told(text: str, found: tuple[str, ...]) -> None:
    """A comma within an address stays in it; no address is shown where settings are."""
    settings = read_settings({"ML_RELEASE_NOTIFY": text})
    assert settings.notify == found
    assert "://" not in text or text not in repr(settings)


def test_what_is_no_address_is_refused_without_being_repeated() -> None:
    """It may be a token."""
    with pytest.raises(InputError, match="in place 1") as raised:
        read_settings({"ML_RELEASE_NOTIFY": "s3cr3t,json://x"})
    assert "s3cr3t" not in str(raised.value)


def test_the_clock_is_the_machines_unless_a_file_is_named(tmp_path: Path) -> None:
    """By an absolute path, for child processes too."""
    assert read_settings({}).clock is None
    assert read_settings({"ML_RELEASE_CLOCK": ""}).clock is None
    settings = read_settings({"ML_RELEASE_CLOCK": str(tmp_path / "clock.json")})
    assert settings.clock == tmp_path / "clock.json"
    assert read_settings(child_environment(settings)).clock == settings.clock
