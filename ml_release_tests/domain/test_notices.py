"""Of the same news one notice within a period; what could not be sent waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.notices import (
    LONGEST_WAIT,
    MOST_WAITING,
    PERIOD,
    Notice,
    NoticeBook,
    Waiting,
    after_sending,
    approval_wanted,
    book_from_json,
    canary_advanced,
    held,
    notifier_failed,
    rolled_back,
    to_send,
    truth_violated,
)
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import IntegrityError

NOW = datetime(2013, 10, 1, tzinfo=UTC)
LINE = "flight_delay"


def news(key: str = "c1") -> Notice:
    return rolled_back(LINE, version=3, to=2, reason="errors", key=key)


def verdict(*outcomes: Outcome) -> Verdict:
    findings = tuple(
        Finding(rule=f"rule_{n}", subject="s", outcome=one) for n, one in enumerate(outcomes)
    )
    return Verdict(judge="j/1", line=LINE, subject_digest="d", findings=findings)


@pytest.mark.parametrize(
    ("age", "is_sent"),
    [
        (timedelta(0), False),
        (PERIOD - timedelta(seconds=1), False),
        (PERIOD, True),
        (-PERIOD, True),
        (-timedelta(minutes=1), False),
    ],
)
def test_the_same_news_is_sent_once_within_a_period(age: timedelta, is_sent: bool) -> None:
    """A clock that was moved silences nobody for longer than that either."""
    book = NoticeBook(sent={news().key: NOW - age})
    assert bool(to_send(book, [news()], now=NOW)) is is_sent


def test_what_waits_goes_first_and_of_a_key_once() -> None:
    """Too old is news no more."""
    old = Waiting(notice=news("c0"), since=NOW - timedelta(days=1))
    lost = Waiting(notice=news("c9"), since=NOW - LONGEST_WAIT - timedelta(seconds=1))
    found = to_send(NoticeBook(waiting=(old, lost)), [news("c1"), news("c0"), news("c1")], now=NOW)
    assert found == (news("c0"), news("c1"))


def test_a_notice_that_fails_again_waits_since_its_first_try() -> None:
    """So that it does not wait forever."""
    book = after_sending(NoticeBook(), sent=[], failed=[news()], now=NOW)
    later = after_sending(book, sent=[], failed=[news()], now=NOW + timedelta(days=1))
    assert [one.since for one in later.waiting] == [NOW]
    assert book_from_json(later.to_json()) == later


def test_a_book_stays_small() -> None:
    """What was sent is forgotten after the period, and of what waits the newest are kept."""
    keys = [news(f"c{n}") for n in range(MOST_WAITING + 5)]
    book = after_sending(
        NoticeBook(sent={"old": NOW - 2 * PERIOD}), sent=[news("x")], failed=keys, now=NOW
    )
    assert set(book.sent) == {news("x").key}
    assert [one.notice for one in book.waiting] == keys[5:]


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=6),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=6),
)
def test_what_was_sent_is_not_sent_again(first: list[str], second: list[str]) -> None:
    """Over two rounds nobody reads anything twice."""
    sent = to_send(NoticeBook(), [news(key) for key in first], now=NOW)
    book = after_sending(NoticeBook(), sent=sent, failed=(), now=NOW)
    again = to_send(book, [news(key) for key in second], now=NOW + timedelta(hours=1))
    keys = [one.key for one in (*sent, *again)]
    assert len(keys) == len(set(keys))
    assert set(keys) == {news(key).key for key in (*first, *second)}


def test_a_book_that_was_edited_is_none() -> None:
    """One clear error."""
    with pytest.raises(IntegrityError, match="record of what was sent"):
        book_from_json(b'{"sent": 1}')


@pytest.mark.parametrize(
    ("notice", "kind", "severity", "says"),
    [
        (news(), "rolled_back", "failure", "version 3 was rolled back"),
        (held(LINE, version=3, where="canary", reason="r"), "held", "warning", "held at canary"),
        (
            approval_wanted(LINE, version=3, detail="1 of 2", key="k"),
            "approval_wanted",
            "info",
            "ml-release approve flight_delay 3",
        ),
        (
            canary_advanced(LINE, version=3, percent=25.0, reason="r", key="k"),
            "canary_advanced",
            "info",
            "now answers 25 %",
        ),
        (
            notifier_failed(LINE, [news()], problem="down", now=NOW),
            "notifier_failed",
            "warning",
            "version 3 was rolled back",
        ),
    ],
)
def test_each_kind_says_what_happened(notice: Notice, kind: str, severity: str, says: str) -> None:
    """In words, for the line it is about."""
    assert (notice.kind, notice.severity, notice.line) == (kind, severity, LINE)
    assert says in f"{notice.title}\n{notice.body}"


def test_only_a_disagreement_is_news() -> None:
    """What nobody can tell yet wakes nobody; the same rules are the same news."""
    assert truth_violated(verdict(Outcome.INCONCLUSIVE, Outcome.PASS), environment="p") is None
    one = truth_violated(verdict(Outcome.FAIL), environment="p")
    other = truth_violated(verdict(Outcome.FAIL, Outcome.FAIL), environment="p")
    assert one is not None
    assert other is not None
    assert one.key != other.key
    assert "rule_0" in one.body
