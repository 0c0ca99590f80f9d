"""The text classifier: scores of texts it never saw, repeatable, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.adapters.hashed_ngrams import HashedNgrams
from ml_release.domain.text_drift import TextDriftPolicy
from ml_release.errors import InputError
from ml_release.workflows.text_drift import compared
from ml_release_tests.simulated_texts import SHIFTS, TOPIC, Language, Shift, sample_of

SIZE = 200
POLICY = TextDriftPolicy(minimum_rows=50)


def told(*, seed: int, shift: Shift | None = None, share: float = 0.0) -> bool:
    """Whether a shift is told at the policy's limits."""
    language = Language()
    found, p_value = compared(
        "text",
        sample_of(language.texts(SIZE, seed=seed)),
        sample_of(language.texts(SIZE, seed=seed + 1000, shift=shift, share=share)),
        POLICY,
        classifier=HashedNgrams(),
    )
    assert found.auc is not None
    assert found.limit is not None
    return p_value <= POLICY.alpha and found.auc > found.limit


def test_nothing_is_told_where_nothing_has_moved() -> None:
    """Of 6 pairs of samples of one language none; benchmarks/text_drift.py looks at hundreds."""
    assert not any(told(seed=seed) for seed in range(6))


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_moved_in_half_of_the_texts_is_told(shift: Shift) -> None:
    """A new subject, another spelling, fewer words, another language."""
    assert told(seed=3, shift=shift, share=0.5)


def test_the_words_of_a_new_subject_are_named() -> None:
    """All of them, before any other."""
    language = Language()
    found, _ = compared(
        "text",
        sample_of(language.texts(SIZE, seed=1)),
        sample_of(language.texts(SIZE, seed=2, shift="topic", share=0.3)),
        POLICY,
        classifier=HashedNgrams(),
    )
    assert {one.word for one in found.words[: len(TOPIC)]} == {*TOPIC}


def test_a_reference_whose_parts_differ_has_a_higher_limit() -> None:
    """Its second month has another subject, so that a month with another one is no news."""
    language = Language()
    parts = [
        *language.texts(100, seed=1),
        *language.texts(100, seed=2, shift="topic", share=0.6),
    ]
    found, _ = compared(
        "text",
        sample_of(parts, "2013-01", "2013-02"),
        sample_of(language.texts(100, seed=3, shift="topic", share=0.3)),
        POLICY,
        classifier=HashedNgrams(),
    )
    assert found.contiguous_auc is not None
    assert found.limit is not None
    assert found.auc is not None
    assert found.limit > max(POLICY.auc_limit, found.contiguous_auc)
    assert found.auc < found.limit


def test_samples_that_share_nothing_are_told_apart_without_a_mistake() -> None:
    """No spread is proof here, not doubt."""
    found, p_value = compared(
        "text",
        sample_of(["aaa bbb ccc"] * SIZE),
        sample_of(["xxx yyy zzz"] * SIZE),
        POLICY,
        classifier=HashedNgrams(),
    )
    assert (found.auc, found.low, found.high) == (1.0, None, None)
    assert p_value < 1e-9


def test_the_same_texts_give_the_same_scores() -> None:
    """And another seed cuts other folds."""
    texts = Language().texts(60, seed=5)
    sides = np.arange(60) % 2 == 0
    first, again, other = (
        HashedNgrams().out_of_fold(texts, sides, folds=5, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n", "sides"), [(6, [True] * 6), (5, [True, False] * 3)])
def test_what_cannot_be_cut_into_folds_is_refused(n: int, sides: list[bool]) -> None:
    """One side alone, or sides of other texts."""
    with pytest.raises(InputError, match="text classifier"):
        HashedNgrams().out_of_fold(["a"] * n, np.array(sides), folds=2, seed=1)
