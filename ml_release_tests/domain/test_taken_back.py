"""Which commits took a version back: by hand-made histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ml_release.domain.taken_back import TakenBack, part_of, taken_back
from ml_release_tests.incidents import digest_of, history, state

REVERTED = {"revert_of": "f" * 40}

CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any], list[tuple[int, str]]]] = {
    "nothing declared": ((), {}, []),
    "a first version": ((state(1),), {}, []),
    "a promotion": ((state(1), state(2)), {}, []),
    "a champion": (
        (state(1), state(2), state(1, withdrawn=(2,))),
        {},
        [(2, "version pin restored")],
    ),
    "a canary": (
        (state(1), state(1, canary=2), state(1, withdrawn=(2,))),
        {},
        [(2, "canary taken back")],
    ),
    "a shadow": (
        (state(1), state(1, shadow=2), state(1, withdrawn=(2,))),
        {},
        [(2, "shadow taken back")],
    ),
    "an arm": (
        (state(1), state(1, arm=2), state(1, withdrawn=(2,))),
        {},
        [(2, "experiment arm taken back")],
    ),
    "withdrawn while it serves nobody": ((state(1), state(1, withdrawn=(2,))), {}, []),
    "a promotion that is reverted": (
        (state(1), state(2), state(1)),
        REVERTED,
        [(2, "Git revert")],
    ),
    "a revert that goes on": ((state(1), state(2)), REVERTED, []),
    "a file edited by hand": (
        (state(1), state(2), state(1, withdrawn=(2,))),
        {"seal_problem": "no seal"},
        [],
    ),
    "several": (
        (
            state(1),
            state(2),
            state(1, withdrawn=(2,)),
            state(1, withdrawn=(2,), canary=3),
            state(1, withdrawn=(2, 3)),
        ),
        {},
        [(2, "version pin restored"), (3, "canary taken back")],
    ),
}


@pytest.mark.parametrize(("states", "last", "expected"), CASES.values(), ids=CASES)
def test_a_history_tells_what_was_taken_back(
    states: tuple[Any, ...], last: dict[str, Any], expected: list[tuple[int, str]]
) -> None:
    """Version and method of every rollback, oldest first."""
    found = taken_back(history(*states, **last))
    assert [(one.version, one.method) for one in found] == expected
    assert all(one.model_digest == digest_of(one.version) for one in found)


def only(*states: Any) -> TakenBack:
    (found,) = taken_back(history(*states))
    return found


def test_the_way_of_the_version_is_told() -> None:
    """From its first declaration on, with the release that brought it."""
    found = only(
        state(1),
        state(1, shadow=2),
        state(1, canary=2),
        state(2),
        state(1, withdrawn=(2,), release="back"),
    )
    assert found.legs == ("shadow", "canary", "champion")
    assert [one.state.release for one in found.declared] == ["small_line-2"] * 3
    assert found.incident_id == f"small_line-2@{found.after.commit[:12]}"
    assert found.before == found.declared[-1]
    assert found.declared_again_at is None


def test_an_arm_that_was_released_later_is_known_by_its_release() -> None:
    """The state that had it as an arm was the release of another version."""
    found = only(state(1), state(1, arm=2), state(2), state(1, withdrawn=(2,)))
    assert found.release == "small_line-2"
    assert found.legs == ("treatment", "champion")


def test_a_version_lifted_and_taken_back_again_is_two_incidents() -> None:
    """The second begins where it was declared again; the first knows when that was."""
    whole = history(
        state(1),
        state(2),
        state(1, withdrawn=(2,)),
        state(1),
        state(1, canary=2),
        state(1, withdrawn=(2,)),
    )
    first, second = taken_back(whole)
    assert first.declared_again_at == whole[4].committed_at
    assert second.declared == (whole[4],)
    assert first.incident_id != second.incident_id


def test_what_was_edited_by_hand_in_between_counts_for_nothing() -> None:
    """As for the server."""
    whole = list(history(state(1), state(2), state(3), state(1, withdrawn=(2,))))
    whole[2] = replace(whole[2], seal_problem="no seal")
    (found,) = taken_back(whole)
    assert (found.version, found.before) == (2, whole[1])


@pytest.mark.parametrize(
    ("version", "part"), [(1, "champion"), (2, "canary"), (3, "shadow"), (4, "")]
)
def test_a_version_has_one_part_in_a_state(version: int, part: str) -> None:
    """Or none."""
    assert part_of(state(1, canary=2, shadow=3), version) == part
