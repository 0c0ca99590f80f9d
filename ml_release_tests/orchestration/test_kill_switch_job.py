"""Every branch of the kill-switch sensor, evaluated, and the job it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import dagster as dg
import pytest

from ml_release.adapters.in_memory import InMemoryRemote
from ml_release.domain.kill_switch import Pulled
from ml_release.domain.remote_state import remote_state
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.kill_switch_job import kill_switch_sensor
from ml_release.orchestration.resources import TRACKING
from ml_release_tests.orchestration.house import _Tracking, definitions_of, run, train, wiring_of

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

LINE, AT = "small_line", datetime(2013, 5, 1, tzinfo=UTC)
PULLED = Pulled(engaged=True, answer=0.2, by="ada", reason="nonsense", at=AT)
RELEASED = Pulled(
    engaged=False, answer=None, by="bob", reason="mended", at=AT + timedelta(minutes=1)
)


def tick(
    house: House, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = kill_switch_sensor(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


@pytest.fixture
def released(house: House, instance: dg.DagsterInstance) -> House:
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    return house


def test_nothing_pulled_asks_for_nothing(released: House, instance: dg.DagsterInstance) -> None:
    """Most ticks."""
    result = tick(released, instance)
    assert isinstance(result, dg.SkipReason)
    assert "nothing was pulled" in (result.skip_message or "")


def test_a_switch_of_a_line_that_declares_nothing_waits(
    house: House, instance: dg.DagsterInstance
) -> None:
    """There is no declaration to put it into."""
    house.switches.pull(LINE, "production", PULLED)
    result = tick(house, instance)
    assert isinstance(result, dg.SkipReason)
    assert "nothing is declared" in (result.skip_message or "")


def test_a_switch_that_cannot_be_read_fails_the_tick(
    released: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cannot tell is not nothing pulled."""

    def read(*_: object) -> None:
        message = "kill switch: expected a recorded pull, found something else"
        raise IntegrityError(message)

    monkeypatch.setattr(released.switches, "read", read)
    with pytest.raises(dg.Failure, match="expected a recorded pull"):
        tick(released, instance)


@pytest.mark.parametrize(("pulled", "said"), [(PULLED, "pulled"), (RELEASED, "released")])
def test_what_is_not_in_git_is_asked_for_until_it_is(
    released: House, instance: dg.DagsterInstance, pulled: Pulled, said: str
) -> None:
    """With who and why; a run that failed is asked for again under another key."""
    released.switches.pull(LINE, "production", pulled)
    first = tick(released, instance)
    assert isinstance(first, dg.SensorResult)
    again = tick(released, instance, first.cursor)
    assert isinstance(again, dg.SensorResult)
    (request,), (other,) = first.run_requests or [], again.run_requests or []
    assert request.tags["ml_release/reason"] == (
        f"kill switch {said} by {pulled.by}: {pulled.reason}"
    )
    assert request.run_key != other.run_key


def test_the_job_declares_what_was_pulled_and_then_nothing_is_asked_for(
    released: House, instance: dg.DagsterInstance
) -> None:
    """One commit by the person who pulled; the run again makes none."""
    released.switches.pull(LINE, "production", PULLED)
    assert run(released, "adopt_kill_switch", instance).success
    history = released.deployments.history(LINE, "production")
    declared = history[-1].state.kill_switch
    assert declared is not None
    assert (declared.engaged, declared.answer, history[-1].actor) == (True, 0.2, "ada")
    assert isinstance(tick(released, instance), dg.SkipReason)
    assert run(released, "adopt_kill_switch", instance).success
    assert released.deployments.history(LINE, "production") == history


def test_the_job_says_that_nothing_is_declared(house: House, instance: dg.DagsterInstance) -> None:
    """The switch stays pulled."""
    house.switches.pull(LINE, "production", PULLED)
    result = run(house, "adopt_kill_switch", instance)
    assert result.success
    logged = [event.user_message for event in instance.all_logs(result.run_id)]
    assert "a switch is pulled, but nothing is declared to put it into" in logged
    assert house.switches.read(LINE, "production") == PULLED


class Untouched:
    """`Deployments` that nobody may declare to: the remote cannot be reached."""

    def __init__(self, house: House) -> None:
        self.read = house.deployments.read
        self.sealed = house.deployments.sealed
        self.history = house.deployments.history

    def declare(self, *_: object, **__: object) -> NoReturn:
        message = "the remote is gone"
        raise UnavailableError(message)


def test_what_must_not_wait_is_declared_without_the_remote(
    released: House, instance: dg.DagsterInstance
) -> None:
    """A rollback, a kill switch and a restored state."""
    wiring = replace(
        wiring_of(released), deployments=Untouched(released), urgent=released.deployments
    )
    resources = {
        TRACKING: dg.ResourceDefinition.hardcoded_resource(_Tracking(released.experiments))
    }
    definitions = build_definitions([released.line], wiring=wiring, resources=resources)
    released.switches.pull(LINE, "production", PULLED)
    named = {"by": "ada", "reason": "test"}
    first = released.deployments.history(LINE, "production")[-1]
    champion = first.state.champion.model_copy(update={"version": 2})
    released.deployments.declare(
        first.state.model_copy(update={"variants": (champion,)}),
        expected_commit=first.commit,
        trailers={},
        at=AT,
    )
    jobs: dict[str, dict[str, object]] = {
        "rollback": {"ops": {f"{LINE}_roll_back": {"config": named}}},
        "adopt_kill_switch": {},
        "restore": {"ops": {f"{LINE}_restore_sealed": {"config": named}}},
    }
    for job, config in jobs.items():
        found = definitions.resolve_job_def(f"{LINE}_{job}")
        assert found.execute_in_process(instance=instance, run_config=config).success
    state = released.deployments.history(LINE, "production")[-1].state
    assert state.kill_switch is not None
    assert state.kill_switch.engaged
    assert state.withdrawn == (2,)


@pytest.mark.parametrize(("ahead", "looks"), [(0, 0), (2, 1)])
def test_a_tick_pushes_what_was_declared_alone(
    house: House, instance: dg.DagsterInstance, ahead: int, looks: int
) -> None:
    """And asks nobody where nothing waits."""
    state = remote_state(address="x", local="a", remote="b", ahead=ahead, behind=0)
    remote = InMemoryRemote(state)
    context = dg.build_sensor_context(instance=instance, definitions=definitions_of(house))
    kill_switch_sensor(house.line, replace(wiring_of(house), remote=remote))(context)
    assert remote.looks == looks
