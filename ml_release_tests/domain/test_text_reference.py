"""The sample of texts: bounded, the same whatever the order, nothing personal, back or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.text_reference import (
    TextReference,
    TextSample,
    TextSampler,
    text_reference_from_json,
)
from ml_release.errors import IntegrityError

ROWS = [(f"key {number}", f"text {number}") for number in range(500)]


def sampled(*parts: list[tuple[str, str | None]], rows: int = 100) -> TextSample:
    sampler = TextSampler(rows=rows, characters=30)
    for part in parts:
        sampler.add("2013-01", part)
    return sampler.sample()


@given(st.permutations(ROWS[:60]), st.integers(1, 59))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[str, str | None]], cut: int) -> None:
    """Nor do batches: a row is chosen by its key."""
    assert sampled(rows[:cut], rows[cut:], rows=20) == sampled(list(ROWS[:60]), rows=20)


def test_the_sample_is_bounded_and_spread_over_the_rows() -> None:
    """Neither the first rows nor the last ones."""
    found = sampled(list(ROWS))
    numbers = sorted(int(text.split()[1]) for text in found.texts)
    assert (found.rows, found.missing, len(numbers)) == (500, 0, 100)
    assert 0 <= numbers[0] < 50
    assert numbers[-1] > 450
    assert len({*numbers}) == 100


def test_a_larger_sample_holds_the_smaller_one() -> None:
    """The smallest hashes come first."""
    assert sampled(list(ROWS)).texts == sampled(list(ROWS), rows=200).texts[:100]


def test_rows_without_a_text_are_counted() -> None:
    """Blanks are no text."""
    found = sampled([("a", None), ("b", "  "), ("c", "words"), ("d", "")])
    assert (found.rows, found.missing, found.texts) == (4, 3, ("words",))
    assert found.missing_share == 0.75
    assert sampled([]).missing_share is None


def test_personal_data_is_masked_before_a_text_is_cut() -> None:
    """Half an address would not look like one."""
    (text,) = sampled([("a", "please write to ada@example.org")]).texts
    assert text == "please write to a**@*******.**"


def test_a_reference_comes_back_or_is_refused() -> None:
    """A sample of more texts than rows is none."""
    reference = TextReference(line="line", columns={"note": sampled(list(ROWS), rows=5)})
    assert text_reference_from_json(reference.to_json()) == reference
    with pytest.raises(IntegrityError, match="text reference"):
        text_reference_from_json(b"{}")
    with pytest.raises(ValidationError, match="at most 1"):
        TextSample(rows=2, missing=1, texts=("a", "b"), partitions=("1", "1"))
