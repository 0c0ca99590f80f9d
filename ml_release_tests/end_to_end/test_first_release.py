"""Real flights from landed rows to a served, logged and scored prediction, by the command alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

from ml_release.adapters.inference_tables import InferenceTables
from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.settings import Settings

PROJECT = Path(__file__).parents[2]
LINE = "flight_delay"


class Home:
    """A home folder with a landing zone of its own, driven by the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PROJECT / "data", folder / "data")
        self.settings: Settings = read_settings(
            {"ML_RELEASE_HOME": str(folder / "home"), "ML_RELEASE_DATA": str(folder / "data")}
        )

    def ml_release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a process of its own."""
        kept = ("MLFLOW_TRACKING_URI", "DAGSTER_HOME", "ML_RELEASE_ENVIRONMENT")
        environment = {name: value for name, value in os.environ.items() if name not in kept}
        return subprocess.run(
            [sys.executable, "-m", "ml_release", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=PROJECT,
            timeout=900,
            env={
                **environment,
                # Threads of parallel test processes wait for one another.
                "OMP_NUM_THREADS": "1",
                "ML_RELEASE_HOME": str(self.settings.home),
                "ML_RELEASE_DATA": str(self.settings.data),
            },
        )

    def answer(self, *arguments: str) -> dict[str, Any]:
        """What a command that succeeds prints with ``--json``."""
        ended = self.ml_release(*arguments, "--json")
        assert ended.returncode == 0, ended.stderr
        document: dict[str, Any] = json.loads(ended.stdout)
        return document

    def release(self, version: str) -> dict[str, Any]:
        """Try a version in staging, approve it, and move it to where it goes from there."""
        why = ("--by", "ada", "--reason", "read the report")
        self.answer("promote", LINE, version, "--to", "staging", *why)
        self.answer("approve", LINE, version, *why)
        return self.answer("promote", LINE, version, *why)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Version 1 in production, trained on two months to be quick; version 2 registered."""
    home = Home(tmp_path_factory.mktemp("first_release"))
    first = home.answer("train", LINE, "--from", "2013-01", "--to", "2013-02", "--by", "grace")
    assert first["version"] == 1
    assert first["checks_passed"] == 33
    assert home.release("1")["endpoint"] == "production_endpoint"
    second = home.answer("train", LINE, "--from", "2013-02", "--to", "2013-03", "--by", "grace")
    assert second["version"] == 2
    return home


@pytest.fixture
def server(home: Home) -> Iterator[str]:
    service = endpoint_service(free_port())
    with running([service], settings=home.settings):
        yield service.url


def readme_requests() -> list[str]:
    """Bodies of the curl commands in the README."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    bodies = [part.split("'\n", 1)[0] for part in text.split("-d '")[1:]]
    assert len(bodies) == 2
    return bodies


def test_the_requests_of_the_readme_are_answered_alike_by_both_protocols(
    server: str,
) -> None:
    """Two curl commands get the same probability for the same flight."""
    v2, mlflow = readme_requests()
    headers = {"content-type": "application/json"}
    first = httpx.post(
        f"{server}/v2/models/{LINE}/infer", content=v2, headers=headers, trust_env=False
    )
    second = httpx.post(
        f"{server}/models/{LINE}/invocations", content=mlflow, headers=headers, trust_env=False
    )
    assert first.status_code == second.status_code == 200
    (probability,) = first.json()["outputs"][0]["data"]
    assert 0 < probability < 1
    assert second.json()["predictions"] == [probability]
    assert first.headers["x-model-version"] == "1"


def test_a_version_is_rebuilt_from_its_record_without_touching_the_home(home: Home) -> None:
    """The same bytes in a fresh process, of a window whose history looks back before it."""
    before = content(home.settings.home)
    answer = home.answer("reproduce", LINE, "2")
    assert answer["outcome"] == "equal bytes"
    assert answer["rebuilt_digest"] == answer["recorded_digest"]
    assert (answer["divergences"], answer["environment"]) == ([], [])
    assert content(home.settings.home) == before


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_malformed_request_is_refused_and_names_the_field(server: str) -> None:
    """400, what was expected, what was found."""
    body = json.loads(readme_requests()[1])
    body["dataframe_records"][0]["distance"] = "far"
    answer = httpx.post(f"{server}/models/{LINE}/invocations", json=body, trust_env=False)
    assert answer.status_code == 400
    assert "distance" in answer.json()["error"]


def test_a_release_taken_back_while_requests_run_loses_none(home: Home, server: str) -> None:
    """Version 1 answers every request; 2 was asked in secret, and every answer is in the log."""
    assert home.release("2")["release_under_way"].startswith("version 2, shadow")
    body = readme_requests()[1].encode()
    answers: list[tuple[str, int, str]] = []
    stop = threading.Event()

    def ask(worker: int) -> None:
        with httpx.Client(base_url=server, trust_env=False, timeout=10) as client:
            for number in range(20_000):
                if stop.is_set():
                    return
                request_id = f"rollback-{worker}-{number}"
                answer = client.post(
                    f"/models/{LINE}/invocations",
                    content=body,
                    headers={"content-type": "application/json", "x-request-id": request_id},
                )
                version = answer.headers.get("x-model-version", "")
                answers.append((request_id, answer.status_code, version))
                # As clients come, and not as fast as the machine can that runs the rollback too.
                stop.wait(0.005)

    workers = [threading.Thread(target=ask, args=(worker,)) for worker in range(2)]
    for worker in workers:
        worker.start()
    back = home.answer("rollback", LINE, "--by", "ada", "--reason", "drill")
    stop.set()
    for worker in workers:
        worker.join()
    assert (back["version"], back["withdrawn"]) == (1, "2")
    assert {status for _, status, _ in answers} == {200}
    assert {version for *_, version in answers} == {"1"}
    records, _ = InferenceTables(home.settings.inference).records(LINE, after={})
    secret = records[records["shadow"]]
    assert set(secret["version"]) == {2}
    assert set(secret["request_id"]) <= {one for one, *_ in answers}
    records = records[~records["shadow"]]
    logged = dict(zip(records["request_id"], records["version"].astype(str), strict=True))
    assert {one: version for one, _, version in answers} == {
        one: version for one, version in logged.items() if one.startswith("rollback-")
    }
    refused = home.ml_release("promote", LINE, "2", "--reason", "again")
    assert refused.returncode == 1
    assert "withdrawn" in refused.stderr


def test_training_on_20_percent_nulls_exits_1_and_names_the_finding(
    tmp_path: Path,
) -> None:
    """Observed value and limit are in the message, and nothing is registered."""
    home = Home(tmp_path)
    path = home.settings.data / "flights" / "2013-02.parquet"
    flights = pd.read_parquet(path)
    flights["distance"] = flights["distance"].astype("float64")
    flights.loc[flights.index[: len(flights) // 5], "distance"] = float("nan")
    flights.to_parquet(path)
    ended = home.ml_release("train", LINE, "--from", "2013-01", "--to", "2013-02")
    assert ended.returncode == 1
    assert "nulls_are_within_limits [distance] fail" in ended.stderr
    assert "observed 0.199992" in ended.stderr
    assert "limit at most 0" in ended.stderr
    assert home.answer("status")["lines"][0]["versions"] == []


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(["--to", "2014-01"], id="beyond what has landed"),
        pytest.param(["--from", "2013-03", "--to", "2013-01"], id="backwards"),
        pytest.param(["--to", "2012-12"], id="before what has landed"),
    ],
)
def test_a_window_that_has_not_landed_is_bad_input(home: Home, window: list[str]) -> None:
    """Before a run is begun, with the months that have landed."""
    ended = home.ml_release("train", LINE, *window)
    assert ended.returncode == 2
    assert "2013-01 to 2013-12" in ended.stderr
    assert "Traceback" not in ended.stderr
