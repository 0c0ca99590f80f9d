"""What would have been answered otherwise, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.blast_radius import (
    Answers,
    BlastRadius,
    Changes,
    Costs,
    measure,
)
from ml_release.domain.decision_costs import DecisionCosts

NAN = float("nan")
PRICES = DecisionCosts(false_positive=1.0, false_negative=4.0)


def answers(**changes: Any) -> Answers:
    """Six rows of five requests on two days; powers of two, so that every sum is exact."""
    known: dict[str, Any] = {
        "request_ids": ["a", "b", "c", "d", "d", "e"],
        "positions": np.array([0, 0, 0, 0, 1, 0]),
        "days": [
            "2026-11-20",
            "2026-11-20",
            "2026-11-21",
            "2026-11-21",
            "2026-11-21",
            "2026-11-21",
        ],
        "slices": {"carrier": ["AA", "BB", "AA", None, None, "BB"]},
        "served": np.array([0.25, 0.75, 0.5, 0.125, 0.875, NAN]),
        "restored": np.array([0.75, 0.25, 0.5, 0.25, 0.75, NAN]),
        "problems": ["", "", "", "", "", "the bad version failed"],
        "served_yes": np.array([0.0, 1.0, 1.0, 0.0, 1.0, NAN]),
        "restored_yes": np.array([1.0, 0.0, 1.0, 0.0, 1.0, NAN]),
        "labels": np.array([1.0, 1.0, NAN, NAN, NAN, NAN]),
    }
    return Answers(**{**known, **changes})


BY_HAND = BlastRadius(
    requests=5,
    total=Changes(
        rows=6,
        rescored=5,
        decided=5,
        to_yes=1,
        to_no=1,
        sum_of_differences=0.0,  # 0.5 - 0.5 + 0 + 0.125 - 0.125
        sum_of_absolutes=1.25,
        largest=0.5,
        largest_request="a",
    ),
    days={
        "2026-11-20": Changes(
            rows=2,
            rescored=2,
            decided=2,
            to_yes=1,
            to_no=1,
            sum_of_absolutes=1.0,
            largest=0.5,
            largest_request="a",
        ),
        "2026-11-21": Changes(
            rows=4,
            rescored=3,
            decided=3,
            sum_of_absolutes=0.25,
            largest=0.125,
            largest_request="d",
        ),
    },
    slices={
        "carrier": {
            "AA": Changes(
                rows=2,
                rescored=2,
                decided=2,
                to_yes=1,
                sum_of_differences=0.5,
                sum_of_absolutes=0.5,
                largest=0.5,
                largest_request="a",
            ),
            "BB": Changes(
                rows=2,
                rescored=1,
                decided=1,
                to_no=1,
                sum_of_differences=-0.5,
                sum_of_absolutes=0.5,
                largest=0.5,
                largest_request="b",
            ),
            "missing": Changes(
                rows=2,
                rescored=2,
                decided=2,
                sum_of_absolutes=0.25,
                largest=0.125,
                largest_request="d",
            ),
        }
    },
    not_rescored={"the bad version failed": 1},
    # Labelled: a was no and is 1 (4), restored yes (0); b was yes and is 1 (0), restored no (4).
    # Without a label, by the restored probabilities: c yes (0.5), d no (0.25 x 4), d yes (0.25).
    costs=Costs(
        labelled=2,
        labelled_served=4.0,
        labelled_restored=4.0,
        expected=3,
        expected_served=1.75,
        expected_restored=1.75,
    ),
)


def test_a_batch_gives_what_is_worked_out_by_hand() -> None:
    """Every count, sum, reason and cost."""
    assert measure(answers(), PRICES) == BY_HAND
    assert BY_HAND.total.differing == 2
    assert BY_HAND.total.mean_absolute == 0.25
    assert BY_HAND.costs is not None
    assert BY_HAND.costs.excess == 0.0


def test_without_prices_nothing_is_said_of_costs() -> None:
    """Rather than 0."""
    assert measure(answers(), None).costs is None


def test_without_decisions_only_scores_are_compared() -> None:
    """A regression, or a line without a threshold."""
    nothing = np.full(6, NAN)
    found = measure(answers(served_yes=nothing, restored_yes=nothing), PRICES)
    assert (found.total.rescored, found.total.decided, found.costs) == (5, 0, None)


def test_nothing_answered_is_nothing() -> None:
    """And its means are not 0 but unknown."""
    assert BlastRadius().total.mean_difference is None
    assert BlastRadius().total.mean_absolute is None
    assert BlastRadius() + BY_HAND == BY_HAND + BlastRadius() == BY_HAND


def test_an_answer_that_is_no_number_is_named() -> None:
    """The restored version may answer NaN too."""
    restored = np.array([NAN, 0.25, 0.5, 0.25, 0.75, NAN])
    found = measure(answers(restored=restored, restored_yes=restored), PRICES)
    assert found.not_rescored == {"an answer is no number": 1, "the bad version failed": 1}


ROW = st.tuples(
    st.sampled_from(["2026-11-20", "2026-11-21"]),
    st.sampled_from(["AA", "BB", None]),
    st.integers(0, 16),
    st.integers(0, 16),
    st.sampled_from(["", "", "masked"]),
    st.sampled_from([0.0, 1.0, NAN]),
)


def of_rows(rows: list[Any]) -> Answers:
    served = np.array([row[2] / 16 for row in rows])
    restored = np.array([row[3] / 16 for row in rows])
    return Answers(
        request_ids=[f"r{number}" for number in range(len(rows))],
        positions=np.zeros(len(rows), dtype=np.int64),
        days=[row[0] for row in rows],
        slices={"carrier": [row[1] for row in rows]},
        served=served,
        restored=restored,
        problems=[row[4] for row in rows],
        served_yes=(served >= 0.5).astype(float),
        restored_yes=(restored >= 0.5).astype(float),
        labels=np.array([row[5] for row in rows]),
    )


@given(st.lists(ROW, min_size=1, max_size=20), st.integers(0, 20))
def test_batches_add_up_to_the_whole(rows: list[Any], cut: int) -> None:
    """Wherever the log is cut; sums of sixteenths are exact."""
    parts = [part for part in (rows[:cut], rows[cut:]) if part]
    whole = measure(of_rows(rows), PRICES)
    added = sum((measure(of_rows(part), PRICES) for part in parts), BlastRadius())
    # Which of equally large differences is named depends on the cut, as its request's name does.
    assert added.total.largest == whole.total.largest
    assert added.costs == pytest.approx(whole.costs) or added.costs == whole.costs
    assert added.not_rescored == whole.not_rescored
    assert added.days.keys() == whole.days.keys()
    assert added.total.differing == whole.total.differing
    assert added.total.sum_of_differences == whole.total.sum_of_differences
    assert sum(changes.rows for changes in added.days.values()) == added.requests == len(rows)
    words = added.slices["carrier"].values()
    assert sum(changes.differing for changes in words) == added.total.differing
