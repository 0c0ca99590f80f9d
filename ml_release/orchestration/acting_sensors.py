"""The sensors that act on a decision: a rollback of the version that answers, a canary rejected.

Both go through the jobs that people use. Whoever rolled back meanwhile is not overruled: the job is
told which version is meant, and does nothing once that one does not serve.
"""

from collections.abc import Callable

import dagster as dg

from ml_release.domain.decision_record import DecisionRecord
from ml_release.domain.deployment import DeclaredState
from ml_release.domain.monitoring_decision import Action
from ml_release.domain.rollback import is_rollback
from ml_release.orchestration.jobs import LINE_TAG, REASON_TAG, run_in_flight
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.monitoring_decision import MONITORING, current_decision

_SECONDS_BETWEEN_TICKS = 30
_TRIES = 3
"""A rollback that was refused so often waits for a person; every refusal is a failed run to see."""


def auto_rollback_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for a rollback when that is the decision about the version that answers everybody."""

    def objection(decision: DecisionRecord, states: list[DeclaredState]) -> str:
        present = states[-1]
        rollout = present.rollout
        if decision.target is None:
            return "no version that came through its watch can be gone back to"
        if decision.target in present.withdrawn:
            return f"version {decision.target}, which it would go back to, was withdrawn since"
        if is_rollback(states):
            return "what answers is what a rollback left; a person goes further back"
        if rollout is not None and rollout.leg == "watch":
            return f"{rollout}: its watch takes it back if it does harm"
        return ""

    def form(decision: DecisionRecord) -> dict[str, object]:
        config = {"version": decision.target, "bad": decision.version, **_signed(decision)}
        return {"ops": {f"{line.name}_roll_back": {"config": config}}}

    return _acting_sensor(
        line,
        wiring,
        "auto_rollback",
        action="roll_back",
        job="rollback",
        objection=objection,
        form=form,
        description="Rolls back the version that answers when monitoring has decided so.",
    )


def reduce_canary_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for the canary to be rejected when the decision is to reduce it."""

    def objection(decision: DecisionRecord, states: list[DeclaredState]) -> str:
        rollout = states[-1].rollout
        if rollout is None or rollout.leg != "canary":
            return "no canary is under way any more"
        if rollout.version != decision.canary_version:
            return f"the decision is about version {decision.canary_version}, not about {rollout}"
        return ""

    def form(decision: DecisionRecord) -> dict[str, object]:
        config = {"version": decision.canary_version, **_signed(decision)}
        return {"ops": {f"{line.name}_reject_version": {"config": config}}}

    return _acting_sensor(
        line,
        wiring,
        "reduce_canary",
        action="reduce_canary",
        job="reject",
        objection=objection,
        form=form,
        description="Rejects a canary that monitoring has found worse than its control.",
    )


def _acting_sensor(
    line: ReleaseLine,
    wiring: Wiring,
    name: str,
    *,
    action: Action,
    job: str,
    objection: Callable[[DecisionRecord, list[DeclaredState]], str],
    form: Callable[[DecisionRecord], dict[str, object]],
    description: str,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{line.name}_{name}",
        job_name=f"{line.name}_{job}",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def act(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        with reported():
            decision = current_decision(
                line,
                environment=wiring.environment,
                evidence=wiring.evidence,
                deployments=wiring.deployments,
            )
        if decision is None:
            return dg.SkipReason("nothing was decided yet about the version that answers")
        # Before the history is read: most decisions are not to act.
        if decision.action != action:
            return dg.SkipReason(f"the decision is to {decision.sentence()}")
        with reported():
            history = wiring.deployments.history(line.name, wiring.environment)
        states = [one.state for one in history if not one.seal_problem]
        held = objection(decision, states)
        if held:
            return dg.SkipReason(held)
        for other in (job, "rollout"):
            running = run_in_flight(context.instance, line, other)
            if running:
                return dg.SkipReason(f"run {running} moves it already")
        # Of the declaration it was decided on: the next one has tries of its own.
        commit = str(decision.commit)
        seen, _, count = (context.cursor or "").rpartition(":")
        tries = int(count) + 1 if seen == commit and count.isdecimal() else 1
        if tries > _TRIES:
            return dg.SkipReason(f"it was asked for {_TRIES} times in vain; a person has to look")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{name}:{commit}:{tries}",
                    run_config=form(decision),
                    tags={LINE_TAG: line.name, REASON_TAG: decision.reason[:500]},
                )
            ],
            cursor=f"{commit}:{tries}",
        )

    return act


def _signed(decision: DecisionRecord) -> dict[str, object]:
    """Who asks and why, with the digest of the evidence."""
    reason = " ".join(decision.reason.split())
    return {"by": MONITORING, "reason": f"{reason} (decision {decision.digest})"}
