"""The job ``<line>_adopt_kill_switch`` and the sensor that asks for it."""

import dagster as dg

from ml_release.orchestration.jobs import LINE_TAG, REASON_TAG, op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.kill_switch import adopt_kill_switch

_SECONDS_BETWEEN_TICKS = 30


def adopt_kill_switch_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job: one commit that says what was pulled at the endpoint, by whom and why."""

    @dg.op(
        name=f"{line.name}_declare_kill_switch",
        description="Declare what was pulled at the endpoint; asked again it changes nothing.",
    )
    def declare_kill_switch(context: dg.OpExecutionContext) -> None:
        with reported():
            found = adopt_kill_switch(
                line,
                environment=wiring.environment,
                run_id=context.run.run_id,
                switches=wiring.switches,
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
            )
        pulled, declaration = found.pulled, found.declaration
        if pulled is None:
            context.log.info("nothing was pulled that is not in Git")
        elif declaration is None:
            context.log.warning("a switch is pulled, but nothing is declared to put it into")
        else:
            said = "pulled" if pulled.engaged else "released"
            context.log.warning("%s by %s: %s", said, pulled.by, pulled.reason)
        context.add_output_metadata(
            {
                "changed": found.changed,
                "commit": "none" if declaration is None else declaration.commit,
            }
        )

    return op_job(
        line,
        "adopt_kill_switch",
        declare_kill_switch,
        description="Bring a kill switch that was pulled at the endpoint into Git.",
    )


def kill_switch_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for the job as long as something was pulled that is not in Git yet."""

    @dg.sensor(
        name=f"{line.name}_kill_switch",
        job_name=f"{line.name}_adopt_kill_switch",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Brings a kill switch that was pulled at the endpoint into Git.",
    )
    def kill_switch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        with reported():
            if wiring.remote is not None and wiring.remote.state().kind != "in_sync":
                # What was declared while the remote could not be reached is pushed here.
                wiring.remote.sync()
            pulled = wiring.switches.read(line.name, wiring.environment)
        if pulled is None:
            return dg.SkipReason("nothing was pulled that is not in Git")
        if wiring.deployments.read(line.name, wiring.environment) is None:
            return dg.SkipReason(f"nothing is declared for {line.name} to put the switch into")
        # A run that failed, because somebody else declared meanwhile, is asked for again: the
        # cursor counts how often.
        times = int(context.cursor or 0) + 1
        said = "pulled" if pulled.engaged else "released"
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"switch:{pulled.at.isoformat()}:{times}",
                    tags={
                        LINE_TAG: line.name,
                        REASON_TAG: f"kill switch {said} by {pulled.by}: {pulled.reason}",
                    },
                )
            ],
            cursor=str(times),
        )

    return kill_switch
