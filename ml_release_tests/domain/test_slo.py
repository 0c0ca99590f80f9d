"""What a line promises, held against what was counted; what cannot be told never passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.error_budget import BurnAlert, SliCount
from ml_release.domain.slo import (
    AVAILABLE,
    BUDGET,
    DESCRIPTIONS,
    FAIR,
    FRESH,
    RIGHT,
    exhausted,
    judge_slo,
)
from ml_release.domain.slo_policy import (
    CorrectnessSlo,
    FairnessSlo,
    FreshnessSlo,
    LatencySlo,
    SloPolicy,
)
from ml_release.domain.slo_record import SloRecord, slo_record_from_json, standing_of
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import IntegrityError

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = ("availability", "latency", "correctness", "freshness", "fairness")
PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
EVERYTHING = SloPolicy(
    latency=LatencySlo(),
    correctness=CorrectnessSlo(limit=0.65),
    freshness=FreshnessSlo(maximum_age_days=40),
    fairness=FairnessSlo(),
    minimum_days=3,
)
KEPT: dict[str, Any] = {
    "score": 0.7,
    "score_rows": 1000,
    "model_age_days": 12.0,
    "fairness": PASS,
}


def steady(bad: int = 0, *, events: int = 100, hours: int = 672) -> list[SliCount]:
    return [
        SliCount(start=NOW - (back + 1) * HOUR, events=events, bad=bad) for back in range(hours)
    ]


def days(bad: int, n: int = 10) -> list[SliCount]:
    return [
        SliCount(start=NOW - timedelta(days=back + 1), events=1, bad=int(back < bad))
        for back in range(n)
    ]


def a_record(
    policy: SloPolicy = EVERYTHING,
    counts: dict[str, list[SliCount]] | None = None,
    **changes: Any,
) -> SloRecord:
    found = {
        "availability": steady(),
        "latency": steady(),
        "correctness": days(0),
        "freshness": steady(),
        "fairness": days(0),
        **(counts or {}),
    }
    standings = [
        standing_of(
            name,  # type: ignore[arg-type] # a name of a promise
            found[name],
            policy,
            objective=promised.objective,
            until=NOW,
            unit="days" if name in {"correctness", "fairness"} else "requests",
        )
        for name in found
        if (promised := getattr(policy, name)) is not None
    ]
    known: dict[str, Any] = {
        "line": "flights",
        "environment": "production",
        "judged_at": NOW,
        "as_of": NOW,
        "idle_hours": 0.5,
        "window_days": policy.window_days,
        "policy_digest": policy.digest,
        "model_digest": "sha256:a",
        "standings": tuple(standings),
        **KEPT,
    }
    return SloRecord(**{**known, **changes})


def judged(record: SloRecord, policy: SloPolicy = EVERYTHING) -> Verdict:
    return judge_slo(record, policy, subject_digest="sha256:r")


def of(verdict: Verdict, rule: str, subject: str = "flights") -> Finding:
    (found,) = (f for f in verdict.findings if (f.rule, f.subject) == (rule, subject))
    return found


def test_a_line_that_keeps_everything_passes_every_rule() -> None:
    """One finding per promise for the present, one for its budget."""
    verdict = judged(a_record())
    assert verdict.outcome is PASS
    assert [f.rule for f in verdict.findings] == [*list(DESCRIPTIONS)[:5], *[BUDGET] * 5]
    assert exhausted(verdict) == ()


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(
            a_record(
                counts={name: [] for name in NAMES},
                as_of=None,
                idle_hours=None,
                score=None,
                score_rows=0,
                model_age_days=None,
                fairness=None,
            ),
            id="nothing was ever asked",
        ),
        pytest.param(a_record(idle_hours=24.0 * 29), id="nothing came in for the whole window"),
    ],
)
def test_zero_traffic_is_inconclusive(record: SloRecord) -> None:
    """It is never 100 %, and never an outage."""
    verdict = judged(record)
    assert {f.outcome for f in verdict.findings} == {UNKNOWN}
    assert exhausted(verdict) == ()


def test_where_nothing_came_in_lately_only_the_budget_is_told() -> None:
    """A day of silence says nothing of the present, and takes nothing back of what was."""
    verdict = judged(a_record(counts={"availability": steady(2)}, idle_hours=24.5))
    now = [f for f in verdict.findings if f.rule != BUDGET]
    assert {f.outcome for f in now} == {UNKNOWN}
    assert {f.detail for f in now} == {"nothing came in for 24 hours"}
    assert [f.subject for f in exhausted(verdict)] == ["availability"]


@pytest.mark.parametrize(
    ("counts", "outcome", "said"),
    [
        pytest.param(steady(), PASS, "0 of 67200 requests", id="good"),
        # 0.5 % are allowed: 1 % spends twice as fast as it may, for three days.
        pytest.param(steady(1), FAIL, "ticket over 72 h and 6 h", id="slowly"),
        pytest.param(steady(0)[1:] + steady(50, hours=1), FAIL, "page over 1 h", id="outage"),
        pytest.param(steady()[1:], UNKNOWN, "too few", id="no newest hour"),
        pytest.param(steady(0, events=2), UNKNOWN, "too few requests", id="little traffic"),
        pytest.param([], UNKNOWN, "page over 1 h", id="none"),
    ],
)
def test_availability_is_judged_by_how_fast_its_budget_burns(
    counts: list[SliCount], outcome: Outcome, said: str
) -> None:
    """Any alert that fires fails it; one that cannot be told leaves it open."""
    finding = of(judged(a_record(counts={"availability": counts})), AVAILABLE)
    assert finding.outcome is outcome
    assert said in finding.detail


@pytest.mark.parametrize(
    ("rule", "changes", "outcome"),
    [
        pytest.param(RIGHT, {"score": 0.64}, FAIL, id="score below"),
        pytest.param(RIGHT, {"score": None}, UNKNOWN, id="no score"),
        pytest.param(RIGHT, {"score_rows": 199}, UNKNOWN, id="few labels"),
        pytest.param(FRESH, {"model_age_days": 40.0}, PASS, id="as old as it may be"),
        pytest.param(FRESH, {"model_age_days": 41.0}, FAIL, id="old"),
        pytest.param(FRESH, {"model_age_days": None}, UNKNOWN, id="no age"),
        pytest.param(FAIR, {"fairness": FAIL}, FAIL, id="unfair"),
        pytest.param(FAIR, {"fairness": UNKNOWN}, UNKNOWN, id="fairness is not known"),
        pytest.param(FAIR, {"fairness": None}, UNKNOWN, id="fairness was not judged"),
    ],
)
def test_the_other_promises_are_judged_by_their_newest_value(
    rule: str, changes: dict[str, Any], outcome: Outcome
) -> None:
    """Missing is not kept."""
    verdict = judged(a_record(**changes))
    assert of(verdict, rule).outcome is outcome
    assert verdict.outcome is outcome


def test_log_loss_is_to_stay_below() -> None:
    """Less is better."""
    policy = SloPolicy(correctness=CorrectnessSlo(score="log_loss", limit=0.5))
    assert of(judged(a_record(policy, score=0.6), policy), RIGHT).outcome is FAIL
    assert of(judged(a_record(policy, score=0.4), policy), RIGHT).outcome is PASS
    assert CorrectnessSlo(score="log_loss", limit=0.5).is_good(0.5)
    assert not CorrectnessSlo(limit=0.5).is_good(0.49)


@pytest.mark.parametrize(
    ("name", "counts", "outcome"),
    [
        pytest.param("availability", steady(5, hours=67), FAIL, id="requests"),
        pytest.param("availability", steady(0, hours=9), UNKNOWN, id="few requests"),
        pytest.param("availability", steady(100, hours=1), FAIL, id="few requests, all bad"),
        pytest.param("correctness", days(1), PASS, id="one of ten days"),
        pytest.param("correctness", days(2), FAIL, id="two of ten days"),
        pytest.param("correctness", days(0, n=2), UNKNOWN, id="few days"),
        pytest.param("fairness", days(3), FAIL, id="unfair days"),
        pytest.param("freshness", steady(100), FAIL, id="old all the time"),
        pytest.param("latency", [], UNKNOWN, id="nothing"),
    ],
)
def test_a_budget_is_left_exceeded_or_not_known(
    name: str, counts: list[SliCount], outcome: Outcome
) -> None:
    """Of every promise by itself."""
    verdict = judged(a_record(counts={name: counts}))
    assert of(verdict, BUDGET, name).outcome is outcome
    assert [f.subject for f in exhausted(verdict)] == ([name] if outcome is FAIL else [])


def test_what_is_not_promised_has_no_vote() -> None:
    """It is shown, and neither passes nor holds."""
    policy = SloPolicy(latency=None)
    verdict = judged(a_record(policy), policy)
    assert verdict.outcome is PASS
    silent = [f for f in verdict.findings if not f.votes]
    assert {f.outcome for f in silent} == {UNKNOWN}
    assert len(silent) == 4
    nothing = SloPolicy(availability=None, latency=None)
    assert judged(a_record(nothing), nothing).outcome is UNKNOWN


def test_a_record_reads_back() -> None:
    """And what is none says so."""
    record = a_record()
    assert slo_record_from_json(record.to_json()) == record
    with pytest.raises(IntegrityError, match="SLO record: expected a recorded one"):
        slo_record_from_json(b"{}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window_days": 2, "minimum_days": 1}, "expected stretches of at most window_days = 2"),
        ({"minimum_days": 29}, "expected at most window_days = 28, found 29"),
        ({"availability": {"objective": 1.0}}, "less than 1"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(changes: dict[str, Any], said: str) -> None:
    """With what was expected."""
    with pytest.raises(ValidationError, match=said):
        SloPolicy.model_validate(changes)


def test_of_several_that_fire_a_page_comes_first() -> None:
    """Somebody is woken."""
    assert a_record(counts={"availability": steady(50)}).standings[0].level == "page"
    assert a_record(counts={"availability": steady(1)}).standings[0].level == "ticket"
    assert a_record().standings[0].level is None
    alerts = (BurnAlert(level="page", long_hours=1, short_hours=1, budget_share=0.02),)
    policy = SloPolicy(alerts=alerts)
    assert a_record(policy, {"availability": steady(1)}).standings[0].level is None


def test_an_old_model_wakes_nobody() -> None:
    """Only requests that fail or are late do."""
    found = a_record(counts={"freshness": steady(100)})
    assert {one.name for one in found.standings if one.burns} == {"availability", "latency"}
    assert {one.level for one in found.standings} == {None}
