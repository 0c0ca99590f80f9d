"""Error budgets, and how fast they are spent."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from ml_release.adapters.plots.canvas import COLOURS, mark_days, new_figures, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ml_release.domain.slo_record import SloRecord

_BUDGET_COLOURS = {
    "availability": COLOURS[0],
    "latency": COLOURS[1],
    "correctness": COLOURS[2],
    "freshness": COLOURS[3],
    "fairness": "#000000",
}
_LEAST_BUDGET_SHOWN = -1.0


def error_budgets(record: SloRecord) -> bytes:
    """PNG of what is left of every error budget over its window, and of its burn rates."""
    figure, (left, right) = new_figures(9.6, 3.6, 2)
    _draw_budgets(left, record)
    _draw_burn_rates(right, record)
    if any(standing.days for standing in record.standings):
        mark_days(left)
    return png_of(figure)


def _draw_budgets(axes: Axes, record: SloRecord) -> None:
    """What is left of every budget at the end of every day; below the line it is exceeded."""
    for standing in record.standings:
        if not standing.days:
            continue
        days = [date.fromisoformat(one.day) for one in standing.days]
        # A budget exceeded a hundredfold is not to flatten all others.
        left = [max(_LEAST_BUDGET_SHOWN, one.left) for one in standing.days]
        axes.plot(
            days,  # type: ignore[arg-type] # matplotlib takes dates
            [100 * value for value in left],
            color=_BUDGET_COLOURS[standing.name],
            marker="o",
            markersize=3,
            linewidth=1.5,
            label=f"{standing.name}, {100 * standing.objective:g} %",
        )
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.set_ylim(top=105)
    axes.set_ylabel("percent of the budget left")
    axes.set_title(f"Error budgets of {record.window_days} days", loc="left", fontsize=10)
    if any(standing.days for standing in record.standings):
        axes.legend(edgecolor="none", framealpha=0.8, fontsize=8)


def _draw_burn_rates(axes: Axes, record: SloRecord) -> None:
    """The lower of both burn rates of every alert, one bar each, its limit as a black mark."""
    bars = [
        (standing.name, burn)
        for standing in record.standings
        for burn in standing.burns
        if burn.long_rate is not None and burn.short_rate is not None
    ]
    for place, (name, burn) in enumerate(reversed(bars)):
        rate = min(burn.long_rate or 0.0, burn.short_rate or 0.0)
        axes.barh(place, rate, 0.62, color=_BUDGET_COLOURS[name], alpha=1.0 if burn.fires else 0.45)
        axes.plot([burn.limit_rate] * 2, [place - 0.42, place + 0.42], color="black", linewidth=1.5)
    names = [f"{name}, {b.level} {b.long_hours} h / {b.short_hours} h" for name, b in bars]
    axes.set_yticks(range(len(bars)), list(reversed(names)), fontsize=8)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(left=0)
    axes.set_xlabel("burn rate; 1 spends the budget, the mark is the limit")
    axes.set_title("Burn rates", loc="left", fontsize=10)
