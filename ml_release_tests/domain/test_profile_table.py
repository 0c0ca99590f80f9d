"""The columns of a partition beside the partitions that passed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.column_profile import (
    ColumnProfile,
    PartitionProfile,
    profile_numbers,
    profile_words,
)
from ml_release.domain.profile_table import ProfileRow, Spread, profile_rows
from ml_release.domain.verdict import Finding, Outcome

NUMBERS = profile_numbers(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, np.nan]))
WORDS = profile_words({"a": 6, "b": 3, "c": 2, "d": 1}, missing=4)


def partition(
    columns: dict[str, ColumnProfile] | None = None,
    *,
    positives: int = 1,
    labelled: int = 4,
    **named: ColumnProfile,
) -> PartitionProfile:
    return PartitionProfile(
        partition="2013-01",
        snapshot_digest="d",
        columns={**(columns or {}), **named},
        positives=positives,
        labelled=labelled,
    )


def finding(rule: str, subject: str, observed: float | None = None, **more: bool) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=Outcome.PASS, observed=observed, **more)  # type: ignore[arg-type]


def row(
    name: str,
    current: PartitionProfile | None,
    *references: PartitionProfile,
    findings: tuple[Finding, ...] = (),
) -> ProfileRow:
    (found,) = profile_rows(current, references, findings, columns=[name], target="late")
    return found


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(NUMBERS, Spread(missing_share=0.1, quantiles=(1.0, 5.0, 9.0)), id="numbers"),
        pytest.param(
            WORDS,
            Spread(missing_share=0.25, words=(("a", 0.5), ("b", 0.25), ("c", 1 / 6)), distinct=4),
            id="words",
        ),
        pytest.param(
            ColumnProfile(words={"a": 6}, other=2),
            Spread(missing_share=0.0, words=(("a", 0.75),)),
            id="more words than are kept: how many is not known",
        ),
        pytest.param(ColumnProfile(missing=3), Spread(missing_share=1.0), id="all missing"),
        pytest.param(ColumnProfile(), Spread(), id="no rows"),
        pytest.param(ColumnProfile(words={}, missing=0), Spread(), id="no words"),
        pytest.param(
            profile_words({"ada@example.org": 1}, missing=0),
            Spread(missing_share=0.0, words=(("a**@*******.***", 1.0),), distinct=1),
            id="a word with personal data is masked",
        ),
    ],
)
def test_a_column_in_a_few_numbers(column: ColumnProfile, expected: Spread) -> None:
    """Nothing is said where nothing was counted."""
    assert row("x", partition(x=column)).here == expected


def test_partitions_that_passed_are_one_reference() -> None:
    """As if their rows were one table; one without the column adds nothing."""
    found = row(
        "x",
        partition(x=NUMBERS),
        partition(x=profile_numbers(np.array([1.0] * 6))),
        partition(x=profile_numbers(np.array([9.0] * 2 + [np.nan] * 2))),
        partition(),
    )
    assert found.reference == Spread(missing_share=0.2, quantiles=(1.0, 1.0, 9.0))
    words = row("x", partition(x=WORDS), partition(x=WORDS), partition(x=WORDS)).reference
    assert (words.words[0], words.distinct) == (("a", 0.5), 4)


def test_without_partitions_that_passed_there_is_no_reference() -> None:
    """The first one of a line."""
    assert row("x", partition(x=NUMBERS)).reference == Spread()


def test_the_distance_is_what_the_gate_found() -> None:
    """A column that it did not judge has none; whether it votes is the gate's word too."""
    muted = finding("distributions_are_expected", "x", 0.3, votes=False)
    others = (finding("categories_are_expected", "x", 0.9), muted)
    assert row("x", partition(x=NUMBERS), findings=others).distance is muted
    assert row("y", partition(y=NUMBERS), findings=others).distance is None


def test_a_column_without_a_profile_shows_its_missing_share() -> None:
    """Times have no profile; how many are missing was judged."""
    judged = (finding("nulls_are_within_limits", "at", 0.25),)
    assert row("at", partition(), findings=judged).here == Spread(missing_share=0.25)
    assert row("at", None, findings=judged).here == Spread(missing_share=0.25)
    assert row("at", partition()).here == Spread()


def test_the_label_shows_its_rate() -> None:
    """Here and in the reference; of no labels there is none."""
    found = row("late", partition(), partition(positives=3), partition(positives=2))
    assert found.here.words == (("label 1", 0.25),)
    assert found.reference.words == (("label 1", 0.625),)
    assert row("late", partition(labelled=0, positives=0)).here == Spread()
    assert row("late", None).here == Spread()


@pytest.mark.parametrize(
    ("name", "hits"),
    [
        pytest.param("last_name", (), id="by its name"),
        pytest.param("note", ("note: phone",), id="by its values"),
    ],
)
@pytest.mark.parametrize("column", [NUMBERS, WORDS], ids=["numbers", "words"])
def test_values_of_a_personal_column_are_left_out(
    name: str, hits: tuple[str, ...], column: ColumnProfile
) -> None:
    """Here and in the reference; how many are missing is nobody's data."""
    profile = partition({name: column})
    found = row(
        name, profile, profile, findings=tuple(finding("no_personal_data", hit) for hit in hits)
    )
    share = column.missing / (column.missing + column.known)
    assert found.personal
    assert found.here == found.reference == Spread(missing_share=share)


def test_personal_data_in_one_column_hides_no_other() -> None:
    """Nor does a finding that nothing was found."""
    hits = (finding("no_personal_data", "notes: phone"), finding("no_personal_data", "2013-01"))
    assert not row("note", partition(note=WORDS), findings=hits).personal


def test_derived_columns_follow_theirs() -> None:
    """And one that belongs to no column is not lost."""
    profile = partition({"z": NUMBERS, "at minute of day": NUMBERS, "b": NUMBERS})
    found = profile_rows(profile, (), (), columns=["at", "b"], target="late")
    assert [one.column for one in found] == ["at", "at minute of day", "b", "z"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 4))
def test_quantiles_are_those_of_all_rows_together(values: list[float], parts: int) -> None:
    """However the rows are spread over partitions; exact while a profile keeps every value."""
    pieces = [np.array(values[start::parts]) for start in range(parts)]
    profiles = [partition(x=profile_numbers(piece)) for piece in pieces if len(piece)]
    found = row("x", None, *profiles).reference.quantiles
    assert found == tuple(np.quantile(values, (0.1, 0.5, 0.9), method="inverted_cdf"))
