"""Small charts as SVG inside a page: no script, no picture, sharp at any width.

Colours come from the page's style, so that they follow a dark theme. A value that is not known
leaves a gap: a line is never drawn over what nobody measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SPARK_WIDTH, _SPARK_HEIGHT = 110.0, 26.0
_WIDTH, _HEIGHT = 380.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 10.0, 26.0
_TICKS = 4
_FEW = 40
"""With at most so many points each has its dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a chart; ``low`` and ``high`` are a band around it, as long as the values."""

    name: str
    values: Sequence[float | None]
    style: str = "a"
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def sparkline(values: Sequence[float | None], *, limit: float | None = 1.0) -> Markup:
    """The course of one value beside its limit; empty without two known values."""
    known = [one for one in values if one is not None]
    if len(known) < 2:  # noqa: PLR2004
        return Markup("")
    ends = [*known, *([] if limit is None else [limit])]
    low, high = min(0.0, *ends), max(ends)
    scale = (_SPARK_HEIGHT - 4) / ((high - low) or 1.0)
    step = (_SPARK_WIDTH - 6) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return _SPARK_HEIGHT - 2 - (value - low) * scale

    points = [(3 + place * step, one) for place, one in enumerate(values)]
    parts = [
        f'<polyline class="curve a" points="{_points(part, y)}"/>' for part in _stretches(points)
    ]
    last = next((x, one) for x, one in reversed(points) if one is not None)
    is_over = limit is not None and last[1] > limit
    dot = _dot("b" if is_over else "a", last[0], y(last[1]), 2.6)
    bound = "" if limit is None else _line("limit", (0.0, _SPARK_WIDTH), (y(limit), y(limit)))
    return _markup(
        f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH:g} {_SPARK_HEIGHT:g}" role="img"'
        f' aria-label="the last {len(values)} windows">{bound}{"".join(parts)}{dot}</svg>'
    )


def chart(
    title: str,
    ends: Sequence[str],
    curves: Sequence[Curve],
    *,
    limit: float | None = None,
    limit_name: str = "",
) -> Markup:
    """Curves over the ends of windows, with ticks, a legend in words and a line for a limit.

    Parameters
    ----------
    ends
        ISO days, one per value of each curve; at least one.
    """
    values = [
        one
        for curve in curves
        for series in (curve.values, curve.low, curve.high)
        for one in series
        if one is not None
    ]
    if not values:
        return Markup("")
    values += [] if limit is None else [limit]
    room = 0.08 * (max(values) - min(values)) or max(0.01, 0.05 * abs(max(values)))
    low, high = min(values) - room, max(values) + room
    if min(values) >= 0:
        low = max(0.0, low)
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + up * (1 - (value - low) / (high - low))

    def x(place: int) -> float:
        return _LEFT + (across / 2 if len(ends) == 1 else across * place / (len(ends) - 1))

    drawn: list[str] = []
    for tick in range(_TICKS):
        value = low + (high - low) * tick / (_TICKS - 1)
        drawn.append(
            _line("grid", (_LEFT, _WIDTH - _RIGHT), (y(value), y(value)))
            + f'<text class="tick" text-anchor="end" x="{_LEFT - 6:g}" y="{y(value) + 4:.1f}">'
            f"{_tick(value, high - low)}</text>"
        )
    drawn += _dates(ends, x)
    for curve in curves:
        drawn += _curve(curve, x, y)
    names = [_key(curve.style, curve.name) for curve in curves]
    if limit is not None:
        drawn.append(_line("limit", (_LEFT, _WIDTH - _RIGHT), (y(limit), y(limit))))
        names.append(_key("limit", limit_name))
    label = escape(title)
    return _markup(
        f'<figure class="chart"><figcaption><b>{label}</b></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{label}">'
        f'{"".join(drawn)}</svg><p class="legend">{" ".join(names)}</p></figure>'
    )


def _curve(curve: Curve, x: _X, y: _Y) -> Iterator[str]:
    places = range(len(curve.values))
    band = [
        (x(place), low, high)
        for place, low, high in zip(places, curve.low, curve.high, strict=False)
        if low is not None and high is not None
    ]
    if len(band) > 1:
        edge = [f"{at:.1f},{y(high):.1f}" for at, _, high in band]
        edge += [f"{at:.1f},{y(low):.1f}" for at, low, _ in reversed(band)]
        yield f'<polygon class="band {curve.style}" points="{" ".join(edge)}"/>'
    elif band:
        at, low, high = band[0]
        yield _line(f"curve {curve.style}", (at, at), (y(low), y(high)))
    points = [(x(place), one) for place, one in zip(places, curve.values, strict=True)]
    for part in _stretches(points):
        yield f'<polyline class="curve {curve.style}" points="{_points(part, y)}"/>'
    if len(points) <= _FEW:
        for at, one in points:
            if one is not None:
                yield _dot(curve.style, at, y(one), 2.4)


def _markup(text: str) -> Markup:
    """Every text in it is escaped where it is put in; all else are numbers and our own words."""
    return Markup(text)  # noqa: S704 (see above)


def _line(style: str, across: tuple[float, float], down: tuple[float, float]) -> str:
    return (
        f'<line class="{style}" x1="{across[0]:.1f}" x2="{across[1]:.1f}" y1="{down[0]:.1f}"'
        f' y2="{down[1]:.1f}"/>'
    )


def _dot(style: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def _stretches(
    points: Sequence[tuple[float, float | None]],
) -> Iterator[list[tuple[float, float]]]:
    """Known points without a gap between them, two at least."""
    part: list[tuple[float, float]] = []
    for at, one in [*points, (0.0, None)]:
        if one is not None:
            part.append((at, one))
            continue
        if len(part) > 1:
            yield part
        part = []


def _points(part: Sequence[tuple[float, float]], y: _Y) -> str:
    return " ".join(f"{at:.1f},{y(one):.1f}" for at, one in part)


def _dates(ends: Sequence[str], x: _X) -> list[str]:
    places = {0: "start", len(ends) - 1: "end"} if len(ends) > 1 else {0: "middle"}
    return [
        f'<text class="tick" text-anchor="{anchor}" x="{x(place):.1f}" y="{_HEIGHT - 8:g}">'
        f"{escape(ends[place][:10])}</text>"
        for place, anchor in places.items()
    ]


def _key(style: str, name: str) -> str:
    return f'<span><i class="key {style}"></i>{escape(name)}</span>'


def _tick(value: float, span: float) -> str:
    digits = 3 if span < 0.1 else 2 if span < 1 else 1  # noqa: PLR2004 (as many as tell ticks apart)
    return f"{value:.{digits}f}"


if TYPE_CHECKING:
    from collections.abc import Callable

    _X = Callable[[int], float]
    _Y = Callable[[float], float]
