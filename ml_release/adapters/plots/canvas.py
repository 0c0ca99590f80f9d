"""The figures that all pictures are drawn on, without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_DPI = 110
_DAYS_MARKED = 5


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one panel, sizes in inches."""
    figure, (axes,) = new_figures(width, height, 1)
    return figure, axes


def new_figures(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    """A figure of several panels in a row, sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def mark_days(axes: Axes) -> None:
    """Some of the days of a time axis by their date, whether it has one of them or years."""
    from matplotlib.dates import DateFormatter
    from matplotlib.ticker import FixedLocator

    first, last = axes.get_xlim()
    days = np.unique(np.round(np.linspace(np.ceil(first), max(np.ceil(first), last), _DAYS_MARKED)))
    axes.xaxis.set_major_locator(FixedLocator(days.tolist()))
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]


def png_of(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    # Without the software stamp equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
