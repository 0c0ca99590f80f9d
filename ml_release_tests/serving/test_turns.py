"""Requests of one turn of the event loop: answered together, and each as if it had been alone."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.onnx_models import OnnxModel
from ml_release.errors import UnavailableError
from ml_release.serving import inference_route
from ml_release.serving.app import EndpointApp
from ml_release.serving.attendance import Attendance
from ml_release.serving.replies import Reply
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ml_release.serving.endpoint import Endpoint
    from ml_release.serving.server import Parts

INFER = f"/v2/models/{LINE}/infer"
INVOCATIONS = f"/models/{LINE}/invocations"
TOLD = ["request_id", "row", "variant", "version", "bucket", "features", "history_digest"]
TOLD += ["history_misses", "prediction", "outcome", "error", "propensity", "decision"]

Question = tuple[str, dict[str, str], bytes]


def question(row: dict[str, Any], number: int, **headers: str) -> Question:
    named = {"x-request-id": f"r{number}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return INFER, named, json.dumps(v2_body([row])).encode()


def drawn(n: int) -> list[Question]:
    """Different rows, some with missing values and words nobody has seen."""
    generator = np.random.default_rng(11)
    return [
        question(
            {
                "distance": None if number % 7 == 0 else float(generator.uniform(1, 3000)),
                "carrier": ["UA", "DL", "B6", "new", None][int(generator.integers(5))],
                "departure": f"2013-{generator.integers(1, 13):02d}-01T06:{number % 60:02d}:00",
            },
            number,
            x_unit_id=f"passenger-{number}",
        )
        for number in range(n)
    ]


def together(endpoint: Endpoint, questions: Sequence[Question]) -> list[Reply]:
    """All are asked before the loop gets on."""

    async def one(reply: Reply | Awaitable[Reply]) -> Reply:
        return reply if isinstance(reply, Reply) else await reply

    async def ask() -> list[Reply]:
        endpoint.answer_in_turns(asyncio.get_running_loop())
        replies = [endpoint.answer("POST", *asked) for asked in questions]
        return await asyncio.gather(*map(one, replies))

    return asyncio.run(ask())


def seen(reply: Reply) -> tuple[int, bytes, object]:
    return reply.status, reply.body, reply.headers


def logged(world: World) -> list[dict[str, Any]]:
    """What is not a time, in the order of request ids."""
    records: list[dict[str, Any]] = (
        world.logged()[TOLD].astype(object).sort_values(["request_id", "row"]).to_dict("records")
    )
    return [{name: repr(value) for name, value in record.items()} for record in records]


def test_each_gets_the_reply_and_the_record_it_would_get_alone(tmp_path: Any, world: World) -> None:
    """Also beside requests of several rows, in another protocol, and beside unusable ones."""
    world.declare(1, threshold=0.5)
    rows = [ROW, {**ROW, "carrier": "DL"}]
    asked = [
        *drawn(40),
        (INFER, {"x-request-id": "two"}, json.dumps(v2_body(rows)).encode()),
        (
            INVOCATIONS,
            {"x-request-id": "other"},
            json.dumps({"dataframe_records": [ROW]}).encode(),
        ),
        question({**ROW, "distance": "far"}, 90),
        question(ROW, 91, x_unit_id="é"),
        (INFER, {}, b"{"),
    ]
    alone = world.parts()
    expected = [alone.endpoint.handle("POST", *one) for one in asked]
    alone.log.close()
    records = logged(world)
    for path in (world.settings.inference / LINE).iterdir():
        path.unlink()
    found = together(world.parts().endpoint, asked)
    assert [seen(reply) for reply in found] == [seen(reply) for reply in expected]
    assert logged(world) == records
    assert len(records) == 43


def test_they_share_one_question_and_one_write(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the other tests would compare one way with itself."""
    calls: list[tuple[str, int]] = []
    predict_rows, append = OnnxModel.predict_rows, type(parts.log).append_records

    def asking(self: OnnxModel, encoded: Sequence[Sequence[float]]) -> list[float]:
        calls.append(("rows", len(encoded)))
        return predict_rows(self, encoded)

    def writing(self: Any, line: str, records: Sequence[Any]) -> int:
        calls.append(("write", len(records)))
        return append(self, line, records)

    monkeypatch.setattr(OnnxModel, "predict_rows", asking)
    monkeypatch.setattr(type(parts.log), "append_records", writing)
    together(parts.endpoint, drawn(5))
    assert calls == [("rows", 5), ("write", 5)]
    of_variant = parts.endpoint.counts[LINE].variant("champion", 1)
    assert (of_variant.answered, parts.endpoint.counts[LINE].answered) == (5, 5)


def _raises(_self: OnnxModel, _encoded: object) -> list[float]:
    message = "no memory"
    raise RuntimeError(message)


def _gives_no_number(_self: OnnxModel, encoded: Sequence[object]) -> list[float]:
    return [0.5] * (len(encoded) - 1) + [math.nan]


@pytest.mark.parametrize("broken", [_raises, _gives_no_number])
def test_a_question_that_fails_is_asked_one_by_one(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., list[float]]
) -> None:
    """Who is fine alone is answered, and the one that is not alone gets the error."""
    predict_row = OnnxModel.predict_row
    asked = drawn(3)
    expected = [parts.endpoint.handle("POST", *one).body for one in asked]

    def unless_far(self: OnnxModel, encoded: Sequence[float]) -> float:
        if 9000.0 in encoded:
            message = "too far"
            raise ValueError(message)
        return predict_row(self, encoded)

    monkeypatch.setattr(OnnxModel, "predict_rows", broken)
    monkeypatch.setattr(OnnxModel, "predict_row", unless_far)
    found = together(parts.endpoint, [*asked, question({**ROW, "distance": 9000.0}, 9)])
    assert [reply.status for reply in found] == [200, 200, 200, 500]
    assert [reply.body for reply in found[:3]] == expected
    assert b"too far" in found[3].body


def test_nobody_is_told_what_could_not_be_logged(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them gets a 503 and counts as unlogged."""

    def refuse(*_arguments: object) -> int:
        message = "the disk is gone"
        raise UnavailableError(message)

    monkeypatch.setattr(type(parts.log), "append_records", refuse)
    found = together(parts.endpoint, drawn(4))
    assert [reply.status for reply in found] == [503] * 4
    counts = parts.endpoint.counts[LINE]
    assert (counts.unlogged, counts.variant("champion", 1).unlogged, counts.answered) == (4, 4, 0)


def test_nobody_is_left_waiting_by_a_fault_of_the_server(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them gets a 500; the next turn is not affected."""

    def fail(*_arguments: object) -> list[Any]:
        message = "a mistake"
        raise LookupError(message)

    with monkeypatch.context() as patched:
        patched.setattr(inference_route, "predict_together", fail)
        assert [reply.status for reply in together(parts.endpoint, drawn(3))] == [500] * 3
    assert [reply.status for reply in together(parts.endpoint, drawn(3))] == [200] * 3


def test_a_switch_within_a_turn_leaves_each_with_the_version_it_met(
    world: World, parts: Parts
) -> None:
    """Requests of two versions are two groups."""
    first, second = drawn(2)

    async def ask() -> list[Any]:
        parts.endpoint.answer_in_turns(asyncio.get_running_loop())
        before = parts.endpoint.answer("POST", *first)
        world.declare(2)
        parts.reconciler.reconcile()
        after = parts.endpoint.answer("POST", *second)
        return [await one for one in (before, after) if not isinstance(one, Reply)]

    versions = [dict(reply.headers)["x-model-version"] for reply in asyncio.run(ask())]
    assert versions == ["1", "2"]
    assert sorted(world.logged()["version"]) == [1, 2]


def test_the_web_server_starts_the_turns_of_its_loop(parts: Parts) -> None:
    """It calls `__rsgi_init__` with its loop before the first request."""
    vitals = parts.endpoint.vitals
    app = EndpointApp(parts.endpoint, Attendance(vitals=vitals, lines=lambda: (LINE,)))
    (asked,) = drawn(1)

    async def ask() -> Reply:
        assert isinstance(parts.endpoint.answer("POST", *asked), Reply)
        app.__rsgi_init__(asyncio.get_running_loop())
        reply = parts.endpoint.answer("POST", *asked)
        assert not isinstance(reply, Reply)
        return await reply

    assert asyncio.run(ask()).status == 200


def test_a_model_that_takes_each_row_alone_answers_at_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them would only wait for the last."""
    row_model = parts.reconciler.table.lines[LINE].route.champion.loaded.row_model  # type: ignore[union-attr]
    monkeypatch.setattr(row_model, "together", None)

    async def ask() -> object:
        parts.endpoint.answer_in_turns(asyncio.get_running_loop())
        return parts.endpoint.answer("POST", *drawn(1)[0])

    assert isinstance(asyncio.run(ask()), Reply)


def test_who_calls_from_elsewhere_is_answered_at_once(parts: Parts) -> None:
    """Another thread is in no turn of the loop, and nobody is once it has ended."""
    (asked,) = drawn(1)

    async def ask() -> Reply:
        parts.endpoint.answer_in_turns(asyncio.get_running_loop())
        return await asyncio.to_thread(parts.endpoint.handle, "POST", *asked)

    in_thread = asyncio.run(ask())
    assert seen(parts.endpoint.handle("POST", *asked)) == seen(in_thread)
    assert in_thread.status == 200


def test_a_client_that_goes_away_takes_no_other_with_it(world: World, parts: Parts) -> None:
    """What was read is answered and logged, whoever is left to hear it."""

    async def one(asked: Question) -> Reply:
        reply = parts.endpoint.answer("POST", *asked)
        return reply if isinstance(reply, Reply) else await reply

    async def ask() -> list[Any]:
        parts.endpoint.answer_in_turns(asyncio.get_running_loop())
        tasks = [asyncio.ensure_future(one(asked)) for asked in drawn(3)]
        # Behind the steps in which all three are read, and before the end of their turn.
        asyncio.get_running_loop().call_soon(tasks[1].cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, gone, last = asyncio.run(ask())
    assert (first.status, last.status) == (200, 200)
    assert isinstance(gone, asyncio.CancelledError)
    assert len(world.logged()) == 3
