"""What becomes of every telling: one fate each, and the first label stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.workflows.label_settling import (
    COLUMNS,
    a_contradiction,
    count_fates,
    label_rows,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2013, 4, 10, tzinfo=UTC)
EVENT, KNOWN = "2013-04-02", "2013-04-03"
REQUESTS = pd.DataFrame(
    {
        "request_id": ["a", "b", "c"],
        "event_time": pd.to_datetime([EVENT] * 3, utc=True).astype("datetime64[us, UTC]"),
    }
)
Telling = tuple[str | None, float, str | None]


def told(*rows: Telling, source: str = "route") -> pd.DataFrame:
    moments = pd.to_datetime(pd.Series([at for *_, at in rows], dtype=object), utc=True)
    return pd.DataFrame(
        {
            "request_id": pd.Series([name for name, *_ in rows], dtype=object),
            "label": pd.Series([label for _, label, _ in rows], dtype="float64"),
            "known_at": moments.astype("datetime64[us, UTC]"),
            "source": source,
        }
    )


def kept(**labels: int) -> pd.DataFrame:
    rows: list[Telling] = [(name, label, KNOWN) for name, label in labels.items()]
    settled = settle(told(*rows), label_rows(), REQUESTS, now=NOW)
    return label_rows(settled)


def fates(rows: Sequence[Telling], before: pd.DataFrame | None = None) -> list[str]:
    standing = label_rows() if before is None else before
    fate: list[str] = settle(told(*rows), standing, REQUESTS, now=NOW)["fate"].tolist()
    return fate


@pytest.mark.parametrize(
    ("row", "fate"),
    [
        pytest.param(("a", 1.0, KNOWN), "gathered", id="good"),
        pytest.param(("a", 0.0, EVENT), "gathered", id="known at once"),
        pytest.param(("a", 0.0, "2013-04-10"), "gathered", id="known now"),
        pytest.param(("a", 2.0, KNOWN), "unusable", id="no class"),
        pytest.param(("a", 0.5, KNOWN), "unusable", id="between"),
        pytest.param(("a", np.nan, KNOWN), "unusable", id="no label"),
        pytest.param(("a", 1.0, None), "unusable", id="no time"),
        pytest.param((None, 1.0, KNOWN), "unusable", id="no request"),
        pytest.param(("z", 1.0, KNOWN), "unknown", id="of nobody"),
        pytest.param(("z", 7.0, KNOWN), "unusable", id="no class, of nobody"),
        pytest.param(("a", 1.0, "2013-04-01"), "early", id="before the event"),
        pytest.param(("a", 1.0, "2013-04-11"), "not_due", id="tomorrow"),
    ],
)
def test_a_telling_has_one_fate(row: Telling, fate: str) -> None:
    """Alone it is kept, or it says why not."""
    assert fates([row]) == [fate]


def test_of_one_gathering_the_first_label_stands() -> None:
    """The same again is a repetition, the other one a contradiction; what is bad never stands."""
    rows: list[Telling] = [
        ("a", 5.0, KNOWN),
        ("a", 1.0, "2013-04-01"),
        ("a", 0.0, KNOWN),
        ("a", 0.0, KNOWN),
        ("a", 1.0, KNOWN),
        ("b", 1.0, KNOWN),
    ]
    assert fates(rows) == [
        "unusable", "early", "gathered", "repeated", "contradicting", "gathered"
    ]  # fmt: skip


def test_what_was_kept_stands_before_what_is_told() -> None:
    """Also if it is not told any more."""
    rows: list[Telling] = [("a", 0.0, KNOWN), ("b", 1.0, KNOWN)]
    assert fates(rows, kept(a=1, b=1, c=0)) == ["contradicting", "repeated"]


def test_a_contradiction_is_told_in_words() -> None:
    """Who stands, who says otherwise; nothing without one."""
    settled = settle(told(("b", 0.0, KNOWN), source="files"), kept(b=1), REQUESTS, now=NOW)
    assert a_contradiction(settled) == "for example request b: 1 stands, files tells 0"
    assert a_contradiction(settled.head(0)) == ""


def test_rows_of_no_table_have_their_types() -> None:
    """A line without labels is read like any other."""
    assert label_rows().dtypes.astype(str).to_dict() == COLUMNS
    assert label_rows(kept(a=1), label_rows()).dtypes.astype(str).to_dict() == COLUMNS
    assert settle(told(), label_rows(), REQUESTS.head(0), now=NOW).empty


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "z", None]),
            st.sampled_from([0.0, 1.0, 3.0, np.nan]),
            st.sampled_from(["2013-04-01", KNOWN, "2013-04-11", None]),
        ),
        max_size=30,
    )
)
def test_gathering_twice_keeps_what_gathering_once_kept(rows: list[Any]) -> None:
    """Counts add up, one label per request, and nothing is new the second time."""
    settled = settle(told(*rows), label_rows(), REQUESTS, now=NOW)
    counts = count_fates(settled)
    assert sum(counts.model_dump(exclude={"told"}).values()) == counts.told == len(rows)
    once = label_rows(settled[settled["fate"] == "gathered"])
    assert once["request_id"].is_unique
    again = settle(told(*rows), once, REQUESTS, now=NOW)
    assert not (again["fate"] == "gathered").any()
    assert (again["fate"] == "contradicting").sum() == counts.contradicting
