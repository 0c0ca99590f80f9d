"""Text shifts against their limits: both large and shown fails, doubt is inconclusive."""

from __future__ import annotations

import pytest

from ml_release.domain.text_drift import (
    PRESENT,
    SHIFT,
    TextDriftPolicy,
    TextDriftRecord,
    TextShift,
    judge_text_drift,
    text_record_from_json,
)
from ml_release.domain.text_words import TellingWord
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import IntegrityError

POLICY = TextDriftPolicy()


def a_shift(**changes: object) -> TextShift:
    known: dict[str, object] = {
        "column": "note",
        "reference_n": 2000,
        "current_n": 660,
        "reference_missing": 0.1,
        "current_missing": 0.12,
        "auc": 0.7,
        "low": 0.67,
        "high": 0.73,
        "contiguous_auc": 0.55,
        "limit": 0.6,
        "p_adjusted": 1e-6,
    }
    return TextShift.model_validate({**known, **changes})


def a_record(*shifts: TextShift, partition: str | None = "2013-04") -> TextDriftRecord:
    return TextDriftRecord(
        line="line",
        version=2,
        model_digest="sha256:" + "1" * 64,
        partition=partition,
        snapshot_digest=None if partition is None else "sha256:" + "2" * 64,
        shifts=shifts,
    )


def judged(record: TextDriftRecord) -> dict[str, Finding]:
    verdict = judge_text_drift(
        record, POLICY, columns=("note",), subject_digest="sha256:" + "3" * 64, evidence={}
    )
    return {finding.rule: finding for finding in verdict.findings}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Outcome.FAIL),
        ({"auc": 0.55, "p_adjusted": 0.9}, Outcome.PASS),
        ({"auc": 0.58, "p_adjusted": 1e-6}, Outcome.PASS),
        ({"p_adjusted": 0.2}, Outcome.INCONCLUSIVE),
        ({"limit": 0.72}, Outcome.PASS),
        ({"auc": None, "p_adjusted": None, "problem": "few"}, Outcome.INCONCLUSIVE),
    ],
)
def test_a_shift_fails_if_it_is_large_and_shown(
    changes: dict[str, object], expected: Outcome
) -> None:
    """A small one is none however surely it is there."""
    assert judged(a_record(a_shift(**changes)))[SHIFT].outcome is expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.12, Outcome.PASS), (0.2, Outcome.FAIL), (None, Outcome.INCONCLUSIVE)],
)
def test_texts_that_vanish_are_told(share: float | None, expected: Outcome) -> None:
    """By how much more rows are without one."""
    assert judged(a_record(a_shift(current_missing=share)))[PRESENT].outcome is expected


def test_a_finding_names_the_words() -> None:
    """Those of either side."""
    words = tuple(
        TellingWord(word=word, reference_share=before, current_share=after, z=9.0)
        for word, before, after in (("strike", 0.0, 0.2), ("snow", 0.3, 0.0))
    )
    sentence = judged(a_record(a_shift(words=words)))[SHIFT].sentence()
    assert "AUC of 2013-04 against the reference" in sentence
    assert "more now: strike; fewer now: snow" in sentence
    assert "parts of the reference reach 0.55" in sentence


@pytest.mark.parametrize(
    ("record", "said"),
    [(a_record(partition=None), "no rows have landed"), (a_record(), "carries no sample")],
)
def test_what_was_not_compared_is_inconclusive(record: TextDriftRecord, said: str) -> None:
    """In every rule."""
    for finding in judged(record).values():
        assert finding.outcome is Outcome.INCONCLUSIVE
        assert said in finding.detail


def test_the_limit_is_what_parts_of_the_reference_reach() -> None:
    """But never below the declared one, nor above 1."""
    assert POLICY.limit_over(0.52) == POLICY.auc_limit
    assert POLICY.limit_over(0.8) == pytest.approx(0.83)
    assert POLICY.limit_over(1.0) == 1.0


def test_a_record_comes_back_or_is_refused() -> None:
    """What is none is told."""
    record = a_record(a_shift())
    assert text_record_from_json(record.to_json()) == record
    with pytest.raises(IntegrityError, match="text drift"):
        text_record_from_json(b"[]")
