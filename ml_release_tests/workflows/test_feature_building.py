"""Features: each row as of its own day, from current snapshots that passed, and the same online."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.features import Category, Number
from ml_release.errors import InputError, IntegrityError, RefusedError
from ml_release.workflows.feature_building import (
    FEATURES_RECORD,
    publish_online_history,
    require_current_features,
)
from ml_release_tests.small_line import MONTHS, SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.provenance import FeaturesRecord
    from ml_release_tests.small_line import House

RATE = "features.carrier_rate"
NO_HISTORY = SMALL_LINE.model_copy(
    update={"features": (Number(name="distance", column="distance"),)}
)


def rows_of(house: House, month: str) -> pd.DataFrame:
    return house.tables.read(steps.current(house, "features")[month], "features")


def publish(house: House) -> HistoryTable | None:
    return publish_online_history(
        house.line, tables=house.tables, evidence=house.evidence, online=house.online
    )


def online_rates(table: HistoryTable) -> Mapping[str, float]:
    return table.values["carrier_rate"]  # noqa: PD011 (no pandas here)


def require(house: House, month: str) -> FeaturesRecord:
    return require_current_features(
        house.line,
        steps.current(house, "features")[month],
        tables=house.tables,
        evidence=house.evidence,
        act="the act",
    )


def test_features_keep_the_raw_values_beside_keys_and_target(prepared: House) -> None:
    """Row by row the number, the word and the minute of the day are those of the snapshot."""
    snapshot = prepared.tables.read(steps.current(prepared, "snapshot")["2013-02"], "snapshot")
    found = rows_of(prepared, "2013-02")
    pd.testing.assert_frame_equal(
        found[["departure_utc", "trip", "departure", "is_late"]],
        snapshot[["departure_utc", "trip", "departure", "is_late"]],
    )
    assert found["features.distance"].tolist() == snapshot["distance"].tolist()
    assert found["features.carrier"].tolist() == snapshot["carrier"].tolist()
    minutes = snapshot["departure"].dt.hour * 60 + snapshot["departure"].dt.minute
    assert found["features.minute"].tolist() == minutes.tolist()


def test_the_history_of_a_row_is_the_smoothed_mean_of_the_days_before_its_own(
    prepared: House,
) -> None:
    """Counted naively for some rows, into the month before as far as the window reaches."""
    months = [steps.current(prepared, "snapshot")[month] for month in MONTHS[:2]]
    known = pd.concat([prepared.tables.read(month, "snapshot") for month in months])
    day = known["departure"].dt.normalize()
    found = rows_of(prepared, "2013-02")
    for position in (0, 77, 300, 599):
        row = found.iloc[position]
        today = row["departure"].normalize()
        before = known[
            (day < today) & (day >= today - pd.Timedelta(days=28)) & known["is_late"].notna()
        ]
        own = before[before["carrier"] == row["features.carrier"]]
        expected = (own["is_late"].sum() + 20 * before["is_late"].mean()) / (len(own) + 20)
        assert row[RATE] == pytest.approx(expected, rel=1e-12)


def test_no_history_knows_its_own_day_or_a_later_one(prepared: House) -> None:
    """With every label from the 15th on turned round, features to the 15th stay as they were."""
    before = rows_of(prepared, "2013-03")
    rows = trips("2013-03")
    later = rows["departure"] >= "2013-03-15"
    rows.loc[later, "is_late"] = 1 - rows.loc[later, "is_late"]
    prepared.land("2013-03", rows)
    steps.prepare(prepared, "2013-03")
    after = rows_of(prepared, "2013-03")
    until = before["departure"] < "2013-03-16"
    assert 200 < until.sum() < 400
    pd.testing.assert_series_equal(after.loc[until, RATE], before.loc[until, RATE])
    assert (after.loc[~until, RATE] != before.loc[~until, RATE]).all()


def test_features_built_again_are_the_same(prepared: House) -> None:
    """The same snapshots give the same digest and write nothing."""
    before = steps.current(prepared, "features")["2013-03"]
    assert steps.features(prepared, "2013-03").features == before


def test_what_was_built_is_told(house: House) -> None:
    """The record names both snapshots; missing values are counted per feature."""
    house.land("2013-02", steps.with_nulls("2013-02", share=0.05))
    taken = {month: steps.snapshot(house, month).snapshot.digest for month in MONTHS[:2]}
    built = steps.features(house, "2013-02")
    assert built.record.snapshots == taken
    assert built.missing_shares == {
        "distance": 0.05,
        "carrier": 0.0,
        "minute": 0.0,
        "carrier_rate": 0.0,
    }


def test_without_the_month_before_features_are_refused(house: House) -> None:
    """The history would look into nothing; the first declared month has none before it."""
    steps.snapshot(house, "2013-02")
    with pytest.raises(RefusedError, match=r"found none of \['2013-01'\]"):
        steps.features(house, "2013-02")
    steps.snapshot(house, "2013-01")
    steps.features(house, "2013-01")
    steps.features(house, "2013-02")


def test_a_column_that_features_need_and_rows_lack_is_named(house: House) -> None:
    """The line declares a feature of a column its rows do not have."""
    gust = Number(name="gust", column="gust_kt")
    house.line = SMALL_LINE.model_copy(update={"features": (gust,)})
    steps.snapshot(house, "2013-01")
    with pytest.raises(InputError, match=r"small_line 2013-01: .*\['gust_kt'\]"):
        steps.features(house, "2013-01")


@pytest.mark.parametrize("month", ["2013-03", "2013-04"])
def test_a_replaced_snapshot_makes_features_stale(prepared: House, month: str) -> None:
    """Those of the month and of the next, which looks back into it; both digests are named."""
    before = steps.current(prepared, "snapshot")["2013-03"].digest
    prepared.land("2013-03", trips("2013-03", seed=1))
    after = steps.snapshot(prepared, "2013-03").snapshot.digest
    with pytest.raises(RefusedError) as refusal:
        require(prepared, month)
    assert f"features of {month} refused" in str(refusal.value)
    assert before[:19] in str(refusal.value)
    assert after[:19] in str(refusal.value)
    with pytest.raises(RefusedError, match=before[:19]):
        steps.train(prepared, first=month)
    assert require(prepared, "2013-02").partition == "2013-02"


def test_features_of_another_declaration_are_refused(prepared: House) -> None:
    """The line declares other features now than those the rows hold."""
    prepared.line = NO_HISTORY
    with pytest.raises(RefusedError, match=r"from the declaration sha256:.* now declares sha256:"):
        require(prepared, "2013-02")


def test_features_without_record_are_refused(prepared: House) -> None:
    """Nobody can say what they were built from."""
    features = steps.current(prepared, "features")["2013-02"]
    steps.forget(prepared, FEATURES_RECORD, features.digest)
    with pytest.raises(RefusedError, match="features of 2013-02 refused: expected a record"):
        require(prepared, "2013-02")


def test_the_record_of_other_features_does_not_count(prepared: House) -> None:
    """A record that was copied over another is about other rows."""
    current = steps.current(prepared, "features")
    other = prepared.evidence.find(steps.LINE, FEATURES_RECORD, current["2013-01"].digest)
    assert other is not None
    prepared.evidence.record(steps.LINE, FEATURES_RECORD, current["2013-02"].digest, other)
    with pytest.raises(IntegrityError, match="record of features 2013-02"):
        require(prepared, "2013-02")


def test_the_online_history_is_what_features_of_the_next_day_say(house: House) -> None:
    """Serving on 1 April looks up what training computes for rows of 1 April."""
    steps.prepare(house, *MONTHS[:3])
    table = publish(house)
    assert table is not None
    assert house.online.read(steps.LINE) == table
    assert table.as_of == "2013-04-01"
    steps.prepare(house, "2013-04")
    rows = rows_of(house, "2013-04")
    first = rows[rows["departure"] < "2013-04-02"]
    assert set(first["features.carrier"]) == {"AA", "BB", "CC"}
    found = online_rates(table)
    for carrier, rate in zip(first["features.carrier"], first[RATE], strict=True):
        assert found[carrier] == pytest.approx(rate, rel=1e-12)


def test_a_key_the_window_has_not_seen_gets_the_same_default_online(house: House) -> None:
    """A new carrier on the next day has the mean of all, in training and serving."""
    steps.prepare(house, *MONTHS[:3])
    table = publish(house)
    assert table is not None
    rows = trips("2013-04")
    rows.loc[0, "carrier"] = "DD"
    house.land("2013-04", rows)
    steps.prepare(house, "2013-04")
    found = rows_of(house, "2013-04").iloc[0]
    assert found["departure"] < pd.Timestamp("2013-04-02")
    assert found[RATE] == pytest.approx(table.defaults["carrier_rate"], rel=1e-12)


def test_a_bad_newest_month_does_not_keep_the_good_ones_from_being_served(prepared: House) -> None:
    """The history is as of the newest month that is good, and so are those it looks back into."""
    prepared.land("2013-04", steps.with_nulls("2013-04", share=0.2))
    steps.snapshot(prepared, "2013-04")
    table = publish(prepared)
    assert table is not None
    assert table.as_of == "2013-04-01"
    prepared.land("2013-02", steps.with_nulls("2013-02", share=0.2))
    steps.snapshot(prepared, "2013-02")
    table = publish(prepared)
    assert table is not None
    assert table.as_of == "2013-02-01"


def test_with_no_good_month_no_history_is_published(house: House) -> None:
    """The refusal is what keeps the newest month from it: the bad one it looks back into."""
    for month in MONTHS[:2]:
        house.land(month, steps.with_nulls(month, share=0.2))
    for month in MONTHS[:3]:
        steps.snapshot(house, month)
    with pytest.raises(
        RefusedError,
        match=r"(?s)publishing the online history of small_line snapshot 2013-02 .*0\.2,",
    ):
        publish(house)
    assert house.online.read(steps.LINE) is None


def test_an_edited_verdict_keeps_any_history_from_being_published(prepared: House) -> None:
    """Content that was changed is not passed over like a verdict that fails."""
    newest = steps.current(prepared, "snapshot")["2013-04"].digest
    steps.edit(prepared, "data_verdict", newest, lambda verdict: verdict.update(outcome="fail"))
    with pytest.raises(IntegrityError, match="edited"):
        publish(prepared)
    assert prepared.online.read(steps.LINE) is None


def test_without_history_features_or_snapshots_nothing_is_published(house: House) -> None:
    """There is nothing to look up."""
    assert publish(house) is None
    steps.snapshot(house, "2013-01")
    house.line = NO_HISTORY
    assert publish(house) is None
    assert house.online.read(steps.LINE) is None


def test_features_of_words_keep_missing_words_missing(house: House) -> None:
    """None in, None out, whatever pandas calls it in between."""
    house.line = steps.with_policy(
        SMALL_LINE.model_copy(update={"features": (Category(name="carrier", column="carrier"),)}),
        "data_gates",
        missing_share_limits={"is_late": 0.1, "carrier": 0.1},
    )
    rows = trips("2013-01")
    rows.loc[[0, 1], "carrier"] = [None, np.nan]
    house.land("2013-01", rows)
    steps.prepare(house, "2013-01")
    assert rows_of(house, "2013-01")["features.carrier"].tolist()[:2] == [None, None]
