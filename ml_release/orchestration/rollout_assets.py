"""The rollout: verdicts on what was served, the job that acts on them, the sensor that asks."""

from collections.abc import Mapping

import dagster as dg

from ml_release.domain.canary_rules import HARM
from ml_release.domain.rollout_decision import Act
from ml_release.domain.verdict import BEST_TO_WORST
from ml_release.orchestration.endpoint_assets import release_group
from ml_release.orchestration.jobs import LINE_TAG, REASON_TAG, op_job, run_in_flight
from ml_release.orchestration.release_jobs import show_move
from ml_release.orchestration.rendering import picture, reported
from ml_release.orchestration.tables import findings_table
from ml_release.orchestration.telling import notices_of_tick, tell
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.promotion import Request
from ml_release.workflows.rollout_judging import LegJudgement
from ml_release.workflows.rollout_tick import AUTOMATION, act_on_rollout, look_at_rollout

_SECONDS_BETWEEN_TICKS = 30
_LEGS = {
    "shadow": ("shadow_endpoint", "What pairs of answers say of the version asked in secret."),
    "canary": ("canary_endpoint", "What canary and control, served at the same time, have shown."),
    "watch": ("production_endpoint", "What was seen since a version answers everybody."),
}
_ACTS: Mapping[Act, str] = {
    "nothing": "stays where it is",
    "advance": "goes on",
    "settle": "its watch has ended",
    "roll_back": "taken back and withdrawn",
}


def verdict_specs(line: ReleaseLine) -> list[dg.AssetSpec]:
    """The assets ``<line>/shadow_verdict``, ``canary_verdict`` and ``watch_verdict``."""
    return [
        dg.AssetSpec(
            key=[line.name, f"{leg}_verdict"],
            deps=[dg.AssetKey([line.name, endpoint])],
            group_name=release_group(line),
            description=f"{description} Made by the job {line.name}_rollout.",
        )
        for leg, (endpoint, description) in _LEGS.items()
    ]


def rollout_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_rollout``: judge the release under way, and do what follows."""

    @dg.op(
        name=f"{line.name}_judge_and_move",
        description="Judge the release under way; go on, wait, take it back, or end its watch.",
    )
    def judge_and_move(context: dg.OpExecutionContext) -> None:
        with reported():
            tick = act_on_rollout(
                line,
                environment=wiring.environment,
                run_request=Request(by=AUTOMATION, reason="tick", run_id=context.run.run_id),
                inference_log=wiring.inference_log,
                tables=wiring.tables,
                evidence=wiring.evidence,
                models=wiring.models,
                loader=wiring.loader,
                online=wiring.online,
                registry=wiring.registry,
                deployments=wiring.deployments,
                urgent=wiring.urgent_deployments,
                plotter=wiring.plotter,
                clock=wiring.clock,
            )
        context.log.info("%s: %s", tick.decision.act, tick.decision.reason)
        if tick.judged is not None:
            context.log_event(
                dg.AssetMaterialization(
                    asset_key=dg.AssetKey([line.name, f"{tick.judged.leg}_verdict"]),
                    metadata={
                        "decision": f"{_ACTS[tick.decision.act]}: {tick.decision.reason}",
                        **_shown(tick.judged, wiring),
                    },
                )
            )
        if tick.moved is not None:
            show_move(context, line, wiring, tick.moved)
        tell(context, line, wiring, *notices_of_tick(line, tick))

    return op_job(
        line,
        "rollout",
        judge_and_move,
        description="Judge the release under way on what was served, and do what follows.",
    )


def rollout_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Looks at the release under way, and asks for the job when something follows from it."""

    @dg.sensor(
        name=f"{line.name}_rollout",
        job_name=f"{line.name}_rollout",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Advances, holds or takes back the release under way.",
    )
    def rollout(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        running = run_in_flight(context.instance, line, "rollout")
        if running:
            return dg.SkipReason(f"run {running} is looking at it already")
        with reported():
            tick = look_at_rollout(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                tables=wiring.tables,
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        decision, judged = tick.decision, tick.judged
        if judged is None:
            return dg.SkipReason(decision.reason)
        times, _, shown = (context.cursor or "").partition(":")
        seen = f"{judged.leg} {judged.version} {judged.answer}"
        if decision.act == "nothing" and seen == shown:
            return dg.SkipReason(decision.reason)
        # A run that failed, because somebody else declared meanwhile, is asked for again: the
        # cursor counts how often.
        count = (int(times) if times.isdecimal() else 0) + 1
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    # With the declaration: a cursor that was reset counts from the beginning, and a
                    # key of an earlier release would keep this one from running.
                    run_key=f"rollout:{judged.verdict.evidence.get('declared_commit')}:{count}",
                    tags={LINE_TAG: line.name, REASON_TAG: decision.reason[:500]},
                )
            ],
            cursor=f"{count}:{seen}",
        )

    return rollout


def _shown(judged: LegJudgement, wiring: Wiring) -> dict[str, dg.MetadataValue]:
    """What is read first comes first: numbers and pictures, then findings, the worst on top."""
    verdict = judged.verdict
    plots = dict(judged.plots)
    if judged.leg == "canary":
        plots["harm.png"] = wiring.plotter.findings(verdict, HARM)
    numbers = {
        name: dg.MetadataValue.text("not known")
        if value is None
        else dg.MetadataValue.text(value)
        if isinstance(value, str)
        else dg.MetadataValue.float(float(value))
        for name, value in judged.numbers.items()
    }
    findings = sorted(verdict.findings, key=lambda f: -BEST_TO_WORST.index(f.outcome))
    return {
        "version": dg.MetadataValue.int(judged.version),
        "answer": dg.MetadataValue.text(judged.answer),
        "outcome": dg.MetadataValue.text(verdict.outcome.value),
        **numbers,
        **{name: picture(png) for name, png in plots.items()},
        "findings": findings_table(findings),
        "verdict digest": dg.MetadataValue.text(verdict.digest),
    }
