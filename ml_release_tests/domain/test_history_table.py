"""History tables: look-ups by key, the table's age, and its form on disk."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.features import History
from ml_release.domain.history_table import (
    HistoryTable,
    history_table_from_json,
    joined_keys,
    look_up,
)
from ml_release.domain.identity import digest_of_bytes
from ml_release.errors import IntegrityError

TABLE = HistoryTable(
    as_of="2013-04-01",
    values={"h": {"x": 0.5}},
    defaults={"h": None},
    time_zone="America/New_York",
)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=2, max_size=6))
def test_different_keys_never_become_one(pairs: list[tuple[str, str]]) -> None:
    """Also where a part holds the separator, the escape or NUL."""
    columns: dict[str, npt.NDArray[np.generic]] = {
        "a": np.array([a for a, _ in pairs], dtype=object),
        "b": np.array([b for _, b in pairs], dtype=object),
    }
    joined = joined_keys(columns, ("a", "b"))
    assert len(set(joined.tolist())) == len(set(pairs))


def test_a_look_up_counts_the_keys_each_row_did_not_meet() -> None:
    """An unseen key gets the default and counts as a miss; a missing part is an empty word."""
    feature = History(name="h", keys=("a",))
    table = HistoryTable(as_of="2013-01-02", values={"h": {"x": 0.5, "": 0.1}}, defaults={"h": 0.2})
    columns = {"a": np.array(["x", "new", None], dtype=object)}
    found, misses = look_up((feature,), table, columns)
    assert found["h"].tolist() == [0.5, 0.2, 0.1]
    assert misses.tolist() == [0, 1, 0]


def test_misses_of_a_row_add_up_over_its_history_features() -> None:
    """Two look-ups per row: both met, one met, none met."""
    features = (History(name="h", keys=("a",)), History(name="g", keys=("a", "b")))
    table = HistoryTable(
        as_of="2013-01-02", values={"h": {"x": 0.5}, "g": {"x|y": 0.1}}, defaults={}
    )
    columns = {
        "a": np.array(["x", "x", "new"], dtype=object),
        "b": np.array(["y", "new", "y"], dtype=object),
    }
    assert look_up(features, table, columns)[1].tolist() == [0, 1, 2]
    assert look_up((), table, columns)[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(None, id="no table"),
        pytest.param(HistoryTable(as_of="2013-01-02", values={}, defaults={}), id="other features"),
        pytest.param(
            HistoryTable(as_of="2013-01-02", values={"h": {}}, defaults={"h": None}),
            id="no default",
        ),
    ],
)
def test_without_a_known_value_every_look_up_is_missing_and_a_miss(
    table: HistoryTable | None,
) -> None:
    """The model decides what missing means; the count tells the operator."""
    columns = {"a": np.array(["x", "y"], dtype=object)}
    found, misses = look_up((History(name="h", keys=("a",)),), table, columns)
    assert np.isnan(found["h"]).all()
    assert misses.tolist() == [1, 1]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"as_of":"2013-01-01"}'])
def test_what_is_no_history_table_is_refused(content: bytes) -> None:
    """A broken file is an integrity error."""
    with pytest.raises(IntegrityError, match="history table"):
        history_table_from_json(content)


@pytest.mark.parametrize(
    ("moment", "days"),
    [
        pytest.param("2013-04-01T04:00:00+00:00", 0, id="the first minute of its day"),
        pytest.param("2013-04-02T03:59:00+00:00", 0, id="the last minute of its day"),
        pytest.param("2013-04-02T04:00:00+00:00", 1, id="the next day"),
        pytest.param("2013-05-01T12:00:00+00:00", 30, id="a month later"),
        pytest.param("2013-04-01T03:59:00+00:00", -1, id="the evening before"),
        pytest.param("2013-03-01T12:00:00-05:00", -31, id="a month before"),
        pytest.param("0001-01-01T00:00:00+00:00", None, id="before the calendar there"),
    ],
)
def test_the_age_is_counted_in_days_of_the_lines_time_zone(moment: str, days: int | None) -> None:
    """Midnight in New York is four or five hours later than in UTC."""
    assert TABLE.age_days(datetime.fromisoformat(moment)) == days


@pytest.mark.parametrize("table", [TABLE, HistoryTable(as_of="2013-04-01", values={}, defaults={})])
def test_a_table_comes_back_with_its_digest(table: HistoryTable) -> None:
    """Also from a file that somebody wrote with other spaces."""
    spaced = json.dumps(json.loads(table.to_json()), indent=2).encode()
    assert history_table_from_json(spaced) == table
    assert history_table_from_json(spaced).digest == table.digest


def test_a_table_of_before_zones_were_kept_is_read_under_its_own_digest() -> None:
    """Records of then name it by that digest; its age is not known."""
    content = b'{"as_of":"2013-04-01","defaults":{"h":null},"values":{"h":{"x":0.5}}}'
    table = history_table_from_json(content)
    assert table.digest == digest_of_bytes(content)
    assert table.age_days(datetime.fromisoformat("2013-04-02T12:00:00+00:00")) is None


@pytest.mark.parametrize(
    "change", [{"as_of": "April"}, {"time_zone": "New York"}, {"time_zone": ""}]
)
def test_a_table_whose_day_is_no_day_is_refused(change: dict[str, str]) -> None:
    """When it is read, not when a request asks for its age."""
    content = json.dumps({**json.loads(TABLE.to_json()), **change}).encode()
    with pytest.raises(IntegrityError, match="history table"):
        history_table_from_json(content)
