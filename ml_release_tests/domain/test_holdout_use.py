"""How often a holdout was used: counted once per candidate, kept, and worn out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.holdout_use import (
    RULE,
    HoldoutPolicy,
    HoldoutUse,
    holdout_use_from_json,
    judge_holdout_use,
)
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError

HOLDOUT = "sha256:" + "0123456789abcdef" * 4


def use_by(count: int) -> HoldoutUse:
    return HoldoutUse(holdout=HOLDOUT, candidates=tuple(f"c{number}" for number in range(count)))


@pytest.mark.parametrize(
    ("count", "expected", "detail"),
    [
        pytest.param(1, Outcome.PASS, "", id="first"),
        pytest.param(3, Outcome.PASS, "", id="at the limit"),
        pytest.param(4, Outcome.FAIL, "hold out newer days", id="worn out"),
        pytest.param(
            0,
            Outcome.INCONCLUSIVE,
            "no candidate was counted, not even this one",
            id="nobody counted",
        ),
    ],
)
def test_a_holdout_judges_so_many_candidates(count: int, expected: Outcome, detail: str) -> None:
    """The one that is judged counts too, so that none is no use at all."""
    found = judge_holdout_use(use_by(count), HoldoutPolicy(uses_limit=3))
    assert (found.rule, found.outcome) == (RULE, expected)
    assert found.observed == (count or None)
    assert (found.limit, found.unit) == (3, "candidates judged on it")
    assert found.subject == "holdout sha256:0123456789ab"
    assert found.detail == detail


@given(st.lists(st.sampled_from("abcdef")))
def test_a_candidate_counts_once_in_the_order_of_its_first_time(judged: list[str]) -> None:
    """Judging it again adds nothing, and nothing recorded goes away."""
    use = HoldoutUse(holdout=HOLDOUT, candidates=())
    for candidate in judged:
        before, use = use, use.used_by(candidate)
        assert use.candidates[: len(before.candidates)] == before.candidates
    assert use.candidates == tuple(dict.fromkeys(judged))
    assert use.holdout == HOLDOUT
    assert holdout_use_from_json(use.to_json()) == use


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        json.dumps({"holdout": HOLDOUT}).encode(),
        json.dumps({"holdout": HOLDOUT, "candidates": 3}).encode(),
        json.dumps({"holdout": HOLDOUT, "candidates": [1]}).encode(),
        json.dumps({"holdout": HOLDOUT, "candidates": [], "limit": 99}).encode(),
    ],
)
def test_an_edited_count_is_refused(content: bytes) -> None:
    """It does not start again at none."""
    with pytest.raises(IntegrityError, match="use of a holdout: expected a recorded one"):
        holdout_use_from_json(content)


@pytest.mark.parametrize("change", [{"uses_limit": 0}, {"limit": 3}])
def test_a_limit_that_makes_no_sense_cannot_be_declared(change: dict[str, int]) -> None:
    """The field is named."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        HoldoutPolicy.model_validate(change)
