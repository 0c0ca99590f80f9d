"""What is declared after each move of a release, one by one and over any sequence of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.deployment import KillSwitch, from_yaml, to_yaml
from ml_release.domain.rollback import choose_target, rolled_back
from ml_release.domain.rollout import Path, Standing, next_place, place_of, refusals
from ml_release.domain.rollout_moves import aborted, promoted, settled, shadowed, shared
from ml_release.errors import RefusedError
from ml_release_tests.domain.test_deployment import EVIDENCE, an_experiment, shadow, state, variant
from ml_release_tests.domain.test_rollout import AT, SHADOWED, SHARED, WATCHED, gates

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

LATER = AT + timedelta(hours=1)
OTHER = EVIDENCE.model_copy(update={"verdict_digest": "of the next one"})
SWITCH = KillSwitch(answer=0.2, engaged=True)
WEIGHTS = (5.0, 25.0, 50.0)


def to_shadow(current: DeclaredState, version: int = 2) -> DeclaredState:
    return shadowed(
        current,
        version=variant(version),
        evidence=OTHER,
        sample_percent=40.0,
        release="r2",
        now=AT,
    )


def to_canary(
    current: DeclaredState, version: int = 2, *, step: int = 0, now: Any = AT
) -> DeclaredState:
    return shared(
        current,
        version=variant(version),
        evidence=OTHER,
        step=step,
        weight_percent=WEIGHTS[step],
        release="r2",
        now=now,
    )


def to_production(
    current: DeclaredState | None, version: int = 2, *, watched: bool = True
) -> DeclaredState:
    return promoted(
        current,
        line="flight_delay",
        environment="production",
        version=variant(version),
        release="r2",
        evidence=OTHER,
        watched_from=LATER if watched else None,
    )


def test_a_shadow_is_asked_beside_what_stands() -> None:
    """Answers, evidence, kill switch and threshold stay those of the champion."""
    before = state(variant(1), kill_switch=SWITCH, threshold=0.3, withdrawn=(9,))
    found = to_shadow(before)
    assert found.shadows == (
        shadow(2, 40.0).model_copy(update={"model_digest": variant(2).model_digest}),
    )
    assert found.rollout is not None
    assert (found.rollout.leg, found.rollout.step, found.rollout.since) == ("shadow", 0, AT)
    assert found.rollout.evidence == OTHER
    kept = {"release": before.release, "shadows": (), "rollout": None}
    assert found.model_copy(update=kept) == before


def test_another_shadow_stays_and_the_same_one_is_not_asked_twice() -> None:
    """A shadow that was declared with another share gets the new one."""
    before = state(variant(1), shadows=(shadow(3), shadow(2)))
    assert [(s.version, s.sample_percent) for s in to_shadow(before).shadows] == [
        (3, 10.0),
        (2, 40.0),
    ]


def test_a_canary_takes_its_share_from_the_champion() -> None:
    """It is no shadow any more; each step begins anew, the release does not."""
    first = to_canary(to_shadow(state(variant(1))), now=LATER)
    assert [(v.role, v.version, v.weight_percent) for v in first.variants] == [
        ("champion", 1, 95.0),
        ("canary", 2, 5.0),
    ]
    assert first.shadows == ()
    assert first.evidence == EVIDENCE
    second = to_canary(first, step=1, now=LATER + timedelta(hours=1))
    assert [v.weight_percent for v in second.variants] == [75.0, 25.0]
    assert second.rollout is not None
    assert (second.rollout.begun, second.rollout.since) == (AT, LATER + timedelta(hours=1))
    assert second.rollout.step == 1


def test_a_canary_without_a_shadow_begins_then() -> None:
    """As on a line that declares none, or after another release."""
    for before in (state(variant(1)), state(variant(1), rollout=None, withdrawn=(5,))):
        found = to_canary(before, now=LATER).rollout
        assert found is not None
        assert found.begun == found.since == LATER


def test_production_keeps_the_predecessor_warm_and_begins_the_watch() -> None:
    """Experiment and shadows end with the predecessor; switch and withdrawn versions stay."""
    before = to_canary(
        state(variant(1), kill_switch=SWITCH, withdrawn=(9,), shadows=(shadow(3),)), step=2
    )
    found = to_production(before)
    assert [(v.role, v.version, v.weight_percent) for v in found.variants] == [
        ("champion", 2, 100.0)
    ]
    assert found.rollback_target == variant(1)
    assert (found.kill_switch, found.withdrawn, found.shadows) == (SWITCH, (9,), ())
    assert found.evidence == OTHER
    assert found.rollout is not None
    assert (found.rollout.leg, found.rollout.begun, found.rollout.since) == ("watch", AT, LATER)
    assert to_production(before, watched=False).rollout is None


def test_settling_ends_the_watch_and_nothing_else() -> None:
    """The predecessor stays warm."""
    assert settled(WATCHED) == WATCHED.model_copy(update={"rollout": None})


@pytest.mark.parametrize("before", [SHADOWED, SHARED], ids=["shadow", "canary"])
def test_taking_back_gives_the_champion_all_it_had(before: DeclaredState) -> None:
    """The version is withdrawn, and nothing is under way."""
    before = before.model_copy(update={"kill_switch": SWITCH, "withdrawn": (7,)})
    found = aborted(before, release="back")
    assert [(v.role, v.version, v.weight_percent) for v in found.variants] == [
        ("champion", 1, 100.0)
    ]
    assert (found.shadows, found.rollout, found.withdrawn) == ((), None, (2, 7))
    assert (found.kill_switch, found.evidence, found.release) == (SWITCH, EVIDENCE, "back")


def test_taking_back_keeps_other_shadows() -> None:
    """They are another matter."""
    before = SHADOWED.model_copy(update={"shadows": (*SHADOWED.shadows, shadow(3))})
    assert [s.version for s in aborted(before, release="back").shadows] == [3]


@pytest.mark.parametrize(("arms", "goes_on"), [((1, 3), True), ((1, 2), False)])
def test_an_experiment_goes_on_if_the_version_was_no_arm(
    arms: tuple[int, ...], goes_on: bool
) -> None:
    """An arm that was taken back would answer on."""
    canary = variant(2, role="canary", weight_percent=50.0)
    before = state(
        variant(1, weight_percent=50.0),
        canary,
        variant(3, role="treatment", weight_percent=0.0),
        rollout=SHARED.rollout,
        experiment=an_experiment(*arms),
    )
    found = aborted(before, release="back")
    assert (found.experiment is not None) is goes_on
    assert [v.version for v in found.variants] == ([1, 3] if goes_on else [1])
    assert found.champion.weight_percent == 100.0


@pytest.mark.parametrize("before", [state(variant(1)), WATCHED], ids=["nothing", "watch"])
def test_what_is_not_on_its_way_is_not_taken_back(before: DeclaredState) -> None:
    """A version that answers everybody is rolled back to another one."""
    with pytest.raises(
        RefusedError, match="expected a shadow or a canary to take back, found none"
    ):
        aborted(before, release="back")


@pytest.mark.parametrize("act", [to_shadow, to_canary, to_production])
def test_a_withdrawn_version_is_declared_nowhere(act: Any) -> None:
    """By no move."""
    with pytest.raises(RefusedError, match="version 2 refused: it was withdrawn"):
        act(state(variant(1), withdrawn=(2,)))


MOVES = ("next", "next", "next", "back", "back to", "settle")
"""Going on more often than the rest, so that many sequences reach production."""
PATHS = st.builds(
    Path,
    has_staging=st.booleans(),
    has_shadow=st.booleans(),
    weights_percent=st.sampled_from([(), (5.0,), WEIGHTS]),
)


def moved(  # noqa: PLR0911 (one state per move)
    state: DeclaredState | None, history: list[DeclaredState], path: Path, act: str, version: int
) -> DeclaredState | None:
    """The state after a move if it is allowed, as the use cases compose the same functions."""
    rollout = None if state is None else state.rollout
    if act == "next":
        here = Standing(
            line="l",
            version=version,
            place=place_of(state, version, was_staged=True),
            champion=None if state is None else state.champion.version,
            under_way=None if rollout is None or rollout.version == version else rollout.version,
            gates=gates(),
        )
        following = next_place(here, path)
        if following is None or refusals(here, None, path):
            return state
        if following.stage == "shadow" and state is not None:
            return to_shadow(state, version)
        if following.stage == "canary" and state is not None and following.step is not None:
            return to_canary(state, version, step=following.step)
        return to_production(state, version, watched=state is not None)
    if state is None:
        return None
    if act == "settle":
        return settled(state) if rollout is not None and rollout.leg == "watch" else state
    try:
        if rollout is not None and rollout.leg != "watch" and act == "back":
            return aborted(state, release="back")
        wanted = version if act == "back to" else None
        return rolled_back(state, choose_target(history, wanted=wanted), release="back")
    except RefusedError:
        return state


@given(
    PATHS, st.lists(st.tuples(st.sampled_from(MOVES), st.integers(1, 4)), min_size=1, max_size=40)
)
def test_whatever_is_moved_the_state_stays_whole(path: Path, acts: list[tuple[str, int]]) -> None:
    """Weights add to 100, one champion, no withdrawn version anywhere, no place skipped."""
    current: DeclaredState | None = None
    history: list[DeclaredState] = []
    stood: dict[int, list[str]] = {}
    for act, version in acts:
        before = current
        current = moved(current, history, path, act, version)
        if current is None or current == before:
            continue
        history.append(current)
        assert sum(v.weight_percent for v in current.variants) == pytest.approx(100)
        assert sum(v.role == "champion" for v in current.variants) == 1
        asked = {v.version for v in current.variants} | {s.version for s in current.shadows}
        assert not asked & set(current.withdrawn)
        if before is not None:
            assert set(current.withdrawn) >= set(before.withdrawn)
        assert from_yaml(to_yaml(current), subject="file") == current
        if act == "next":
            stood.setdefault(version, []).append(str(place_of(current, version, was_staged=True)))
        if act == "next" and current.champion.version == version:
            is_first = before is None
            way = [str(p) for p in path.after_staging(is_first=is_first)]
            assert stood[version][-len(way) :] == way
