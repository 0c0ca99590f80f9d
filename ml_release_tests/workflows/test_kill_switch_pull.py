"""A switch is pulled at the server that runs, and kept for the next one where none does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.deployment import KillSwitch
from ml_release.errors import (
    DeclarationError,
    InputError,
    MlReleaseError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from ml_release.workflows.kill_switch_pull import Switched, pull_kill_switch
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release_tests.small_line import House


@dataclass
class FakeEndpoint:
    """`EndpointClient` that gives one answer, or none."""

    reply: tuple[int, str] | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        self.asked.append((line, dict(pull)))
        if self.reply is None:
            message = "no answer."
            raise UnavailableError(message)
        return self.reply

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        raise AssertionError(line, body, request_id, event_time, unit)

    def is_ready(self, line: str) -> bool:
        raise NotImplementedError

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        raise AssertionError(line, labels)


def pull(house: House, endpoint: FakeEndpoint, line: str = steps.LINE, **options: Any) -> Switched:
    wanted = {"engaged": True, "by": "ada", "reason": "nonsense", "answer": None, **options}
    return pull_kill_switch(
        line,
        environment="production",
        endpoint=endpoint,
        switches=house.switches,
        deployments=house.deployments,
        clock=house.clock,
        **wanted,
    )


def declared(house: House, switch: KillSwitch) -> None:
    """Let Git declare a switch."""
    before = history(house)[-1]
    house.deployments.declare(
        before.state.model_copy(update={"kill_switch": switch}),
        expected_commit=before.commit,
        trailers={"Actor": "ada", "Reason": "prepared"},
        at=house.clock.now(),
    )


@pytest.mark.parametrize(
    ("options", "body"),
    [
        pytest.param(
            {"answer": 0.2},
            {"engaged": True, "by": "ada", "reason": "nonsense", "answer": 0.2},
            id="pulled",
        ),
        pytest.param({}, {"engaged": True, "by": "ada", "reason": "nonsense"}, id="as declared"),
        pytest.param(
            {"engaged": False, "answer": 0.2},
            {"engaged": False, "by": "ada", "reason": "nonsense"},
            id="released",
        ),
    ],
)
def test_a_server_that_runs_does_it_and_no_file_is_written(
    serving: House, options: dict[str, Any], body: dict[str, Any]
) -> None:
    """It keeps the switch itself."""
    endpoint = FakeEndpoint((200, json.dumps({"answers": 0.2})))
    assert pull(serving, endpoint, **options) == Switched(by_server=True, answers=0.2)
    assert endpoint.asked == [(steps.LINE, body)]
    assert serving.switches.lines("production") == ()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InputError),
        (401, RefusedError),
        (403, RefusedError),
        (404, NotFoundError),
        (409, RefusedError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
def test_a_server_that_refuses_is_heard(
    serving: House, status: int, error: type[MlReleaseError]
) -> None:
    """No file goes around it."""
    with pytest.raises(error, match=f"answered {status}: because"):
        pull(serving, FakeEndpoint((status, "because")), answer=0.2)
    assert serving.switches.lines("production") == ()


def test_without_a_server_it_is_kept_for_the_next_one(serving: House) -> None:
    """And it is said that no server has done it."""
    done = pull(serving, FakeEndpoint(), answer=0.2)
    assert (done.by_server, done.answers, done.said) == (False, 0.2, "no answer.")
    kept = serving.switches.read(steps.LINE, "production")
    assert kept is not None
    assert (kept.engaged, kept.answer, kept.by, kept.reason) == (True, 0.2, "ada", "nonsense")


def test_without_a_server_the_declared_answer_is_taken(serving: House) -> None:
    """And a release leaves what Git declares engaged in force, and says so."""
    declared(serving, KillSwitch(answer=0.4, engaged=True))
    assert pull(serving, FakeEndpoint()).answers == 0.4
    assert pull(serving, FakeEndpoint(), engaged=False).answers == 0.4
    declared(serving, KillSwitch(answer=0.4))
    assert pull(serving, FakeEndpoint(), engaged=False).answers is None


def test_git_that_cannot_be_read_does_not_keep_a_model_answering(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has to be named then; without one it is refused."""

    def read(*_: object) -> None:
        message = "the declared state is not valid."
        raise DeclarationError(message)

    monkeypatch.setattr(serving.deployments, "read", read)
    done = pull(serving, FakeEndpoint(), answer=0.2)
    assert (done.answers, done.said) == (0.2, "no answer. the declared state is not valid.")
    serving.switches.clear(
        steps.LINE, "production", serving.switches._kept[steps.LINE, "production"]
    )
    with pytest.raises(RefusedError, match="expected an answer to give without a model"):
        pull(serving, FakeEndpoint())
    assert serving.switches.lines("production") == ()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"by": " "}, InputError, id="nobody"),
        pytest.param({"reason": "x" * 501}, InputError, id="a long reason"),
        pytest.param({"answer": float("nan")}, InputError, id="no number"),
        pytest.param({"answer": 1.5}, RefusedError, id="no probability"),
        pytest.param({}, RefusedError, id="no answer"),
        pytest.param({"line": "other_line", "answer": 0.2}, NotFoundError, id="unknown line"),
        pytest.param({"line": "../x", "answer": 0.2}, DeclarationError, id="no line"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    serving: House, options: dict[str, Any], error: type[MlReleaseError]
) -> None:
    """And no file is written."""
    with pytest.raises(error):
        pull(serving, FakeEndpoint(), **options)
    assert serving.switches.lines("production") == ()
