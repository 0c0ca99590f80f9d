"""Clients of Triton and of MLflow, as they are installed, talk to a server process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from tritonclient.utils import InferenceServerException

from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Iterator

TRITON_TYPES = {"distance": "FP64", "carrier": "BYTES", "departure": "BYTES"}
ROWS: list[dict[str, Any]] = [ROW, {**ROW, "distance": 120.0, "carrier": "É"}]
OUTPUT = "probability_late"


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, artefacts: dict[int, dict[str, bytes]]
) -> World:
    """One home for all tests here: they only ask."""
    world = World.at(tmp_path_factory.mktemp("home"))
    world.publish(1, artefacts[1])
    world.publish_history()
    world.declare(1)
    return world


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with world.server() as (url, _):
        yield url


@pytest.fixture
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture
def expected(url: str) -> list[float]:
    """What JSON gets."""
    answered = httpx.post(f"{url}/v2/models/{LINE}/infer", json=v2_body(ROWS), trust_env=False)
    predictions: list[float] = answered.json()["outputs"][0]["data"]
    return predictions


def tensors(
    rows: list[dict[str, Any]], *, is_binary: bool = True, number: str = "FP64"
) -> list[triton.InferInput]:
    types = {**TRITON_TYPES, "distance": number}
    found = []
    for name, datatype in types.items():
        dtype = np.object_ if datatype == "BYTES" else triton.triton_to_np_dtype(datatype)
        tensor = triton.InferInput(name, [len(rows)], datatype)
        tensor.set_data_from_numpy(
            np.array([row[name] for row in rows], dtype=dtype), binary_data=is_binary
        )
        found.append(tensor)
    return found


def test_tritonclient_finds_server_and_model(client: triton.InferenceServerClient) -> None:
    """Live, ready and metadata, with and without a version; the extension it relies on is named."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.is_model_ready(LINE)
    assert client.is_model_ready(LINE, "1")
    assert not client.is_model_ready(LINE, "7")
    assert not client.is_model_ready("other")
    metadata = client.get_model_metadata(LINE)
    assert metadata == client.get_model_metadata(LINE, "1")
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == TRITON_TYPES
    with pytest.raises(InferenceServerException, match=r"expected a version .*, one of \[1\]"):
        client.get_model_metadata(LINE, "7")


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("asks", ["nothing", "binary", "JSON"])
def test_tritonclient_gets_the_predictions(
    client: triton.InferenceServerClient, expected: list[float], is_binary: bool, asks: str
) -> None:
    """Whatever goes as binary data, the numbers are those that JSON gets, to the bit."""
    outputs = {
        "nothing": None,
        "binary": [triton.InferRequestedOutput(OUTPUT, binary_data=True)],
        "JSON": [triton.InferRequestedOutput(OUTPUT, binary_data=False)],
    }[asks]
    result = client.infer(
        LINE, tensors(ROWS, is_binary=is_binary), outputs=outputs, request_id="mine"
    )
    assert result.as_numpy(OUTPUT).tolist() == expected
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (LINE, "1", "mine")
    assert ("data" in answer["outputs"][0]) == (asks == "JSON")


def test_tritonclient_may_name_the_version_compress_and_not_wait(
    client: triton.InferenceServerClient, expected: list[float]
) -> None:
    """A version in the path, gzip and deflate, and asynchronous requests."""
    for coding in ("gzip", "deflate"):
        result = client.infer(
            LINE,
            tensors(ROWS),
            model_version="1",
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        assert result.as_numpy(OUTPUT).tolist() == expected
    waiting = [client.async_infer(LINE, tensors(ROWS)) for _ in range(3)]
    assert all(one.get_result().as_numpy(OUTPUT).tolist() == expected for one in waiting)


def test_missing_values_of_tritonclient_are_missing(
    client: triton.InferenceServerClient, world: World
) -> None:
    """NaN in a field that may be missing is null in the record."""
    client.infer(LINE, tensors([{**ROW, "distance": np.nan}]))
    assert world.logged()["features"].iloc[-1]["distance"] is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "distance": np.inf}, "row 0, field 'distance': expected a finite number"),
        ({**ROW, "departure": "soon"}, "field 'departure': expected a local time"),
    ],
)
def test_tritonclient_hears_what_is_wrong(
    client: triton.InferenceServerClient, row: dict[str, Any], message: str
) -> None:
    """The client raises the server's own message."""
    with pytest.raises(InferenceServerException, match=message):
        client.infer(LINE, tensors([row]))


def test_tritonclient_patches_nothing_here() -> None:
    """Its sockets of gevent stay its own: threads of this process are those of Python."""
    from gevent import monkey

    assert not monkey.is_module_patched("socket")
    assert not monkey.is_module_patched("threading")
    assert threading.current_thread() is threading.main_thread()


def mlflow_client(url: str) -> Any:
    host, port = url.removeprefix("http://").split(":")
    untyped: Any = ScoringServerClient
    return untyped(host, port)


def test_the_client_of_mlflow_gets_the_predictions(url: str, expected: list[float]) -> None:
    """At the root, which means the only line, and at the line's own address."""
    root, own = mlflow_client(url), mlflow_client(url)
    own.url_prefix = f"{url}/models/{LINE}"
    for client in (root, own):
        client.wait_server_ready(timeout=5)
        client.ping()
        assert client.get_version()
        answer = client.invoke(pd.DataFrame(ROWS))
        assert answer.get_predictions()[0].tolist() == expected


def test_missing_values_of_pandas_are_missing(url: str, world: World) -> None:
    """The client of MLflow writes NaN, which JSON doesn't have; here it is null."""
    frame = pd.DataFrame([ROW, {**ROW, "distance": np.nan, "carrier": np.nan}])
    mlflow_client(url).invoke(frame)
    features = world.logged()["features"].tail(2)
    assert [row["distance"] for row in features] == [733.0, None]
    assert [row["carrier"] for row in features] == ["UA", None]


def test_a_moment_of_pandas_is_a_local_time(url: str, expected: list[float]) -> None:
    """Timestamps as the client of MLflow writes them."""
    frame = pd.DataFrame(ROWS)
    frame["departure"] = pd.to_datetime(frame["departure"])
    assert mlflow_client(url).invoke(frame).get_predictions()[0].tolist() == expected


def test_the_client_of_mlflow_hears_what_is_wrong(url: str) -> None:
    """Parameters that no model takes are refused, not passed over."""
    frame = pd.DataFrame(ROWS)
    client = mlflow_client(url)
    assert len(client.invoke(frame, params={}).get_predictions()) == len(ROWS)
    with pytest.raises(Exception, match="params: expected none, found"):
        client.invoke(frame, params={"temperature": 1})
