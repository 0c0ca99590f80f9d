"""Whose word counts, on what, how long; and that no record of words is taken for another."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.approvals import (
    Approval,
    ApprovalPolicy,
    approvals_digest,
    approvals_from_json,
    approvals_to_json,
    judge_approvals,
)
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.approvals import Approvals

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
TABLE = {"verdict": "v1", "policy": "p1"}
PASS, FAIL, HOLD = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def word(by: str = "Bea", decision: str = "approved", **changes: Any) -> Approval:
    known = {
        "decision": decision,
        "model_digest": "two",
        "by": by,
        "reason": f"{by} said so",
        "at": NOW - timedelta(hours=1),
        "evidence": TABLE if decision == "approved" else {},
    }
    return Approval.model_validate({**known, **changes})


def judge(*words: Approval, author: str | None = "Carl", **policy: Any) -> Approvals:
    return judge_approvals(
        words,
        ApprovalPolicy(**policy),
        subject="version 2",
        model_digest="two",
        evidence=TABLE,
        author=author,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("words", "policy", "outcome", "counted", "said"),
    [
        pytest.param((), {}, HOLD, 0, "nobody has approved", id="nobody"),
        pytest.param((), {"needed": 0}, PASS, 0, "the policy asks for none", id="none needed"),
        pytest.param((word(),), {}, PASS, 1, "Bea at 2026-11-21 08:00: Bea said so", id="one"),
        pytest.param((word(), word("Dan")), {"needed": 2}, PASS, 2, "Dan said so", id="two"),
        pytest.param((word(),), {"needed": 2}, HOLD, 1, "nobody has", id="one of two"),
        pytest.param((word(), word()), {"needed": 2}, HOLD, 1, "nobody has", id="one person twice"),
        pytest.param(
            (word(), word(" bea ")), {"needed": 2}, HOLD, 1, "nobody has", id="one typed otherwise"
        ),
        pytest.param((word("Carl"),), {}, HOLD, 0, "trained the version", id="author"),
        pytest.param(
            (word("  CARL"),), {}, HOLD, 0, "trained the version", id="author in capitals"
        ),
        pytest.param((word("Carl"),), {"author_may_approve": True}, PASS, 1, "", id="author may"),
        pytest.param(
            (word(),), {"approvers": ("Dan",)}, HOLD, 0, "none of the approvers Dan", id="x"
        ),
        pytest.param((word(),), {"approvers": ("BEA",)}, PASS, 1, "", id="approver"),
        pytest.param(
            (word("Carl"),), {"approvers": ("Carl",)}, HOLD, 0, "trained", id="approver and author"
        ),
        pytest.param((word(at=NOW - timedelta(days=14)),), {}, PASS, 1, "", id="on its last day"),
        pytest.param(
            (word(at=NOW - timedelta(days=14, seconds=1)),),
            {},
            HOLD,
            0,
            "more than 14",
            id="expired",
        ),
        pytest.param((word(at=NOW),), {}, PASS, 1, "", id="just now"),
        pytest.param(
            (word(at=NOW + timedelta(seconds=1)),), {}, HOLD, 0, "still to come", id="of the future"
        ),
        pytest.param(
            (word(evidence={**TABLE, "verdict": "v0"}),),
            {},
            HOLD,
            0,
            "(verdict changed",
            id="changed",
        ),
        pytest.param(
            (word(evidence={"verdict": "v1"}),), {}, HOLD, 0, "(policy changed", id="more on it now"
        ),
        pytest.param(
            (word(evidence={**TABLE, "waivers": "w"}),),
            {},
            HOLD,
            0,
            "(waivers changed",
            id="waived",
        ),
        pytest.param((word(model_digest="one"),), {}, HOLD, 0, "nobody has", id="another model"),
        pytest.param((word("Dan", "rejected"),), {}, FAIL, 0, "rejected by Dan", id="rejected"),
        pytest.param(
            (word("Dan", "rejected"),),
            {"needed": 0},
            FAIL,
            0,
            "rejected",
            id="rejected, none needed",
        ),
        pytest.param(
            (word("Dan", "rejected"), word(), word("Eve")), {}, FAIL, 2, "Dan", id="one against two"
        ),
        pytest.param(
            (word("Dan", "rejected", at=NOW - timedelta(days=900)), word()),
            {},
            FAIL,
            1,
            "Dan",
            id="an old rejection stands",
        ),
        pytest.param((word("Dan", "rejected"), word("Dan")), {}, PASS, 1, "", id="taken back"),
        pytest.param(
            (word("Dan"), word("dan", "rejected")), {}, FAIL, 0, "", id="changed one's mind"
        ),
        pytest.param(
            (word("Carl", "rejected"),), {}, FAIL, 0, "by Carl", id="the author may reject"
        ),
        pytest.param(
            (word("Dan", "rejected", model_digest="one"), word()),
            {},
            PASS,
            1,
            "",
            id="not this one",
        ),
    ],
)
def test_the_words_that_count(
    words: tuple[Approval, ...], policy: dict[str, Any], outcome: Outcome, counted: int, said: str
) -> None:
    """Too few hold, a rejection fails, and the finding says why."""
    found = judge(*words, **policy)
    assert (found.finding.outcome, len(found.counted)) == (outcome, counted)
    assert said in found.finding.detail
    assert (found.digest is None) is (counted == 0)


@pytest.mark.parametrize("author", [None, "", "unknown"])
def test_where_nobody_knows_the_author_nobody_can_be_told_from_them(author: str | None) -> None:
    """Unless the author may approve anyway."""
    assert judge(word(), author=author).finding.outcome is HOLD
    assert judge(word(), author=author, author_may_approve=True).finding.outcome is PASS


def test_a_rejection_after_a_word_of_the_future_stands() -> None:
    """The clock was set back meanwhile; what was said last is what counts."""
    early = word("Dan", at=NOW + timedelta(hours=5))
    assert judge(early, word("Dan", "rejected"), word()).finding.outcome is FAIL


names = st.sampled_from(["Bea", "Carl", "Dan", " bea", "EVE"])
words_ = st.builds(
    word,
    by=names,
    decision=st.sampled_from(["approved", "approved", "rejected"]),
    at=st.integers(-500, 5).map(lambda hours: NOW + timedelta(hours=hours)),
    model_digest=st.sampled_from(["one", "two", "two"]),
    evidence=st.sampled_from([TABLE, TABLE, {"verdict": "v0"}]),
)


@given(st.lists(words_, max_size=8), st.integers(0, 3), words_)
def test_words_are_counted_once_and_never_for_the_author(
    words: list[Approval], needed: int, one_more: Approval
) -> None:
    """A pass has enough different people, none of them the author; a rejection ends it."""
    found = judge(*words, needed=needed)
    people = {one.by.strip().casefold() for one in found.counted}
    assert len(people) == len(found.counted)
    assert "carl" not in people
    if found.finding.outcome is PASS:
        assert len(people) >= needed
    rejected = one_more.model_copy(update={"decision": "rejected", "model_digest": "two"})
    assert judge(*words, rejected, needed=needed).finding.outcome is FAIL


@given(st.lists(words_, max_size=6))
def test_words_read_back_as_they_were_written(words: list[Approval]) -> None:
    """The same words have the same digest."""
    found = approvals_from_json(approvals_to_json(words))
    assert list(found) == words
    assert approvals_digest(found) == approvals_digest(words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no JSON", "found something else", id="no JSON"),
        pytest.param(b"{}", "found something else", id="no list"),
        pytest.param(b'[{"by": "Bea"}]', "found something else", id="half a word"),
        pytest.param(
            json.dumps([{**word().model_dump(mode="json"), "by": ""}]).encode(), "something", id="x"
        ),
        pytest.param(
            json.dumps([word().model_dump(mode="json")], indent=1).encode(), "", id="other blanks"
        ),
        pytest.param(
            approvals_to_json([word()]).replace(b'"Bea"', b'" Bea "'),
            "found it edited",
            id="edited",
        ),
    ],
)
def test_a_record_that_is_something_else_is_refused(content: bytes, message: str) -> None:
    """Blanks between are all that may differ."""
    if not message:
        assert approvals_from_json(content) == (word(),)
        return
    with pytest.raises(IntegrityError, match=message):
        approvals_from_json(content)


@pytest.mark.parametrize(
    "fields", [{"needed": -1}, {"valid_days": 0}, {"valid_days": float("nan")}, {"approver": ()}]
)
def test_a_policy_that_makes_no_sense_is_none(fields: dict[str, Any]) -> None:
    """No negative people, no words that never count, no unknown keys."""
    with pytest.raises(ValidationError):
        ApprovalPolicy(**fields)
