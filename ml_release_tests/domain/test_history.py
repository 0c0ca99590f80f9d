"""History features: only what was known when the day began, in training and serving alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.features import History
from ml_release.domain.history import history_value, latest_table, point_in_time
from ml_release.domain.history_table import HistoryTable, history_table_from_json, look_up
from ml_release.errors import InputError

FIRST = date(2013, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a table with two key columns."""

    days: list[int]
    keys: list[tuple[str | None, str | None]]
    target: list[float]

    @property
    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        return {
            "a": np.array([key[0] for key in self.keys], dtype=object),
            "b": np.array([key[1] for key in self.keys], dtype=object),
        }

    @property
    def dates(self) -> npt.NDArray[np.datetime64]:
        return np.array([FIRST + timedelta(days=day) for day in self.days], dtype="datetime64[D]")

    def history(self, feature: History) -> list[float]:
        found = point_in_time(
            feature,
            columns=self.columns,
            days=self.dates,
            target=np.array(self.target),
            for_rows=np.ones(len(self.days), dtype=bool),
        )
        return [float(value) for value in found]

    def table(self, feature: History, as_of: int) -> HistoryTable:
        return latest_table(
            (feature,),
            columns=self.columns,
            days=self.dates,
            target=np.array(self.target),
            as_of=np.datetime64(FIRST + timedelta(days=as_of), "D"),
            time_zone="America/New_York",
        )


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(1, 12))
    word = st.sampled_from(["x", "y", "x|y", "|", "\\", "", "x\0", None])
    return Rows(
        days=draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)),
        keys=draw(st.lists(st.tuples(word, word), min_size=n, max_size=n)),
        target=draw(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=n, max_size=n)),
    )


@st.composite
def some_feature(draw: st.DrawFn) -> History:
    return History(
        name="late_rate",
        keys=draw(st.sampled_from([("a",), ("a", "b")])),
        window_days=draw(st.integers(1, 12)),
        prior_rows=draw(st.sampled_from([0.0, 0.5, 20.0])),
    )


def naive(rows: Rows, feature: History, row: int) -> float:
    """The definition, one row at a time."""

    def key(of: int) -> tuple[str, ...]:
        return tuple(word or "" for word in rows.keys[of][: len(feature.keys)])

    def in_window(of: int) -> bool:
        back = rows.days[row] - rows.days[of]
        return 1 <= back <= feature.window_days and not math.isnan(rows.target[of])

    window = [other for other in range(len(rows.days)) if in_window(other)]
    own = [rows.target[other] for other in window if key(other) == key(row)]
    everyone = [rows.target[other] for other in window]
    weight = feature.prior_rows if everyone else 0.0
    mean = sum(everyone) / len(everyone) if everyone else 0.0
    total = len(own) + weight
    return (sum(own) + weight * mean) / total if total else math.nan


@given(some_rows(), some_feature())
def test_history_is_what_a_loop_over_the_definition_gives(rows: Rows, feature: History) -> None:
    """The vectorised sums are the definition, for any keys, gaps and missing labels."""
    expected = [naive(rows, feature, row) for row in range(len(rows.days))]
    np.testing.assert_allclose(rows.history(feature), expected, rtol=1e-12)


@given(some_rows(), some_feature(), st.integers(0, 9))
def test_labels_of_a_day_change_no_history_of_that_day_or_before(
    rows: Rows, feature: History, day: int
) -> None:
    """Nothing of the day itself, and nothing later, is ever in a value."""
    turned = [
        1.0 - (0.0 if math.isnan(label) else label) if at >= day else label
        for at, label in zip(rows.days, rows.target, strict=True)
    ]
    other = Rows(days=rows.days, keys=rows.keys, target=turned)
    early = [position for position, at in enumerate(rows.days) if at <= day]
    before, after = rows.history(feature), other.history(feature)
    np.testing.assert_array_equal([before[p] for p in early], [after[p] for p in early])


@given(some_rows(), some_feature(), st.integers(-1, 12))
def test_serving_looks_up_what_training_would_have_computed(
    rows: Rows, feature: History, as_of: int
) -> None:
    """A row on day d gets one value, whichever path computes it, seen or unseen key."""
    table = rows.table(feature, as_of)
    asked = Rows(days=[as_of], keys=[rows.keys[0]], target=[math.nan])
    together = Rows(
        days=rows.days + asked.days, keys=rows.keys + asked.keys, target=rows.target + asked.target
    )
    served, _ = look_up((feature,), history_table_from_json(table.to_json()), asked.columns)
    np.testing.assert_array_equal(served["late_rate"][0], together.history(feature)[-1])


def test_a_window_ends_before_the_day_and_begins_window_days_before() -> None:
    """With a window of two days, day 3 sees days 1 and 2, not 0 and not 3."""
    feature = History(name="h", keys=("a",), window_days=2, prior_rows=0)
    labels = [0.0, 1.0, 1.0, 0.0]
    rows = Rows(days=[0, 1, 2, 3], keys=[("k", None)] * 4, target=labels)
    np.testing.assert_array_equal(rows.history(feature), [np.nan, 0.0, 0.5, 1.0])


def test_the_prior_pulls_a_rare_key_towards_the_mean_of_all() -> None:
    """One late row among four, with a prior of two rows."""
    feature = History(name="h", keys=("a",), window_days=7, prior_rows=2)
    keys = [(word, None) for word in "xxxyx"]
    rows = Rows(days=[0, 0, 0, 0, 1], keys=[*keys], target=[0.0, 0.0, 0.0, 1.0, 0.0])
    assert rows.history(feature)[-1] == pytest.approx((0 + 2 * 0.25) / (3 + 2))


def test_without_rows_or_prior_the_value_is_missing() -> None:
    """Never a convenient number."""
    found = history_value(np.zeros(2), np.zeros(2), prior_rows=5, prior_mean=np.array([np.nan, 1]))
    np.testing.assert_array_equal(found, [np.nan, 1.0])


def test_only_the_rows_asked_for_are_answered() -> None:
    """The rows of the window before are evidence, not questions."""
    feature = History(name="h", keys=("a",), window_days=7, prior_rows=0)
    rows = Rows(days=[0, 1, 1], keys=[("x", None), ("x", None), ("z", None)], target=[1.0, 0.0, 0])
    found = point_in_time(
        feature,
        columns=rows.columns,
        days=rows.dates,
        target=np.array(rows.target),
        for_rows=np.array([False, True, True]),
    )
    np.testing.assert_array_equal(found, [1.0, np.nan])


def test_no_rows_give_no_history_and_a_table_that_knows_nothing() -> None:
    """An empty log is no reason to break."""
    feature = History(name="h", keys=("a",))
    rows = Rows(days=[], keys=[], target=[])
    assert rows.history(feature) == []
    table = rows.table(feature, 3)
    assert (table.values, table.defaults) == ({"h": {}}, {"h": None})
    assert (table.as_of, table.time_zone) == ("2013-01-04", "America/New_York")


def test_a_row_without_a_day_is_refused() -> None:
    """NaT would be a day before all others, and its label known to everybody."""
    with pytest.raises(InputError, match="expected a day for every row"):
        point_in_time(
            History(name="h", keys=("a",)),
            columns={"a": np.array(["x", "x"], dtype=object)},
            days=np.array(["2013-01-01", "NaT"], dtype="datetime64[D]"),
            target=np.array([0.0, 1.0]),
            for_rows=np.array([True, True]),
        )
