"""Count records of the inference log into buckets: one pass over each column for all hours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.bucket_profile import SHADOW, BucketProfile
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.reference_profile import SCORE
from ml_release.workflows.columns import floats_of
from ml_release.workflows.feature_counting import count_feature

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.counted_feature import CountedFeature
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
