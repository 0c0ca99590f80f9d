"""Outcomes, findings and verdicts."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.verdict import (
    BEST_TO_WORST,
    Bound,
    Finding,
    Outcome,
    Verdict,
    compare,
    require_evidence,
    require_pass,
    verdict_from_json,
    worst,
)
from ml_release.errors import IntegrityError, RefusedError

PASS, INCONCLUSIVE, ERROR, FAIL = BEST_TO_WORST
NAN, INF = float("nan"), float("inf")

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FINDINGS = st.builds(
    Finding,
    rule=TEXT,
    subject=TEXT,
    outcome=st.sampled_from(Outcome),
    observed=st.none() | FINITE,
    limit=st.none() | FINITE,
    bound=st.sampled_from(["at least", "at most", "equal to", "within"]),
    unit=TEXT,
    n=st.none() | st.integers(min_value=0),
    votes=st.booleans(),
    detail=TEXT,
)


def finding(outcome: Outcome, *, rule: str = "rule", votes: bool = True) -> Finding:
    return Finding(rule=rule, subject="subject", outcome=outcome, votes=votes)


def verdict(*findings: Finding, **evidence: str) -> Verdict:
    return Verdict(
        judge="judge/1", line="line", subject_digest="d", evidence=evidence, findings=findings
    )


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(BEST_TO_WORST, 2)))
def test_the_worse_of_two_outcomes_wins_in_either_order(first: Outcome, second: Outcome) -> None:
    """The order of badness is pass, inconclusive, error, fail."""
    assert worst([first, second]) is second
    assert worst([second, first]) is second


def test_the_worst_of_nothing_is_inconclusive() -> None:
    """Nothing shown is no reason to go on."""
    assert worst([]) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("observed", "limit", "bound", "expected"),
    [
        pytest.param(1.0, 1.0, "at most", PASS, id="exactly at an upper limit"),
        pytest.param(1.0000001, 1.0, "at most", FAIL, id="just above an upper limit"),
        pytest.param(0.9999999, 1.0, "at most", PASS, id="just below an upper limit"),
        pytest.param(1.0, 1.0, "at least", PASS, id="exactly at a lower limit"),
        pytest.param(0.9999999, 1.0, "at least", FAIL, id="just below a lower limit"),
        pytest.param(1.0000001, 1.0, "at least", PASS, id="just above a lower limit"),
        pytest.param(NAN, 1.0, "at most", INCONCLUSIVE, id="NaN against an upper limit"),
        pytest.param(NAN, 1.0, "at least", INCONCLUSIVE, id="NaN against a lower limit"),
        pytest.param(None, 1.0, "at most", INCONCLUSIVE, id="missing"),
        pytest.param(INF, 1.0, "at least", INCONCLUSIVE, id="infinite would have passed"),
        pytest.param(-INF, 1.0, "at most", INCONCLUSIVE, id="minus infinite would have passed"),
    ],
)
def test_a_number_is_held_against_its_limit(
    observed: float | None, limit: float, bound: Bound, expected: Outcome
) -> None:
    """At the limit passes, beyond it fails, and what is unknown does neither."""
    assert bound in ("at least", "at most")
    found = compare(rule="r", subject="s", observed=observed, limit=limit, bound=bound)
    assert found.outcome is expected


@pytest.mark.parametrize(
    ("n", "minimum_n", "expected"),
    [
        pytest.param(9, 10, INCONCLUSIVE, id="one row too few"),
        pytest.param(10, 10, PASS, id="exactly enough"),
        pytest.param(0, 1, INCONCLUSIVE, id="no rows at all"),
        pytest.param(None, 10, PASS, id="not about rows"),
    ],
)
def test_too_few_rows_are_inconclusive(n: int | None, minimum_n: int, expected: Outcome) -> None:
    """A value that rests on too little neither passes nor fails."""
    good = compare(
        rule="r", subject="s", observed=0, limit=1, bound="at most", n=n, minimum_n=minimum_n
    )
    bad = compare(
        rule="r", subject="s", observed=2, limit=1, bound="at most", n=n, minimum_n=minimum_n
    )
    assert good.outcome is expected
    assert bad.outcome is (FAIL if expected is PASS else INCONCLUSIVE)


def test_an_inconclusive_finding_says_why() -> None:
    """The reader learns whether the value or the rows were missing."""
    no_value = compare(rule="r", subject="s", observed=NAN, limit=1, bound="at most")
    few_rows = compare(
        rule="r", subject="s", observed=0, limit=1, bound="at most", n=3, minimum_n=5
    )
    assert no_value.detail == "the value could not be computed"
    assert no_value.observed is None
    assert few_rows.detail == "expected at least 5 rows, found 3"


@pytest.mark.parametrize("field", ["observed", "limit"])
@pytest.mark.parametrize("value", [NAN, INF])
def test_a_finding_refuses_numbers_that_no_record_can_keep(field: str, value: float) -> None:
    """NaN is None, so that the verdict has a digest."""
    numbers = {field: value}
    with pytest.raises(ValueError, match=f"{field} must be finite or None"):
        Finding(rule="r", subject="s", outcome=PASS, **numbers)  # type: ignore[arg-type]


def test_a_sentence_puts_the_observed_value_beside_the_limit() -> None:
    """A reader never has to open the policy."""
    found = compare(
        rule="score_is_above_floor",
        subject="holdout",
        observed=0.5,
        limit=0.65,
        bound="at least",
        unit="AUC",
        n=7,
        detail="why",
    )
    assert found.sentence() == (
        "score_is_above_floor [holdout] fail; observed 0.5 AUC, limit at least 0.65 AUC; n = 7; why"
    )


def test_a_sentence_says_that_a_value_is_unknown() -> None:
    """Unknown is a word, not a number."""
    found = compare(rule="r", subject="s", observed=None, limit=2, bound="at most")
    assert "observed unknown, limit at most 2" in found.sentence()
    assert finding(PASS).sentence() == "rule [subject] pass"


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        pytest.param([], INCONCLUSIVE, id="no findings"),
        pytest.param([finding(PASS, votes=False)], INCONCLUSIVE, id="only muted ones"),
        pytest.param([finding(PASS)], PASS, id="all pass"),
        pytest.param([finding(PASS), finding(FAIL, votes=False)], PASS, id="a muted one fails"),
        pytest.param([finding(PASS), finding(INCONCLUSIVE)], INCONCLUSIVE, id="one inconclusive"),
        pytest.param([finding(FAIL), finding(ERROR)], FAIL, id="one error and one failure"),
    ],
)
def test_a_verdict_is_the_worst_of_the_findings_that_vote(
    findings: list[Finding], expected: Outcome
) -> None:
    """A muted finding is shown and has no vote, for good or bad."""
    assert verdict(*findings).outcome is expected


def test_objections_come_worst_first_and_leave_out_muted_ones() -> None:
    """What holds the release most stands first."""
    found = verdict(
        finding(PASS),
        finding(INCONCLUSIVE),
        finding(FAIL, votes=False),
        finding(ERROR),
        finding(FAIL, rule="first"),
        finding(FAIL, rule="second"),
    ).objections
    assert [f.outcome for f in found] == [FAIL, FAIL, ERROR, INCONCLUSIVE]
    assert [f.rule for f in found[:2]] == ["first", "second"]


@given(st.lists(FINDINGS, max_size=4), st.dictionaries(TEXT, TEXT, max_size=3))
def test_a_verdict_reads_back_from_its_record(
    findings: list[Finding], evidence: dict[str, str]
) -> None:
    """The record holds everything, and its digest is the verdict's digest."""
    given_verdict = Verdict(
        judge="judge/1",
        line="line",
        subject_digest="d",
        evidence=evidence,
        findings=tuple(findings),
    )
    read = verdict_from_json(given_verdict.to_json())
    assert read == given_verdict
    assert read.digest == given_verdict.digest


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not FAIL])
def test_a_record_with_another_outcome_than_its_findings_give_is_refused(outcome: Outcome) -> None:
    """Nobody can turn a failure into a pass by editing one word."""
    document = json.loads(verdict(finding(FAIL)).to_json())
    document["outcome"] = outcome.value
    with pytest.raises(IntegrityError, match=f"give fail, the record says '{outcome.value}'"):
        verdict_from_json(json.dumps(document).encode())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no outcome"),
        pytest.param(b'{"outcome": "pass"}', id="only an outcome"),
        pytest.param(
            b'{"outcome":"fine","judge":"j","line":"l","subject_digest":"d","findings":'
            b'[{"rule":"r","subject":"s","outcome":"fine"}]}',
            id="an unknown outcome",
        ),
    ],
)
def test_what_is_no_verdict_is_refused(content: bytes) -> None:
    """A broken file is an integrity error, never an empty verdict."""
    with pytest.raises(IntegrityError, match="verdict"):
        verdict_from_json(content)


def test_the_digest_changes_with_everything_a_verdict_says() -> None:
    """No field can be changed under the same digest."""
    base = verdict(finding(PASS), policy="p")
    others = [
        replace(base, judge="judge/2"),
        replace(base, line="other"),
        replace(base, subject_digest="e"),
        replace(base, evidence={"policy": "q"}),
        replace(base, findings=(finding(PASS, rule="other"),)),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 6


def test_an_act_goes_on_with_a_passing_verdict_only() -> None:
    """The verdict that was asked for is returned."""
    passing = verdict(finding(PASS))
    assert require_pass(passing, act="promotion", subject="version 1") is passing


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(None, "found none. Run the gate first", id="no verdict"),
        pytest.param(verdict(), "holds no finding that votes", id="an empty verdict"),
        pytest.param(verdict(finding(INCONCLUSIVE)), "is inconclusive", id="inconclusive"),
        pytest.param(verdict(finding(ERROR)), "is error", id="error"),
        pytest.param(verdict(finding(FAIL)), r"- rule \[subject\] fail", id="fail"),
    ],
)
def test_an_act_is_refused_without_a_passing_verdict(found: Verdict | None, message: str) -> None:
    """Absence and doubt refuse just as failure does, and say why."""
    with pytest.raises(RefusedError, match=message):
        require_pass(found, act="promotion", subject="version 1")


def test_evidence_that_differs_is_named() -> None:
    """A verdict on other data does not count, also where it judged nothing of that name."""
    judged = verdict(finding(PASS), policy="p", data="d")
    require_evidence(judged, act="promotion", policy="p", data="d")
    with pytest.raises(RefusedError) as refused:
        require_evidence(judged, act="promotion", policy="p", data="other", features="f")
    assert "data: the verdict judged d, found other" in str(refused.value)
    assert "features: the verdict judged nothing, found f" in str(refused.value)
    assert "policy" not in str(refused.value)
