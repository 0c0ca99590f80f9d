"""Requests per second of the endpoint server beside its peers and beside the HTTP floor.

Every server answers the same real model of flight_delay (January to March 2013), one worker each,
one at a time, under the same closed-loop load on this machine. Ours routes, validates, looks up
history, and has every record with the operating system before it answers. The peers get the
features ready-made in each request and log nothing. The floor reads the body and answers a constant
of the size of our answer.

    python benchmarks/serving.py [--quick] [--peers-python PYTHON]

Peers that are not installed are named as missing. ``--peers-python`` names the Python of another
environment that has some of them (litserve, bentoml, with scikit-learn, pandas, joblib). What each
ingredient of one of our answers costs is measured in this process, without a network, in the order
of a request: a stage alone in a loop would look twice as fast as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import joblib
from rich.console import Console
from rich.table import Table
from served_flights import publish_flights
from serving_ingredients import ingredients

from ml_release.lines.flight_delay.line import LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from served_flights import Flights, Record

PROJECT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("serving_peers")
START_SECONDS = 90
SHAPES = (("one row, c=1", 1, 1), ("one row, c=16", 1, 16), ("100 rows, c=1", 100, 1))
"""Name, rows per request, connections."""

MLFLOW, FASTAPI, LITSERVE, BENTOML = "mlflow models serve", "FastAPI", "LitServe", "BentoML"
MLSERVER = "MLServer"
BATCHING = (LITSERVE, BENTOML)
QUIET = {
    "OMP_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "LIGHTNING_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How to start one, and what to ask it.

    Attributes
    ----------
    command
        ``{port}`` stands for the port.
    path
        Where it answers.
    takes_raw
        Whether it computes the features itself.
    """

    name: str
    command: list[str]
    path: str
    takes_raw: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = PROJECT


def servers(home: Path, scratch: Path, other: str | None) -> tuple[list[Server], list[str]]:
    """All that are installed, ours first, and the names of the others."""
    python = sys.executable
    pipeline = {"PIPELINE": str(scratch / "pipeline.joblib")}
    found = [
        Server(
            name="ours",
            command=[python, "-m", "ml_release.serving", "--port", "{port}"],
            path=f"/v2/models/{LINE.name}/infer",
            takes_raw=True,
            variables={
                "ML_RELEASE_HOME": str(home),
                "ML_RELEASE_ENVIRONMENT": "production",
                "PYTHONPATH": str(PROJECT),
            },
        ),
        Server(
            name="echo",
            command=[
                *(python, "-m", "granian", "--interface", "rsgi", "--no-log"),
                *("--port", "{port}", "echo:app"),
            ],
            path="/",
            cwd=PEERS,
        ),
        Server(
            name=MLFLOW,
            command=[
                *(python, "-m", "mlflow", "models", "serve", "-m", str(scratch / "model")),
                *("--env-manager", "local", "-p", "{port}", "-w", "1"),
            ],
            path="/invocations",
        ),
    ]
    missing = []
    if _has(python, "fastapi", "uvicorn"):
        command = [python, "-m", "uvicorn", "fastapi_app:app", "--port", "{port}"]
        found.append(
            Server(
                name=FASTAPI,
                command=[*command, "--log-level", "error"],
                path="/invocations",
                variables=pipeline,
                cwd=PEERS,
            )
        )
    for name, module, arguments in (
        (LITSERVE, "litserve", ["litserve_app.py", "{port}", "64"]),
        (BENTOML, "bentoml", ["-m", "bentoml", "serve", "bentoml_app:Pipeline", "-p", "{port}"]),
    ):
        having = next((p for p in (python, other) if p is not None and _has(p, module)), None)
        if having is None:
            missing.append(name)
            continue
        found.append(
            Server(
                name=name,
                command=[having, *arguments],
                path="/invocations",
                variables=pipeline,
                cwd=PEERS,
            )
        )
    return found, [*missing, MLSERVER]


def _has(python: str, *modules: str) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {modules})))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


@contextmanager
def running(server: Server, log: Path) -> Iterator[int]:
    """A server that answers, at its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `mlflow models serve` looks for uvicorn there.
    path = f"{Path(server.command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in server.command],
            env={**os.environ, **QUIET, **server.variables, "PATH": path},
            cwd=server.cwd,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{server.name} did not start:\n{log.read_text()[-2000:]}")  # noqa: EM102, TRY003 (a script)
            time.sleep(0.2)
        time.sleep(1)
        yield port
    finally:
        # Its workers too: all of them are in the session that was begun for it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        # Some leave a worker behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measured(
    server: Server, flights: Flights, scratch: Path, *, seconds: float
) -> dict[str, dict[str, float]]:
    """Figures per shape of load."""
    figures = {}
    with running(server, scratch / "server.log") as port:
        for name, rows, connections in SHAPES:
            requests = scratch / "requests.json"
            bodies = _bodies(server, flights, rows)
            requests.write_text(json.dumps({"path": server.path, "bodies": bodies}))
            load = [sys.executable, str(Path(__file__).with_name("http_load.py"))]
            arguments = [str(port), str(requests), str(connections), str(seconds)]
            ended = subprocess.run([*load, *arguments], check=False, capture_output=True, text=True)
            if ended.returncode:
                raise SystemExit(f"{server.name}, {name}: {ended.stderr}")  # noqa: EM102, TRY003 (a script)
            figures[name] = json.loads(ended.stdout)
            if figures[name]["failed"]:
                raise SystemExit(f"{server.name}, {name}: {ended.stdout}")  # noqa: EM102, TRY003 (a script)
    return figures


def _bodies(server: Server, flights: Flights, rows: int) -> list[str]:
    records = flights.raw if server.takes_raw else flights.prepared
    groups = [records[start : start + rows] for start in range(0, len(records), rows)]
    if server.takes_raw:
        return [json.dumps(tensors(group)) for group in groups]
    return [json.dumps({"dataframe_records": group}) for group in groups]


def tensors(rows: list[Record]) -> dict[str, Any]:
    """Rows as a request of the Open Inference Protocol v2."""
    words = {name for row in rows for name, value in row.items() if isinstance(value, str)}
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": "BYTES" if name in words else "FP64",
                "data": [row[name] for row in rows],
            }
            for name in rows[0]
        ]
    }


def main() -> int:
    """Measure, print a table and one JSON line; return 0 if every goal that was judged is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 s per figure, one round")
    parser.add_argument("--peers-python", help="Python of an environment that has more peers")
    options = parser.parse_args()
    seconds, rounds = (2.0, 1) if options.quick else (4.0, 3)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        console.print("fitting flight_delay on January to March 2013")
        flights = publish_flights(scratch / "home")
        flights.declare(1)
        _save_for_peers(flights, scratch)
        found, missing = servers(scratch / "home", scratch, options.peers_python)
        figures: dict[str, list[dict[str, dict[str, float]]]] = {s.name: [] for s in found}
        for number in range(rounds):
            for server in found:
                # Peers are slow enough to be measured once; ours and the floor in every round.
                if number == 0 or server.name in {"ours", "echo"}:
                    console.print(f"round {number + 1}: {server.name}")
                    figures[server.name].append(measured(server, flights, scratch, seconds=seconds))
        parts = ingredients(flights, tensors, quick=options.quick)
    document = _document(figures, parts, missing)
    console.print(_table(document["measured"]))
    print(json.dumps(document))
    return 0 if document["met"] else 1


def _save_for_peers(flights: Flights, scratch: Path) -> None:
    os.environ.update(QUIET)
    import mlflow.sklearn
    import pandas as pd

    joblib.dump(flights.pipeline, scratch / "pipeline.joblib")
    mlflow.sklearn.save_model(
        flights.pipeline,
        scratch / "model",
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        input_example=pd.DataFrame(flights.prepared[:1]),
        pip_requirements=["scikit-learn"],
    )


def _document(
    figures: dict[str, list[dict[str, dict[str, float]]]],
    parts: dict[str, float],
    missing: list[str],
) -> dict[str, Any]:
    typical = {
        server: {
            shape: {
                name: round(median(one[shape][name] for one in rounds), 3)
                for name in ("requests_per_s", "p50_ms", "p99_ms")
            }
            for shape, _, _ in SHAPES
        }
        for server, rounds in figures.items()
    }
    busy = SHAPES[1][0]
    rate = {server: shapes[busy]["requests_per_s"] for server, shapes in typical.items()}
    batching = [rate[name] for name in BATCHING if name in rate]
    to_mlflow = rate["ours"] / rate[MLFLOW]
    to_batching = rate["ours"] / max(batching) if batching else None
    to_echo = rate["ours"] / rate["echo"]
    ratios = {
        "mlflow": round(to_mlflow, 1),
        "best_batching_peer": None if to_batching is None else round(to_batching, 1),
        "echo": round(to_echo, 3),
    }
    met = {
        "mlflow": to_mlflow >= 150,  # noqa: PLR2004 (the goal)
        "best_batching_peer": None if to_batching is None else to_batching >= 10,  # noqa: PLR2004
        "echo": to_echo >= 1 / 4,
        "p99_ms": typical["ours"][busy]["p99_ms"] < 10,  # noqa: PLR2004
    }
    return {
        "benchmark": "serving",
        "measured": {
            "servers": typical,
            "ratios": ratios,
            "ingredients_us": parts,
            "missing": missing,
        },
        "goals": {
            "ratio_to_mlflow": "at least 150",
            "ratio_to_best_batching_peer": "at least 10"
            if batching
            else "not judged: no batching peer is installed",
            "ratio_to_echo": "at least 0.25",
            "p99_ms": "below 10 at 16 connections",
            "met": met,
        },
        "met": all(one is not False for one in met.values()),
    }


def _table(found: dict[str, Any]) -> Table:
    table = Table("server", *(f"{shape}: requests/s, p50, p99 ms" for shape, _, _ in SHAPES))
    for server, shapes in found["servers"].items():
        cells = [
            f"{one['requests_per_s']:,.0f}, {one['p50_ms']:.2f}, {one['p99_ms']:.2f}"
            for one in shapes.values()
        ]
        table.add_row(server, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
