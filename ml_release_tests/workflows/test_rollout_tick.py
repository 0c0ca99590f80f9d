"""A release that goes by itself: from what was served to the next step, or back, tick by tick."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.deployment import KillSwitch
from ml_release.domain.verdict import Outcome
from ml_release.errors import NotFoundError, UnavailableError
from ml_release.workflows import rollout_tick
from ml_release.workflows.promotion import roll_back as roll_back_by_hand
from ml_release.workflows.rollout_judging import judge_rollout
from ml_release.workflows.rollout_tick import look_at_rollout
from ml_release.workflows.stage_verdicts import CANARY_VERDICT, SHADOW_VERDICT, recorded_verdict
from ml_release_tests.full_rollout import (
    FULL,
    bring,
    judged,
    next_version,
    rollout_of,
    state_of,
    with_rollout,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_forbidden_moves import act, act_unplanted, digest, trace
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.inference import InferenceRecord
    from ml_release.workflows.rollout_judging import LegJudgement
    from ml_release.workflows.rollout_tick import Tick
    from ml_release_tests.small_line import House

ROLLOUT_MINUTES = 60


def look(house: House) -> Tick:
    return look_at_rollout(
        house.line,
        environment=house.environment,
        inference_log=house.inference_log,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        plotter=house.plotter,
        clock=house.clock,
    )


def judge(house: House) -> LegJudgement | None:
    return judge_rollout(
        house.line,
        environment=house.environment,
        inference_log=house.inference_log,
        deployments=house.deployments,
        tables=house.tables,
        evidence=house.evidence,
        plotter=house.plotter,
        now=house.clock.now(),
    )


def serve(house: House, requests: int = 3000, *, failing: int | None = None) -> None:
    """An hour of requests by the shares that are declared, which ``failing`` cannot answer."""
    standing = house.deployments.read(steps.LINE, house.environment)
    assert standing is not None
    state, began = standing.state, house.clock.now()
    shares = [(variant, variant.weight_percent) for variant in state.variants]
    records: list[InferenceRecord] = []
    for number in range(requests):
        moment = (began + timedelta(minutes=ROLLOUT_MINUTES * (number + 1) / requests)).isoformat()
        place, variant = 100.0 * ((number * 37) % 100) / 100, shares[0][0]
        for one, share in shares:
            if place < share:
                variant = one
                break
            place -= share
        score = 0.1 + 0.8 * ((number * 37) % 100) / 100
        known: dict[str, Any] = {
            "variant": variant.role,
            "version": variant.version,
            "model_digest": variant.model_digest,
            "route_commit": standing.commit,
            "received_time": moment,
            "prediction": score,
            "decision": int(score >= (state.threshold or 0.5)),
        }
        failed = {"outcome": "error", "error": "planted", "prediction": None, "decision": None}
        name = f"{standing.commit[:6]}-{began:%d%H%M}-{number}"
        if variant.version == failing:
            known |= failed
        records.append(a_record(house, name, moment, **known))
        for shadow in state.shadows:
            asked = {
                **known,
                "variant": "shadow",
                "version": shadow.version,
                "model_digest": shadow.model_digest,
                "shadow": True,
                "decision": None,
            }
            if shadow.version == failing:
                asked |= failed
            records.append(a_record(house, name, moment, **asked))
    house.clock.move(timedelta(minutes=ROLLOUT_MINUTES))
    write(house, records)


def test_a_good_release_goes_by_itself_to_the_watch(at: Callable[[str], House]) -> None:
    """Each step on what was served in it; a tick that follows another one finds nothing new."""
    house = at("shadow")
    stood = []
    for _ in range(4):
        rollout = state_of(house).rollout
        assert rollout is not None
        stood.append((rollout.leg, rollout.step))
        before = len(house.deployments.history(steps.LINE, "production"))
        waiting = act_unplanted(house)
        assert (waiting.decision.act, waiting.moved) == ("nothing", None), waiting.decision
        serve(house)
        assert look(house).decision.act == "advance"
        assert len(house.deployments.history(steps.LINE, "production")) == before
        tick = act_unplanted(house)
        assert tick.decision.act == "advance", tick.decision
        assert tick.moved is not None
        assert tick.moved.declaration.reason == tick.decision.reason
        assert tick.moved.declaration.actor == "rollout"
        assert len(house.deployments.history(steps.LINE, "production")) == before + 1
    assert stood == [("shadow", 0), ("canary", 0), ("canary", 1), ("canary", 2)]
    assert (rollout_of(house), state_of(house).champion.version) == ("watch", 2)
    assert act_unplanted(house).decision.act == "nothing"


@pytest.mark.parametrize("place", ["shadow", "canary 1", "canary 3"])
def test_harm_takes_a_release_back_by_itself(at: Callable[[str], House], place: str) -> None:
    """Also where a person drives it; a second tick finds nothing under way."""
    house = at(place)
    house.line = with_rollout(house.line, automatic=False)
    serve(house, failing=2)
    tick = act_unplanted(house)
    assert tick.decision.act == "roll_back", tick.decision
    state = state_of(house)
    assert (state.champion.version, state.champion.weight_percent) == (1, 100.0)
    assert (state.withdrawn, state.rollout, state.shadows) == ((2,), None, ())
    again = act_unplanted(house)
    assert (again.decision.reason, again.moved) == ("no release is under way", None)


def test_harm_under_watch_goes_back_to_the_predecessor(at: Callable[[str], House]) -> None:
    """Errors, window after window."""
    house = at("watch")
    serve(house, failing=2)
    tick = act_unplanted(house)
    assert tick.decision.act == "roll_back", tick.decision
    assert (state_of(house).champion.version, state_of(house).withdrawn) == (1, (2,))


def test_harm_needs_neither_registry_nor_evaluation(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be down when it matters."""

    def down(*_: object) -> None:
        message = "the registry is down"
        raise UnavailableError(message)

    house = at("canary 2")
    serve(house, failing=2)
    steps.forget(house, "evaluation_verdict", digest(house))
    monkeypatch.setattr(house.registry, "versions", down)
    monkeypatch.setattr(house.registry, "run_tags", down)
    assert act_unplanted(house).decision.act == "roll_back"


@pytest.mark.parametrize("steps_left", [0, 1, 2])
def test_a_step_that_the_policy_lost_is_judged_for_harm(
    at: Callable[[str], House], steps_left: int
) -> None:
    """It goes nowhere from there, but it is taken back; without traffic it is held."""
    house = at("canary 3")
    stages = ("staging", "shadow", "canary") if steps_left else ("staging", "shadow")
    house.line = with_rollout(
        house.line, stages=stages, canary_steps=FULL.canary_steps[:steps_left]
    )
    assert act_unplanted(house).decision.act == "nothing"
    other = at("canary 3")
    other.line = house.line
    serve(other, failing=2)
    assert act_unplanted(other).decision.act == "roll_back"


def test_a_person_who_drives_is_waited_for(at: Callable[[str], House]) -> None:
    """The verdict is recorded, so that the move is theirs to make."""
    house = at("canary 1")
    house.line = with_rollout(house.line, automatic=False)
    serve(house)
    tick = act_unplanted(house)
    assert (tick.decision.act, tick.moved) == ("nothing", None)
    assert "waits for a person to promote it" in tick.decision.reason
    verdict = recorded_verdict(house.line, CANARY_VERDICT, digest(house), evidence=house.evidence)
    assert verdict is not None
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("place", "kind"), [("shadow", SHADOW_VERDICT), ("canary 2", CANARY_VERDICT)]
)
def test_each_leg_records_what_it_was_judged_on(
    at: Callable[[str], House], place: str, kind: str
) -> None:
    """Model, champion, policy, declaration and time, which a move reads again."""
    house = at(place)
    serve(house)
    found = judge(house)
    assert found is not None
    assert (found.answer, found.version) == ("advance", 2)
    verdict = recorded_verdict(house.line, kind, digest(house), evidence=house.evidence)
    assert verdict == found.verdict
    planted = judged(house, 2).evidence
    assert {name: verdict.evidence[name] for name in planted} == planted


def engage(house: House) -> None:
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    house.deployments.declare(
        standing.state.model_copy(update={"kill_switch": KillSwitch(answer=0.2, engaged=True)}),
        expected_commit=standing.commit,
        trailers={"Actor": "Ada"},
        at=house.clock.now(),
    )


@pytest.mark.parametrize("place", ["shadow", "canary 2", "watch"])
def test_nothing_goes_on_while_the_switch_is_pulled(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Whoever pulled it has seen something that the judge has not."""
    house = at(place)
    if place != "watch":
        judged(house, 2)
    engage(house)
    before = trace(house)
    tick = act(house, monkeypatch)
    assert (tick.decision.act, tick.moved) == ("nothing", None)
    assert "the kill switch is engaged" in tick.decision.reason
    assert trace(house) == before


@pytest.mark.parametrize("place", ["shadow", "canary 2", "watch"])
def test_harm_is_answered_while_the_switch_is_pulled(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """So that nobody meets it when the switch is released."""
    house = at(place)
    engage(house)
    assert act(house, monkeypatch, "roll_back").moved is not None
    assert state_of(house).withdrawn == (2,)
    switch = state_of(house).kill_switch
    assert switch is not None
    assert switch.engaged


@pytest.mark.parametrize("answer", ["hold", "undecided"])
@pytest.mark.parametrize("place", ["shadow", "canary 1", "watch"])
def test_what_cannot_be_told_holds(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str, answer: str
) -> None:
    """Nothing is moved."""
    house = at(place)
    before = trace(house)
    tick = act(house, monkeypatch, answer, "too few requests")
    assert tick.decision.act == "nothing"
    assert tick.decision.reason.endswith(f"{answer}: too few requests")
    assert trace(house) == before


def test_a_watch_that_found_nothing_ends(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the word of its judge, in one commit."""
    house = at("watch")
    tick = act(house, monkeypatch, "advance", "all labels\nhave matured")
    assert tick.decision.act == "settle"
    assert tick.moved is not None
    assert tick.moved.declaration.reason == "version 2, watch: all labels have matured"
    assert (rollout_of(house), state_of(house).champion.version) == (None, 2)
    assert act_unplanted(house).decision.reason == "no release is under way"


def test_a_release_that_somebody_took_back_meanwhile_is_left_alone(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Automation that comes late takes nobody else back."""
    house = at("canary 1")

    def first_by_hand(*positional: Any, **named: Any) -> Any:
        roll_back_by_hand(*positional, **named)
        return roll_back_by_hand(*positional, **named)

    monkeypatch.setattr(rollout_tick, "roll_back", first_by_hand)
    tick = act(house, monkeypatch, "roll_back")
    assert tick.moved is not None
    assert tick.moved.changed is False
    assert (state_of(house).champion.version, state_of(house).withdrawn) == (1, (2,))


def test_a_version_that_the_registry_lost_is_held(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And said."""
    house = at("canary 1")
    judged(house, 2)
    rest = house.registry.versions(steps.LINE)[:1]
    monkeypatch.setattr(house.registry, "versions", lambda _: rest)
    serve(house)
    with pytest.raises(NotFoundError, match="expected version 2"):
        act_unplanted(house)
    assert rollout_of(house) == "canary"


def test_a_second_release_starts_from_nothing(at: Callable[[str], House]) -> None:
    """What was seen of the one that was taken back speaks for nobody else."""
    house = at("canary 1")
    serve(house, failing=2)
    act_unplanted(house)
    number = next_version(house)
    bring(house, number, "shadow")
    assert look(house).decision.act == "nothing"
