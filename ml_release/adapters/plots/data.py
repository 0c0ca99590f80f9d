"""What columns, labels and predictions look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, new_figure, png_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.column_profile import ColumnShares
    from ml_release.domain.label_maturity import Maturity


def spread(columns: Sequence[ColumnShares]) -> bytes:
    """PNG of the shares per bin of every column, one strip each, beside its reference."""
    figure, axes = new_figure(6.4, 1.2 + 0.36 * len(columns))
    for position, shares in enumerate(reversed(columns)):
        both = (shares.current, shares.reference)
        top = max(float(part.max(initial=0)) for part in both if part is not None) or 1.0
        ends = np.linspace(0, 1, len(shares.current) + 1)
        for part, colour, filled in zip(both, COLOURS, (True, False), strict=False):
            if part is not None:
                heights = position + 0.85 * part / top
                axes.stairs(
                    heights, ends, baseline=position, fill=filled, color=colour, linewidth=1.2
                )
    axes.set_yticks(
        [position + 0.3 for position in range(len(columns))],
        [shares.column for shares in reversed(columns)],
    )
    axes.set_xticks([0, 1], ["low or\nmost frequent", "high or others,\nthen missing"])
    axes.set_ylim(0, max(1, len(columns)))
    axes.set_title("Share of rows per bin; the line is the reference", loc="left", fontsize=10)
    return png_of(figure)


def scores(spread: ScoreSpread, *, threshold: float | None) -> bytes:
    """PNG of a histogram of predictions, the threshold of decisions marked if there is one."""
    figure, axes = new_figure(5.4, 3.2)
    axes.stairs(spread.counts, spread.edges, fill=True, color=COLOURS[0])
    if threshold is not None:
        axes.axvline(threshold, color=COLOURS[1], linewidth=1.2, linestyle="--")
        axes.set_title(f"Predictions; decisions from {threshold:g} on", fontsize=10)
    else:
        axes.set_title("Predictions", fontsize=10)
    axes.set_xlabel("prediction")
    axes.set_ylabel("rows")
    return png_of(figure)


def maturity(maturity: Maturity) -> bytes:
    """PNG of the share of requests whose label is known, the declared delay marked."""
    figure, axes = new_figure(6.4, 3.6)
    due = maturity.due_days
    # Labels that came years late are not to flatten what happens around the declared delay.
    last = min(max(maturity.days, default=0.0), 5 * due)
    end = 1.1 * max(2 * due, last) or 1.0
    days = [0.0, *(day for day in maturity.days if day < end), end]
    axes.step(
        days,
        [maturity.share_known(day) for day in days],
        where="post",
        color=COLOURS[0],
        linewidth=1.8,
        label=f"{maturity.requests} requests, {maturity.known} labels known",
    )
    for day, style, name in (
        (maturity.delay_days, "--", "declared delay"),
        (due, ":", "due, with grace"),
    ):
        axes.axvline(day, color="black", linewidth=1, linestyle=style, label=name)
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("days since the event")
    axes.set_ylabel("share with a known label")
    axes.set_title("Label maturity")
    axes.legend(frameon=False, loc="lower right")
    return png_of(figure)
