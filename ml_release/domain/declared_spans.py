"""When a version was declared to answer, or withdrawn: spans of time read off a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_release.domain.deployment import Declaration, DeclaredState


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From a declaration to the one that ended it; ``end`` is None for one that still holds."""

    begin: datetime
    end: datetime | None

    def holds_at(self, at: datetime, *, grace: timedelta) -> bool:
        """Whether ``at`` is inside, or so short after the end that a server may not know yet."""
        return self.begin <= at and (self.end is None or at <= self.end + grace)


def counted(history: Sequence[Declaration]) -> tuple[Declaration, ...]:
    """The declarations that servers follow: those without a seal problem, oldest first."""
    return tuple(one for one in history if not one.seal_problem)


def spans_of(
    history: Sequence[Declaration], holds: Callable[[DeclaredState], bool]
) -> tuple[Span, ...]:
    """The times in which the declared state had a property, in order; neighbours are one span.

    Parameters
    ----------
    history
        Oldest first; those with a seal problem count for nothing.
    """
    found: list[Span] = []
    begin: datetime | None = None
    for one in counted(history):
        at = datetime.fromisoformat(one.committed_at)
        if holds(one.state):
            begin = at if begin is None else begin
        elif begin is not None:
            found.append(Span(begin=begin, end=at))
            begin = None
    if begin is not None:
        found.append(Span(begin=begin, end=None))
    return tuple(found)


def answers(state: DeclaredState, version: int, model_digest: str) -> bool:
    """Whether a state has this very version among its variants."""
    return any((one.version, one.model_digest) == (version, model_digest) for one in state.variants)


def is_asked(state: DeclaredState, version: int, model_digest: str) -> bool:
    """Whether a state has this very version among its shadows."""
    return any((one.version, one.model_digest) == (version, model_digest) for one in state.shadows)
