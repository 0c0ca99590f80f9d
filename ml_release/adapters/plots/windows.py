"""Scores of answers over time, of all and of groups."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, mark_days, new_figures, png_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ml_release.domain.fairness_record import HistoryRow as GapRow
    from ml_release.domain.performance_record import HistoryRow, PerformanceHistory

_GAPS_SHOWN = 4


def performance(history: PerformanceHistory) -> bytes:
    """PNG of AUC and calibration error over time, beside estimates and values at release."""
    figure, (left, right) = new_figures(10.0, 3.6, 2)
    models = list(dict.fromkeys(row.model_digest for row in history.rows))
    for colour, digest in zip(cycle(COLOURS[::2]), models, strict=False):
        rows = [row for row in history.rows if row.model_digest == digest]
        _auc_over_time(left, rows, colour)
        _calibration_over_time(right, rows, colour)
    left.set_title("AUC of windows, by their last day; dashed is estimated", loc="left")
    right.set_title("Calibration error; grey is less than chance", loc="left")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.title.set_fontsize(10)
        if models:
            axes.legend(frameon=False, fontsize=8)
            mark_days(axes)
        axes.tick_params(axis="x", rotation=30)
    return png_of(figure)


def gaps_over_time(rows: Sequence[GapRow]) -> bytes:
    """PNG of every gap with its interval by the last day of its window, one panel each.

    The band is from the approved gap to the limit; those nearest beyond it come first.
    """
    subjects: dict[str, list[GapRow]] = {}
    for row in rows:
        subjects.setdefault(row.subject, []).append(row)
    chosen = sorted(subjects, key=lambda name: -_reach(subjects[name][-1]))[:_GAPS_SHOWN]
    figure, panels = new_figures(3.6 * max(1, len(chosen)), 3.4, max(1, len(chosen)))
    for axes, name in zip(panels, chosen, strict=False):
        seen = subjects[name]
        days = np.array([np.datetime64(row.last_day) for row in seen])
        value, low, high, baseline, limit = (
            np.array([np.nan if v is None else v for v in column], dtype=np.float64)
            for column in zip(
                *((r.value, r.low, r.high, r.baseline, r.limit) for r in seen), strict=True
            )
        )
        axes.fill_between(
            days, baseline, limit, color="#009E73", alpha=0.18, label="approved to limit"
        )
        axes.plot(days, baseline, color="#009E73", linewidth=1, linestyle="--")
        # Ends that are not known leave a point without a bar.
        reach = np.nan_to_num(np.abs([value - low, high - value]))
        axes.errorbar(
            days, value, yerr=reach, color=COLOURS[0], marker="o", markersize=4, linewidth=1.2
        )
        shown = np.array([row.standing == "wider than approved" for row in seen])
        axes.plot(
            days[shown],
            value[shown],
            "o",
            color=COLOURS[1],
            markersize=7,
            linestyle="none",
            label="shown to be wider",
        )
        axes.set_ylim(bottom=0)
        axes.set_title(name, loc="left", fontsize=9)
        axes.tick_params(axis="x", rotation=45, labelsize=7)
        axes.set_xlabel("last day of the window")
        mark_days(axes)
    if chosen:
        panels[0].legend(frameon=False, fontsize=7)
    left = len(subjects) - len(chosen)
    if left:
        figure.suptitle(f"and {left} more, further within their limits", fontsize=8)
    return png_of(figure)


def _auc_over_time(axes: Axes, rows: Sequence[HistoryRow], colour: str) -> None:
    days, version = _days(rows), f"version {rows[0].version}"
    ends = rows[0].baseline_auc_low, rows[0].baseline_auc_high
    if None not in ends:
        low, high = (_numbers([end])[0] for end in ends)
        axes.fill_between(
            days[[0, -1]],
            low,
            high,
            color="#999999",
            alpha=0.15,
            label=f"{version} at release",
        )
    low, high = ([getattr(row, name) for row in rows] for name in ("auc_low", "auc_high"))
    axes.fill_between(days, _numbers(low), _numbers(high), color=colour, alpha=0.2)
    auc, estimated = [row.auc for row in rows], [row.estimated_auc for row in rows]
    axes.plot(days, _numbers(auc), color=colour, marker="o", markersize=3, label=version)
    axes.plot(days, _numbers(estimated), color=colour, linestyle="--", linewidth=1)


def _calibration_over_time(axes: Axes, rows: Sequence[HistoryRow], colour: str) -> None:
    days = _days(rows)
    chance = _numbers([row.calibration_upper for row in rows])
    axes.fill_between(days, 0, chance, color="#999999", alpha=0.15)
    error = _numbers([row.calibration_error for row in rows])
    axes.plot(
        days, error, color=colour, marker="o", markersize=3, label=f"version {rows[0].version}"
    )
    released = _numbers([row.baseline_calibration_error for row in rows])
    axes.plot(days, released, color=colour, linestyle=":", linewidth=1)


def _days(rows: Sequence[HistoryRow]) -> npt.NDArray[np.datetime64]:
    return np.array([row.until for row in rows], dtype="datetime64[D]")


def _numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """NaN in the place of what is not known, which is drawn as a gap."""
    return np.array(values, dtype=np.float64)


def _reach(row: GapRow) -> float:
    """How far the newest gap is from the approved one, in either direction of its measure."""
    if row.value is None or row.baseline is None or row.limit is None:
        return -np.inf
    sign = 1.0 if row.limit >= row.baseline else -1.0
    return sign * (row.value - row.limit)
