"""Promotion and rollback: what the declared state then says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.deployment import KillSwitch
from ml_release.domain.rollback import choose_target, is_rollback, rolled_back
from ml_release.domain.rollout_moves import aborted, promoted, settled
from ml_release.errors import RefusedError
from ml_release_tests.domain.test_deployment import EVIDENCE, shadow, state, variant
from ml_release_tests.domain.test_rollout import SHADOWED, SHARED, WATCHED

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState, Variant

SWITCH = {"kill_switch": KillSwitch(answer=0.2, engaged=True)}


def promote(current: DeclaredState | None, version: Variant) -> DeclaredState:
    return promoted(
        current,
        line="flight_delay",
        environment="production",
        version=version,
        release="r2",
        evidence=EVIDENCE,
    )


def test_the_first_promotion_has_nothing_to_go_back_to() -> None:
    """One champion with all traffic."""
    found = promote(None, variant(1))
    assert found == state(variant(1), release="r2")
    assert found.rollback_target is None


def test_a_promotion_keeps_the_predecessor_warm() -> None:
    """And the withdrawn versions withdrawn."""
    found = promote(state(variant(1), withdrawn=(9,)), variant(2))
    assert found.champion == variant(2)
    assert found.rollback_target == variant(1)
    assert found.withdrawn == (9,)


def test_promoting_the_champion_again_keeps_its_rollback_target() -> None:
    """A retried promotion does not make a version its own predecessor."""
    first = promote(state(variant(1)), variant(2))
    assert promote(first, variant(2)) == first


def test_a_withdrawn_rollback_target_is_not_kept() -> None:
    """Nothing that was withdrawn is kept warm."""
    current = state(variant(2), rollback_target=variant(1), withdrawn=(1,))
    assert promote(current, variant(2)).rollback_target is None


def test_a_withdrawn_version_is_not_promoted() -> None:
    """Until a named person lifts it."""
    with pytest.raises(RefusedError, match="it was withdrawn"):
        promote(state(variant(1), withdrawn=(2,)), variant(2))


@pytest.mark.parametrize(
    ("versions", "withdrawn", "wanted", "expected"),
    [
        pytest.param([1, 2], (), None, 1, id="the one before"),
        pytest.param([1, 2, 3], (), None, 2, id="the newest one before"),
        pytest.param([1, 2, 2], (), None, 1, id="declared twice"),
        pytest.param([1, 2, 3], (2,), None, 1, id="over a withdrawn one"),
        pytest.param([1, 2, 3], (), 1, 1, id="the one wanted"),
        pytest.param([1, 3, 2, 3], (), None, 2, id="not by number but by time"),
        pytest.param([1, 2, 1], (2,), None, None, id="the bad one is not restored"),
        pytest.param([1], (), None, None, id="nothing before"),
        pytest.param([1, 2], (1,), None, None, id="the only one was withdrawn"),
        pytest.param([1, 2], (1,), 1, None, id="the wanted one was withdrawn"),
        pytest.param([1, 2], (), 2, None, id="the wanted one is serving"),
        pytest.param([1, 2], (), 7, None, id="the wanted one never served"),
    ],
)
def test_the_target_is_a_version_that_served_and_may_serve_again(
    versions: list[int], withdrawn: tuple[int, ...], wanted: int | None, expected: int | None
) -> None:
    """What is withdrawn now decides, not what was when the version served."""
    past = [state(variant(version)) for version in versions[:-1]]
    history = [*past, state(variant(versions[-1]), withdrawn=withdrawn)]
    if expected is None:
        with pytest.raises(RefusedError, match="rollback"):
            choose_target(history, wanted=wanted)
    else:
        assert choose_target(history, wanted=wanted).champion.version == expected


def test_nothing_declared_is_nothing_to_roll_back() -> None:
    """And says so."""
    with pytest.raises(RefusedError, match="nothing is declared"):
        choose_target([], wanted=None)


def test_a_refused_rollback_names_what_has_served_and_what_was_withdrawn() -> None:
    """The operator sees the choices at once."""
    history = [state(variant(1)), state(variant(2)), state(variant(3), withdrawn=(1, 2))]
    with pytest.raises(RefusedError, match=r"found \[1, 2\] \(withdrawn: \[1, 2\]\)"):
        choose_target(history, wanted=None)


def test_a_rollback_restores_the_target_and_withdraws_the_present_version() -> None:
    """With the evidence the target was declared on, and nothing to roll back to by itself."""
    target = state(variant(1), evidence=EVIDENCE.model_copy(update={"verdict_digest": "old"}))
    present = state(variant(2), withdrawn=(7,), rollback_target=variant(1))
    found = rolled_back(present, target, release="back")
    assert found == state(
        variant(1),
        release="back",
        evidence=target.evidence,
        withdrawn=(2, 7),
        rollback_target=None,
    )


def test_a_target_that_shared_its_traffic_gets_all_of_it() -> None:
    """The newest good state may have had a canary beside its champion."""
    with_canary = state(
        variant(1, weight_percent=90.0), variant(2, role="canary", weight_percent=10.0)
    )
    found = rolled_back(state(variant(2)), with_canary, release="back")
    assert found.variants == (variant(1, weight_percent=100.0),)


def test_after_a_rollback_the_bad_version_is_neither_promoted_nor_restored() -> None:
    """No automation brings it back."""
    history = [state(variant(1)), state(variant(2))]
    history.append(rolled_back(history[1], history[0], release="back"))
    with pytest.raises(RefusedError):
        promote(history[-1], variant(2))
    with pytest.raises(RefusedError):
        choose_target(history, wanted=None)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param([], False, id="nothing declared"),
        pytest.param([state(variant(1))], False, id="first release"),
        pytest.param([state(variant(1)), state(variant(2))], False, id="promoted"),
        pytest.param(
            [state(variant(2)), state(variant(1), withdrawn=(2,))], True, id="rolled back"
        ),
        pytest.param(
            [
                state(variant(2)),
                state(variant(1), withdrawn=(2,)),
                state(variant(3), withdrawn=(2,)),
            ],
            False,
            id="promoted after a rollback",
        ),
        pytest.param([SHADOWED, aborted(SHADOWED, release="b")], True, id="shadow taken back"),
        pytest.param([SHARED, aborted(SHARED, release="b")], True, id="canary taken back"),
        pytest.param([SHARED, WATCHED], False, id="under watch"),
        pytest.param([WATCHED, settled(WATCHED)], False, id="settled"),
        pytest.param(
            [SHARED, aborted(SHARED, release="b"), state(variant(1), withdrawn=(2,), **SWITCH)],
            True,
            id="a kill switch after it",
        ),
        pytest.param(
            [
                SHARED,
                aborted(SHARED, release="b"),
                state(variant(1), withdrawn=(2,), shadows=(shadow(3),)),
            ],
            False,
            id="a shadow after it",
        ),
    ],
)
def test_a_rollback_is_known_by_what_it_withdrew(
    history: list[DeclaredState], expected: bool
) -> None:
    """The present state withdraws the champion of the one before it."""
    assert is_rollback(history) is expected
