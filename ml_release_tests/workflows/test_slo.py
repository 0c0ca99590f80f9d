"""Promises of the small line, from what was counted to what is recorded."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.adapters.in_memory import InMemoryProfiles
from ml_release.domain.slo import AVAILABLE, BUDGET, FAIR, RIGHT, exhausted
from ml_release.domain.slo_policy import CorrectnessSlo, FairnessSlo, FreshnessSlo, SloPolicy
from ml_release.domain.slo_record import slo_record_from_json
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import IntegrityError
from ml_release.workflows.budget_freeze import (
    SLO_RECORD,
    SLO_VERDICT,
    newest_slo_verdict,
)
from ml_release.workflows.fairness_watch import FAIRNESS_HISTORY, FAIRNESS_VERDICT
from ml_release.workflows.performance import PERFORMANCE_HISTORY
from ml_release.workflows.slo import gather_slo
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.promises import FIRST, HOUR, count, hours, report

if TYPE_CHECKING:
    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.slo_record import SloRecord
    from ml_release_tests.small_line import House

PRODUCTION = "production"


def promise(house: House, **policy: object) -> None:
    policies = house.line.policies.model_copy(update={"slo": SloPolicy(**policy)})  # type: ignore[arg-type]
    house.line = house.line.model_copy(update={"policies": policies})


def outcome(house: House, rule: str, subject: str = steps.LINE) -> Outcome:
    (found,) = (f for f in report(house).verdict.findings if (f.rule, f.subject) == (rule, subject))
    return found.outcome


def test_an_idle_line_has_kept_and_broken_nothing(serving: House) -> None:
    """Everything is inconclusive, nothing is drawn, and nothing is frozen."""
    found = report(serving)
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    assert {f.outcome for f in found.verdict.findings} == {Outcome.INCONCLUSIVE}
    assert exhausted(found.verdict) == ()
    assert found.record.as_of is None
    assert found.plots == {}


def test_a_line_that_serves_nothing_can_be_reported(house: House) -> None:
    """Before its first release."""
    assert report(house).verdict.outcome is Outcome.INCONCLUSIVE


def test_requests_are_counted_whoever_answers(serving: House) -> None:
    """Of all versions and roles, by the hour of the event; answers nobody got do not count."""
    count(
        serving,
        [
            *hours(serving, (600, 1), (600, 2)),
            *hours(serving, (100, 3), variant="canary", version=2, model_digest="sha256:b"),
            *hours(serving, (900, 900), variant="shadow", version=3, model_digest="sha256:c"),
        ],
    )
    found = report(serving)
    standing = found.record.standing("availability")
    assert standing is not None
    assert (standing.events, standing.bad) == (1300, 6)
    assert standing.left == pytest.approx(1 - 6 / 1300 / 0.005)
    assert found.record.as_of == FIRST + 2 * HOUR
    assert found.record.idle_hours == 0.5
    assert list(found.plots) == ["error_budgets.png"]
    assert outcome(serving, BUDGET, "availability") is Outcome.PASS
    assert newest_slo_verdict(serving.line, environment=PRODUCTION, evidence=serving.evidence) == (
        report(serving).verdict
    )
    content = serving.evidence.find(steps.LINE, SLO_RECORD, PRODUCTION)
    assert content is not None
    assert slo_record_from_json(content) == found.record


def test_slow_answers_spend_the_budget_of_latency(serving: House) -> None:
    """Those above the limit for certain, of answered requests."""
    count(serving, hours(serving, (2000, 0), latency={0: 1970, 200: 30}))
    found = report(serving)
    assert [f.subject for f in exhausted(found.verdict)] == ["latency"]
    standing = found.record.standing("latency")
    assert standing is not None
    assert (standing.events, standing.bad) == (2000, 30)


def test_what_is_older_than_the_window_is_forgiven(serving: House) -> None:
    """28 days after the outage the budget is whole again."""
    count(serving, hours(serving, (2000, 2000)))
    assert exhausted(report(serving).verdict)
    later = FIRST + timedelta(days=28)
    (profile,) = hours(
        serving, (2000, 0), bucket=later.isoformat(), last_received=later.isoformat()
    )
    count(serving, [profile])
    assert not exhausted(report(serving).verdict)


def test_an_event_of_the_future_hides_nothing(serving: House) -> None:
    """A client with a wrong clock does not move the window away from an outage."""
    count(serving, hours(serving, (2000, 2000)))
    now = serving.clock.now()
    future = (now + timedelta(days=900)).isoformat()
    cursor = serving.profiles.cursor(steps.LINE, PRODUCTION)
    serving.profiles.add(
        steps.LINE,
        PRODUCTION,
        profiles=hours(serving, (1, 0), bucket=future),
        cursor={"records": 99},
        expected=cursor,
    )
    found = report(serving)
    assert exhausted(found.verdict)
    assert found.record.as_of == FIRST + HOUR


def test_silence_says_nothing_of_the_present(serving: House) -> None:
    """By the clock, whatever the time of the events was."""
    count(serving, hours(serving, *[(100, 0)] * 100))
    assert outcome(serving, AVAILABLE) is Outcome.PASS
    serving.clock.move(timedelta(hours=25))
    assert outcome(serving, AVAILABLE) is Outcome.INCONCLUSIVE
    assert outcome(serving, BUDGET, "availability") is Outcome.PASS


@pytest.mark.parametrize(
    ("limit", "bad"), [pytest.param(10_000, 0, id="young"), pytest.param(30, 1200, id="old")]
)
def test_freshness_counts_answers_by_the_age_of_who_gave_them(
    serving: House, limit: float, bad: int
) -> None:
    """From the end of its training data to the event; of who has no record nothing is known."""
    promise(serving, freshness=FreshnessSlo(maximum_age_days=limit))
    count(
        serving,
        [
            *hours(serving, (1200, 0)),
            *hours(serving, (70, 0), variant="kill_switch", version=0, model_digest="none"),
        ],
    )
    found = report(serving)
    standing = found.record.standing("freshness")
    assert standing is not None
    assert (standing.events, standing.bad) == (1200, bad)
    # Trained to the end of March 2013.
    assert found.record.model_age_days == (date(2026, 11, 21) - date(2013, 3, 31)).days


def a_performance(house: House, *windows: tuple[str, int, float | None, str]) -> None:
    """Windows of matured answers: last day, labelled rows, AUC, and whose."""
    rows = [
        {"until": day, "n": rows, "auc": score, "log_loss": None, "model_digest": digest}
        for day, rows, score, digest in windows
    ]
    house.evidence.record(
        steps.LINE, PERFORMANCE_HISTORY, PRODUCTION, json.dumps({"rows": rows}).encode()
    )


def test_correctness_counts_days_of_enough_labels(serving: House) -> None:
    """Inside the window, of every version; a day without a score is no good one."""
    promise(serving, correctness=CorrectnessSlo(limit=0.7), minimum_days=2)
    count(serving, hours(serving, *[(100, 0)] * 72))
    assert outcome(serving, RIGHT) is Outcome.INCONCLUSIVE
    mine = serving.registry.versions(steps.LINE)[0].model_digest
    a_performance(
        serving,
        ("2026-09-01", 300, 0.1, mine),
        ("2026-11-19", 300, 0.75, mine),
        ("2026-11-19", 300, 0.60, "sha256:before"),
        ("2026-11-20", 300, 0.75, "sha256:before"),
        ("2026-11-21", 199, 0.1, mine),
        ("2026-11-22", 300, None, mine),
        ("2026-11-23", 300, 0.71, mine),
        ("2026-11-24", 300, 0.10, "sha256:shadow"),
    )
    standing = report(serving).record.standing("correctness")
    assert standing is not None
    assert (standing.unit, standing.events, standing.bad, standing.burns) == ("days", 4, 2, ())
    assert (report(serving).record.score, report(serving).record.score_rows) == (0.71, 300)
    assert outcome(serving, RIGHT) is Outcome.PASS
    assert outcome(serving, BUDGET, "correctness") is Outcome.FAIL


def test_fairness_counts_days_of_broken_gaps(serving: House) -> None:
    """One gap that is wider than approved spoils the day; what is unknown is no day."""
    promise(serving, fairness=FairnessSlo(), minimum_days=1)
    count(serving, hours(serving, *[(100, 0)] * 72))
    assert outcome(serving, FAIR) is Outcome.INCONCLUSIVE
    rows = [
        {"rule": rule, "last_day": f"2026-11-2{day}", "standing": standing}
        for rule, day, standing in (
            ("fairness_holds", 1, "holds"),
            ("fairness_holds", 2, "holds"),
            ("fairness_holds", 2, "wider than approved"),
            ("fairness_holds", 3, "unknown"),
            ("slices_hold", 1, "wider than approved"),
        )
    ]
    history = json.dumps({"rows": rows}).encode()
    serving.evidence.record(steps.LINE, FAIRNESS_HISTORY, PRODUCTION, history)
    verdict = Verdict(
        judge="fairness/1",
        line=steps.LINE,
        subject_digest=steps.NOWHERE,
        findings=(Finding(rule="fairness_holds", subject="sex", outcome=Outcome.FAIL),),
    )
    serving.evidence.record(steps.LINE, FAIRNESS_VERDICT, PRODUCTION, verdict.to_json())
    standing = report(serving).record.standing("fairness")
    assert standing is not None
    assert (standing.events, standing.bad) == (2, 1)
    assert outcome(serving, FAIR) is Outcome.FAIL


def test_what_was_edited_is_not_believed(serving: House) -> None:
    """Neither record nor verdict."""
    report(serving)
    for kind in (SLO_RECORD, SLO_VERDICT):
        steps.edit(serving, kind, PRODUCTION, lambda found: found.pop("line"))
    with pytest.raises(IntegrityError):
        newest_slo_verdict(serving.line, environment=PRODUCTION, evidence=serving.evidence)
    content = serving.evidence.find(steps.LINE, SLO_RECORD, PRODUCTION)
    assert content is not None
    with pytest.raises(IntegrityError):
        slo_record_from_json(content)


UNDATED = (
    b'{"rows": [{"until": "soon", "model_digest": "", "n": 1, "auc": 0.5,'
    b' "last_day": "soon", "rule": "fairness_holds", "standing": "holds"}]}'
)


@pytest.mark.parametrize("kind", [PERFORMANCE_HISTORY, FAIRNESS_HISTORY])
@pytest.mark.parametrize(
    "content", [b"[]", b"no JSON", b"{}", b'{"rows": [{}]}', b'{"rows": [1]}', UNDATED]
)
def test_reports_that_are_none_say_so(serving: House, kind: str, content: bytes) -> None:
    """A promise is not held against something else."""
    promise(serving, correctness=CorrectnessSlo(limit=0.7), fairness=FairnessSlo())
    serving.evidence.record(steps.LINE, kind, PRODUCTION, content)
    with pytest.raises(IntegrityError, match=f"{kind}: expected a recorded one"):
        report(serving)


def test_a_record_depends_on_no_order_in_which_requests_were_counted(serving: House) -> None:
    """Whatever came in first, and in however many parts."""
    whole = [
        *hours(serving, (600, 1), (50, 0), (70, 9)),
        *hours(serving, (100, 3), (4, 4), variant="canary", version=2, model_digest="sha256:b"),
    ]
    serving.clock.move(timedelta(days=1))
    expected = counted(serving, whole)

    @given(st.permutations(whole), st.integers(0, 5))
    def check(order: list[BucketProfile], cut: int) -> None:
        assert counted(serving, order[:cut], order[cut:]) == expected

    check()


def counted(house: House, *parts: list[BucketProfile]) -> SloRecord:
    profiles = InMemoryProfiles()
    for number, part in enumerate(parts):
        profiles.add(
            steps.LINE,
            PRODUCTION,
            profiles=part,
            cursor={"records": number + 1},
            expected={"records": number} if number else {},
        )
    return gather_slo(
        house.line,
        environment=PRODUCTION,
        profiles=profiles,
        deployments=house.deployments,
        evidence=house.evidence,
        now=datetime(2026, 11, 22, tzinfo=UTC),
    )
