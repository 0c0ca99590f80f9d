"""How far inputs have moved, and what that did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, new_figure, png_of
from ml_release.domain.drift_standing import DriftStanding

if TYPE_CHECKING:
    from matplotlib.patches import Patch

    from ml_release.domain.drift_record import DriftHistory, DriftRecord

_STANDING_COLOURS = {
    DriftStanding.STABLE: "#009E73",
    DriftStanding.HARMLESS: "#E69F00",
    DriftStanding.HURTING: "#D55E00",
    DriftStanding.UNKNOWN: "#999999",
}


def drift(record: DriftRecord) -> bytes:
    """PNG of every feature's PSI over its limit, coloured by how the feature stands."""
    features = list(reversed(record.features))
    figure, axes = new_figure(6.4, 1.3 + 0.27 * len(features))
    for position, one in enumerate(features):
        ratio = _over_limit(one.psi_nats, one.limit_nats)
        axes.barh(position, ratio or 0.0, color=_STANDING_COLOURS[one.standing], height=0.62)
        if ratio is None:
            axes.text(0.02, position, "not known", va="center", fontsize=8)
    axes.axvline(1.0, color="black", linewidth=1.2)
    axes.set_yticks(range(len(features)), [one.feature for one in features])
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(left=0)
    axes.set_xticks(*_times_limit(axes.get_xlim()[1]))
    axes.set_xlabel("PSI over the limit that the reference shows of itself")
    axes.set_title(f"Drift of the {record.days} days to {record.as_of or 'no events'}")
    axes.legend(
        handles=[_patch(colour, name.value) for name, colour in _STANDING_COLOURS.items()],
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    return png_of(figure)


def drift_history(history: DriftHistory) -> bytes:
    """PNG of PSI over its limit by window, of the features that hurt or moved most."""
    figure, axes = new_figure(6.4, 3.2)
    ends = {end: place for place, end in enumerate(history.windows)}
    weight: dict[str, tuple[int, float]] = {}
    for row in history.rows:
        hurt, largest = weight.get(row.feature, (0, 0.0))
        ratio = _over_limit(row.psi_nats, row.limit_nats) or 0.0
        hurt += row.standing is DriftStanding.HURTING
        weight[row.feature] = hurt, max(largest, ratio)
    shown = sorted(weight, key=lambda name: weight[name], reverse=True)[: len(COLOURS)]
    for colour, name in zip(COLOURS, shown, strict=False):
        rows = history.of(name)
        places = [ends[row.as_of] for row in rows]
        ratios = [_over_limit(row.psi_nats, row.limit_nats) for row in rows]
        heights = [np.nan if ratio is None else ratio for ratio in ratios]
        axes.plot(places, heights, color=colour, linewidth=1.3, label=name, zorder=2)
        axes.scatter(
            places,
            heights,
            color=[_STANDING_COLOURS[row.standing] for row in rows],
            s=16,
            zorder=3,
        )
    axes.axhline(1.0, color="black", linewidth=1, linestyle="--")
    # As many dates as can be read.
    labelled = list(ends)[:: max(1, len(ends) // 6)]
    axes.set_xticks([ends[end] for end in labelled], labelled)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    axes.set_yticks(*_times_limit(axes.get_ylim()[1]))
    axes.set_ylabel("PSI over its limit")
    axes.set_title("Drift over time, by the end of the window; dots by standing", fontsize=10)
    if shown:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.autofmt_xdate()
    return png_of(figure)


def _over_limit(psi_nats: float | None, limit_nats: float | None) -> float | None:
    """How many times its limit a PSI is; None where it is not known."""
    return None if psi_nats is None or not limit_nats else psi_nats / limit_nats


def _times_limit(end: float) -> tuple[list[float], list[str]]:
    """Where an axis of multiples of a limit has its marks, and what they say."""
    places = [place for place in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0) if place <= end]
    return places, [f"{place:g}" for place in places]


def _patch(colour: str, name: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=name)
