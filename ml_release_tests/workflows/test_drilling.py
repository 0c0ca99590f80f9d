"""A rehearsed rollback is measured by what was served, and harms nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryTrialServer
from ml_release.domain.drill import (
    FAST,
    RESTORED,
    RULES,
    UNHARMED,
    DrillPolicy,
    DrillRecord,
    DrillRound,
    drill_finding,
    judge_drill,
)
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.drill_record import DRILL, recorded_drill
from ml_release.workflows.drilling import Drilled, drill
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version, history

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

T = datetime(2026, 1, 1, tzinfo=UTC)
PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def drilled(house: House, rounds: int | None = 2) -> Drilled:
    return drill(
        house.line,
        environment="production",
        rounds=rounds,
        request=steps.REQUEST,
        server=InMemoryTrialServer(
            house.models, house.loader, now=house.clock.now, deployments=InMemoryDeployments
        ),
        models=house.models,
        loader=house.loader,
        online=house.online,
        evidence=house.evidence,
        deployments=house.deployments,
        clock=house.clock,
    )


def test_a_drill_takes_the_champion_back_and_changes_nothing(serving: House) -> None:
    """Every round is answered by the restored version; production never hears of it."""
    candidate_version(serving)
    steps.declare(serving)
    before = history(serving)
    found = drilled(serving)
    assert history(serving) == before
    assert found.verdict.outcome is PASS
    record = found.record
    assert (record.released, record.restored, record.is_same_model) == (2, 1, False)
    assert (len(record.rounds), record.failed) == (2, 0)
    assert all(one.requests > 2 for one in record.rounds)
    assert recorded_drill(serving.line, environment="production", evidence=serving.evidence) == (
        record
    )


def test_a_first_release_is_rehearsed_with_the_same_model_twice(serving: House) -> None:
    """There is nothing to go back to yet, and the record says so."""
    record = drilled(serving, rounds=None).record
    assert (record.released, record.restored, record.is_same_model) == (1, 1, True)
    assert len(record.rounds) == serving.line.policies.rollout.drill.rounds


def test_with_nothing_declared_there_is_nothing_to_rehearse(evaluated: House) -> None:
    """And says what to do."""
    with pytest.raises(NotFoundError, match="Run `ml-release promote"):
        drilled(evaluated)


def test_an_edited_record_is_no_drill(serving: House) -> None:
    """It is not read as one."""
    drilled(serving, rounds=1)
    steps.edit(serving, DRILL, "production", lambda document: document.update(rounds="many"))
    with pytest.raises(IntegrityError, match="expected a recorded drill"):
        recorded_drill(serving.line, environment="production", evidence=serving.evidence)


def test_a_policy_that_asks_for_a_drill_lets_nothing_through_without(serving: House) -> None:
    """A recent one opens the gate; with time it shuts again."""
    candidate_version(serving)
    serving.line = steps.with_policy(serving.line, "rollout", drill_max_age_days=7.0)
    with pytest.raises(RefusedError, match="rollback_was_rehearsed"):
        steps.declare(serving)
    drilled(serving, rounds=1)
    serving.clock.move(timedelta(days=8))
    with pytest.raises(RefusedError, match="days old"):
        steps.declare(serving)
    drilled(serving, rounds=1)
    assert steps.declare(serving).declaration.state.champion.version == 2


def a_round(**changes: Any) -> DrillRound:
    return DrillRound(
        **{
            "released_at": T,
            "first_bad_at": T,
            "detected_at": T + timedelta(seconds=1),
            "decided_at": T + timedelta(seconds=1),
            "committed_at": T + timedelta(seconds=2),
            "first_restored_at": T + timedelta(seconds=3),
            "last_bad_at": T + timedelta(seconds=2.5),
            "requests": 10,
            "failed": 0,
            **changes,
        }
    )


def a_record(*rounds: DrillRound) -> DrillRecord:
    return DrillRecord(
        line="l",
        environment="production",
        by="a",
        released=2,
        restored=1,
        is_same_model=False,
        at=T,
        rounds=rounds,
    )


@pytest.mark.parametrize(
    ("rounds", "outcomes"),
    [
        pytest.param([a_round()], (PASS, PASS, PASS), id="good"),
        pytest.param([], (UNKNOWN, UNKNOWN, UNKNOWN), id="no rounds"),
        pytest.param([a_round(first_restored_at=None)], (FAIL, PASS, PASS), id="not restored"),
        pytest.param(
            [a_round(last_bad_at=T + timedelta(seconds=7))], (PASS, FAIL, PASS), id="slow"
        ),
        pytest.param([a_round(), a_round(last_bad_at=None)], (PASS, UNKNOWN, PASS), id="unknown"),
        pytest.param([a_round(failed=1)], (PASS, PASS, FAIL), id="a failed request"),
        pytest.param([a_round(requests=0)], (PASS, PASS, UNKNOWN), id="nobody asked"),
    ],
)
def test_a_drill_is_judged_by_its_rounds(
    rounds: list[DrillRound], outcomes: tuple[Outcome, ...]
) -> None:
    """Seconds from the decision, not from the commit."""
    verdict = judge_drill(a_record(*rounds), DrillPolicy(), subject_digest="d")
    assert RULES == (RESTORED, FAST, UNHARMED)
    assert tuple(finding.outcome for finding in verdict.findings) == outcomes


def test_seconds_are_counted_from_the_decision() -> None:
    """Detection from the first request that met the bad version."""
    one = a_round()
    assert (one.detection_s, one.commit_s, one.restored_s, one.silent_s) == (1.0, 1.0, 2.0, 1.5)
    assert a_round(last_bad_at=T).silent_s == 0.0


@pytest.mark.parametrize(
    ("record", "days", "outcome"),
    [
        pytest.param(None, 0.0, UNKNOWN, id="none"),
        pytest.param(a_record(a_round()), 1.0, PASS, id="lately"),
        pytest.param(a_record(a_round()), 9.0, UNKNOWN, id="long ago"),
        pytest.param(a_record(a_round()), -1.0, UNKNOWN, id="still to come"),
        pytest.param(a_record(a_round(failed=3)), 1.0, FAIL, id="went wrong"),
        pytest.param(a_record(), 1.0, UNKNOWN, id="showed nothing"),
    ],
)
def test_the_gate_asks_for_a_good_drill_of_lately(
    record: DrillRecord | None, days: float, outcome: Outcome
) -> None:
    """What is old, or of a clock that was moved, says nothing."""
    found = drill_finding(
        record,
        DrillPolicy(),
        subject="version 3",
        maximum_age_days=7.0,
        now=T + timedelta(days=days),
    )
    assert found.outcome is outcome
