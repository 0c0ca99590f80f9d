"""Taking a release back from wherever it stands: once, and never the version that was good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ml_release.domain.deployment import KillSwitch
from ml_release.errors import NotFoundError, RefusedError, StaleWriteError
from ml_release.workflows.promotion import find_version
from ml_release.workflows.rejecting import reject
from ml_release.workflows.rollout_tick import settle
from ml_release_tests.declared_by_hand import edit_by_hand, git_deployments, replacing
from ml_release_tests.full_rollout import (
    bring,
    judged,
    let_through,
    move,
    next_version,
    rollout_of,
    stage,
    state_of,
    take_back,
    with_rollout,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_experiments import DRAFT, begin
from ml_release_tests.workflows.test_promotion import Spied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.workflows.promotion import Moved
    from ml_release.workflows.rejecting import Rejected
    from ml_release_tests.small_line import House

ON_ITS_WAY = ("shadow", "canary 1", "canary 3")
ANYWHERE = (*ON_ITS_WAY, "watch")


def commits(house: House) -> list[str]:
    return [one.commit for one in house.deployments.history(steps.LINE, "production")]


def rejected(house: House, number: int = 2) -> Rejected:
    return reject(
        house.line,
        find_version(house.line, number, registry=house.registry),
        replace(steps.REQUEST, by="Dan", reason="odd answers"),
        environment=house.environment,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        online=house.online,
        deployments=house.deployments,
        clock=house.clock,
    )


def settle_it(house: House) -> Moved:
    return settle(
        house.line,
        environment=house.environment,
        request=steps.REQUEST,
        deployments=house.deployments,
        clock=house.clock,
    )


def is_as_before(house: House, *, withdrawn: tuple[int, ...] = (2,)) -> None:
    """Version 1 answers everybody, and nothing is under way."""
    state = state_of(house)
    assert [(v.role, v.version, v.weight_percent) for v in state.variants] == [
        ("champion", 1, 100.0)
    ]
    assert (state.shadows, state.rollout, state.withdrawn) == ((), None, withdrawn)


@pytest.mark.parametrize("place", ANYWHERE)
@pytest.mark.parametrize("number", [None, 1], ids=["last good", "by name"])
def test_a_release_is_taken_back_once(
    at: Callable[[str], House], place: str, number: int | None
) -> None:
    """A retry, by name or without, changes nothing and never takes the champion back."""
    house = at(place)
    first = state_of(house)
    before = len(commits(house))
    moved = take_back(house, number)
    assert moved.changed
    is_as_before(house)
    assert state_of(house).threshold == first.threshold
    after = commits(house)
    assert len(after) == before + 1
    for again in (None, 1, None):
        assert take_back(house, again).changed is False
    assert commits(house) == after


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_taking_back_needs_neither_registry_nor_records_nor_the_model(
    at: Callable[[str], House], place: str
) -> None:
    """The champion never left, so that not even its file has to be read."""
    house = at(place)
    house.models.artefacts.clear()
    del house.registry, house.experiments, house.evidence, house.tables
    take_back(house)
    is_as_before(house)


@pytest.mark.parametrize("place", [*ON_ITS_WAY, "watch"])
def test_a_version_that_never_served_is_not_gone_back_to(
    at: Callable[[str], House], place: str
) -> None:
    """Nothing is changed, the release goes on."""
    house = at(place)
    before = commits(house)
    with pytest.raises(RefusedError, match="expected version 7 that has served"):
        take_back(house, 7)
    assert commits(house) == before


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_the_version_on_its_way_is_no_way_back(at: Callable[[str], House], place: str) -> None:
    """It has not answered everybody yet."""
    house = at(place)
    with pytest.raises(RefusedError, match="expected version 2 that has served"):
        take_back(house, 2)
    assert rollout_of(house) is not None


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_going_further_back_ends_the_release_too(at: Callable[[str], House], place: str) -> None:
    """By name of an earlier champion: the present one is withdrawn, nothing is under way."""
    house = at("settled")
    number = next_version(house)
    bring(house, number, place)
    moved = take_back(house, 1)
    assert moved.changed
    is_as_before(house)
    assert take_back(house, 1).changed is False


def test_a_second_release_after_one_that_was_taken_back_is_taken_back_alone(
    at: Callable[[str], House],
) -> None:
    """That the one before was taken back does not make this one a retry."""
    house = at("canary 1")
    take_back(house)
    number = next_version(house)
    bring(house, number, "shadow")
    assert take_back(house).changed
    is_as_before(house, withdrawn=(2, 3))
    assert take_back(house).changed is False


def test_after_it_is_settled_going_back_is_a_new_decision(at: Callable[[str], House]) -> None:
    """To the version before; asked again, nothing."""
    house = at("settled")
    assert take_back(house).changed
    is_as_before(house)
    assert take_back(house).changed is False


@pytest.mark.parametrize("place", ANYWHERE)
def test_a_pulled_switch_stays_pulled(at: Callable[[str], House], place: str) -> None:
    """Through every move, forth and back: a person releases it."""
    house = at(place)
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    switch = KillSwitch(answer=0.2, engaged=True)
    house.deployments.declare(
        standing.state.model_copy(update={"kill_switch": switch}),
        expected_commit=standing.commit,
        trailers={"Actor": "Ada"},
        at=house.clock.now(),
    )
    if place == "watch":
        settle_it(house)
    else:
        judged(house, 2)
        move(house, 2)
    assert state_of(house).kill_switch == switch
    take_back(house)
    assert state_of(house).kill_switch == switch
    is_as_before(house)


@pytest.mark.parametrize("place", [*ANYWHERE, "settled"])
def test_a_rejected_version_is_taken_out_of_service(at: Callable[[str], House], place: str) -> None:
    """Recorded and withdrawn; rejecting it again moves nothing."""
    house = at(place)
    found = rejected(house)
    assert found.moved is not None
    assert found.problem == ""
    is_as_before(house)
    after = commits(house)
    assert rejected(house).moved is None
    assert commits(house) == after


@pytest.mark.parametrize("place", ["registered", "staged", "approved"])
def test_a_version_that_serves_nobody_is_only_rejected(
    at: Callable[[str], House], place: str
) -> None:
    """Its predecessor goes on."""
    house = at(place)
    before = commits(house)
    found = rejected(house)
    assert (found.moved, found.problem) == (None, "")
    assert commits(house) == before


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_the_first_version_is_rejected_but_goes_on(at: Callable[[str], House], place: str) -> None:
    """There is nothing to go back to, and the release beside it is not taken back in its place."""
    house = at(place)
    before = commits(house)
    found = rejected(house, 1)
    assert found.moved is None
    assert "expected an earlier version that has served" in found.problem
    assert commits(house) == before


def test_a_champion_is_rejected_while_another_is_on_its_way(at: Callable[[str], House]) -> None:
    """It is the champion that goes, with what stood beside it."""
    house = at("settled")
    number = next_version(house)
    bring(house, number, "canary 1")
    found = rejected(house, 2)
    assert found.moved is not None
    is_as_before(house)


def test_a_rejection_stands_where_somebody_else_declares_meanwhile(
    at: Callable[[str], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said that the version still serves, and rejecting it again takes it back."""
    house = at("canary 1")

    def late(*_: object, **__: object) -> None:
        message = "somebody was first"
        raise StaleWriteError(message)

    with monkeypatch.context() as patched:
        patched.setattr(house.deployments, "declare", late)
        found = rejected(house)
    assert (found.moved, found.problem) == (None, "somebody was first")
    judged(house, 2)
    with pytest.raises(RefusedError, match="rejected by Dan"):
        move(house, 2)
    assert rejected(house).moved is not None
    is_as_before(house)


def test_a_rejected_arm_ends_its_experiment(at: Callable[[str], House]) -> None:
    """An arm answers people; nothing is withdrawn, the word keeps it back."""
    house = at("approved")
    begin(house)
    assert {v.version for v in state_of(house).variants} == {1, 2}
    found = rejected(house)
    assert found.moved is not None
    assert state_of(house).experiment is None
    is_as_before(house, withdrawn=())
    with pytest.raises(RefusedError, match="rejected by Dan"):
        begin(house, replace(DRAFT, name="other"))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param("registered", "expected a recorded passing verdict of staging", id="staging"),
        pytest.param("staged", "nobody has approved it", id="approval"),
    ],
)
def test_an_arm_needs_what_a_canary_needs(
    at: Callable[[str], House], place: str, message: str
) -> None:
    """An experiment is no way round staging and approval."""
    house = at(place)
    before, records = commits(house), dict(house.evidence._documents)
    with pytest.raises(RefusedError, match=message):
        begin(house)
    assert (commits(house), dict(house.evidence._documents)) == (before, records)


def test_an_experiment_names_who_let_its_arms_through(at: Callable[[str], House]) -> None:
    """In the trailers of its commit."""
    house = at("approved")
    spied = Spied(house)
    house.deployments = spied  # type: ignore[assignment]
    begin(house)
    assert [trailers["Approved-By"] for trailers in spied.trailers] == ["Bea"]


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_no_experiment_begins_beside_a_release(at: Callable[[str], House], place: str) -> None:
    """Two splits at once would answer for one another."""
    house = at(place)
    with pytest.raises(RefusedError, match="a rollout is under way"):
        begin(house)


@pytest.mark.parametrize("place", ANYWHERE)
def test_an_edit_by_hand_in_between_is_overwritten(
    at: Callable[[str], House], tmp_path: Path, place: str
) -> None:
    """Sealed states alone count: the release that was sealed is what is taken back."""
    house = at(place)
    states = [one.state for one in house.deployments.history(steps.LINE, "production")]
    house.deployments = git_deployments(tmp_path)  # type: ignore[assignment]
    commit = None
    for state in states:
        commit = house.deployments.declare(
            state, expected_commit=commit, trailers={"Actor": "a"}, at=house.clock.now()
        ).commit
    edit_by_hand(tmp_path / "deployments", steps.LINE, replacing("withdrawn: []", "withdrawn: [9]"))
    moved = take_back(house)
    assert moved.declaration.seal_problem == ""
    is_as_before(house)
    edit_by_hand(
        tmp_path / "deployments", steps.LINE, replacing("withdrawn:\n    - 2", "withdrawn: []")
    )
    assert take_back(house).changed
    is_as_before(house)
    assert take_back(house).changed is False


@pytest.mark.parametrize("place", ["staged", "shadow", "canary 2", "settled"])
def test_only_a_watch_is_settled(at: Callable[[str], House], place: str) -> None:
    """Once."""
    house = at(place)
    before = commits(house)
    with pytest.raises(RefusedError, match="expected a release under watch to settle, found none"):
        settle_it(house)
    assert commits(house) == before


def test_a_settled_version_is_a_good_one(at: Callable[[str], House]) -> None:
    """A rollback prefers it to a newer one that never came through."""
    house = at("watch")
    moved = settle_it(house)
    assert moved.changed
    state = state_of(house)
    assert state.rollback_target is not None
    assert (state.champion.version, state.rollback_target.version) == (2, 1)
    house.line = with_rollout(house.line, is_watched=False)
    for _ in range(2):
        number = next_version(house)
        bring(house, number, "watch")
    assert (state_of(house).champion.version, rollout_of(house)) == (4, None)
    assert take_back(house).declaration.state.champion.version == 2


def test_a_first_release_goes_from_staging_to_production(prepared: House) -> None:
    """With nobody to be compared with there is neither shadow nor canary nor watch."""
    prepared.line = with_rollout(prepared.line)
    number = next_version(prepared)
    with pytest.raises(RefusedError, match="it was not staged"):
        move(prepared, number)
    stage(prepared, number)
    with pytest.raises(RefusedError, match="nobody has approved it"):
        move(prepared, number)
    let_through(prepared, number)
    assert move(prepared, number).changed
    is_as_before(prepared, withdrawn=())


def test_an_unknown_version_is_not_found(at: Callable[[str], House]) -> None:
    """Those there are are listed."""
    with pytest.raises(NotFoundError, match=r"expected version 9 in the registry, found \[1, 2\]"):
        move(at("staged"), 9)
