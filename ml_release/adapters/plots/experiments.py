"""What an experiment has found, and what it has cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, new_figure, new_figures, png_of

if TYPE_CHECKING:
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.regret import RegretReport


def arm_differences(analysis: Analysis, *, effect: float) -> bytes:
    """PNG of every arm's difference to the control, between the smallest effects."""
    arms = list(reversed(analysis.arms))
    figure, axes = new_figure(6.4, 1.4 + 0.4 * len(arms))
    axes.axvspan(-effect, effect, color="#eeeeee")
    axes.axvline(0, color="#999999", linewidth=1, linestyle="--")
    for position, arm in enumerate(arms):
        if np.isfinite([arm.low, arm.high]).all():
            axes.plot([arm.low, arm.high], [position] * 2, color=COLOURS[0], linewidth=2)
            axes.plot(arm.difference, position, "o", color=COLOURS[0], ms=5)
    axes.set_yticks(range(len(arms)), [f"version {arm.version}" for arm in arms])
    axes.set_ylim(-0.6, len(arms) - 0.4)
    axes.set_xlabel(
        f"mean reward less that of version {analysis.control}; grey is less than the smallest"
        " effect"
    )
    axes.set_title("Difference to the control, at every look", loc="left", fontsize=10)
    return png_of(figure)


def regret(report: RegretReport) -> bytes:
    """PNG of the regret with its interval, and of the arms' shares, over the days."""
    figure, (left, right) = new_figures(9.0, 3.4, 2)
    numbers = np.arange(1, len(report.days) + 1)
    left.fill_between(numbers, report.regret_low, report.regret_high, color=COLOURS[0], alpha=0.2)
    left.plot(numbers, report.regret, color=COLOURS[0], marker="o", markersize=3)
    left.set_ylabel("rewards lost to the best arm")
    left.set_title("Regret", loc="left", fontsize=10)
    for colour, (version, shares) in zip(COLOURS, report.shares.items(), strict=False):
        right.plot(
            numbers, shares, color=colour, marker="o", markersize=3, label=f"version {version}"
        )
    right.set_ylim(0, 1)
    right.set_ylabel("share of the day's answers")
    right.set_title("Allocation", loc="left", fontsize=10)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xlabel(f"day, 1 is {report.days[0]}" if len(report.days) else "day")
    return png_of(figure)
