"""An error budget that is spent freezes promotions, and nothing that ends harm."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.rollout import Stage
from ml_release.domain.slo import BUDGET
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, RefusedError
from ml_release.workflows.budget_freeze import BUDGET_WAIVERS, SLO_VERDICT
from ml_release.workflows.planning import plan_promotion
from ml_release.workflows.rollout_tick import settle
from ml_release.workflows.waiving import WaiverRequest, waive
from ml_release_tests.full_rollout import (
    bring,
    judged,
    let_through,
    move,
    next_version,
    stage,
    state_of,
    take_back,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.promises import spend
from ml_release_tests.workflows.test_experiments import begin
from ml_release_tests.workflows.test_forbidden_moves import act
from ml_release_tests.workflows.test_kill_switch import PULLED, adopt
from ml_release_tests.workflows.test_restoring import edited, restored
from ml_release_tests.workflows.test_status import status
from ml_release_tests.workflows.test_taking_back import is_as_before, rejected
from ml_release_tests.workflows.test_withdrawing import lifted, withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.waivers import Waived
    from ml_release_tests.small_line import House

__all__ = ["edited"]  # a fixture

EVERY = ("availability", "latency", "correctness", "freshness", "fairness")
FROZEN = "promotions are frozen, the error budget is spent"
ON_ITS_WAY = ("shadow", "canary 1", "canary 2", "canary 3", "watch")


def let_go(house: House, **changes: Any) -> tuple[Waived, ...]:
    asked: dict[str, Any] = {
        "rule": BUDGET,
        "subject": "availability",
        "by": "Bea",
        "reason": "it holds the fix",
        "lasts": timedelta(days=2),
    }
    return waive(
        house.line,
        WaiverRequest(**(asked | changes)),
        model_digest=None,
        environment=house.environment,
        evidence=house.evidence,
        clock=house.clock,
    )


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_a_rollback_waits_for_no_budget(at: Callable[[str], House], place: str) -> None:
    """By a person, from wherever the release stands."""
    house = at(place)
    spend(house, *EVERY)
    assert take_back(house).changed
    is_as_before(house)


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_automation_takes_back_without_a_budget(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Harm is answered as ever."""
    house = at(place)
    spend(house, *EVERY)
    tick = act(house, monkeypatch, answer="roll_back", said="it fails")
    assert tick.decision.act == "roll_back"
    is_as_before(house)


def test_a_settled_release_can_be_rolled_back(at: Callable[[str], House]) -> None:
    """Also by name."""
    house = at("settled")
    spend(house, *EVERY)
    assert take_back(house, 1).changed
    is_as_before(house)


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_rejection_and_withdrawal_wait_for_no_budget(
    at: Callable[[str], House], place: str
) -> None:
    """What serves is taken out."""
    house = at(place)
    spend(house, *EVERY)
    other = house.copied(house.log_folder)
    rejected(house)
    is_as_before(house)
    withdrawn(other, 2)
    is_as_before(other)


def test_a_withdrawn_version_is_lifted_without_a_budget(at: Callable[[str], House]) -> None:
    """It serves nobody by that."""
    house = at("canary 1")
    take_back(house)
    spend(house, *EVERY)
    assert lifted(house, 2).changed


def test_the_kill_switch_waits_for_no_budget(at: Callable[[str], House]) -> None:
    """It is brought into Git as ever."""
    house = at("watch")
    spend(house, *EVERY)
    house.switches.pull(steps.LINE, "production", PULLED)
    assert adopt(house, house.switches).changed


def test_a_sealed_state_is_restored_without_a_budget(edited: House) -> None:
    """What somebody edited does not stay because of it."""
    spend(edited, *EVERY)
    assert restored(edited).changed


def test_what_ends_harm_does_not_even_read_the_verdict(at: Callable[[str], House]) -> None:
    """An edited one stops promotions, and them alone."""
    house = at("canary 2")
    judged(house, 2)
    spend(house, "availability")
    steps.edit(house, SLO_VERDICT, "production", lambda found: found.pop("findings"))
    with pytest.raises(IntegrityError, match="verdict"):
        move(house, 2)
    take_back(house)
    is_as_before(house)


def test_staging_and_approval_go_on(at: Callable[[str], House]) -> None:
    """Nobody is answered by that."""
    house = at("registered")
    spend(house, *EVERY)
    stage(house, 2)
    let_through(house, 2)
    with pytest.raises(RefusedError, match=FROZEN):
        move(house, 2, Stage.SHADOW)


def test_a_watch_is_ended(at: Callable[[str], House]) -> None:
    """It changes no traffic."""
    house = at("watch")
    spend(house, *EVERY)
    moved = settle(
        house.line,
        environment=house.environment,
        request=steps.REQUEST,
        deployments=house.deployments,
        clock=house.clock,
    )
    assert moved.changed


def test_an_experiment_is_not_begun(at: Callable[[str], House]) -> None:
    """It lets another version answer, as a promotion does."""
    house = at("approved")
    spend(house, "availability")
    with pytest.raises(RefusedError, match=FROZEN):
        begin(house)
    assert state_of(house).experiment is None


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.INCONCLUSIVE, None])
def test_a_budget_that_is_not_known_freezes_nothing(
    at: Callable[[str], House], outcome: Outcome | None
) -> None:
    """No verdict at all either; it is told in the plan."""
    house = at("shadow")
    judged(house, 2)
    if outcome is not None:
        spend(house, "availability", outcome=outcome)
    (told,) = (f for f in planned(house) if f.rule == BUDGET)
    assert told.outcome is (outcome or Outcome.INCONCLUSIVE)
    assert move(house, 2).changed


def planned(house: House) -> tuple[Any, ...]:
    return plan_promotion(
        house.line,
        2,
        environment=house.environment,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    ).findings


def test_a_first_release_has_no_budget_to_spend(house: House) -> None:
    """Nobody was served: whatever is recorded is not about it."""
    steps.prepare(house, "2013-01", "2013-02", "2013-03")
    spend(house, "availability")
    steps.release(house, last="2013-03")
    assert state_of(house).champion.version == 1


def test_a_model_of_newer_data_is_the_cure_of_wrong_answers(at: Callable[[str], House]) -> None:
    """Version 2 has learned from April, version 1 from March: it passes, and says why."""
    house = at("shadow")
    judged(house, 2)
    spend(house, "correctness", "freshness", "fairness")
    (told,) = (f for f in planned(house) if f.rule == BUDGET)
    assert told.outcome is Outcome.INCONCLUSIVE
    assert "it has learned from data to 2013-04-30, the champion to 2013-03-31" in told.detail
    assert move(house, 2).changed


def test_a_model_of_the_same_data_is_not(at: Callable[[str], House]) -> None:
    """Version 3 learned from what version 2 did, which answers everybody."""
    house = at("settled")
    number = next_version(house)
    bring(house, number, "staged")
    let_through(house, number)
    spend(house, "correctness")
    with pytest.raises(RefusedError, match=f"{FROZEN}: correctness"):
        move(house, number)


def test_somebody_lets_a_version_pass_for_a_time(at: Callable[[str], House]) -> None:
    """On a named person's word, over later verdicts, for the budgets that were named."""
    house = at("shadow")
    judged(house, 2)
    spend(house, "availability", "latency")
    (waived,) = let_go(house)
    assert waived.waiver.subject == "availability"
    assert "WAIVED by Bea" in waived.sentence()
    with pytest.raises(RefusedError, match=f"{FROZEN}: latency"):
        move(house, 2)
    spend(house, "availability")
    (told,) = (f for f in planned(house) if f.rule == BUDGET)
    assert "availability: WAIVED by Bea (it holds the fix)" in told.detail
    assert told.outcome is not Outcome.PASS
    assert move(house, 2).changed
    judged(house, 2)
    house.clock.move(timedelta(days=2))
    with pytest.raises(RefusedError, match=FROZEN):
        move(house, 2)


def test_all_spent_budgets_are_let_go_at_once(at: Callable[[str], House]) -> None:
    """Without a name of one."""
    house = at("shadow")
    spend(house, "availability", "latency")
    assert {one.waiver.subject for one in let_go(house, subject=None)} == {
        "availability",
        "latency",
    }


@pytest.mark.parametrize("recorded", [True, False])
def test_a_budget_that_is_left_is_not_waived(at: Callable[[str], House], recorded: bool) -> None:
    """Nothing is let go in advance."""
    house = at("shadow")
    if recorded:
        spend(house, "latency")
    with pytest.raises(RefusedError, match=r"expected a spent error budget"):
        let_go(house)


def test_an_edited_waiver_lets_nothing_pass(at: Callable[[str], House]) -> None:
    """It is an integrity error."""
    house = at("shadow")
    judged(house, 2)
    spend(house, "availability")
    let_go(house)
    digest = house.registry.versions(steps.LINE)[-1].model_digest
    house.evidence.record(steps.LINE, BUDGET_WAIVERS, digest, b"[{}]")
    with pytest.raises(IntegrityError, match="waivers: expected recorded ones"):
        move(house, 2)


def test_the_status_tells_what_is_spent(at: Callable[[str], House]) -> None:
    """And what the release waits for."""
    house = at("canary 1")
    assert (status(house).promises, status(house).budgets) == (None, ())
    judged(house, 2)
    spend(house, "availability")
    found = status(house)
    assert found.promises is Outcome.FAIL
    assert found.budgets == (
        "SPENT, promotions are frozen: availability not known: 9 of 10 were bad",
    )
    assert found.under_way is not None
    assert found.under_way.waits_for.startswith(FROZEN)
