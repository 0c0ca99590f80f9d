"""Shifts put into real windows: values that are measured wrong, and other flights that fly.

A fault changes values and leaves outcomes as they were. A moved population takes other rows, drawn
with replacement, as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Values = npt.NDArray[Any]
    Rows = npt.NDArray[np.int64]
    Change = Callable[[Values, Values, np.random.Generator], Values]

SIZES = (0.1, 0.25, 0.5)
_MIX, _MISSING = 0.3, 0.05


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One shift of one feature; ``change`` takes values, the period's values and a generator."""

    name: str
    feature: str
    change: Change
    is_population: bool = False


def injections(*, quick: bool = False) -> tuple[Injection, ...]:
    """Every shift that is measured."""
    numbers = ("departure_minute", "carrier_late_rate", "temp", "distance")
    moved = [
        Injection(name=f"values + {size:g} sd", feature=name, change=_added(size))
        for name in numbers
        for size in SIZES
    ]
    units = (
        ("minutes to hours", "departure_minute", 1 / 60, 0.0),
        ("miles to kilometres", "distance", 1.609344, 0.0),
        ("miles to metres", "distance", 1609.344, 0.0),
        ("Fahrenheit to Celsius", "temp", 5 / 9, -160 / 9),
        ("millibars to inches", "pressure", 0.02953, 0.0),
        ("share to percent", "carrier_late_rate", 100.0, 0.0),
    )
    moved += [
        Injection(name=name, feature=feature, change=_unit(factor, offset))
        for name, feature, factor, offset in units
    ]
    moved += [
        Injection(name="5 % missing", feature=name, change=_missing)
        for name in ("departure_minute", "carrier", "temp")
    ]
    moved += [
        Injection(name="30 % get another word", feature=name, change=_mixed)
        for name in ("carrier", "origin")
    ]
    moved += [
        Injection(name="5 % get a word never seen", feature="carrier", change=_unseen),
        Injection(name="stuck at one value", feature="departure_minute", change=_stuck),
    ]
    moved += [
        Injection(
            name=f"other rows, + {size:g} sd", feature=name, change=_drawn(size), is_population=True
        )
        for name in ("departure_minute", "precip", "distance")
        for size in SIZES
    ]
    if not quick:
        return tuple(moved)
    wanted = {
        ("values + 0.5 sd", "departure_minute"),
        ("5 % missing", "carrier"),
        ("minutes to hours", "departure_minute"),
    }
    return tuple(one for one in moved if (one.name, one.feature) in wanted)


def _added(size: float) -> Change:
    def change(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
        del rng
        return np.asarray(values + size * np.nanstd(all_values))

    return change


def _unit(factor: float, offset: float) -> Change:
    def change(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
        del all_values, rng
        return np.asarray(values * factor + offset)

    return change


def _missing(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
    del all_values
    found = values.copy()
    found[rng.random(len(values)) < _MISSING] = None if values.dtype == object else np.nan
    return found


def _mixed(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
    words = sorted({word for word in all_values if isinstance(word, str)})
    return np.where(rng.random(len(values)) < _MIX, words[0], values)


def _unseen(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
    del all_values
    return np.where(rng.random(len(values)) < _MISSING, "never seen", values)


def _stuck(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
    del all_values, rng
    return np.full_like(values, values[0])


def _drawn(size: float) -> Change:
    """Rows (not values) drawn by exponential tilting until their mean has moved so far."""

    def change(values: Values, all_values: Values, rng: np.random.Generator) -> Values:
        sd = np.nanstd(all_values)
        filled = np.where(np.isnan(values), np.nanmean(values), values)
        scaled = (filled - filled.mean()) / sd
        low, high = 0.0, 20.0
        for _ in range(50):
            middle = (low + high) / 2
            weight = _weights(scaled, middle)
            low, high = (middle, high) if weight @ scaled < size else (low, middle)
        return rng.choice(len(values), len(values), p=_weights(scaled, low))

    return change


def _weights(scaled: Values, theta: float) -> Values:
    weight = np.exp(theta * (scaled - scaled.max()))
    return np.asarray(weight / weight.sum())
