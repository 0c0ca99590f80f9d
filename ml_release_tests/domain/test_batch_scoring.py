"""The spread of predictions does not depend on how they come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.answering import require_answers
from ml_release.domain.batch_scoring import empty_spread
from ml_release.errors import IntegrityError


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 60))
def test_batches_add_up_to_the_histogram_of_all(values: list[float], size: int) -> None:
    """Numpy counts the last edge in the last bin, as here."""
    scores = np.array(values)
    spread = empty_spread(scores[:size], is_probability=True)
    for start in range(0, len(scores), size):
        spread = spread.with_more(scores[start : start + size])
    expected, _ = np.histogram(scores, bins=spread.edges)
    assert spread.counts.tolist() == expected.tolist()


def test_what_lies_outside_of_the_first_batch_is_counted_at_the_ends() -> None:
    """Of a regression nobody knows the range beforehand."""
    spread = empty_spread(np.array([2.0, 6.0]), is_probability=False, bins=2)
    found = spread.with_more(np.array([-9.0, 3.0, 4.0, 99.0]))
    assert found.counts.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("answers", "kind", "is_one"),
    [
        ([0.0, 1.0], "probability", True),
        ([1.0001], "probability", False),
        ([float("nan")], "probability", False),
        ([-1e9], "value", True),
        ([float("inf")], "value", False),
        ([float("nan")], "value", False),
        ([[0.5, 0.5]], "probability", False),
    ],
)
def test_an_answer_is_of_the_kind_that_was_promised(
    answers: list[float], kind: str, is_one: bool
) -> None:
    """Or it is no answer."""
    if is_one:
        require_answers("sha256:m", np.array(answers), kind)  # type: ignore[arg-type]
        return
    with pytest.raises(IntegrityError, match="model sha256:m: expected"):
        require_answers("sha256:m", np.array(answers), kind)  # type: ignore[arg-type]
