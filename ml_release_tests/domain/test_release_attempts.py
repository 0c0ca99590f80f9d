"""Which versions a history let answer anybody, how far they came, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.release_attempts import declared_attempts
from ml_release_tests.incidents import BEGUN, history, state

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

FIRST = state(1)
BACK = state(1, withdrawn=(2,), release="back")


def told(*states: DeclaredState) -> list[tuple[int, float, float | None, str | None]]:
    """Version, hours until it answered anybody, until everybody, and how it was taken back."""
    return [
        (
            one.version,
            (one.began_at - BEGUN).total_seconds() / 3600,
            None if one.promoted_at is None else (one.promoted_at - BEGUN).total_seconds() / 3600,
            None if one.taken is None else one.taken.method,
        )
        for one in declared_attempts(history(*states))
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param((FIRST,), [(1, 0, 0, None)], id="the first one"),
        pytest.param((FIRST, state(2)), [(1, 0, 0, None), (2, 1, 1, None)], id="at once"),
        pytest.param(
            (FIRST, state(1, shadow=2), state(1, canary=2), state(1, canary=2), state(2)),
            [(1, 0, 0, None), (2, 2, 4, None)],
            id="step by step",
        ),
        pytest.param((FIRST, state(1, shadow=2), BACK), [(1, 0, 0, None)], id="only a shadow"),
        pytest.param(
            (FIRST, state(1, arm=2), state(2)),
            [(1, 0, 0, None), (2, 2, 2, None)],
            id="an arm before",
        ),
        pytest.param(
            (FIRST, state(1, canary=2), BACK, BACK),
            [(1, 0, 0, None), (2, 1, None, "canary taken back")],
            id="a canary taken back",
        ),
        pytest.param(
            (FIRST, state(2), BACK, state(3, withdrawn=(2,))),
            [(1, 0, 0, None), (2, 1, 1, "version pin restored"), (3, 3, 3, None)],
            id="a champion rolled back, and the next one",
        ),
        pytest.param(
            (FIRST, state(2), BACK, state(1), state(1, canary=2), state(2)),
            [(1, 0, 0, None), (2, 1, 1, "version pin restored"), (2, 4, 5, None)],
            id="lifted and released again",
        ),
    ],
)
def test_releases_are_told_with_their_end(
    states: tuple[DeclaredState, ...], expected: list[tuple[int, float, float | None, str | None]]
) -> None:
    """What a rollback restores is no release."""
    assert told(*states) == expected


def test_what_was_edited_by_hand_is_no_release() -> None:
    """No server followed it."""
    edited = history(FIRST, state(2), seal_problem="nobody sealed it")
    assert [one.version for one in declared_attempts(edited)] == [1]
