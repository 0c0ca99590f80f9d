"""What a model was found to be worth before it serves, and how it was searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, new_figure, png_of
from ml_release.domain.gates_attribution import IMPORTANCE
from ml_release.domain.search import TrialState, best_trial
from ml_release.domain.search_objectives import grows_with_quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.gates_attribution import AttributionMethod
    from ml_release.domain.scores import ReliabilityBin
    from ml_release.domain.search import Trial
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.domain.threshold_curve import ThresholdPoint


def reliability(bins: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
    """PNG of a reliability diagram, one line per model, dots sized by rows."""
    figure, axes = new_figure(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for colour, (name, points) in zip(COLOURS, bins.items(), strict=False):
        probability = [b.mean_probability for b in points]
        observed = [b.observed_rate for b in points]
        rows = np.array([b.n for b in points], dtype=np.float64)
        axes.plot(probability, observed, color=colour, linewidth=1.5, label=name)
        axes.scatter(probability, observed, color=colour, s=12 + 90 * np.sqrt(rows / rows.sum()))
    top = max(
        (max(b.mean_probability, b.observed_rate) for p in bins.values() for b in p), default=1
    )
    axes.set_xlim(0, min(1, top * 1.08))
    axes.set_ylim(0, min(1, top * 1.08))
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed rate")
    axes.set_title("Reliability")
    axes.legend(frameon=False, loc="upper left")
    return png_of(figure)


def roc(target: npt.NDArray[np.float64], scores: Mapping[str, npt.NDArray[np.float64]]) -> bytes:
    """PNG of the ROC curves of several models on the same labels."""
    figure, axes = new_figure(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for colour, (name, score) in zip(COLOURS, scores.items(), strict=False):
        order = np.argsort(-score, kind="stable")
        positives = np.cumsum(target[order]) / max(1.0, target.sum())
        negatives = np.cumsum(1 - target[order]) / max(1.0, (1 - target).sum())
        axes.plot(negatives, positives, color=colour, linewidth=1.5, label=name)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title("ROC")
    axes.legend(frameon=False, loc="lower right")
    return png_of(figure)


def slices(table: SliceTable) -> bytes:
    """PNG of one score with its interval per slice; slices that are not judged are pale."""
    rows = list(reversed(table.rows))
    figure, axes = new_figure(6.4, 1.2 + 0.24 * len(rows))
    for position, row in enumerate(rows):
        interval, alpha = row.interval, 1.0 if row.judged else 0.3
        axes.plot(
            [interval.low, interval.high],
            [position] * 2,
            color=COLOURS[0],
            linewidth=2,
            alpha=alpha,
        )
        axes.plot(interval.estimate, position, "o", color=COLOURS[0], ms=5, alpha=alpha)
    names = [f"{r.column} {'missing' if r.value is None else r.value} ({r.n})" for r in rows]
    axes.set_yticks(range(len(rows)), names)
    # A slice of a few rows has an interval from anything to anything.
    ends = [end for r in rows if r.judged for end in (r.interval.low, r.interval.high)]
    if ends and np.isfinite(ends).all():
        room = 0.1 * (max(ends) - min(ends))
        axes.set_xlim(min(ends) - room, max(ends) + room)
    score = rows[0].score.replace("_", " ") if rows else ""
    axes.set_xlabel(f"{score}; all intervals together hold with {table.confidence * 100:g} %")
    axes.set_title("Slices (rows); pale ones have too few rows to be judged", loc="left")
    return png_of(figure)


def costs(curve: Sequence[ThresholdPoint], *, threshold: float) -> bytes:
    """PNG of precision, recall and cost per row by threshold, the declared one marked."""
    figure, axes = new_figure(6.4, 3.8)
    at = [point.threshold for point in curve]
    shares = (
        ("precision", [p.precision for p in curve]),
        ("recall", [p.recall for p in curve]),
    )
    for colour, (name, values) in zip(COLOURS, shares, strict=False):
        axes.plot(at, values, color=colour, linewidth=1.5, label=name)
    cost = axes.twinx()
    costs = [point.cost_per_row for point in curve]
    cost.plot(at, costs, color=COLOURS[2], linewidth=1.8, label="cost per row")
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label="declared")
    axes.set_xlabel("threshold")
    axes.set_ylabel("precision, recall")
    cost.set_ylabel("cost per row, declared unit", color=COLOURS[2])
    cost.set_ylim(bottom=0)
    axes.set_title("What a threshold costs", loc="left")
    axes.legend(frameon=False, loc="upper right")
    return png_of(figure)


def importances(
    candidate: Mapping[str, float],
    champion: Mapping[str, float] | None,
    *,
    method: AttributionMethod,
) -> bytes:
    """PNG of how much each feature matters, beside the champion's; the method is named."""
    names = sorted(candidate, key=lambda name: candidate[name])
    figure, axes = new_figure(6.4, 1.2 + 0.26 * len(names))
    positions = np.arange(len(names))
    axes.barh(
        positions,
        [candidate[name] for name in names],
        0.62,
        color=COLOURS[0],
        label="candidate",
    )
    if champion is not None:
        costs = [champion.get(name, np.nan) for name in names]
        axes.plot(costs, positions, "D", color=COLOURS[1], ms=5, label="champion")
        axes.legend(frameon=False, loc="lower right")
    axes.set_yticks(positions, names)
    axes.set_xlabel(IMPORTANCE[method])
    axes.set_title(f"Importances ({method})", loc="left")
    return png_of(figure)


def search_history(trials: Sequence[Trial], *, objective: str) -> bytes:
    """PNG of the trials in their order, the best so far as steps, the others as marks below."""
    from matplotlib.ticker import MaxNLocator

    maximise = grows_with_quality(objective)
    figure, axes = new_figure(6.4, 3.6)
    complete = [(t.number, t.value) for t in trials if t.value is not None]
    if complete:
        numbers, values = zip(*complete, strict=True)
        axes.scatter(numbers, values, color=COLOURS[0], s=18, label="complete")
        best = [best_trial(trials[: i + 1], maximise=maximise) for i in range(len(trials))]
        steps = [(t.number, b.value) for t, b in zip(trials, best, strict=True) if b]
        numbers, values = zip(*steps, strict=True)
        axes.step(numbers, values, where="post", color=COLOURS[1], label="best so far")
    for state, colour, mark in (
        (TrialState.PRUNED, "#999999", "|"),
        (TrialState.FAILED, COLOURS[1], "x"),
    ):
        ended = [t.number for t in trials if t.state is state]
        if ended:
            # On the lower edge: they have no value to be compared by.
            axes.scatter(
                ended,
                [0.03] * len(ended),
                transform=axes.get_xaxis_transform(),
                color=colour,
                marker=mark,
                label=state.value,
            )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial; 0 has the declared parameters")
    axes.set_ylabel(f"{objective.replace('_', ' ')}, {'more' if maximise else 'less'} is better")
    axes.set_title("Search")
    if trials:
        axes.legend(frameon=False)
    return png_of(figure)
