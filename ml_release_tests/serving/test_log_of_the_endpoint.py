"""Endpoint and log together: durable, bounded and private before a client hears of it."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.inference_tables import InferenceTables
from ml_release.domain.artefact import SIGNATURE_FILE, Signature, signature_from_json
from ml_release.domain.log_health import LogBounds
from ml_release.domain.masking import HASH_PREFIX
from ml_release.errors import LogFullError, UnavailableError
from ml_release.serving.acknowledging import Acknowledging
from ml_release.serving.replies import Reply
from ml_release.serving.server import build
from ml_release_tests.serving.load import Load
from ml_release_tests.serving.test_endpoint import INFER, LABELS, Client
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from ml_release.serving.server import Parts


@pytest.fixture
def client(parts: Parts) -> Client:
    return Client(parts)


def full(world: World, when_full: Any) -> Client:
    """A client of an endpoint whose log has no room."""
    settings = replace(world.settings, log_max_bytes=10, log_when_full=when_full)
    parts = build(settings)
    parts.reconciler.reconcile()
    return Client(parts)


def test_a_full_log_refuses_with_a_reason_and_a_time_to_come_back(world: World) -> None:
    """No prediction leaves, and the status says why."""
    client = full(world, "refuse")
    answered = client.post(INFER, v2_body([ROW]))
    assert answered.status == 503
    assert "ML_RELEASE_LOG_MAX_BYTES" in answered.json["error"]
    assert answered.headers["retry-after"] == "10"
    status = client.get("/status").json
    assert status["lines"][LINE]["requests"]["unlogged"] == 1
    assert (status["log"]["is_full"], status["log"]["max_bytes"]) == (True, 10)
    assert "the log is full" in status["log"]["last_error"]


def test_a_full_log_may_be_declared_to_answer_unlogged(world: World) -> None:
    """The answer says so, and is counted; labels are refused all the same."""
    client = full(world, "answer_unlogged")
    answered = client.post(INFER, v2_body([ROW]))
    assert (answered.status, answered.headers["x-logged"]) == (200, "no")
    assert client.get("/status").json["lines"][LINE]["requests"]["unlogged"] == 1
    assert client.post(LABELS, {"request_id": "a", "label": 1}).status == 503
    assert len(world.logged()) == 0


def test_a_logged_answer_does_not_say_that_it_is(client: Client) -> None:
    """The header is there only where a record is missing."""
    assert "x-logged" not in client.post(INFER, v2_body([ROW])).headers


def test_a_log_that_is_broken_is_never_answered_unlogged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a full one: another error is nothing an operator has allowed."""
    client = full(world, "answer_unlogged")

    def refuse(*_: object) -> int:
        message = "inference log: input/output error"
        raise UnavailableError(message)

    monkeypatch.setattr(type(client.parts.log), "append_records", refuse)
    assert client.post(INFER, v2_body([ROW])).status == 503


class FailingLog:
    """A log whose disk fails every sync."""

    def __init__(self, number: int, when_full: Any) -> None:
        self.bounds = LogBounds(when_full=when_full)
        self._error = OSError(number, "the disk says no")

    def commit(self, _position: int) -> None:
        kind = LogFullError if self._error.errno == errno.ENOSPC else UnavailableError
        raise kind(str(self._error))


@pytest.mark.parametrize(
    ("number", "when_full", "expected"),
    [
        (errno.EIO, "refuse", (503, {})),
        (errno.EIO, "answer_unlogged", (503, {})),
        (errno.ENOSPC, "refuse", (503, {"retry-after": "10"})),
        (errno.ENOSPC, "answer_unlogged", (200, {"x-logged": "no"})),
    ],
)
def test_an_answer_whose_record_did_not_reach_the_disk_is_taken_back(
    number: int, when_full: Any, expected: tuple[int, dict[str, str]]
) -> None:
    """Unless the disk is full and that is allowed; a reply that wrote nothing is not concerned."""
    acknowledging = Acknowledging(FailingLog(number, when_full))  # type: ignore[arg-type]
    reply = asyncio.run(acknowledging.when_durable(Reply(200, b"{}", (), 1)))
    assert (reply.status, {k: v for k, v in reply.headers if k != "content-type"}) == expected
    assert asyncio.run(acknowledging.when_durable(Reply(200, b"{}", ()))).status == 200


def test_a_server_that_survives_power_cuts_answers_after_its_syncs(world: World) -> None:
    """Real requests, concurrently: all are logged when the process is killed right after."""
    world.more = {"ML_RELEASE_LOG_DURABILITY": "power"}
    with world.server() as (url, process):
        load = Load(url, threads=4, limit=25)
        load.start()
        for thread in load._running:
            thread.join(30)
        process.kill()
    assert (len(load.acknowledged), load.failed) == (100, [])
    assert {a.request_id for a in load.acknowledged} == set(world.logged()["request_id"])


def test_personal_columns_are_masked_before_anything_is_written(
    world: World, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """The prediction is that of the value; the log holds neither the value nor a dropped one."""
    plain = Client(world.parts()).post(INFER, v2_body([ROW]))
    signature = signature_from_json(artefacts[1][SIGNATURE_FILE])
    personal = Signature(
        **{**signature.model_dump(), "personal": {"carrier": "hash", "distance": "drop"}}
    )
    world.publish(3, {**artefacts[1], SIGNATURE_FILE: personal.to_json()})
    world.declare(3)
    client = Client(world.parts())
    answered = [
        client.post(INFER, v2_body([row]), x_request_id=name)
        for name, row in {"a": ROW, "b": ROW, "c": {**ROW, "carrier": "DL"}}.items()
    ]
    assert answered[0].json["outputs"] == plain.json["outputs"]
    frame = InferenceTables(world.settings.inference).records(LINE, after={})[0]
    same, again, other = frame["features"].tolist()[-3:]
    assert same == again
    assert same["carrier"].startswith(HASH_PREFIX)
    assert same["carrier"] != other["carrier"]
    assert set(same) == {"carrier", "weekday", "minute", "carrier_rate"}
    assert str(same["carrier_rate"]).startswith(HASH_PREFIX)
    (segment, *_) = sorted((world.settings.inference / LINE).iterdir(), reverse=True)
    assert b'"UA"' not in segment.read_bytes()


def test_without_its_key_nothing_personal_is_answered(
    world: World, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """It could not be logged as declared."""
    signature = signature_from_json(artefacts[1][SIGNATURE_FILE])
    personal = Signature(**{**signature.model_dump(), "personal": {"carrier": "hash"}})
    world.publish(3, {**artefacts[1], SIGNATURE_FILE: personal.to_json()})
    world.declare(3)
    world.settings.keys.mkdir(exist_ok=True)
    (world.settings.keys / "inference_log.key").write_bytes(b"short")
    assert Client(world.parts()).post(INFER, v2_body([ROW])).status == 503
    assert len(world.logged()) == 0


def test_a_repeated_label_is_taken_and_a_contradicting_one_is_told(client: Client) -> None:
    """The first one stands; the answer names the request, and only where they differ."""
    label = {"request_id": "a", "label": 1}
    assert client.post(LABELS, label).json == {"accepted": 1}
    assert client.post(LABELS, label).json == {"accepted": 1}
    contradicting = {"labels": [{"request_id": "b", "label": 0}, {"request_id": "a", "label": 0}]}
    assert client.post(LABELS, contradicting).json == {"accepted": 2, "conflicts": ["a"]}
    assert client.post(LABELS, label).json == {"accepted": 1}
