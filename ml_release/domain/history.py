"""History features: what was known of a key when a day began, in training and in serving alike.

Daily sums and counts per key are the only state. The value for day ``d`` uses the days
``d - window`` to ``d - 1``; nothing of day ``d`` itself. Training asks for the value at every
row's own day, serving for the value at the newest day the table was filled for: the same function
(`history_value`) turns sums and counts into both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_release.domain.history_table import HistoryTable, joined_keys
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns, History


def history_value(
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    *,
    prior_rows: float,
    prior_mean: npt.NDArray[np.float64] | float,
) -> npt.NDArray[np.float64]:
    """Smoothed mean ``(sum + prior_rows * prior_mean) / (count + prior_rows)``.

    NaN where neither rows nor a prior are known.

    >>> history_value(np.array([3.0]), np.array([10.0]), prior_rows=10, prior_mean=0.1)
    array([0.2])
    """
    prior = np.broadcast_to(np.asarray(prior_mean, dtype=np.float64), sums.shape)
    weight = np.where(np.isnan(prior), 0.0, prior_rows)
    total = counts + weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (sums + weight * np.nan_to_num(prior)) / total, np.nan)


def point_in_time(
    feature: History,
    *,
    columns: Columns,
    days: npt.NDArray[np.datetime64],
    target: npt.NDArray[np.float64],
    for_rows: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """History of the rows in ``for_rows``, each as of the beginning of its own day.

    Parameters
    ----------
    columns
        Key columns of shape (n,), of the partition asked for and of the window before it.
    days
        Day of each row's event, shape (n,).
    target
        0 to 1 or a quantity, shape (n,); NaN where the label is unknown, which then adds nothing.

    Returns
    -------
    numpy.ndarray
        Shape (number of true values in ``for_rows``,).

    Raises
    ------
    InputError
        If a row has no day.
    """
    if not len(days):
        return np.empty(0)
    table = _daily(feature, columns=columns, days=days, target=target)
    codes, rows_of = table.codes[for_rows], days[for_rows].astype("datetime64[D]")
    positions = (rows_of - table.first_day).astype(np.int64)
    sums = table.before(table.sums, codes, positions, feature.window_days)
    counts = table.before(table.counts, codes, positions, feature.window_days)
    everything = np.zeros_like(codes)
    all_sums = table.before(table.total_sums, everything, positions, feature.window_days)
    all_counts = table.before(table.total_counts, everything, positions, feature.window_days)
    with np.errstate(invalid="ignore", divide="ignore"):
        prior_mean = np.where(all_counts > 0, all_sums / all_counts, np.nan)
    return history_value(sums, counts, prior_rows=feature.prior_rows, prior_mean=prior_mean)


def latest_table(
    features: tuple[History, ...],
    *,
    columns: Columns,
    days: npt.NDArray[np.datetime64],
    target: npt.NDArray[np.float64],
    as_of: np.datetime64,
    time_zone: str,
) -> HistoryTable:
    """The table serving uses on day ``as_of``, from all rows before that day.

    Parameters
    ----------
    time_zone
        IANA name of the zone that ``days`` and ``as_of`` are days of.

    Raises
    ------
    InputError
        If a row has no day.
    """
    values: dict[str, dict[str, float]] = {}
    defaults: dict[str, float | None] = {}
    day = as_of.astype("datetime64[D]")
    for feature in features:
        if not len(days):
            values[feature.name], defaults[feature.name] = {}, None
            continue
        table = _daily(feature, columns=columns, days=days, target=target)
        codes = np.arange(len(table.keys))
        position = np.full(len(codes), (day - table.first_day).astype(np.int64))
        first = np.zeros(1, dtype=np.int64)
        all_sum = table.before(table.total_sums, first, position[:1], feature.window_days)
        all_count = table.before(table.total_counts, first, position[:1], feature.window_days)
        prior = float(all_sum[0] / all_count[0]) if all_count[0] > 0 else None
        found = history_value(
            table.before(table.sums, codes, position, feature.window_days),
            table.before(table.counts, codes, position, feature.window_days),
            prior_rows=feature.prior_rows,
            prior_mean=np.nan if prior is None else prior,
        )
        values[feature.name] = {
            str(key): float(value)
            for key, value in zip(table.keys, found, strict=True)
            if np.isfinite(value)
        }
        defaults[feature.name] = prior if feature.prior_rows > 0 else None
    return HistoryTable(as_of=str(day), values=values, defaults=defaults, time_zone=time_zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Daily:
    keys: npt.NDArray[np.str_]
    codes: npt.NDArray[np.int64]
    first_day: np.datetime64
    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    total_sums: npt.NDArray[np.float64]
    total_counts: npt.NDArray[np.float64]

    def before(
        self,
        cumulated: npt.NDArray[np.float64],
        codes: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        window_days: int,
    ) -> npt.NDArray[np.float64]:
        """Sum over the days ``position - window_days`` to ``position - 1`` of each key."""
        last = cumulated.shape[1] - 1
        end = np.clip(positions, 0, last)
        start = np.clip(positions - window_days, 0, last)
        return cumulated[codes, end] - cumulated[codes, start]


def _daily(
    feature: History,
    *,
    columns: Columns,
    days: npt.NDArray[np.datetime64],
    target: npt.NDArray[np.float64],
) -> _Daily:
    day = days.astype("datetime64[D]")
    keys, codes = np.unique(joined_keys(columns, feature.keys), return_inverse=True)
    if np.isnat(day).any():
        message = f"history {feature.name}: expected a day for every row, found a missing one"
        raise InputError(message)
    first = day.min()
    offset = (day - first).astype(np.int64)
    width = int(offset.max()) + 1
    labelled = ~np.isnan(target)
    weights = np.where(labelled, target, 0.0)

    def cumulated(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        flat = np.bincount(codes * width + offset, weights=values, minlength=len(keys) * width)
        # Column d holds the sum of the days before day d, so that a window is one subtraction.
        padded = np.zeros((len(keys), width + 1))
        np.cumsum(flat.reshape(len(keys), width), axis=1, out=padded[:, 1:])
        return padded

    sums, counts = cumulated(weights), cumulated(labelled.astype(np.float64))
    return _Daily(
        keys=keys,
        codes=codes,
        first_day=first,
        sums=sums,
        counts=counts,
        total_sums=sums.sum(axis=0, keepdims=True),
        total_counts=counts.sum(axis=0, keepdims=True),
    )
