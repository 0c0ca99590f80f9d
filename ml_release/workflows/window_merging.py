"""The newest days of the champion's answers as a sum of hours that were counted before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ml_release.domain.bucket_profile import merged
from ml_release.domain.history_health import HistoryUse
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.performance import EarlierWindow, WindowRecord, window_start
from ml_release.domain.reference_profile import SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.deployment import Variant
    from ml_release.domain.reference_profile import NumberFacts, ReferenceProfile
    from ml_release.ports import ProfileStore
    from ml_release.spec.release_line import ReleaseLine


def merge_window(
    line: ReleaseLine,
    *,
    environment: str,
    champion: Variant,
    reference: ReferenceProfile,
    masked: frozenset[str],
    history_features: int,
    labels: int,
    profiles: ProfileStore,
    days: int,
    earlier: int,
) -> WindowRecord:
    """The window of a champion's answers, and those before it, of what is counted so far.

    Parameters
    ----------
    reference
        Of its artefact; ``masked`` are its features that the log does not know.
    history_features
        How many look-ups each row has made.
    days, earlier
        Length of a window in calendar days of the line's zone, and windows before it that are told.
    """
    digest = champion.model_digest
    newest = profiles.newest(line.name, environment, model_digest=digest)
    zone = ZoneInfo(line.time_zone)
    as_of, by_day = None, {}
    if newest is not None:
        as_of = newest.astimezone(zone).date()
        first = window_start(as_of, days=days * (1 + earlier))
        by_day = _by_day(
            profiles.between(
                line.name,
                environment,
                model_digest=digest,
                since=datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC),
                until=newest + timedelta(hours=1),
            ),
            zone,
        )
    window, held = _sum(by_day, as_of, days=days)
    names = [name for name in reference.bins if name not in masked]
    latency = LatencySketch({} if window is None else window.latency)
    return WindowRecord(
        line=line.name,
        version=champion.version,
        model_digest=digest,
        days=held,
        as_of=as_of,
        rows=0 if window is None else window.rows,
        errors=0 if window is None else window.errors,
        labels=labels,
        counts=_counts(window, reference, names),
        latency_p50_ms=latency.quantile(0.5),
        latency_p99_ms=latency.quantile(0.99),
        history=_history(window, history_features),
        score_counts=_score_counts(window, reference),
        numbers=_numbers(window),
        late=0 if window is None else window.late,
        first_received=None if window is None else datetime.fromisoformat(window.first_received),
        last_received=None if window is None else datetime.fromisoformat(window.last_received),
        earlier=()
        if as_of is None
        else tuple(
            _earlier(by_day, as_of - timedelta(days=days * back), days, reference, names)
            for back in range(1, earlier + 1)
        ),
    )


def _by_day(buckets: tuple[BucketProfile, ...], zone: ZoneInfo) -> dict[date, list[BucketProfile]]:
    found: dict[date, list[BucketProfile]] = {}
    for bucket in buckets:
        day = datetime.fromisoformat(bucket.bucket).astimezone(zone).date()
        found.setdefault(day, []).append(bucket)
    return found


def _sum(
    by_day: Mapping[date, list[BucketProfile]], as_of: date | None, *, days: int
) -> tuple[BucketProfile | None, int]:
    """Everything of the window that ends with ``as_of``, and how many days of it hold events."""
    if as_of is None:
        return None, 0
    first = window_start(as_of, days=days)
    held = [day for day in by_day if first <= day <= as_of]
    buckets = [bucket for day in held for bucket in by_day[day]]
    return merged(buckets) if buckets else None, len(held)


def _earlier(
    by_day: Mapping[date, list[BucketProfile]],
    as_of: date,
    days: int,
    reference: ReferenceProfile,
    names: list[str],
) -> EarlierWindow:
    window, held = _sum(by_day, as_of, days=days)
    return EarlierWindow(
        as_of=as_of,
        days=held,
        rows=0 if window is None else window.rows,
        counts=_counts(window, reference, names) if window is not None else {},
        score_counts=_score_counts(window, reference) if window is not None else (),
        numbers=_numbers(window),
    )


def _counts(
    window: BucketProfile | None, reference: ReferenceProfile, names: list[str]
) -> dict[str, tuple[int, ...]]:
    counted = {} if window is None else window.features
    return {
        name: counted[name].bins if name in counted else (0,) * reference.bins[name].size
        for name in names
    }


def _score_counts(window: BucketProfile | None, reference: ReferenceProfile) -> tuple[int, ...]:
    if window is not None and window.score is not None:
        return window.score.bins
    return () if reference.score is None else (0,) * reference.score.bins.size


def _numbers(window: BucketProfile | None) -> dict[str, NumberFacts]:
    if window is None:
        return {}
    scores = {} if window.score is None else {SCORE: window.score}
    return {name: own.facts for name, own in {**window.features, **scores}.items() if own.n}


def _history(window: BucketProfile | None, features: int) -> HistoryUse:
    if window is None:
        return HistoryUse(rows=0, look_ups=0, misses=0, ages={})
    return HistoryUse(
        rows=window.history_rows,
        look_ups=window.history_rows * features,
        misses=window.history_misses,
        ages=window.history_ages,
    )
