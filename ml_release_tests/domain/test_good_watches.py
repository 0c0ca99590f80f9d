"""Which versions came through their watch, and which of them a rollback goes back to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.good_watches import good_watches
from ml_release.domain.rollback import choose_rollback, is_rollback, rolled_back
from ml_release.domain.rollout_moves import promoted, settled, shared
from ml_release_tests.domain.test_deployment import EVIDENCE, variant

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def watched(
    version: int, current: DeclaredState | None = None, *, is_watched: bool = True
) -> DeclaredState:
    return promoted(
        current,
        line="flight_delay",
        environment="production",
        version=variant(version),
        release=f"r{version}",
        evidence=EVIDENCE,
        watched_from=NOW if is_watched else None,
    )


def told(story: str) -> list[DeclaredState]:
    """Declared states of a story.

    ``2`` promotes version 2 without a watch, ``2w`` puts it under watch, ``ok`` settles what is,
    ``3c`` makes version 3 a canary, ``back`` rolls back to the newest other champion, ``lift``
    lifts every withdrawal, ``same`` declares something else.
    """
    states: list[DeclaredState] = []
    for word in story.split():
        present = states[-1] if states else None
        if word == "back":
            assert present is not None
            unfit = {present.champion.version, *present.withdrawn}
            target = next(s for s in reversed(states) if s.champion.version not in unfit)
            states.append(rolled_back(present, target, release="back"))
        elif word == "ok":
            assert present is not None
            states.append(settled(present))
        elif word in ("same", "lift"):
            assert present is not None
            changes: dict[str, Any] = {"withdrawn": ()} if word == "lift" else {"release": "other"}
            states.append(present.model_copy(update=changes))
        elif word.endswith("c"):
            assert present is not None
            states.append(
                shared(
                    present,
                    version=variant(int(word[:-1])),
                    evidence=EVIDENCE,
                    step=0,
                    weight_percent=5.0,
                    release="r",
                    now=NOW,
                )
            )
        else:
            number = int(word.removesuffix("w"))
            states.append(watched(number, present, is_watched=word.endswith("w")))
    return states


@pytest.mark.parametrize(
    ("story", "good"),
    [
        pytest.param("", set(), id="nothing declared"),
        pytest.param("1", set(), id="released without a watch"),
        pytest.param("1w", set(), id="still under watch"),
        pytest.param("1w ok", {1}, id="completed"),
        pytest.param("1w same ok", {1}, id="something else was declared meanwhile"),
        pytest.param("1w ok 2c 2w ok", {1, 2}, id="after a canary"),
        pytest.param("1w 2w ok", {2}, id="ended by another release"),
        pytest.param("1w 2", set(), id="ended by another champion"),
        pytest.param("1w ok 2w back", {1}, id="ended by a rollback"),
        pytest.param("1 2w back", set(), id="rolled back to one that was never watched"),
        pytest.param("1w ok 2w ok 3w back back", {1}, id="withdrawn after a good watch"),
        pytest.param("1 2w ok 3w back back lift", set(), id="lifted again, and not watched again"),
        pytest.param("1w ok 2c", {1}, id="a canary beside it"),
    ],
)
def test_a_watch_is_good_when_it_ended_and_the_champion_stayed(story: str, good: set[int]) -> None:
    """Nothing else counts, and a withdrawal outweighs it."""
    assert good_watches(told(story)) == good


@pytest.mark.parametrize(
    ("story", "wanted", "expected", "is_good", "reason"),
    [
        pytest.param("1w ok 2w", None, 1, True, "come through its watch", id="good"),
        pytest.param(
            "1w ok 2 3w",
            None,
            1,
            True,
            "version 2, which served after it, has not",
            id="over a new",
        ),
        pytest.param("1w ok 2w ok 3w", None, 2, True, "version 2 is the newest", id="newest good"),
        pytest.param("1 2 3w", None, 2, False, "no such version has come through", id="none good"),
        pytest.param(
            "1 2w ok 3w back back 4w", None, 1, False, "no such version", id="good one withdrawn"
        ),
        pytest.param("1w ok 2 3w", 2, 2, False, "was asked for; it has not", id="named"),
        pytest.param("1w ok 2 3w", 1, 1, True, "was asked for; it has come", id="named and good"),
    ],
)
def test_a_rollback_prefers_what_came_through_its_watch(
    story: str, wanted: int | None, expected: int, is_good: bool, reason: str
) -> None:
    """And says why it takes what it takes."""
    found = choose_rollback(told(story), wanted=wanted)
    assert found.target.champion.version == expected
    assert found.came_through_watch is is_good
    assert re.search(reason, found.reason)


def test_a_rollback_past_an_unwatched_version_is_a_rollback_like_any_other() -> None:
    """Asked for again it does nothing twice."""
    history = told("1w ok 2 3w")
    target = choose_rollback(history, wanted=None).target
    history.append(rolled_back(history[-1], target, release="back"))
    assert history[-1].champion.version == 1
    assert is_rollback(history)
