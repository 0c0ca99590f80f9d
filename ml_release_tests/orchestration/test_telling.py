"""Whom the jobs of a release tell, and that nobody's silence stops a rollback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.apprise_notifier import AppriseNotifier
from ml_release.domain.approvals import ApprovalPolicy
from ml_release.domain.deployment import Declaration
from ml_release.domain.rollout_decision import RolloutDecision
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.orchestration.telling import notice_of_rollback, notices_of_tick
from ml_release.workflows.notifying import NOTICES
from ml_release.workflows.promotion import Moved
from ml_release.workflows.rollout_judging import LegJudgement
from ml_release.workflows.rollout_tick import Tick
from ml_release_tests.domain.test_deployment import state, variant
from ml_release_tests.orchestration.house import run, train
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg

    from ml_release.domain.deployment import DeclaredState
    from ml_release_tests.small_line import House

ALONE = state(variant(1))
CANARY = state(variant(1, weight_percent=75), variant(2, role="canary", weight_percent=25))
BACK = state(variant(1), withdrawn=(2,))


def declared(what: DeclaredState, commit: str) -> Declaration:
    return Declaration(
        state=what,
        commit=commit,
        committed_at="2013-10-01T00:00:00+00:00",
        actor="rollout",
        reason="errors are rare",
        seal_problem="",
    )


def moved(before: DeclaredState, after: DeclaredState, *, changed: bool = True) -> Moved:
    return Moved(declaration=declared(after, "c2"), before=declared(before, "c1"), changed=changed)


def judgement(answer: str) -> LegJudgement:
    verdict = Verdict(judge="j/1", line="small_line", subject_digest="d")
    return LegJudgement(leg="canary", version=2, answer=answer, said="s", verdict=verdict)  # type: ignore[arg-type]


def approval(outcome: Outcome) -> Finding:
    return Finding(rule="approvals_suffice", subject="version 2", outcome=outcome)


def tick(answer: str, act: str = "nothing", **fields: Any) -> Tick:
    decision = RolloutDecision(act=act, reason="r")  # type: ignore[arg-type]
    return Tick(decision=decision, judged=judgement(answer), **fields)


@pytest.mark.parametrize(
    ("looked", "kinds"),
    [
        (Tick(decision=RolloutDecision(act="nothing", reason="r"), judged=None), []),
        (tick("undecided"), []),
        (tick("hold"), ["held"]),
        (tick("advance"), ["held"]),
        (tick("advance", approval=approval(Outcome.PASS)), ["held"]),
        (tick("advance", approval=approval(Outcome.INCONCLUSIVE)), ["approval_wanted"]),
        (tick("hold", approval=approval(Outcome.INCONCLUSIVE)), ["held"]),
        (tick("advance", "advance", moved=moved(ALONE, CANARY)), ["canary_advanced"]),
        (tick("roll_back", "roll_back", moved=moved(CANARY, BACK)), ["rolled_back"]),
        (tick("advance", "settle", moved=moved(ALONE, ALONE)), []),
        (tick("advance", "advance", moved=moved(ALONE, CANARY, changed=False)), []),
    ],
)
def test_what_a_tick_led_to_is_told(looked: Tick, kinds: list[str]) -> None:
    """What changes nothing for anybody is told to nobody."""
    found = notices_of_tick(SMALL_LINE, looked)
    assert [notice.kind for notice in found if notice is not None] == kinds


def test_a_rollback_that_changed_nothing_is_told_to_nobody() -> None:
    """Asked again, or a restored state."""
    assert notice_of_rollback(SMALL_LINE, moved(CANARY, BACK, changed=False)) is None
    assert notice_of_rollback(SMALL_LINE, moved(CANARY, ALONE)) is None
    notice = notice_of_rollback(SMALL_LINE, moved(CANARY, BACK))
    assert notice is not None
    assert "version 2 was rolled back" in notice.title


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that takes every connection and never answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listening.accept()[0])

    threading.Thread(target=serve, daemon=True).start()
    yield f"json://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()
    for connection in held:
        connection.close()


def two_versions(house: House, instance: dg.DagsterInstance) -> None:
    """Version 2 answers, after version 1."""
    for last in ("2013-03", "2013-04"):
        assert train(house, instance, last=last).success
        assert run(house, "promote", instance).success


def roll_back(house: House, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    form = {"by": "ada", "reason": "errors"}
    config = {"ops": {"small_line_roll_back": {"config": form}}}
    return run(house, "rollback", instance, run_config=config)


def test_a_rollback_is_told_once(house: House, instance: dg.DagsterInstance) -> None:
    """The run again rolls nothing back and tells nothing."""
    two_versions(house, instance)
    assert roll_back(house, instance).success
    assert roll_back(house, instance).success
    assert [one.title for one in house.notifier.sent] == ["small_line: version 2 was rolled back"]


def test_a_notifier_that_hangs_stops_no_rollback(
    house: House, instance: dg.DagsterInstance, hanging: str
) -> None:
    """It is done, it takes as long as the limit, and people are told later."""
    two_versions(house, instance)
    house.notifier = AppriseNotifier([hanging], limit_seconds=1.0)  # type: ignore[assignment]
    begun = time.monotonic()
    result = roll_back(house, instance)
    assert result.success
    assert time.monotonic() - begun < 30
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    assert standing.state.champion.version == 1
    logged = [event.user_message for event in instance.all_logs(result.run_id)]
    assert any("notices wait" in message for message in logged)
    content = house.evidence.find(steps.LINE, NOTICES, "book")
    assert content is not None
    assert b"version 2 was rolled back" in content


def test_a_notifier_that_breaks_stops_no_rejection(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The version is taken out of service."""
    two_versions(house, instance)
    house.notifier.problem = "down"
    form = {"by": "eve", "reason": "unfair"}
    config = {"ops": {"small_line_reject_version": {"config": form}}}
    assert run(house, "reject", instance, run_config=config).success
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    assert standing.state.champion.version == 1


def test_an_approval_of_two_wants_another(house: House, instance: dg.DagsterInstance) -> None:
    """The second one is enough, and wants nothing."""
    policy = house.line.policies.rollout.model_copy(
        update={"approval": ApprovalPolicy(needed=2, author_may_approve=True)}
    )
    house.line = house.line.model_copy(
        update={"policies": house.line.policies.model_copy(update={"rollout": policy})}
    )
    assert train(house, instance).success
    for name in ("eve", "mallory"):
        form = {"by": name, "reason": "good"}
        config = {"ops": {"small_line_approve_version": {"config": form}}}
        assert run(house, "approve", instance, run_config=config).success
    assert [one.kind for one in house.notifier.sent] == ["approval_wanted"]
