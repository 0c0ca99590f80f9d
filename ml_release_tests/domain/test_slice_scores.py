"""Slices: who is in them, which are judged, and how wide their intervals are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.intervals import Interval, mean_interval, rate_interval
from ml_release.domain.slice_scores import Rows, SliceTable, Slicing, slice_scores, worst_slice
from ml_release.errors import InputError

NAN = float("nan")
CODES = np.array([0, 1, 0, -1, 1, 0, 0, -1, 1, 0])
CARRIER = Slicing(column="carrier", codes=CODES, names=("AA", "UA", "XX"))
VALUES = np.arange(10.0)


def mean(rows: Rows, confidence: float) -> Interval:
    return mean_interval(VALUES[rows], confidence=confidence)


def test_every_value_is_a_slice_and_so_is_a_missing_one() -> None:
    """Also a value that no row has: that it vanished is worth knowing."""
    table = slice_scores([CARRIER], {"mean": mean}, confidence=0.9, minimum_n=3)
    found = [(row.value, row.n, row.judged) for row in table.rows]
    assert found == [("AA", 5, True), ("UA", 3, True), ("XX", 0, False), (None, 2, False)]
    estimates = [row.interval.estimate for row in table.rows]
    assert estimates == pytest.approx([22 / 5, 13 / 3, NAN, 5.0], nan_ok=True)
    assert {row.positives for row in table.rows} == {None}


def test_a_value_named_missing_is_not_the_missing_ones() -> None:
    """A missing value has no name at all."""
    slicing = Slicing(column="c", codes=np.array([0, -1]), names=("missing",))
    table = slice_scores([slicing], {"mean": mean}, confidence=0.9, minimum_n=1)
    assert [row.value for row in table.rows] == ["missing", None]


def test_intervals_are_widened_for_the_judged_slices_of_all_columns() -> None:
    """Two of one column and one of another: each at 1 - 0.1 / 3."""
    other = Slicing(column="hour", codes=np.repeat([0, 1], [9, 1]), names=("day", "night"))
    table = slice_scores([CARRIER, other], {"mean": mean}, confidence=0.9, minimum_n=3)
    assert (table.comparisons, table.confidence) == (3, 0.9)
    assert table.confidence_each == pytest.approx(1 - 0.1 / 3)
    assert {row.interval.confidence for row in table.rows} == {table.confidence_each}
    assert [(r.column, r.value) for r in table.rows if r.judged] == [
        ("carrier", "AA"),
        ("carrier", "UA"),
        ("hour", "day"),
    ]


def test_without_a_judged_slice_the_rest_is_still_shown() -> None:
    """At the confidence asked for, and there is no worst."""
    table = slice_scores([CARRIER], {"mean": mean}, confidence=0.9, minimum_n=100)
    assert (table.comparisons, table.confidence_each, len(table.rows)) == (0, 0.9, 4)
    assert worst_slice(table, "mean", greater_is_better=True, by="low") is None


def test_a_slice_needs_rows_of_either_class_where_that_is_asked_for() -> None:
    """AA has all five positives of five, UA one of three."""
    positive = CODES == 0
    positive[1] = True
    table = slice_scores(
        [CARRIER],
        {"mean": mean},
        confidence=0.9,
        minimum_n=1,
        positive=positive,
        minimum_per_class=1,
    )
    found = {row.value: (row.positives, row.judged) for row in table.rows}
    assert found == {"AA": (5, False), "UA": (1, True), "XX": (0, False), None: (0, False)}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60))
def test_each_row_is_in_just_one_slice_of_a_column(codes: list[int]) -> None:
    """Every score is asked for on the rows that have the value, rising."""
    seen: list[npt.NDArray[np.intp]] = []

    def remember(rows: Rows, confidence: float) -> Interval:
        seen.append(rows)
        return rate_interval(0, 0, confidence=confidence)

    slicing = Slicing(column="c", codes=np.array(codes), names=tuple("abcde"))
    table = slice_scores([slicing], {"s": remember}, confidence=0.9, minimum_n=1)
    assert sorted(np.concatenate(seen).tolist()) == list(range(len(codes)))
    for row, rows in zip(table.rows, seen, strict=True):
        code = -1 if row.value is None else "abcde".index(row.value)
        assert rows.tolist() == np.flatnonzero(np.array(codes) == code).tolist()


def test_all_slices_are_covered_together_as_often_as_the_confidence_says() -> None:
    """300 tables of 12 slices x 50 rows with a rate of 0.3, at 90 %; alone it would be 28 %."""
    rng = np.random.default_rng(3)
    slicing = Slicing(column="c", codes=np.arange(600) % 12, names=tuple("abcdefghijkl"))
    together = alone = 0
    for _ in range(300):
        hits = rng.random(600) < 0.3

        def rate(rows: Rows, confidence: float, hits: npt.NDArray[np.bool_] = hits) -> Interval:
            return rate_interval(int(hits[rows].sum()), len(rows), confidence=confidence)

        rows = slice_scores([slicing], {"rate": rate}, confidence=0.9, minimum_n=1).rows
        together += all(r.interval.low <= 0.3 <= r.interval.high for r in rows)
        plain = [rate(np.arange(600)[slicing.codes == c], 0.9) for c in range(12)]
        alone += all(r.low <= 0.3 <= r.high for r in plain)
    assert together / 300 >= 0.88
    assert alone / 300 < 0.5


def table_of(*ends: tuple[float, float]) -> SliceTable:
    intervals = [
        Interval(estimate=(low + high) / 2, low=low, high=high, confidence=0.9, n=9, units=9)
        for low, high in ends
    ]
    names = tuple("abcdef"[: len(ends)])
    slicing = Slicing(column="c", codes=np.arange(len(ends)), names=names)
    return slice_scores(
        [slicing], {"s": lambda rows, _: intervals[rows[0]]}, confidence=0.9, minimum_n=1
    )


def test_the_worst_slice_is_worst_by_the_number_that_is_judged() -> None:
    """A wide interval has the lowest low end, a narrow one the lowest estimate."""
    table = table_of((0.1, 0.9), (0.3, 0.4), (0.5, 0.95))
    expected = {("low", True): "a", ("estimate", True): "b", ("high", False): "c"}
    for (by, greater), value in expected.items():
        found = worst_slice(table, "s", greater_is_better=greater, by=by)  # type: ignore[arg-type]
        assert found is not None
        assert found.value == value
    assert worst_slice(table, "another", greater_is_better=True, by="low") is None


@pytest.mark.parametrize("greater", [True, False])
def test_a_slice_that_cannot_be_told_is_the_worst(greater: bool) -> None:
    """Otherwise it would hide behind those that can."""
    found = worst_slice(
        table_of((0.1, 0.2), (NAN, NAN), (0.8, 0.9)), "s", greater_is_better=greater, by="low"
    )
    assert found is not None
    assert found.value == "b"


@pytest.mark.parametrize("code", [3, -2])
def test_a_code_without_a_name_is_refused(code: int) -> None:
    """The message says which."""
    with pytest.raises(InputError, match=f"codes from -1 to 2, found {code}"):
        Slicing(column="carrier", codes=np.array([0, code]), names=("AA", "UA", "XX"))


def test_columns_of_different_rows_are_refused() -> None:
    """And a minimum per class without classes; and a confidence that is none."""
    short = Slicing(column="positive", codes=np.zeros(3, dtype=np.intp), names=("x",))
    with pytest.raises(InputError, match=r"slices: .*same rows"):
        slice_scores([CARRIER, short], {}, confidence=0.9, minimum_n=1)
    with pytest.raises(InputError, match="positive rows"):
        slice_scores([short], {}, confidence=0.9, minimum_n=1, positive=np.zeros(4, dtype=bool))
    with pytest.raises(InputError, match="minimum_per_class, found none"):
        slice_scores([CARRIER], {}, confidence=0.9, minimum_n=1, minimum_per_class=5)
    with pytest.raises(InputError, match="confidence"):
        slice_scores([CARRIER], {}, confidence=90, minimum_n=1)
