"""Which versions have come through their watch: what a rollback goes back to by preference."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import DeclaredState


def good_watches(history: Sequence[DeclaredState]) -> frozenset[int]:
    """Versions whose watch has ended while they went on answering everybody.

    That is a declaration with the leg ``watch`` followed by one without a release under way, both
    with the same champion. A watch that was ended by another champion, or by another release, was
    not completed. A withdrawal outweighs what was before it: a version that was lifted again has to
    be watched again.

    Versions of before there were watches, or that were released without one, are not among them:
    nobody has looked at what became of them. They are what `choose_target` falls back to, so that
    a line without a watch rolls back as it always did.

    Parameters
    ----------
    history
        Declared states, oldest first.
    """
    good: set[int] = set()
    watched: int | None = None
    for state in history:
        rollout = state.rollout
        if rollout is None and watched == state.champion.version:
            good.add(watched)
        watched = rollout.version if rollout is not None and rollout.leg == "watch" else None
        good -= set(state.withdrawn)
    return frozenset(good)
