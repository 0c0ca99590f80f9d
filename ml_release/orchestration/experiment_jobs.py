"""The jobs that begin and end an experiment, with their forms, and the sensor that ends one."""

import dagster as dg

from ml_release.domain.experiment_design import Baseline
from ml_release.domain.experiment_policy import experiment_policy, guardrail_limits
from ml_release.domain.experiment_verdict import decide_ending
from ml_release.errors import InputError
from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.experiment_page import plan_metadata
from ml_release.orchestration.jobs import LINE_TAG, REASON_TAG, op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.experiment_moves import Draft, begin_experiment, end_experiment
from ml_release.workflows.experiments import declared_experiment, newest_verdict
from ml_release.workflows.promotion import Request

_SECONDS_BETWEEN_TICKS = 30
_ALLOCATIONS = ("fixed", "thompson")


class ExperimentForm(dg.Config):
    """What is tried, on whom, by whom and why, and what it is held against.

    ``versions`` are tried beside the one that answers; ``weights_percent`` are in the same order
    after the control's, and empty for equal parts. What is left out has the default of the policy.
    """

    name: str
    versions: list[int]
    share_percent: float = 100.0
    weights_percent: list[float] | None = None
    allocation: str = "fixed"
    floor_percent: float = 5.0
    baseline_mean: float
    baseline_sd: float | None = None
    units_per_day: float | None = None
    metric: str = "binary"
    direction: str = "higher"
    minimum_detectable_effect: float = 0.02
    alpha: float = 0.05
    power: float = 0.8
    minimum_units_per_arm: int = 200
    maximum_days: float = 28.0
    unrewarded: str = "left_out"
    reward_delay_hours: float = 0.0
    error_tolerance: float = 0.01
    latency_limit_ms: float | None = None
    latency_tolerance: float = 0.02
    by: str
    reason: str


class EndForm(dg.Config):
    """Which experiment ends, whichever is declared if empty; who asks, and why."""

    name: str | None = None
    by: str
    reason: str


def begin_experiment_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_begin_experiment``."""

    @dg.op(name=f"{line.name}_declare_experiment", description="Plan it, and declare it.")
    def declare_experiment(context: dg.OpExecutionContext, config: ExperimentForm) -> None:
        with reported():
            begun = begin_experiment(
                line,
                draft_of(config),
                baseline=Baseline(
                    mean=config.baseline_mean,
                    sd=config.baseline_sd,
                    units_per_day=config.units_per_day,
                ),
                policy=experiment_policy(limits_of(config)),
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        context.log.info("planned: %d units", begun.plan.total_units)
        context.log_event(
            dg.AssetMaterialization(
                asset_key=endpoint_key(line),
                metadata={
                    "experiment": begun.experiment.name,
                    "changed": begun.changed,
                    "commit": begun.declaration.commit,
                    **plan_metadata(begun.plan),
                },
            )
        )

    return op_job(
        line,
        "begin_experiment",
        declare_experiment,
        description="Split units over the version that answers and others, by a plan.",
    )


def end_experiment_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_end_experiment``."""

    @dg.op(name=f"{line.name}_back_to_control", description="The version that answers takes all.")
    def back_to_control(context: dg.OpExecutionContext, config: EndForm) -> None:
        with reported():
            moved = end_experiment(
                line,
                config.name,
                environment=wiring.environment,
                request=Request(by=config.by, reason=config.reason, run_id=context.run.run_id),
                deployments=wiring.urgent_deployments,
                clock=wiring.clock,
            )
        ended = None if moved.before is None else moved.before.state.experiment
        context.log_event(
            dg.AssetMaterialization(
                asset_key=endpoint_key(line),
                metadata={
                    "experiment": "none",
                    "ended": "none" if ended is None else ended.name,
                    "version": moved.declaration.state.champion.version,
                    "changed": moved.changed,
                    "commit": moved.declaration.commit,
                },
            )
        )

    return op_job(
        line,
        "end_experiment",
        back_to_control,
        description="Back to control: the version that answers answers everybody.",
    )


def experiment_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for the end of the declared experiment once its recorded verdict shows harm."""

    @dg.sensor(
        name=f"{line.name}_experiment",
        job_name=f"{line.name}_end_experiment",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends an experiment that is shown to do harm; nothing else ends by itself.",
    )
    def experiment(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        with reported():
            declared = declared_experiment(
                line, environment=wiring.environment, deployments=wiring.deployments
            )
            verdict = (
                None
                if declared is None
                else newest_verdict(line, declared, evidence=wiring.evidence)
            )
        ending = decide_ending(declared, verdict)
        if declared is None or not ending.end:
            return dg.SkipReason(ending.reason)
        # A run that failed, because somebody else declared meanwhile, is asked for again: the
        # cursor counts how often.
        times = int(context.cursor or 0) + 1
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{ending.run_key}:{times}",
                    run_config=ending_config(line, declared.name, by="dagster", why=ending.reason),
                    tags={LINE_TAG: line.name, REASON_TAG: ending.reason},
                )
            ],
            cursor=str(times),
        )

    return experiment


def ending_config(line: ReleaseLine, name: str | None, *, by: str, why: str) -> dict[str, object]:
    """Run configuration of the job that ends an experiment."""
    form = {"by": by, "reason": why, **({} if name is None else {"name": name})}
    return {"ops": {f"{line.name}_back_to_control": {"config": form}}}


def draft_of(form: ExperimentForm) -> Draft:
    """The experiment that a form asks for; `InputError` if its allocation is none."""
    if form.allocation not in _ALLOCATIONS:
        message = (
            f"experiment {form.name}: expected the allocation {' or '.join(_ALLOCATIONS)}, found"
            f" {form.allocation!r}"
        )
        raise InputError(message)
    return Draft(
        name=form.name,
        versions=tuple(form.versions),
        share_percent=form.share_percent,
        weights_percent=None if not form.weights_percent else tuple(form.weights_percent),
        allocation="fixed" if form.allocation == "fixed" else "thompson",
        floor_percent=form.floor_percent,
    )


def limits_of(form: ExperimentForm) -> dict[str, object]:
    """The limits that a form names, as `experiment_policy` takes them."""
    names = (
        "metric",
        "direction",
        "minimum_detectable_effect",
        "alpha",
        "power",
        "minimum_units_per_arm",
        "maximum_days",
        "unrewarded",
        "reward_delay_hours",
    )
    return {
        **{name: getattr(form, name) for name in names},
        "guardrails": guardrail_limits(
            error_tolerance=form.error_tolerance,
            latency_limit_ms=form.latency_limit_ms,
            latency_tolerance=form.latency_tolerance,
        ),
    }
