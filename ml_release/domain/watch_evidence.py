"""What is known of a release under watch: its windows, its labels, its control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ml_release.domain.watch_rates import WatchWindow
    from ml_release.domain.watch_scores import WatchScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The control during the canary: requests it was to answer, and those it failed."""

    requests: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvidence:
    """What is known of a watched release.

    Attributes
    ----------
    declared_commit
        That declares the watch.
    since, now
        When the watch began, and the moment of judging; with time zones.
    windows
        In order of time, those without requests left out.
    had_canary, baseline
        Whether it was a canary before; the control meanwhile, None where that is not known.
    answers, due, labelled
        Answers that wait for a label; those whose label delay has passed; those of them that have
        one.
    scores
        One for each score that is judged.
    unjudged
        Why labels say nothing of this line; empty for a binary classifier.
    source_problem
        What could not be read; empty if everything could.
    """

    line: str
    version: int
    model_digest: str
    declared_commit: str
    since: datetime
    now: datetime
    windows: tuple[WatchWindow, ...] = ()
    had_canary: bool = False
    baseline: Baseline | None = None
    answers: int = 0
    due: int = 0
    labelled: int = 0
    scores: tuple[WatchScore, ...] = ()
    unjudged: str = ""
    source_problem: str = ""

    @property
    def requests(self) -> int:
        """That the version was to answer."""
        return sum(window.requests for window in self.windows)

    @property
    def age(self) -> timedelta:
        """Of the watch."""
        return self.now - self.since

    @property
    def matured_share(self) -> float | None:
        """Share of the answers whose label is due; None without answers."""
        return self.due / self.answers if self.answers else None
