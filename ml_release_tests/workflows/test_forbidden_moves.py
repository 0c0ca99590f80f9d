"""Every forbidden move: refused with its reason, for people and automation, and without a trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.approvals import Approval, approvals_to_json
from ml_release.domain.canary_policy import CanaryStep
from ml_release.domain.rollout import Stage
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, RefusedError, StaleWriteError
from ml_release.workflows import rollout_tick
from ml_release.workflows.approving import APPROVALS, on_the_table, record_rejection
from ml_release.workflows.promotion import find_version
from ml_release.workflows.rollout_judging import LegJudgement
from ml_release.workflows.rollout_tick import Tick, act_on_rollout, settle
from ml_release.workflows.stage_verdicts import CANARY_VERDICT, SHADOW_VERDICT, STAGING_VERDICT
from ml_release_tests.declared_by_hand import edit_by_hand, git_deployments, replacing
from ml_release_tests.full_rollout import (
    AUTHOR,
    FULL,
    judged,
    let_through,
    move,
    next_version,
    stage,
    state_of,
    take_back,
    verdict_on,
    with_rollout,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.promises import spend
from ml_release_tests.workflows.test_experiments import begin
from ml_release_tests.workflows.test_promotion import Spied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.workflows.promotion import Moved
    from ml_release_tests.small_line import House

LINE = steps.LINE


def trace(house: House) -> dict[str, Any]:
    """All that a move could leave behind."""
    return {
        "production": house.deployments.history(LINE, "production"),
        "staging": house.deployments.history(LINE, "staging"),
        "aliases": dict(house.registry.aliases),
        "evidence": dict(house.evidence._documents),
        "models": {digest: dict(files) for digest, files in house.models.artefacts.items()},
    }


def digest(house: House, number: int = 2) -> str:
    return find_version(house.line, number, registry=house.registry).model_digest


def nothing(house: House) -> None:
    """As it stands."""


def passed(house: House) -> None:
    judged(house, 2)


def not_passed(outcome: Outcome) -> Callable[[House], Any]:
    return lambda house: judged(house, 2, outcome)


def judged_on(**names: str) -> Callable[[House], Any]:
    return lambda house: judged(house, 2, Outcome.PASS, **names)


def later(**time: float) -> Callable[[House], Any]:
    """Judged, and then some time goes by."""

    def arrange(house: House) -> None:
        judged(house, 2)
        house.clock.move(timedelta(**time))

    return arrange


def on_another_model(house: House) -> None:
    verdict = replace(verdict_on(house, "shadow", 2), subject_digest=digest(house, 1))
    house.evidence.record(LINE, SHADOW_VERDICT, digest(house), verdict.to_json())


def of_the_other_leg(house: House) -> None:
    verdict = verdict_on(house, "shadow", 2)
    house.evidence.record(LINE, SHADOW_VERDICT, digest(house), verdict.to_json())


def unapproved(house: House) -> None:
    move(house, 2)
    judged(house, 2)


def approved_by_its_author(house: House) -> None:
    """By hand, past the command, with all the right digests."""
    move(house, 2)
    judged(house, 2)
    table = on_the_table(house.line, steps.gate(house, digest(house)), evidence=house.evidence)
    word = Approval(
        decision="approved",
        model_digest=digest(house),
        by=AUTHOR,
        reason="it is good",
        at=house.clock.now(),
        evidence=table,
    )
    house.evidence.record(LINE, APPROVALS, digest(house), approvals_to_json([word]))


def rejected(house: House) -> None:
    judged(house, 2)
    version = find_version(house.line, 2, registry=house.registry)
    request = replace(steps.REQUEST, by="Dan", reason="odd answers")
    record_rejection(house.line, version, request, evidence=house.evidence, now=house.clock.now())


def under_other_limits(house: House) -> None:
    judged(house, 2)
    house.line = steps.with_policy(house.line, "evaluation", minimum_rows=99)


def without_its_evaluation(house: House) -> None:
    judged(house, 2)
    steps.forget(house, "evaluation_verdict", digest(house))


def under_policy(**changes: Any) -> Callable[[House], Any]:
    def arrange(house: House) -> None:
        house.line = with_rollout(house.line, **changes)
        if state_of(house).rollout is not None:
            judged(house, 2)

    return arrange


def taken_back(house: House) -> None:
    take_back(house)


def a_third(house: House) -> None:
    """Staged and approved beside the release under way."""
    number = next_version(house)
    stage(house, number)
    let_through(house, number)


def spent(house: House) -> None:
    if state_of(house).rollout is not None:
        judged(house, 2)
    spend(house, "availability")


def an_experiment(house: House) -> None:
    begin(house)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A version at a place, what happens then, the move that is asked for, and what is said."""

    at: str
    arrange: Callable[[House], Any] = nothing
    to: Stage | None = None
    number: int = 2
    said: str


S, C, P = Stage.SHADOW, Stage.CANARY, Stage.PRODUCTION
FROZEN = "promotions are frozen, the error budget is spent: availability: 9 of 10"
LOST = "which the present policy does not declare; roll it back"
CASES = {
    "skip staging to shadow": Case(at="registered", to=S, said="next place is staging"),
    "skip staging to canary": Case(at="registered", to=C, said="next place is staging"),
    "skip staging to production": Case(at="registered", to=P, said="next place is staging"),
    "skip staging to the next": Case(at="registered", said="it was not staged. Run `ml-release"),
    "skip shadow to canary": Case(at="approved", to=C, said="next place is shadow"),
    "skip shadow to production": Case(at="approved", to=P, said="next place is shadow"),
    "skip the canary": Case(
        at="shadow", arrange=passed, to=P, said="next place is canary step 1; expected no stage"
    ),
    "skip a step": Case(at="canary 1", arrange=passed, to=P, said="next place is canary step 2"),
    "skip the last step": Case(
        at="canary 2", arrange=passed, to=P, said="next place is canary step 3"
    ),
    "backwards": Case(at="canary 1", arrange=passed, to=S, said="found a move to shadow"),
    "nobody approved": Case(at="staged", arrange=unapproved, said="approval: approvals_suffice"),
    "its author approved": Case(
        at="staged", arrange=approved_by_its_author, said=f"{AUTHOR}: trained the version"
    ),
    "rejected in shadow": Case(at="shadow", arrange=rejected, said="rejected by Dan: odd answers"),
    "rejected in canary": Case(
        at="canary 2", arrange=rejected, said="rejected by Dan: odd answers"
    ),
    "the word expired": Case(at="shadow", arrange=later(days=15), said="more than 14 days ago"),
    "judged under other limits": Case(
        at="canary 1", arrange=under_other_limits, said="policy_digest: the verdict judged"
    ),
    "not judged at all": Case(
        at="canary 1", arrange=without_its_evaluation, said="verdict, found none"
    ),
    "withdrawn from shadow": Case(at="shadow", arrange=taken_back, said="version 2 was withdrawn"),
    "withdrawn from canary": Case(
        at="canary 2", arrange=taken_back, said="version 2 was withdrawn"
    ),
    "withdrawn under watch": Case(at="watch", arrange=taken_back, said="version 2 was withdrawn"),
    "no shadow verdict": Case(
        at="shadow", said="shadow: shadow_was_passed [version 2] inconclusive"
    ),
    "no canary verdict": Case(at="canary 1", said="canary: canary_was_passed [version 2] inconcl"),
    "only the shadow's verdict": Case(
        at="canary 1", arrange=of_the_other_leg, said="canary_was_passed [version 2] inconclusive"
    ),
    "shadow failed": Case(
        at="shadow", arrange=not_passed(Outcome.FAIL), said="planted [the test] fail"
    ),
    "shadow undecided": Case(
        at="shadow", arrange=not_passed(Outcome.INCONCLUSIVE), said="planted [the test] inconcl"
    ),
    "canary in error": Case(
        at="canary 3", arrange=not_passed(Outcome.ERROR), said="planted [the test] error"
    ),
    "verdict of the step before": Case(
        at="canary 2", said="judged on other evidence (declared_commit changed since)"
    ),
    "beside another champion": Case(
        at="canary 1",
        arrange=judged_on(champion_digest="x"),
        said="(champion_digest changed since)",
    ),
    "under another shadow policy": Case(
        at="shadow", arrange=judged_on(policy_digest="x"), said="(policy_digest changed since)"
    ),
    "on nothing that is named": Case(
        at="shadow",
        arrange=judged_on(champion_digest="", policy_digest="", declared_commit=""),
        said="(champion_digest, declared_commit, policy_digest changed since)",
    ),
    "at no known time": Case(at="shadow", arrange=judged_on(judged_at=""), said="an unknown time"),
    "at no time at all": Case(at="shadow", arrange=judged_on(judged_at="noon"), said="at noon; j"),
    "too long ago": Case(
        at="shadow", arrange=later(hours=1, seconds=1), said="judged at 2026-11-21T09:00:00+00:00; "
    ),
    "in the future": Case(at="canary 1", arrange=later(seconds=-1), said="; judge again"),
    "on another model": Case(
        at="shadow", arrange=on_another_model, said="the recorded verdict is on sha256:"
    ),
    "under another staging policy": Case(
        at="canary 1",
        arrange=under_policy(staging=FULL.staging.model_copy(update={"smoke_rows": 41})),
        said="staging: staging_was_passed [version 2] fail",
    ),
    "staged under another policy": Case(
        at="approved",
        arrange=under_policy(staging=FULL.staging.model_copy(update={"smoke_rows": 41})),
        to=S,
        said="staging: staging_was_passed [version 2] fail",
    ),
    "another release in shadow": Case(
        at="shadow", arrange=a_third, number=3, said="version 2 is being released; let it end"
    ),
    "another release in canary": Case(
        at="canary 2", arrange=a_third, number=3, said="version 2 is being released; let it end"
    ),
    "another under watch": Case(
        at="watch", arrange=a_third, number=3, said="under watch until its labels have matured"
    ),
    "the budget is spent in shadow": Case(at="shadow", arrange=spent, said=FROZEN),
    "the budget is spent in canary": Case(at="canary 2", arrange=spent, said=FROZEN),
    "the budget is spent before all": Case(at="canary 3", arrange=spent, said=FROZEN),
    "the budget is spent, not begun": Case(at="approved", arrange=spent, to=S, said=FROZEN),
    "an experiment": Case(
        at="approved", arrange=an_experiment, said="experiment colours runs; end it first"
    ),
    "the policy lost shadow": Case(
        at="shadow",
        arrange=under_policy(stages=("staging", "canary")),
        said=f"version 2 stands at shadow, {LOST}",
    ),
    "the policy lost canary": Case(
        at="canary 1",
        arrange=under_policy(stages=("staging", "shadow")),
        said=f"version 2 stands at canary step 1, {LOST}",
    ),
    "the policy lost the step": Case(
        at="canary 3",
        arrange=under_policy(canary_steps=FULL.canary_steps[:2]),
        said=f"version 2 stands at canary step 3, {LOST}",
    ),
    "the policy got other steps": Case(
        at="canary 1",
        arrange=under_policy(canary_steps=(CanaryStep(weight_percent=90.0),)),
        said="(rollout policy changed since)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_person_is_refused(at: Callable[[str], House], name: str) -> None:
    """With the reason; commits, aliases, records and artefacts stay as they are."""
    case = CASES[name]
    house = at(case.at)
    case.arrange(house)
    before = trace(house)
    with pytest.raises(RefusedError) as caught:
        move(house, case.number, case.to)
    assert case.said in str(caught.value)
    assert f"version {case.number}" in str(caught.value)
    assert trace(house) == before


def act(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: Any = "advance", said: str = "planted"
) -> Tick:
    """One tick of automation, which was told by a judge of live traffic what to do."""

    def judge(*_: object, **__: object) -> LegJudgement | None:
        rollout = state_of(house).rollout
        if rollout is None:
            return None
        leg = "canary" if rollout.leg == "watch" else rollout.leg
        return LegJudgement(
            leg=rollout.leg,
            version=rollout.version,
            answer=answer,
            said=said,
            verdict=verdict_on(house, leg, rollout.version),
        )

    monkeypatch.setattr(rollout_tick, "judge_rollout", judge)
    return act_on_rollout(
        house.line,
        environment=house.environment,
        run_request=replace(steps.REQUEST, by="rollout"),
        inference_log=house.inference_log,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        online=house.online,
        registry=house.registry,
        deployments=house.deployments,
        urgent=house.deployments,
        plotter=house.plotter,
        clock=house.clock,
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in CASES.items()
        if not name.startswith(("skip", "rejected", "withdrawn", "backwards", "another", "an exp"))
        and case.at != "approved"
    ],
)
def test_automation_is_held_by_the_same_reason(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Although its own judge says that the release may go on."""
    case = CASES[name]
    house = at(case.at)
    case.arrange(house)
    before = trace(house)
    tick = act(house, monkeypatch)
    assert (tick.decision.act, tick.moved) == ("nothing", None)
    assert "held: " in tick.decision.reason
    assert case.said in tick.decision.reason
    assert trace(house) == before


@pytest.mark.parametrize("place", ["staged", "settled"])
def test_automation_begins_nothing(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A release is begun by a person."""
    house = at(place)
    before = trace(house)
    tick = act(house, monkeypatch)
    assert tick.decision.reason == "no release is under way"
    assert (tick.judged, tick.moved) == (None, None)
    assert trace(house) == before


@pytest.mark.parametrize("place", ["shadow", "canary 1", "canary 3", "watch"])
def test_automation_takes_a_rejected_version_back(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Also where its records are lost: the word is what counts."""
    house = at(place)
    if place != "watch":
        judged(house, 2)
    version = find_version(house.line, 2, registry=house.registry)
    request = replace(steps.REQUEST, by="Dan", reason="odd answers")
    record_rejection(house.line, version, request, evidence=house.evidence, now=house.clock.now())
    if place == "canary 3":
        steps.forget(house, "evaluation_verdict", version.model_digest)
    tick = act(house, monkeypatch)
    assert tick.decision.act == "roll_back"
    assert "rejected by Dan" in tick.decision.reason
    assert (state_of(house).champion.version, state_of(house).withdrawn) == (1, (2,))


@pytest.mark.parametrize(
    ("kind", "place"),
    [(STAGING_VERDICT, "shadow"), (SHADOW_VERDICT, "shadow"), (CANARY_VERDICT, "canary 1")],
)
def test_an_edited_verdict_is_an_integrity_error(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    """For people and automation; it is not the word of its judge."""
    house = at(place)
    judged(house, 2, Outcome.FAIL)
    steps.edit(house, kind, digest(house), lambda found: found.pop("findings"))
    before = trace(house)
    with pytest.raises(IntegrityError):
        move(house, 2)
    with pytest.raises(IntegrityError):
        act(house, monkeypatch)
    assert trace(house) == before


def test_a_changed_artefact_is_an_integrity_error(at: Callable[[str], House]) -> None:
    """The file is read again before it answers anybody."""
    house = at("shadow")
    judged(house, 2)
    steps.tamper(house, digest(house))
    before = trace(house)
    with pytest.raises(IntegrityError, match="model: expected digest"):
        move(house, 2)
    assert trace(house) == before


def beside(house: House) -> Callable[[], Any]:
    """Somebody else who declares the same once more."""
    real = house.deployments
    standing = real.history(LINE, "production")[-1]

    def declare() -> None:
        real.declare(
            standing.state.model_copy(update={"release": "somebody else's"}),
            expected_commit=standing.commit,
            trailers={"Actor": "Bob"},
            at=house.clock.now(),
        )

    return declare


@pytest.mark.parametrize("place", ["approved", "shadow", "canary 1", "canary 3"])
def test_a_stale_writer_is_refused(at: Callable[[str], House], place: str) -> None:
    """Bob declared after the state was read."""
    house = at(place)
    if place != "approved":
        judged(house, 2)
    aliases = dict(house.registry.aliases)
    documents = dict(house.evidence._documents)
    house.deployments = Spied(house, beside(house))  # type: ignore[assignment]
    with pytest.raises(StaleWriteError):
        move(house, 2)
    assert house.deployments.history(LINE, "production")[-1].actor == "Bob"
    assert dict(house.registry.aliases) == aliases
    assert dict(house.evidence._documents) == documents


@pytest.mark.parametrize(
    ("place", "acts"),
    [("shadow", "move"), ("canary 2", "move"), ("watch", "settle")],
)
def test_what_was_edited_by_hand_is_not_built_on(
    at: Callable[[str], House],
    tmp_path: Path,
    place: str,
    acts: str,
) -> None:
    """Neither by people nor by automation; ending a watch would seal the edit."""
    house = at(place)
    state = state_of(house)
    house.deployments = git_deployments(tmp_path)  # type: ignore[assignment]
    house.deployments.declare(
        state, expected_commit=None, trailers={"Actor": "a"}, at=house.clock.now()
    )
    if place != "watch":
        judged(house, 2)
    edit_by_hand(tmp_path / "deployments", LINE, replacing("withdrawn: []", "withdrawn: [9]"))
    before = trace(house)
    with pytest.raises(RefusedError, match="it is not what was sealed"):
        (ended if acts == "settle" else lambda one: move(one, 2))(house)
    tick = act_unplanted(house)
    assert (tick.decision.act, tick.moved) == ("nothing", None)
    assert "it is not what was sealed" in tick.decision.reason
    assert trace(house) == before


def ended(house: House) -> Moved:
    """End the watch by hand."""
    return settle(
        house.line,
        environment=house.environment,
        request=steps.REQUEST,
        deployments=house.deployments,
        clock=house.clock,
    )


def act_unplanted(house: House) -> Tick:
    """A tick with the judge of the house."""
    return act_on_rollout(
        house.line,
        environment=house.environment,
        run_request=replace(steps.REQUEST, by="rollout"),
        inference_log=house.inference_log,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        online=house.online,
        registry=house.registry,
        deployments=house.deployments,
        urgent=house.deployments,
        plotter=house.plotter,
        clock=house.clock,
    )
