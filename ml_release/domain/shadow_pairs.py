"""The evidence of a shadow: what its answers were beside those the clients got."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ml_release.domain.intervals import NOTHING
from ml_release.domain.shadow_counts import PairCounts

Output = Literal["probability", "value", "classes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePairs:
    """The pairs of one slice; ``value`` is None for requests in which it is missing."""

    column: str
    value: str | None
    counts: PairCounts

    @property
    def name(self) -> str:
        """For a reader."""
        return f"{self.column} {'missing' if self.value is None else self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSample:
    """What a random sample of the scored pairs shows.

    Attributes
    ----------
    n
        Pairs in it.
    psi_nats
        Adjusted PSI of the shadow's scores over the champion's deciles; NaN if unknown.
    edges, counts
        Histogram of the score differences, shadow minus champion, shapes (k + 1,) and (k,).
    champion, shadow
        Up to some hundred pairs of scores to draw.
    """

    n: int = 0
    psi_nats: float = NOTHING
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    champion: tuple[float, ...] = ()
    shadow: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedLatency:
    """Milliseconds of the same requests; NaN without any.

    A shadow is asked for many requests at once and each is given an equal part of that time. So it
    looks faster than it would be alone: too slow here is slow, fast enough is no promise.
    """

    n: int = 0
    champion_p50: float = NOTHING
    champion_p95: float = NOTHING
    shadow_p50: float = NOTHING
    shadow_p95: float = NOTHING

    @property
    def ratio_p95(self) -> float:
        """Shadow over champion; NaN where it is undefined."""
        return self.shadow_p95 / self.champion_p95 if self.champion_p95 > 0 else NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityBlock:
    """Scores of the shadow minus those of the champion, on the same labelled requests.

    ``auc_score`` is NaN in a block with labels of one kind.
    """

    n: int
    positives: int
    auc_score: float
    log_loss: float
    brier_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPairs:
    """The sampled pairs whose label was awaited.

    Attributes
    ----------
    blocks
        Full blocks of labelled pairs, in the order of their days.
    labelled
        Pairs with a label, those of the unfinished block included.
    unlabelled
        Pairs whose label delay has passed and that have none.
    immature
        Pairs whose label delay has not passed.
    """

    blocks: tuple[QualityBlock, ...] = ()
    labelled: int = 0
    unlabelled: int = 0
    immature: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEvidence:
    """Everything a shadow is judged by.

    Attributes
    ----------
    routes
        Commits of the declarations under which the pairs were answered.
    window_start, window_end
        ISO 8601: when the first and the last judged request came in; None without any.
    hours
        Between those two.
    days
        Calendar days of event time with at least one pair.
    age_hours
        Since the step began.
    output
        What the answers are, as the champion's signature says.
    decides
        Whether a threshold is declared, so that each probability is a decision.
    sampled_requests
        Answered requests of which the shadow should have been asked, but for those that may still
        be waiting.
    requests
        Their pairs, one per request: row 0 stands for it, as it does for labels.
    rows
        Pairs of all rows. The rows of a batch are no independent units, so they are shown only.
    slices
        Pairs of requests by the values of the line's slices.
    """

    line: str
    version: int
    model_digest: str
    champion_digest: str
    routes: tuple[str, ...]
    window_start: str | None
    window_end: str | None
    hours: float
    days: int
    age_hours: float
    output: Output
    decides: bool
    sampled_requests: int
    requests: PairCounts
    rows: PairCounts = field(default_factory=PairCounts)
    slices: tuple[SlicePairs, ...] = ()
    sample: ScoreSample = field(default_factory=ScoreSample)
    latency: PairedLatency = field(default_factory=PairedLatency)
    labelled: LabelledPairs = field(default_factory=LabelledPairs)

    @property
    def coverage(self) -> float:
        """Share of the sampled requests that the shadow answered, failures not; NaN of none.

        A pair without two finite scores is no answer either, but where the answers are classes.
        """
        answered = self.requests.answered + self.requests.champion_failed
        if self.output != "classes":
            answered -= self.requests.unscored
        return answered / self.sampled_requests if self.sampled_requests else NOTHING
