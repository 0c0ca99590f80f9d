"""A pulled kill switch comes into Git once, in the words of whoever pulled it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemorySwitches
from ml_release.domain.kill_switch import Pulled
from ml_release.errors import StaleWriteError
from ml_release.workflows.kill_switch import Adopted, adopt_kill_switch
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import Spied, candidate_version, history

if TYPE_CHECKING:
    from ml_release.ports import Deployments
    from ml_release_tests.small_line import House

AT = datetime(2013, 5, 1, tzinfo=UTC)
PULLED = Pulled(engaged=True, answer=0.2, by="ada", reason="nonsense", at=AT)
RELEASED = Pulled(engaged=False, answer=None, by="bob", reason="mended", at=AT)


def adopt(
    house: House, switches: InMemorySwitches, deployments: Deployments | None = None
) -> Adopted:
    return adopt_kill_switch(
        house.line,
        environment="production",
        run_id="run",
        switches=switches,
        deployments=deployments or house.deployments,
        clock=house.clock,
    )


def test_a_pull_is_declared_and_then_forgotten(serving: House) -> None:
    """One commit by the person who pulled; everything else stays declared."""
    switches = InMemorySwitches()
    switches.pull(steps.LINE, "production", PULLED)
    before = history(serving)[-1]
    found = adopt(serving, switches)
    assert found.changed
    after = history(serving)[-1]
    assert after.state.kill_switch is not None
    assert (after.state.kill_switch.engaged, after.state.kill_switch.answer) == (True, 0.2)
    assert (after.actor, after.reason) == ("ada", "kill switch pulled: nonsense")
    assert after.state.model_copy(update={"kill_switch": None}) == before.state
    assert switches.read(steps.LINE, "production") is None
    assert adopt(serving, switches).changed is False


def test_a_release_keeps_the_answer_for_the_next_time(serving: House) -> None:
    """The declared answer stands, disengaged."""
    switches = InMemorySwitches()
    for pulled in (PULLED, RELEASED):
        switches.pull(steps.LINE, "production", pulled)
        adopt(serving, switches)
    declared = history(serving)[-1].state.kill_switch
    assert declared is not None
    assert (declared.engaged, declared.answer) == (False, 0.2)


def test_a_release_of_what_git_never_knew_leaves_no_commit(serving: House) -> None:
    """Pulled and released before anybody brought it into Git."""
    switches = InMemorySwitches()
    switches.pull(steps.LINE, "production", RELEASED)
    before = history(serving)
    assert adopt(serving, switches).changed is False
    assert history(serving) == before
    assert switches.read(steps.LINE, "production") is None


def test_a_pull_meanwhile_stays_pulled(serving: House) -> None:
    """What was pulled while the first one was declared is adopted the next time."""
    switches = InMemorySwitches()
    switches.pull(steps.LINE, "production", PULLED)
    spied = Spied(serving, lambda: switches.pull(steps.LINE, "production", RELEASED))
    assert adopt(serving, switches, spied).changed
    assert switches.read(steps.LINE, "production") == RELEASED
    assert adopt(serving, switches).changed
    assert history(serving)[-1].actor == "bob"


def test_somebody_elses_commit_meanwhile_loses_nothing(serving: House) -> None:
    """The write is refused, the switch stays pulled, the next try succeeds."""
    switches = InMemorySwitches()
    switches.pull(steps.LINE, "production", PULLED)
    other = InMemorySwitches()
    other.pull(steps.LINE, "production", PULLED.model_copy(update={"answer": 0.9}))
    spied = Spied(serving, lambda: adopt(serving, other))
    with pytest.raises(StaleWriteError):
        adopt(serving, switches, spied)
    assert switches.read(steps.LINE, "production") == PULLED
    assert adopt(serving, switches).changed


def test_the_champion_of_a_rollback_stays_one_behind_a_kill_switch(serving: House) -> None:
    """A declaration that leaves the champion as it is does not make a second rollback go on."""
    number = candidate_version(serving)
    steps.declare(serving, number)
    steps.go_back(serving)
    switches = InMemorySwitches()
    switches.pull(steps.LINE, "production", PULLED)
    adopt(serving, switches)
    champion = history(serving)[-1].state.champion.version
    assert steps.go_back(serving).changed is False
    assert history(serving)[-1].state.champion.version == champion
