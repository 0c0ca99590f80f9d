"""Facts out of what judges have recorded, and the decision that is kept."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ml_release.domain.decision_evidence import Worsening
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.evaluation_measures import Measured
from ml_release.domain.performance import window_from_json
from ml_release.domain.performance_record import (
    Baseline,
    NewestEstimate,
    PerformanceRecord,
    WindowScores,
)
from ml_release.domain.slo_record import BurnSeen, SloRecord, SloStanding
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.workflows.decision_facts import DATA_RULES, gather_facts
from ml_release.workflows.monitoring import DRIFT_VERDICT, INFERENCE_WINDOW
from ml_release.workflows.monitoring_decision import (
    current_decision,
    decide_on_monitoring,
    decision_history,
    newest_decision,
)
from ml_release.workflows.recorded_numbers import burn_level, change_of, document_of, speaks_of
from ml_release.workflows.stage_verdicts import CANARY_VERDICT
from ml_release_tests.full_rollout import judged, state_of
from ml_release_tests.orchestration.monitored import SERVED_TO, seen
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.fair_house import fair

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.decision_record import DecisionRecord
    from ml_release.domain.slo_policy import SloName
    from ml_release.workflows.decision_facts import Facts
    from ml_release_tests.small_line import House

ENVIRONMENT = "production"


def gather(house: House) -> Facts:
    return gather_facts(
        house.line,
        environment=ENVIRONMENT,
        evidence=house.evidence,
        deployments=house.deployments,
        now=house.clock.now(),
    )


def decide(house: House) -> DecisionRecord:
    return decide_on_monitoring(
        house.line,
        environment=ENVIRONMENT,
        evidence=house.evidence,
        deployments=house.deployments,
        clock=house.clock,
    )


def record(house: House, kind: str, document: object, subject: str = ENVIRONMENT) -> None:
    content = document.to_json() if isinstance(document, Verdict) else json.dumps(document).encode()
    house.evidence.record(steps.LINE, kind, subject, content)


def champion_of(house: House) -> str:
    return state_of(house).champion.model_digest


def verdict(
    house: House, subject: str, *findings: tuple[str, Outcome], judge: str = "drift/2"
) -> Verdict:
    return Verdict(
        judge=judge,
        line=steps.LINE,
        subject_digest=subject,
        evidence={"model_digest": champion_of(house)},
        findings=tuple(
            Finding(rule=rule, subject="distance", outcome=outcome) for rule, outcome in findings
        ),
    )


GOOD_DATA = tuple((rule, Outcome.PASS) for rule in DATA_RULES)


def drifted(
    house: House,
    outcome: Outcome,
    *more: tuple[str, Outcome],
    judge: str = "drift/2",
    rule: str = "drift_is_harmless",
) -> None:
    """A window, and what the judge of drift says of it."""
    window = seen(house)
    findings = ((rule, outcome), *(more or GOOD_DATA))
    record(house, DRIFT_VERDICT, verdict(house, window, *findings, judge=judge))


def performing(house: House, outcome: Outcome = Outcome.PASS, **numbers: Any) -> None:
    """What the judge of labels says."""
    found = verdict(
        house,
        "performance",
        ("no_worse_than_at_release", outcome),
        ("calibration_holds", Outcome.PASS),
        ("errors_show_no_change", Outcome.PASS),
        judge="performance/1",
    )
    record(house, "performance_verdict", found)
    known = {
        "model_digest": champion_of(house),
        "n": 5000,
        "auc": 0.75,
        "auc_low": 0.74,
        "auc_high": 0.76,
        "baseline_auc": 0.75,
    }
    record(house, "performance_record", {**known, **numbers})


def slo_record(
    digest: str | None,
    name: SloName = "availability",
    *,
    level: Literal["page", "ticket"] | None = None,
    fires: bool | None = True,
    left: float | None = 0.9,
) -> SloRecord:
    """One promise, with an alert unless its level is None."""
    burns = () if level is None else (a_burn(level, fires=fires),)
    return SloRecord(
        line=steps.LINE,
        environment="production",
        judged_at=datetime(2013, 5, 2, tzinfo=UTC),
        as_of=datetime(2013, 5, 2, tzinfo=UTC),
        idle_hours=0.0,
        window_days=28,
        policy_digest="p",
        model_digest=digest,
        standings=(
            SloStanding(
                name=name,
                unit="requests",
                objective=0.99,
                events=1000,
                bad=1,
                left=left,
                burns=burns,
            ),
        ),
    )


def a_burn(level: Literal["page", "ticket"], *, fires: bool | None) -> BurnSeen:
    return BurnSeen(
        level=level,
        long_hours=1,
        short_hours=1,
        limit_rate=14.4,
        long_rate=1.0,
        short_rate=1.0,
        long_events=1000,
        fires=fires,
    )


def promised(house: House) -> None:
    """Every promise is kept: its alerts are looked at, and none of them fires."""
    found = slo_record(champion_of(house), level="page", fires=False)
    house.evidence.record(steps.LINE, "slo_record", ENVIRONMENT, found.to_json())


def test_nothing_declared_is_nothing_to_decide(house: House) -> None:
    """And is recorded as such."""
    found = decide(house)
    assert (found.action, found.version, found.commit) == ("nothing", None, None)
    assert newest_decision(house.line, environment=ENVIRONMENT, evidence=house.evidence) == found


def test_without_any_record_it_is_watched(serving: House) -> None:
    """A version that answers and of which nothing is known."""
    found = decide(serving)
    assert found.action == "watch"
    for said in ("data is not known", "failed answers", "realised performance", "drift of the"):
        assert said in found.reason


def test_where_all_is_recorded_and_well_nothing_is_due(serving: House) -> None:
    """With the digests of what was looked at."""
    drifted(serving, Outcome.PASS)
    performing(serving)
    promised(serving)
    found = decide(serving)
    assert found.action == "nothing", found.reason
    assert {INFERENCE_WINDOW, DRIFT_VERDICT, "performance_verdict"} <= set(found.evidence)
    assert (found.version, found.as_of) == (1, SERVED_TO)


def test_skill_that_was_lost_asks_for_a_retraining(serving: House) -> None:
    """Of a version that has served for long."""
    serving.clock.move(timedelta(days=40))
    drifted(serving, Outcome.PASS)
    performing(serving, Outcome.FAIL, auc=0.70, auc_low=0.69, auc_high=0.71)
    found = decide(serving)
    assert (found.action, found.causes) == ("retrain", ("performance",))
    assert "AUC lost: +0.0500 (+0.0400 to +0.0600, n = 5000)" in found.reason


def test_drift_that_hurts_asks_where_labels_say_nothing(serving: House) -> None:
    """With the numbers of the record beside the verdict."""
    drifted(serving, Outcome.FAIL)
    row = {
        "feature": "distance",
        "standing": "shifted and hurting",
        "psi_nats": 0.4,
        "limit_nats": 0.1,
        "loss_change": 0.02,
        "windows_in_a_row": 2,
    }
    record(serving, "drift_record", {"features": [row]})
    (shift,) = gather(serving).evidence.shifts or ()
    assert (shift.standing, shift.psi_nats, shift.loss_change) == (DriftStanding.HURTING, 0.4, 0.02)
    found = decide(serving)
    assert (found.action, found.causes) == ("retrain", ("drift",))


def test_harmless_drift_is_told_from_none(serving: House) -> None:
    """By the record; the verdict passes on both."""
    drifted(serving, Outcome.PASS)
    record(
        serving,
        "drift_record",
        {"rows": [{"feature": "distance", "standing": "shifted but harmless"}]},
    )
    (shift,) = gather(serving).evidence.shifts or ()
    assert shift.standing is DriftStanding.HARMLESS


def test_what_the_first_judge_of_drift_finds_is_taken_for_hurting(serving: House) -> None:
    """It told no impact."""
    drifted(serving, Outcome.FAIL, judge="drift/1", rule="distribution_is_stable")
    (shift,) = gather(serving).evidence.shifts or ()
    assert shift.standing is DriftStanding.HURTING


@pytest.mark.parametrize("rule", DATA_RULES)
def test_broken_data_are_to_be_mended_before_anything_is_learned(serving: House, rule: str) -> None:
    """Also where skill was lost."""
    drifted(serving, Outcome.FAIL, (rule, Outcome.FAIL))
    performing(serving, Outcome.FAIL, auc=0.5, auc_low=0.49, auc_high=0.51)
    found = decide(serving)
    assert found.action == "fix_data"
    assert rule in found.reason


def test_rows_that_are_too_few_show_no_good_data(serving: House) -> None:
    """What is inconclusive is not known."""
    drifted(serving, Outcome.PASS, *((rule, Outcome.INCONCLUSIVE) for rule in DATA_RULES))
    assert gather(serving).evidence.data_problems is None


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("skew_verdict", "served_features_equal_offline"),
        ("label_verdict", "labels_agree"),
        ("label_verdict", "label_files_can_be_read"),
    ],
)
def test_skew_and_labels_that_contradict_are_faults_of_the_data(
    serving: House, kind: str, rule: str
) -> None:
    """No model is to blame for them."""
    drifted(serving, Outcome.PASS)
    record(serving, kind, verdict(serving, "x", (rule, Outcome.FAIL)))
    assert decide(serving).action == "fix_data"


def test_what_was_said_of_another_version_or_window_is_not_known(serving: House) -> None:
    """After a promotion the records of the version before are still there."""
    drifted(serving, Outcome.PASS)
    performing(serving, model_digest=steps.NOWHERE)
    seen(serving, as_of=date(2013, 5, 3))
    found = gather(serving).evidence
    assert (found.shifts, found.performance, found.auc_drop) == (None, None, None)
    seen(serving, digest=steps.NOWHERE)
    assert gather(serving).as_of is None


def test_a_record_that_was_edited_is_watched_and_named(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not believed, and stops no decision."""
    from ml_release.errors import IntegrityError

    find = serving.evidence.find

    def edited(line: str, kind: str, subject: str) -> bytes | None:
        if kind == "drift_verdict":
            message = "edited"
            raise IntegrityError(message)
        return find(line, kind, subject)

    drifted(serving, Outcome.PASS)
    performing(serving)
    monkeypatch.setattr(serving.evidence, "find", edited)
    found = decide(serving)
    assert found.action == "watch"
    assert "the record drift_verdict was edited" in found.reason


@pytest.mark.parametrize("content", [b"{", b"[1]", b"{}"])
def test_a_record_that_cannot_be_read_is_named(serving: House, content: bytes) -> None:
    """Neither words nor numbers are guessed."""
    serving.evidence.record(steps.LINE, "slo_record", ENVIRONMENT, content)
    assert "the record slo_record cannot be read" in gather(serving).evidence.unknown
    serving.evidence.record(steps.LINE, DRIFT_VERDICT, ENVIRONMENT, content)
    assert any("drift_verdict" in said for said in gather(serving).evidence.unknown)


def test_failed_answers_of_the_window_have_an_interval(serving: House) -> None:
    """One window with many errors."""
    seen(serving)
    content = serving.evidence.find(steps.LINE, INFERENCE_WINDOW, ENVIRONMENT)
    assert content is not None
    window = window_from_json(content).model_copy(update={"errors": 500})
    serving.evidence.record(
        steps.LINE, INFERENCE_WINDOW, ENVIRONMENT, window.model_dump_json().encode()
    )
    rate = gather(serving).evidence.error_rate
    assert rate is not None
    assert rate.is_shown_above(0.05)
    assert not rate.is_shown_above(0.0909)


@pytest.mark.parametrize(
    ("place", "outcome", "expected"),
    [
        ("canary 1", Outcome.FAIL, Outcome.FAIL),
        ("canary 1", Outcome.PASS, Outcome.PASS),
        ("canary 1", None, Outcome.INCONCLUSIVE),
        ("shadow", None, None),
        ("watch", None, None),
        ("settled", None, None),
    ],
)
def test_the_canary_is_known_by_the_verdict_on_its_present_step(
    at: Callable[[str], House], place: str, outcome: Outcome | None, expected: Outcome | None
) -> None:
    """Nothing recorded on this step is nothing known."""
    house = at(place)
    if outcome is not None:
        judged(house, 2, outcome)
    found = gather(house).evidence
    assert found.canary is expected
    assert found.canary_version == (2 if place == "canary 1" else None)
    assert (decide(house).action == "reduce_canary") is (expected is Outcome.FAIL)


def test_a_verdict_of_an_earlier_step_says_nothing(at: Callable[[str], House]) -> None:
    """It is bound to the declaration it was given on."""
    house = at("canary 1")
    bad = judged(house, 2, Outcome.FAIL, declared_commit="another")
    assert house.evidence.find(steps.LINE, CANARY_VERDICT, bad.subject_digest) is not None
    assert gather(house).evidence.canary is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("place", "target"), [("watch", None), ("settled", None)])
def test_only_a_version_that_came_through_its_watch_is_a_target(
    at: Callable[[str], House], place: str, target: int | None
) -> None:
    """Version 1 was released without one."""
    assert gather(at(place)).evidence.target is target


def test_the_age_is_counted_from_when_it_answers_everybody(at: Callable[[str], House]) -> None:
    """Not from the end of its watch."""
    house = at("settled")
    house.clock.move(timedelta(days=3))
    age = gather(house).evidence.age_days
    assert age is not None
    assert 3.0 <= age < 4.0


@pytest.mark.parametrize(("of_it", "expected"), [(True, Outcome.FAIL), (False, None)])
def test_fairness_counts_of_the_version_that_answers(
    serving: House, *, of_it: bool, expected: Outcome | None
) -> None:
    """After a promotion the gaps of the version before are still on record."""
    found = Verdict(
        judge="fairness_watch/1",
        line=steps.LINE,
        subject_digest="x",
        evidence={"model": champion_of(serving) if of_it else steps.NOWHERE},
        findings=(Finding(rule="fairness_holds", subject="carrier", outcome=Outcome.FAIL),),
    )
    record(serving, "fairness_verdict", found)
    assert gather(serving).evidence.fairness is expected


@pytest.mark.parametrize(
    ("task", "expected"), [("classification", Outcome.INCONCLUSIVE), ("regression", None)]
)
def test_fairness_is_doubted_only_where_something_watches_it(
    serving: House, task: str, expected: Outcome | None
) -> None:
    """Nobody watches groups of a regression: its line would be watched for ever."""
    serving.line = fair(serving.line).model_copy(update={"task": task})
    assert gather(serving).evidence.fairness is expected


def test_a_decision_counts_for_its_version_and_window_alone(serving: House) -> None:
    """Then nothing is decided until the next look."""
    drifted(serving, Outcome.PASS)
    found = decide(serving)

    def current() -> DecisionRecord | None:
        return current_decision(
            serving.line,
            environment=ENVIRONMENT,
            evidence=serving.evidence,
            deployments=serving.deployments,
        )

    assert current() == found
    seen(serving, as_of=date(2013, 5, 3))
    assert current() is None
    assert decide(serving) == current()


def test_the_history_keeps_what_changed(serving: House) -> None:
    """The same decision at every tick is one entry."""
    drifted(serving, Outcome.PASS)
    for _ in range(3):
        decide(serving)
    performing(serving)
    promised(serving)
    decide(serving)
    history = decision_history(serving.line, environment=ENVIRONMENT, evidence=serving.evidence)
    assert [one.action for one in history.decisions] == ["watch", "nothing"]


@pytest.mark.parametrize(
    ("document", "drop"),
    [
        ({"auc": 0.7, "baseline_auc": 0.75, "n": 9}, 0.05),
        ({"auc": {"estimate": 0.7, "low": 0.6, "high": 0.8}, "baseline": {"auc": 0.75}}, 0.05),
        ({"auc": 0.7, "baseline": {"auc": {"estimate": 0.75}}, "rows": 9}, 0.05),
        ({"auc": 0.7}, None),
        ({"auc": None, "baseline_auc": 0.75}, None),
        ({"auc": "0.7", "baseline_auc": 0.75}, None),
        ({"auc": True, "baseline_auc": 0.75}, None),
        ({}, None),
    ],
)
def test_a_score_is_held_against_its_baseline_in_whichever_form(
    document: dict[str, Any], drop: float | None
) -> None:
    """What is not there is not known."""
    found = change_of(document, "auc", falls=True)
    assert (None if found is None else round(found.estimate, 6)) == drop
    if isinstance(document.get("auc"), dict):
        assert found is not None
        assert found.low == pytest.approx(-0.05)
        assert found.high == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({}, "none"),
        ({"level": "page", "fires": True}, "page"),
        ({"level": "page", "fires": False}, "none"),
        ({"level": "page", "fires": None}, "none"),
        ({"level": "ticket", "fires": True, "name": "latency"}, "ticket"),
        ({"level": "page", "fires": True, "name": "freshness"}, "ticket"),
        ({"left": 0.0}, "ticket"),
        ({"left": None}, "none"),
    ],
)
def test_an_alert_counts_only_while_it_fires(facts: dict[str, Any], level: str) -> None:
    """A budget that is spent is worth a ticket, and a stale model wakes nobody."""
    assert burn_level(slo_record("mine", **facts)) == level


def test_a_young_version_is_paged_for_and_a_promise_of_another_is_not_known(
    at: Callable[[str], House],
) -> None:
    """The alert that fires is a fact; what was counted of the version before is none."""
    house = at("settled")
    found = slo_record(champion_of(house), level="page")
    house.evidence.record(steps.LINE, "slo_record", ENVIRONMENT, found.to_json())
    assert gather(house).evidence.burn == "page"
    other = slo_record(steps.NOWHERE, level="page")
    house.evidence.record(steps.LINE, "slo_record", ENVIRONMENT, other.to_json())
    assert gather(house).evidence.burn is None
    assert any("budgets" in said for said in gather(house).evidence.unknown)


@pytest.mark.parametrize(
    ("record", "subject", "is_of_it"),
    [
        ({"model_digest": "mine"}, "x", True),
        ({"model_digest": "other"}, "x", False),
        ({"version": 2}, "x", True),
        ({"version": 1}, "x", False),
        ({}, "mine", True),
        ({}, "x", False),
    ],
)
def test_a_record_says_which_version_it_speaks_of(
    record: dict[str, Any], subject: str, *, is_of_it: bool
) -> None:
    """One that does not is not believed."""
    verdict = Verdict(judge="performance/1", line="line", subject_digest=subject)
    assert speaks_of(verdict, record, champion="mine", version=2) is is_of_it


def test_a_document_is_an_object_or_nothing() -> None:
    """Whatever was written."""
    assert document_of(b'{"a": 1}') == {"a": 1}
    assert document_of(b"[1]") == document_of(b"{") == {}


def test_the_record_of_the_judge_of_labels_is_read_as_it_is_kept(serving: House) -> None:
    """What it states of the change since the release, and what it estimates of newer answers."""
    serving.clock.move(timedelta(days=40))
    drifted(serving, Outcome.PASS)
    performing(serving, Outcome.INCONCLUSIVE)

    def measured(estimate: float, low: float, high: float) -> Measured:
        return Measured(estimate=estimate, low=low, high=high, confidence=0.95, n=5000, units=28)

    kept = PerformanceRecord(
        line=steps.LINE,
        version=1,
        model_digest=champion_of(serving),
        at=serving.clock.now(),
        window=WindowScores(n=5000, auc=measured(0.70, 0.68, 0.72)),
        baseline=Baseline(
            auc=measured(0.75, 0.74, 0.76), log_loss=None, calibration_error=None, rate=None
        ),
        auc_change=measured(-0.05, -0.07, -0.03),
        log_loss_change=measured(0.01, -0.01, 0.03),
        newest=NewestEstimate(n=900, auc=0.74),
    )
    serving.evidence.record(steps.LINE, "performance_record", ENVIRONMENT, kept.to_json())
    facts = gather(serving).evidence
    assert facts.auc_drop == Worsening(estimate=0.05, low=0.03, high=0.07, n=5000)
    assert facts.loss_rise == Worsening(estimate=0.01, low=-0.01, high=0.03, n=5000)
    assert facts.estimated_drop == pytest.approx(0.01)
    found = decide(serving)
    assert (found.action, found.causes) == ("retrain", ("performance",))


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({"estimate": 60.0, "low": 20.0, "high": 100.0, "n": 5000}, "retrain"),
        ({"estimate": 60.0, "low": 4.0, "high": 116.0, "n": 5000}, "watch"),
        (None, "watch"),
    ],
    ids=["shown", "not shown", "not known"],
)
def test_a_declared_rise_of_costs_is_held_against_what_was_recorded(
    serving: House, change: dict[str, float] | None, action: str
) -> None:
    """Where it has a say and nobody recorded it, that is named, and nothing is not the answer."""
    serving.line = steps.with_policy(serving.line, "decisions", retrain_cost_rise=10.0)
    drifted(serving, Outcome.PASS)
    performing(serving, cost_per_1000_change=change)
    found = decide(serving)
    assert found.action == action
    assert ("the cost of decisions has changed" in found.reason) == (change is None)
