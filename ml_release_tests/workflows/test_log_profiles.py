"""Counting the log by hour: what is new is read once, and nothing is counted twice."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ml_release.adapters.counted_log.profiles import ProfileFile
from ml_release.domain.bucket_profile import SHADOW, BucketProfile
from ml_release.domain.feature_bins import FeatureBins
from ml_release.errors import IntegrityError, StaleWriteError
from ml_release.workflows.bucket_counting import bucket_begins
from ml_release.workflows.feature_counting import count_feature
from ml_release.workflows.log_profiles import advance_profiles
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, serve_month, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml_release.ports import ProfileStore
    from ml_release.workflows.log_profiles import Advanced
    from ml_release_tests.small_line import House

PRODUCTION = "production"
SPAN: Any = {"since": datetime(2013, 1, 1, tzinfo=UTC), "until": datetime(2014, 1, 1, tzinfo=UTC)}
NOON = "2013-04-02T12:10:00+00:00"


def advance(house: House, profiles: ProfileStore | None = None, **changes: Any) -> Advanced:
    return advance_profiles(
        house.line,
        environment=PRODUCTION,
        inference_log=house.inference_log,
        profiles=profiles or house.profiles,
        models=house.models,
        **changes,
    )


def buckets(house: House, profiles: ProfileStore | None = None) -> tuple[BucketProfile, ...]:
    return (profiles or house.profiles).between(
        steps.LINE, PRODUCTION, model_digest=None, shadows=True, **SPAN
    )


def told(profiles: tuple[BucketProfile, ...]) -> list[BucketProfile]:
    """Without the last digits of means and variances, which depend on the order of sums."""
    return [
        replace(
            profile,
            features={
                name: replace(
                    own,
                    mean=own.mean and round(own.mean, 6),
                    m2=own.m2 and round(own.m2, 3),
                )
                for name, own in profile.features.items()
            },
            score=profile.score
            and replace(profile.score, mean=round(profile.score.mean or 0, 6), m2=None),
        )
        for profile in profiles
    ]


def test_a_record_counts_in_the_hour_of_its_event(serving: House) -> None:
    """Whoever answered, whatever came of it, and whether it came late is kept apart."""
    write(
        serving,
        [
            a_record(serving, "a", NOON, received_time="2013-04-02T13:59:59+00:00"),
            a_record(serving, "late", NOON, received_time="2013-04-02T14:00:01+00:00"),
            a_record(serving, "b", NOON, row=1, decision=1, received_time=NOON),
            a_record(serving, "f", NOON, outcome="fallback", decision=0, received_time=NOON),
            a_record(serving, "e", NOON, outcome="error", prediction=None, received_time=NOON),
            a_record(serving, "s", NOON, shadow=True, received_time=NOON),
            a_record(serving, "next", "2013-04-02T13:00:00+00:00", received_time=NOON),
        ],
    )
    advanced = advance(serving)
    assert (advanced.new_records, advanced.torn, advanced.recounted) == (7, 0, False)
    first, shadow, second = buckets(serving)
    assert [one.bucket[:13] for one in (first, shadow, second)] == [
        "2013-04-02T12",
        "2013-04-02T12",
        "2013-04-02T13",
    ]
    assert (first.variant, shadow.variant) == ("champion", SHADOW)
    assert (first.rows, first.errors, first.requests, first.failed_requests) == (4, 1, 4, 1)
    assert (first.fallbacks, first.late, first.decided, first.positives) == (1, 1, 2, 1)
    assert (first.first_received, first.last_received) == (NOON, "2013-04-02T14:00:01+00:00")
    assert sum(first.latency.values()) == 3
    assert first.features["distance"].rows == 4
    assert (first.features["distance"].mean, first.features["distance"].m2) == (700.0, 0.0)
    assert first.score is not None
    assert (first.score.n, first.score.mean) == (4, 0.25)
    assert (shadow.rows, second.rows) == (1, 1)


def test_parts_are_counted_as_the_whole(serving: House, tmp_path: Path) -> None:
    """In many ticks, in many reads, or at once; into memory, or into a file."""
    file = ProfileFile(tmp_path / "profiles.db")
    serve_month(serving, "2013-04")
    assert advance(serving, file).new_records == 600
    serve_month(serving, "2013-03")
    advance(serving, file)
    advance(serving, bytes_at_once=1)
    assert told(buckets(serving, file)) == told(buckets(serving))
    assert sum(bucket.rows for bucket in buckets(serving)) == 1200
    assert advance(serving).new_records == 0
    assert serving.profiles.cursor(steps.LINE, PRODUCTION) == file.cursor(steps.LINE, PRODUCTION)


def test_an_archived_log_is_the_same_log(serving: House) -> None:
    """What was counted as a segment is not counted again as an archive; nor is it read."""
    serve_month(serving, "2013-04")
    advance(serving)
    before = buckets(serving)
    serving.inference_archive.archive(steps.LINE)
    assert advance(serving).new_records == 0
    assert buckets(serving) == before


class Interrupted:
    """A store that somebody else writes to first, so many times."""

    def __init__(self, store: ProfileStore, times: int, house: House) -> None:
        self.store, self.times, self.house = store, times, house

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def add(self, line: str, environment: str, **what: Any) -> None:
        if self.times:
            self.times -= 1
            moved: Mapping[str, int] = {**self.store.cursor(line, environment), f"{self.times}": 1}
            self.store.add(
                line,
                environment,
                profiles=(),
                cursor=moved,
                expected=self.store.cursor(line, environment),
            )
        self.store.add(line, environment, **what)


@pytest.mark.parametrize(("times", "is_told"), [(1, False), (3, False), (4, True)])
def test_who_comes_second_counts_from_where_the_first_stopped(
    serving: House, times: int, is_told: bool
) -> None:
    """Once more, a few times; then it is told, and nothing is counted twice."""
    serve_month(serving, "2013-04")
    store: Any = Interrupted(serving.profiles, times, serving)
    if is_told:
        with pytest.raises(StaleWriteError):
            advance(serving, store)
        assert buckets(serving) == ()
        return
    assert advance(serving, store).new_records == 600
    assert sum(bucket.rows for bucket in buckets(serving)) == 600


@pytest.mark.parametrize(
    "statement",
    ["UPDATE buckets SET digest = 'edited'", "UPDATE cursors SET digest = 'edited'"],
)
def test_what_was_edited_is_counted_again_from_the_log(
    serving: House, tmp_path: Path, statement: str
) -> None:
    """It is never believed."""
    file = ProfileFile(tmp_path / "profiles.db")
    serve_month(serving, "2013-04")
    advance(serving, file)
    before = buckets(serving, file)
    database = sqlite3.connect(tmp_path / "profiles.db")
    database.execute(statement)
    database.commit()
    database.close()
    moment = datetime.fromisoformat(before[0].bucket).isoformat()
    write(serving, [a_record(serving, "one more", moment)])
    advanced = advance(serving, file)
    assert (advanced.recounted, advanced.new_records) == (True, 601)
    assert sum(bucket.rows for bucket in buckets(serving, file)) == 601


def test_a_model_that_is_gone_is_counted_without_its_features(serving: House) -> None:
    """As an answer of the kill switch, which is of no model."""
    write(serving, [a_record(serving, "a", NOON, model_digest="sha256:" + "e" * 64, version=9)])
    advance(serving)
    (found,) = buckets(serving)
    assert (found.rows, found.version, dict(found.features), found.score) == (1, 9, {}, None)


def test_a_model_that_was_changed_is_told_and_not_counted(serving: House) -> None:
    """Counting over bins somebody edited would show whatever they wanted."""
    serve_month(serving, "2013-04")
    declaration = serving.deployments.read(steps.LINE, PRODUCTION)
    assert declaration is not None
    steps.tamper(serving, declaration.state.champion.model_digest, "reference.json")
    with pytest.raises(IntegrityError):
        advance(serving)
    assert serving.profiles.cursor(steps.LINE, PRODUCTION) == {}


def test_what_a_record_does_not_hold_is_not_missing(serving: House) -> None:
    """A missing value is one that the record names; a word where a number belongs is missing."""
    features = {"carrier": "AA", "minute": 600.0, "carrier_rate": 0.3}
    write(
        serving,
        [
            a_record(serving, "a", NOON, features=features),
            a_record(serving, "b", NOON, features={**features, "distance": None}),
            a_record(serving, "c", NOON, features={**features, "distance": 1e9}),
            a_record(serving, "d", NOON, features={**features, "distance": "far"}),
        ],
    )
    advance(serving)
    (found,) = buckets(serving)
    distance = found.features["distance"]
    assert (distance.rows, distance.bins[-1], distance.n, distance.outside) == (3, 2, 1, 1)
    assert found.features["carrier"].rows == 4


@pytest.mark.parametrize(
    ("moment", "zone", "begins"),
    [
        ("2013-04-02T12:59:59.999999+00:00", "America/New_York", "2013-04-02T12:00"),
        ("2013-04-02T12:29:00+00:00", "Asia/Kolkata", "2013-04-02T11:30"),
        ("2013-04-02T12:30:00+00:00", "Asia/Kolkata", "2013-04-02T12:30"),
        # The hour that comes twice when clocks go back is two hours.
        ("2013-11-03T05:30:00+00:00", "America/New_York", "2013-11-03T05:00"),
        ("2013-11-03T06:30:00+00:00", "America/New_York", "2013-11-03T06:00"),
    ],
)
def test_hours_begin_as_in_the_zone_of_the_line(moment: str, zone: str, begins: str) -> None:
    """So that midnight is never within one."""
    moments = pd.Series(pd.to_datetime([moment], utc=True)).astype("datetime64[us, UTC]")
    (found,) = bucket_begins(moments, zone)
    assert str(found)[:16] == begins


@pytest.mark.parametrize("is_ordered", [True, False])
def test_numbers_are_counted_per_group_as_one_by_one(is_ordered: bool) -> None:
    """In whatever order; missing and infinite ones are no numbers, an empty group has none."""
    generator = np.random.default_rng(3)
    values = np.round(generator.normal(100, 10, 500), 1)
    values[::7], values[5], values[6] = np.nan, np.inf, -np.inf
    group = generator.integers(0, 6, 500)
    group[group == 3] = 4
    if is_ordered:
        group = np.sort(group)
    bins = FeatureBins(edges=(90.0, 100.0))
    found = count_feature(bins, values, group, groups=7, limits=(80.0, 120.0))
    for place, one in enumerate(found):
        own = values[group == place]
        known = own[np.isfinite(own)]
        assert one.bins == tuple(bins.count(own))
        assert one.outside == ((own < 80) | (own > 120)).sum()
        assert one.n == len(known)
        if not len(known):
            assert (one.mean, one.m2, one.minimum, one.maximum) == (None,) * 4
            continue
        assert (one.minimum, one.maximum) == (known.min(), known.max())
        assert one.mean == pytest.approx(known.mean())
        assert one.m2 == pytest.approx(((known - known.mean()) ** 2).sum())


def test_words_with_a_dictionary_are_counted_like_words() -> None:
    """Each is looked up once; missing ones too."""
    words = np.array(["a", None, "new", "b", "a", None], dtype=object)
    bins, group = FeatureBins(words=("a", "b")), np.array([0, 0, 0, 1, 1, 1])
    plain = count_feature(bins, words, group, groups=2, limits=None)
    assert [one.bins for one in plain] == [(1, 0, 1, 1), (1, 1, 0, 1)]
    assert count_feature(bins, pd.Categorical(words), group, groups=2, limits=None) == plain
