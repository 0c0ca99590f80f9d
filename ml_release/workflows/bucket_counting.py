"""Count records of the inference log into buckets: one pass over each column for all hours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.bucket_profile import SHADOW, BucketProfile
from ml_release.domain.counted_feature import CountedFeature
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.reference_profile import SCORE
from ml_release.workflows.columns import floats_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.feature_bins import FeatureBins
    from ml_release.domain.reference_profile import ReferenceProfile

    Floats = npt.NDArray[np.float64]
    Groups = npt.NDArray[np.int64]

_UTC = "+00:00"
_HOUR = np.timedelta64(1, "h")
_KEY = ["version", "variant", "bucket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBins:
    """Over which bins the answers of one model are counted.

    Attributes
    ----------
    bins
        Per feature that is not masked, and the score under `SCORE` where it has a reference; empty
        where nothing is known of the model.
    ranges
        Smallest and largest value of the reference, per numeric feature where it is known.
    """

    bins: Mapping[str, FeatureBins] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, reference: ReferenceProfile, *, masked: frozenset[str]) -> ModelBins:
        """Those of a reference profile."""
        bins = {name: one for name, one in reference.bins.items() if name not in masked}
        if reference.score is not None:
            bins[SCORE] = reference.score.bins
        ranges = {
            name: (facts.minimum, facts.maximum)
            for name, facts in reference.numbers.items()
            if facts.minimum is not None and facts.maximum is not None
        }
        return cls(bins=bins, ranges=ranges)


def count_buckets(
    records: pd.DataFrame, *, line: str, time_zone: str, bins: Mapping[str, ModelBins]
) -> list[BucketProfile]:
    """The profiles of some records, one per model, version, variant and hour of the event.

    Parameters
    ----------
    records
        With the columns of `InferenceLog.records`.
    time_zone
        Hours begin as they do there.
    bins
        Per model digest that occurs.
    """
    if records.empty:
        return []
    records = records.assign(
        variant=records["variant"].where(~records["shadow"], SHADOW),
        bucket=bucket_begins(records["event_time"], time_zone),
    )
    return [
        profile
        for digest, own in records.groupby("model_digest", sort=True)
        for profile in _of_model(own, line=line, digest=str(digest), bins=bins[str(digest)])
    ]


def bucket_begins(moments: pd.Series, time_zone: str) -> npt.NDArray[np.datetime64]:
    """Where the hour of each moment begins, in UTC without zone, shape (n,).

    Hours are those of the zone's clock: half an hour beside UTC's where the zone is.
    """
    utc = moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    local = moments.dt.tz_convert(time_zone).dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    begins: npt.NDArray[np.datetime64] = local.astype("datetime64[h]") - (local - utc)
    return begins


def _of_model(
    records: pd.DataFrame, *, line: str, digest: str, bins: ModelBins
) -> list[BucketProfile]:
    grouped = records.groupby(_KEY, sort=True)
    group = np.asarray(grouped.ngroup(), dtype=np.int64)
    keys = grouped.size().index.tolist()
    n = len(keys)
    answered = (records["outcome"] != "error").to_numpy()
    request = (records["row"] == 0).to_numpy()
    decision = floats_of(records["decision"])
    received = records["received_time"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    begins = records["bucket"].to_numpy(dtype="datetime64[us]")
    misses = floats_of(records["history_misses"])
    looked_up = answered & np.isfinite(misses)

    def rows(chosen: npt.NDArray[np.bool_], weights: Floats | None = None) -> list[int]:
        own = None if weights is None else weights[chosen]
        found = np.bincount(group[chosen], weights=own, minlength=n)
        return [int(one) for one in found.tolist()]

    counts = {
        "rows": rows(answered),
        "errors": rows(~answered),
        "requests": rows(request),
        "failed_requests": rows(request & ~answered),
        "fallbacks": rows(request & (records["outcome"] == "fallback").to_numpy()),
        "late": rows(received > begins + 2 * _HOUR),
        "decided": rows(answered & np.isfinite(decision)),
        "positives": rows(answered & (decision == 1)),
        "history_rows": rows(looked_up),
        "history_misses": rows(looked_up, misses),
    }
    features = _features(records[answered], group[answered], n, bins)
    scores = features.pop(SCORE, None)
    latency = _latencies(records[answered & request], group[answered & request])
    ages = _ages(floats_of(records["history_age_days"]), group, looked_up)
    span = records["received_time"].groupby(group).agg(["min", "max"])
    return [
        BucketProfile(
            line=line,
            model_digest=digest,
            version=int(version),
            variant=str(variant),
            bucket=bucket.isoformat() + _UTC,
            first_received=first.isoformat(),
            last_received=last.isoformat(),
            features={name: own[place] for name, own in features.items()},
            score=None if scores is None else scores[place],
            latency=latency.get(place, {}),
            history_ages=ages.get(place, {}),
            **{name: own[place] for name, own in counts.items()},
        )
        for place, ((version, variant, bucket), first, last) in enumerate(
            zip(keys, span["min"], span["max"], strict=True)
        )
    ]


def _features(
    answered: pd.DataFrame, group: Groups, groups: int, bins: ModelBins
) -> dict[str, list[CountedFeature]]:
    if not bins.bins:
        return {}
    rows = answered["features"].tolist()
    found = {}
    for name, own in sorted(bins.bins.items()):
        if name == SCORE:
            scores = floats_of(answered["prediction"])
            found[name] = count_feature(own, scores, group, groups=groups, limits=None)
            continue
        logged, of = [row[name] for row in rows if name in row], group
        if len(logged) < len(rows):
            # Nothing is known of it there: that is no missing value.
            of = group[np.array([name in row for row in rows], dtype=np.bool_)]
        found[name] = count_feature(
            own, _column(logged, own), of, groups=groups, limits=bins.ranges.get(name)
        )
    return found


def _column(logged: list[Any], bins: FeatureBins) -> npt.NDArray[np.generic]:
    if bins.words is not None:
        return np.array(logged, dtype=np.object_)
    try:
        return np.array(logged, dtype=np.float64)
    except ValueError:
        # One record that holds a word must not stop all others from being counted.
        return np.array([one if isinstance(one, float | int) else np.nan for one in logged])


def count_feature(
    bins: FeatureBins,
    values: npt.NDArray[np.generic] | pd.Categorical,
    group: Groups,
    *,
    groups: int,
    limits: tuple[float, float] | None,
) -> list[CountedFeature]:
    """The values of one feature per group.

    Parameters
    ----------
    values, group
        Readable values, words also with their dictionary, and the group of each from 0 to
        ``groups`` - 1, shape (n,).
    limits
        Smallest and largest value of the reference; None where that is not known.
    """
    if bins.words is not None:
        place = group * bins.size + _words(bins, values)
        found = np.bincount(place, minlength=groups * bins.size).reshape(groups, bins.size)
        return [CountedFeature(bins=tuple(table)) for table in found.tolist()]
    numbers = np.asarray(values, dtype=np.float64)
    if (group[1:] < group[:-1]).any():
        order = np.argsort(group, kind="stable")
        numbers, group = numbers[order], group[order]
    tables = bins.count_by(group, numbers, groups=groups).tolist()
    outside = np.zeros(groups, dtype=np.int64)
    if limits is not None:
        is_outside = (numbers < limits[0]) | (numbers > limits[1])
        outside = np.bincount(group[is_outside], minlength=groups)
    n, moments = _moments(numbers, np.bincount(group, minlength=groups))
    is_known = (n > 0) & np.isfinite(moments).all(axis=1)
    return [
        CountedFeature(
            bins=tuple(table),
            n=size,
            mean=own[0] if known else None,
            m2=own[1] if known else None,
            minimum=own[2] if known else None,
            maximum=own[3] if known else None,
            outside=beyond,
        )
        for table, size, own, known, beyond in zip(
            tables, n.tolist(), moments.tolist(), is_known.tolist(), outside.tolist(), strict=True
        )
    ]


def _moments(numbers: Floats, sizes: npt.NDArray[np.int64]) -> tuple[Groups, Floats]:
    """Finite numbers per group; their mean, squared differences, minimum and maximum.

    Parameters
    ----------
    numbers
        The groups one behind the other, each of so many numbers as ``sizes`` says: then every step
        is one pass without a look-up.

    Returns
    -------
    tuple
        Shapes (groups,) and (groups, 4); NaN where there is no number.
    """
    n, moments = np.zeros(len(sizes), dtype=np.int64), np.full((len(sizes), 4), np.nan)
    held = sizes > 0
    if not held.any():
        return n, moments
    starts = (np.cumsum(sizes) - sizes)[held]
    finite = np.isfinite(numbers)
    n[held] = np.add.reduceat(finite, starts, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        present = np.where(finite, numbers, 0.0)
        mean = np.add.reduceat(present, starts) / np.maximum(n[held], 1)
        present -= np.repeat(mean, sizes[held])
        present *= present
        present *= finite
        moments[held, 0], moments[held, 1] = mean, np.add.reduceat(present, starts)
    moments[held, 2] = np.minimum.reduceat(np.where(finite, numbers, np.inf), starts)
    moments[held, 3] = np.maximum.reduceat(np.where(finite, numbers, -np.inf), starts)
    return n, moments


def _words(
    bins: FeatureBins, values: npt.NDArray[np.generic] | pd.Categorical
) -> npt.NDArray[np.integer]:
    """The bin of every word; of a column with a dictionary each word is looked up once."""
    if isinstance(values, np.ndarray):
        return bins.positions(values)
    # The code of what is missing is -1: the last place.
    dictionary = np.array([*values.categories, None], dtype=np.object_)
    return bins.positions(dictionary)[np.asarray(values.codes)]


def _latencies(requests: pd.DataFrame, group: Groups) -> dict[int, Mapping[int, int]]:
    return {
        int(str(place)): LatencySketch.of(floats_of(own)).counts
        for place, own in requests["latency_ms"].groupby(group)
    }


def _ages(
    ages: Floats, group: Groups, looked_up: npt.NDArray[np.bool_]
) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = {}
    known = looked_up & np.isfinite(ages)
    pairs, counts = np.unique(
        np.stack([group[known], ages[known].astype(np.int64)]), axis=1, return_counts=True
    )
    for place, age, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        found.setdefault(place, {})[age] = count
    return found
