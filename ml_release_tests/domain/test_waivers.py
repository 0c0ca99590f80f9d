"""Waivers: what one lets go, for whom, how long, and what it never does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.domain.waivers import (
    Waived,
    Waiver,
    holding,
    require_pass_or_waivers,
    split_objections,
    waivable,
    waiver_changes,
    waivers_digest,
    waivers_from_json,
    waivers_to_json,
)
from ml_release.errors import IntegrityError, RefusedError

PASS, INCONCLUSIVE, ERROR, FAIL = Outcome
NOW = datetime(2014, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = Finding(rule="score_is_above_floor", subject="auc", outcome=PASS)
SLOW = Finding(
    rule="is_servable", subject="memory", outcome=FAIL, observed=300.0, limit=200.0, unit="MB"
)
UNSURE = Finding(rule="groups_are_treated_alike", subject="origin", outcome=INCONCLUSIVE)
MUTED = Finding(rule="holdout_is_fresh", subject="holdout", outcome=FAIL, votes=False)


def verdict_of(*findings: Finding, **change: Any) -> Verdict:
    words: dict[str, Any] = {"judge": "j/1", "line": "line", "subject_digest": "sha256:candidate"}
    return Verdict(findings=findings, **(words | change))


VERDICT = verdict_of(GOOD, SLOW, UNSURE, MUTED)


def waiver_for(finding: Finding, judged: Verdict = VERDICT, /, **change: Any) -> Waiver:
    words: dict[str, Any] = {
        "candidate": judged.subject_digest,
        "verdict": judged.digest,
        "rule": finding.rule,
        "subject": finding.subject,
        "by": "Ada",
        "reason": "the new hosts have more memory",
        "given_at": NOW - DAY,
        "expires_at": NOW + DAY,
    }
    return Waiver(**(words | change))


def require(verdict: Verdict, *waivers: Waiver, now: datetime = NOW) -> tuple[Waived, ...]:
    return require_pass_or_waivers(
        verdict, waivers, act="registration", subject="line candidate", now=now
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, True, id="the very one"),
        pytest.param({"candidate": "sha256:other"}, False, id="another candidate"),
        pytest.param({"verdict": "sha256:other"}, False, id="another verdict"),
        pytest.param({"rule": "is_servables"}, False, id="another rule"),
        pytest.param({"subject": "load time"}, False, id="another subject"),
        pytest.param({"given_at": NOW}, True, id="from now on"),
        pytest.param({"given_at": NOW + timedelta.resolution}, False, id="not yet"),
        pytest.param({"expires_at": NOW + timedelta.resolution}, True, id="until after now"),
        pytest.param({"expires_at": NOW}, False, id="expires now"),
        pytest.param({"expires_at": NOW - timedelta(hours=1)}, False, id="expired"),
    ],
)
def test_a_waiver_holds_for_one_finding_of_one_verdict_for_a_time(
    change: dict[str, Any], expected: bool
) -> None:
    """One thing changed, and it holds no more; the end is excluded."""
    assert waiver_for(SLOW, **change).holds_for(SLOW, VERDICT, now=NOW) is expected


def test_a_waiver_of_a_verdict_that_was_judged_again_does_not_hold() -> None:
    """The same finding on other evidence is another reading."""
    again = replace(VERDICT, evidence={"data_digest": "new"})
    assert not waiver_for(SLOW).holds_for(SLOW, again, now=NOW)
    with pytest.raises(RefusedError, match="Waivers of another verdict: 2"):
        require(again, waiver_for(SLOW), waiver_for(UNSURE))


def test_an_hour_is_the_same_in_every_zone() -> None:
    """12:00 in Greenwich is 14:00 two hours east of it."""
    east = timezone(timedelta(hours=2))
    local = datetime(2014, 1, 10, 14, tzinfo=east)
    assert waiver_for(SLOW, given_at=local).holds_for(SLOW, VERDICT, now=NOW)
    assert not waiver_for(SLOW, expires_at=local).holds_for(SLOW, VERDICT, now=NOW)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"by": ""}, "by", id="nobody"),
        pytest.param({"by": " \t"}, "by", id="nobody in blanks"),
        pytest.param({"reason": ""}, "reason", id="no reason"),
        pytest.param({"reason": "  "}, "reason", id="a reason of blanks"),
        pytest.param({"given_at": NOW.replace(tzinfo=None)}, "given_at", id="no zone"),
        pytest.param({"expires_at": NOW.replace(tzinfo=None)}, "expires_at", id="end of no zone"),
        pytest.param({"expires_at": NOW - DAY}, "expected it to end after 2014-01-09", id="none"),
        pytest.param({"expires_at": NOW - 2 * DAY}, "found 2014-01-08", id="ends before it begins"),
        pytest.param({"all": True}, "all", id="an unknown word"),
    ],
)
def test_a_waiver_needs_a_person_a_reason_and_a_time(change: dict[str, Any], problem: str) -> None:
    """Otherwise nobody answers for it, or it lets nothing go."""
    with pytest.raises(ValidationError) as refused:
        waiver_for(SLOW, **change)
    assert problem in str(refused.value)


def test_waivers_survive_their_byte_form() -> None:
    """All of them, in their order, also of another zone, and the bytes are canonical."""
    east = timezone(timedelta(hours=2))
    waivers = (
        waiver_for(SLOW),
        waiver_for(UNSURE, by="Grâce", expires_at=datetime(2014, 2, 1, 0, 0, 0, 5, tzinfo=east)),
    )
    content = waivers_to_json(waivers)
    assert waivers_from_json(content) == waivers
    assert waivers_to_json(waivers_from_json(content)) == content
    assert waivers_from_json(waivers_to_json(())) == ()


def _edited(**change: Any) -> bytes:
    (one,) = json.loads(waivers_to_json((waiver_for(SLOW),)))
    return json.dumps([{**one, **change}]).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no list"),
        pytest.param(b"[{}]", id="no fields"),
        pytest.param(_edited(by=""), id="nobody"),
        pytest.param(_edited(reason=" "), id="no reason"),
        pytest.param(_edited(rule=None), id="every rule"),
        pytest.param(_edited(expires_at="2014-01-11T12:00:00"), id="no zone"),
        pytest.param(_edited(expires_at="never"), id="no end"),
        pytest.param(_edited(expires_at="2013-01-11T12:00:00Z"), id="ends before it begins"),
        pytest.param(_edited(forever=True), id="an unknown word"),
    ],
)
def test_an_edited_record_is_refused(content: bytes) -> None:
    """What cannot be read lets nothing go."""
    with pytest.raises(IntegrityError, match="waivers: expected recorded ones"):
        waivers_from_json(content)


def test_findings_are_found_by_rule_and_subject() -> None:
    """All of the rule without a subject; those that pass or have no vote need no waiver."""
    load = replace(SLOW, subject="load time")
    verdict = verdict_of(GOOD, SLOW, load, UNSURE, MUTED)
    assert waivable(verdict, rule="is_servable", subject="memory") == (SLOW,)
    assert waivable(verdict, rule="is_servable", subject=None) == (SLOW, load)
    assert waivable(verdict, rule=UNSURE.rule, subject=None) == (UNSURE,)


@pytest.mark.parametrize(
    ("rule", "subject"),
    [
        pytest.param("is_servabel", None, id="unknown rule"),
        pytest.param("is_servable", "load time", id="unknown subject"),
        pytest.param(GOOD.rule, GOOD.subject, id="one that passes"),
        pytest.param(MUTED.rule, MUTED.subject, id="one without a vote"),
    ],
)
def test_what_keeps_nothing_from_passing_cannot_be_waived(rule: str, subject: str | None) -> None:
    """The message names what could be, so that nobody has to look it up."""
    with pytest.raises(RefusedError) as refused:
        waivable(VERDICT, rule=rule, subject=subject)
    message = str(refused.value)
    assert message.startswith(f"waiver of {rule}")
    assert "'is_servable [memory]', 'groups_are_treated_alike [origin]'" in message
    with pytest.raises(RefusedError, match="found none at all"):
        waivable(verdict_of(GOOD), rule=rule, subject=subject)


@pytest.mark.parametrize(
    ("waivers", "open_", "waived"),
    [
        pytest.param((), (SLOW, UNSURE), (), id="none"),
        pytest.param((waiver_for(SLOW),), (UNSURE,), (SLOW,), id="one"),
        pytest.param((waiver_for(UNSURE), waiver_for(SLOW)), (), (SLOW, UNSURE), id="all"),
        pytest.param((waiver_for(GOOD), waiver_for(MUTED)), (SLOW, UNSURE), (), id="of no need"),
        pytest.param((waiver_for(SLOW, expires_at=NOW),), (SLOW, UNSURE), (), id="expired"),
    ],
)
def test_objections_are_split_into_open_and_waived(
    waivers: tuple[Waiver, ...], open_: tuple[Finding, ...], waived: tuple[Finding, ...]
) -> None:
    """Worst first, each in one of the two; what is waived stays what it is."""
    still, let_go = split_objections(VERDICT, waivers, now=NOW)
    assert still == open_
    assert tuple(one.finding for one in let_go) == waived
    assert VERDICT.outcome is FAIL


def test_of_two_waivers_the_later_one_is_named() -> None:
    """It was given in knowledge of the first, which may have expired."""
    first = waiver_for(UNSURE, by="Ada")
    second, old = waiver_for(UNSURE, by="Grace"), waiver_for(UNSURE, by="Old", expires_at=NOW)
    _, (waived,) = split_objections(VERDICT, (first, second, old), now=NOW)
    assert waived.waiver.by == "Grace"


def test_a_waived_finding_says_who_until_when_and_why() -> None:
    """In one line, with the finding as it is."""
    found = Waived(finding=SLOW, waiver=waiver_for(SLOW)).sentence()
    assert found == (
        "WAIVED by Ada until 2014-01-11 12:00 UTC (the new hosts have more memory): is_servable"
        " [memory] fail; observed 300 MB, limit at most 200 MB"
    )


def test_an_act_goes_on_with_a_pass_or_with_every_objection_waived() -> None:
    """And it learns on whose word; a verdict that passes needs nobody's."""
    passing = verdict_of(GOOD, MUTED)
    assert require(passing) == ()
    assert require(passing, waiver_for(MUTED, passing)) == ()
    waivers = (waiver_for(SLOW), waiver_for(UNSURE))
    assert [one.finding for one in require(VERDICT, *waivers)] == [SLOW, UNSURE]
    broken = verdict_of(replace(SLOW, outcome=ERROR))
    assert len(require(broken, waiver_for(SLOW, broken))) == 1


def test_a_refusal_names_what_is_still_open_and_what_has_expired() -> None:
    """Not what is waived."""
    with pytest.raises(RefusedError) as refused:
        require(VERDICT, waiver_for(SLOW), waiver_for(UNSURE, expires_at=NOW))
    assert str(refused.value) == (
        "registration of line candidate refused: the verdict of j/1 is fail.\n"
        "  - groups_are_treated_alike [origin] inconclusive\n"
        "Expired waivers: 1."
    )


@pytest.mark.parametrize("findings", [(), (MUTED,), (replace(GOOD, votes=False),)])
def test_no_waiver_helps_a_verdict_without_a_voting_finding(findings: tuple[Finding, ...]) -> None:
    """It shows nothing, so that there is nothing to let go."""
    verdict = verdict_of(*findings)
    waivers = [waiver_for(finding, verdict) for finding in (GOOD, SLOW, *findings)]
    assert split_objections(verdict, waivers, now=NOW) == ((), ())
    with pytest.raises(RefusedError, match="holds no finding that votes"):
        require(verdict, *waivers)


FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from("ab"),
    subject=st.sampled_from("xy"),
    outcome=st.sampled_from(Outcome),
    votes=st.booleans(),
)


@st.composite
def verdicts_with_waivers(draw: st.DrawFn) -> tuple[Verdict, list[Waiver]]:
    """Some findings, and waivers of which each fits or misses in one of its fields."""
    verdict = verdict_of(*draw(st.lists(FINDINGS, max_size=4)))
    misses: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"candidate": "other"},
        {"verdict": "other"},
        {"expires_at": NOW},
        {"given_at": NOW + timedelta(hours=1)},
    )
    wanted = draw(st.lists(st.tuples(FINDINGS, st.sampled_from(misses)), max_size=6))
    return verdict, [waiver_for(finding, verdict, **miss) for finding, miss in wanted]


@given(verdicts_with_waivers())
def test_nothing_goes_on_with_an_objection_that_is_not_waived(
    case: tuple[Verdict, list[Waiver]],
) -> None:
    """Any findings, any waivers: it returns if and only if somebody let every objection go."""
    verdict, waivers = case
    objections = [
        finding for finding in verdict.findings if finding.votes and finding.outcome is not PASS
    ]
    let_go = all(
        any(
            (w.rule, w.subject) == (finding.rule, finding.subject)
            and (w.candidate, w.verdict) == (verdict.subject_digest, verdict.digest)
            and w.given_at <= NOW < w.expires_at
            for w in waivers
        )
        for finding in objections
    )
    voting = any(finding.votes for finding in verdict.findings)
    if voting and let_go:
        assert sorted(one.finding.sentence() for one in require(verdict, *waivers)) == sorted(
            finding.sentence() for finding in objections
        )
    else:
        with pytest.raises(RefusedError):
            require(verdict, *waivers)


def test_the_waivers_an_act_goes_on_are_named_once() -> None:
    """Two findings of one subject may be let go by one waiver."""
    again = replace(SLOW, observed=301.0)
    judged = verdict_of(SLOW, again, UNSURE)
    slow, unsure = waiver_for(SLOW, judged), waiver_for(UNSURE, judged)
    used = holding(require(judged, slow, unsure))
    assert used == (slow, unsure)
    assert waivers_digest(used) != waivers_digest(used[:1])
    assert waivers_digest(waivers_from_json(waivers_to_json(used))) == waivers_digest(used)


SLOW_AGAIN = waiver_for(SLOW, by="Bob")


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((), (), ()),
        ((waiver_for(SLOW),), (waiver_for(SLOW),), ()),
        ((), (SLOW_AGAIN,), ("new: is_servable [memory] by Bob until 2014-01-11 12:00 UTC",)),
        (
            (waiver_for(SLOW), SLOW_AGAIN),
            (SLOW_AGAIN,),
            ("no longer used: is_servable [memory] by Ada until 2014-01-11 12:00 UTC",),
        ),
    ],
    ids=["none", "the same", "added", "gone"],
)
def test_waivers_that_changed_between_two_acts_are_named(
    before: tuple[Waiver, ...], now: tuple[Waiver, ...], expected: tuple[str, ...]
) -> None:
    """What, on whose word and until when."""
    assert waiver_changes(before, now) == expected
