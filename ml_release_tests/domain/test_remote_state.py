"""How two branches stand to one another, in a word and in words."""

from __future__ import annotations

import pytest

from ml_release.domain.remote_state import remote_state


@pytest.mark.parametrize(
    ("ahead", "behind", "kind", "said"),
    [
        (0, 0, "in_sync", "in sync with git@host:x"),
        (2, 0, "ahead", "ahead by 2, not pushed: not tried yet"),
        (0, 3, "behind", "behind git@host:x by 3"),
        (1, 2, "diverged", "1 commits up to aaaaaaaaaaaa are only here, 2 up to bbbbbbbbbbbb"),
    ],
)
def test_the_counts_give_the_kind(ahead: int, behind: int, kind: str, said: str) -> None:
    """Each has so many commits that the other has not."""
    found = remote_state(
        address="git@host:x", local="a" * 40, remote="b" * 40, ahead=ahead, behind=behind
    )
    assert found.kind == kind
    assert said in found.sentence()
    assert found.is_harmless == (kind == "in_sync")


@pytest.mark.parametrize("ahead", [0, 2])
def test_unreachable_is_so_whatever_was_known(ahead: int) -> None:
    """With since when and why, and what waits to be pushed."""
    found = remote_state(
        address="x",
        local="a" * 40,
        remote=None,
        ahead=ahead,
        behind=1,
        reason="no route",
        since="2013-01-01T00:00:00+00:00",
        is_reachable=False,
    )
    assert found.kind == "unreachable"
    said = found.sentence()
    assert "x is unreachable since 2013-01-01T00:00:00+00:00: no route" in said
    assert ("ahead by 2, not pushed" in said) == bool(ahead)
