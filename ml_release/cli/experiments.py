"""``ml-release experiment``: plan one, begin it, read what it has shown, end it."""

from __future__ import annotations

import getpass
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ml_release.cli.running import JobRun
    from ml_release.domain.experiment_analysis import ArmResult
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.experiments import ExperimentReport

app = typer.Typer(
    help="A/B tests and bandits: plan, begin, report, end.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Line = Annotated[str, typer.Argument(metavar="LINE", help="Name of the release line.")]
By = Annotated[str, typer.Option("--by", help="Who asks for it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Mean = Annotated[float, typer.Option("--baseline", help="Mean reward of the control, 0 to 1.")]
Sd = Annotated[float | None, typer.Option(help="Its standard deviation; default the largest.")]
Effect = Annotated[float, typer.Option(help="Smallest difference that is worth finding.")]
Traffic = Annotated[float | None, typer.Option(help="New units per day, in all traffic.")]
Share = Annotated[float, typer.Option(help="Percent of the units that take part.")]
Metric = Annotated[str, typer.Option(help="What a reward is: binary or mean.")]
Alpha = Annotated[float, typer.Option(help="Chance of any false finding, at all looks.")]
Power = Annotated[float, typer.Option(help="Chance to find the smallest effect.")]
Days = Annotated[float, typer.Option(help="It ends after so many, whatever is known.")]
Allocation = Annotated[str, typer.Option(help="fixed or thompson.")]


@app.command()
def plan(
    line: Line,
    *,
    baseline: Mean,
    effect: Effect = 0.02,
    arms: Annotated[int, typer.Option(help="With the control.")] = 2,
    sd: Sd = None,
    units_per_day: Traffic = None,
    share: Share = 100.0,
    metric: Metric = "binary",
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    max_days: Days = 28.0,
    as_json: Json = False,
) -> None:
    """How many units and days an experiment needs; nothing is changed."""
    from ml_release.domain.experiment_design import Baseline, plan_experiment
    from ml_release.domain.experiment_policy import experiment_policy
    from ml_release.workflows.experiment_moves import Draft, draft_experiment

    found, _, _ = _open(line)
    draft = Draft(name="planned", versions=tuple(range(2, arms + 1)), share_percent=share)
    drawn = plan_experiment(
        draft_experiment(found, draft, control=1),
        Baseline(mean=baseline, sd=sd, units_per_day=units_per_day),
        experiment_policy(
            {
                "metric": metric,
                "minimum_detectable_effect": effect,
                "alpha": alpha,
                "power": power,
                "maximum_days": max_days,
            }
        ),
        begun_at="not begun",
    )
    _print(_plan_rows(drawn), f"{line}: plan", drawn.model_dump(mode="json"), as_json=as_json)


@app.command()
def begin(
    line: Line,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Not used before.")],
    *,
    version: Annotated[list[int], typer.Option(help="To try beside the one that answers; again.")],
    baseline: Mean,
    effect: Effect = 0.02,
    sd: Sd = None,
    units_per_day: Traffic = None,
    share: Share = 100.0,
    allocation: Allocation = "fixed",
    metric: Metric = "binary",
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    max_days: Days = 28.0,
    latency_limit_ms: Annotated[
        float | None, typer.Option(help="Slower answers are counted, and must not get more.")
    ] = None,
    by: By = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Split units over the version that answers and others, by a plan that is recorded first."""
    from ml_release.cli.acts import Move
    from ml_release.cli.running import run_job

    found, settings, wiring = _open(line)
    move = Move(version=None, by=by or getpass.getuser(), reason=reason)
    form = {
        "name": name,
        "versions": version,
        "share_percent": share,
        "allocation": allocation,
        "baseline_mean": baseline,
        "baseline_sd": sd,
        "units_per_day": units_per_day,
        "metric": metric,
        "minimum_detectable_effect": effect,
        "alpha": alpha,
        "power": power,
        "maximum_days": max_days,
        "latency_limit_ms": latency_limit_ms,
        **move.config(),
    }
    known = {key: value for key, value in form.items() if value is not None}
    run = run_job(
        f"{found.name}_begin_experiment",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{found.name}_declare_experiment": {"config": known}}},
    )
    made = run.metadata["production_endpoint"]
    rows = [(str(row.data["plan"]), str(row.data["value"])) for row in made["plan"].records]
    _print(
        [*rows, ("commit", str(made["commit"])), ("plan digest", str(made["plan digest"]))],
        f"{line}: experiment {name} "
        + ("is declared" if made["changed"] else "was declared already; nothing was changed"),
        {**_move(run), "experiment": name, "plan": dict(rows)},
        as_json=as_json,
    )


@app.command()
def end(
    line: Line,
    *,
    name: Annotated[str | None, typer.Option(help="Default whichever is declared.")] = None,
    by: By = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Back to control: the version that answers answers everybody."""
    from ml_release.cli.acts import Move
    from ml_release.cli.running import run_job
    from ml_release.orchestration.experiment_jobs import ending_config

    found, settings, wiring = _open(line)
    move = Move(version=None, by=by or getpass.getuser(), reason=reason)
    run = run_job(
        f"{found.name}_end_experiment",
        settings=settings,
        wiring=wiring,
        run_config=ending_config(found, name, by=move.by, why=move.reason),
    )
    made = run.metadata["production_endpoint"]
    _print(
        [("version", str(made["version"])), ("commit", str(made["commit"]))],
        f"{line}: "
        + (
            f"experiment {made['ended']} has ended"
            if made["changed"]
            else "no experiment is declared; nothing was changed"
        ),
        {**_move(run), "ended": made["ended"]},
        as_json=as_json,
    )


@app.command()
def report(
    line: Line,
    *,
    name: Annotated[
        str | None, typer.Option(help="Also of one that has ended; default the declared one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What an experiment has shown so far; nothing is recorded."""
    from ml_release.workflows.experiments import report_experiment

    found, _, wiring = _open(line)
    made = report_experiment(
        found,
        name,
        environment=wiring.environment,
        inference_log=wiring.inference_log,
        deployments=wiring.deployments,
        evidence=wiring.evidence,
        plotter=wiring.plotter,
        now=wiring.clock.now(),
    )
    analysis = made.analysis
    rows = [
        ("answer", analysis.answer.value),
        ("reason", analysis.reason),
        *((f"version {arm.version}", _arm_in_words(arm)) for arm in analysis.arms),
        *(("finding", one.sentence()) for one in made.verdict.objections),
    ]
    _print(rows, f"{line}: experiment {made.experiment.name}", _document(made), as_json=as_json)


def _arm_in_words(arm: ArmResult) -> str:
    if not math.isfinite(arm.high):
        return f"{arm.outcome.value}; too few units to say anything"
    more = f"; about {arm.more_answers} more rewarded answers" if arm.more_answers else ""
    return (
        f"{arm.outcome.value}: {arm.difference:+.4g} to the control ({arm.low:.4g} to"
        f" {arm.high:.4g}, n = {arm.answers}){more}"
    )


def _document(made: ExperimentReport) -> dict[str, Any]:
    analysis = made.analysis
    return {
        "experiment": made.experiment.name,
        "is_declared": made.is_declared,
        "answer": analysis.answer.value,
        "reason": analysis.reason,
        "winner": analysis.winner,
        "information": analysis.information,
        "arms": [
            {
                "version": arm.version,
                "outcome": arm.outcome.value,
                "difference": _number(arm.difference),
                "low": _number(arm.low),
                "high": _number(arm.high),
                "p_value": _number(arm.p_value),
                "answers": arm.answers,
                "units": arm.units,
                "more_answers": arm.more_answers,
            }
            for arm in analysis.arms
        ],
        "verdict": made.verdict.outcome.value,
        "verdict_digest": made.verdict.digest,
        "plan_digest": made.plan.digest,
        "regret": _number(float(made.regret.regret[-1])) if len(made.regret.days) else None,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plan_rows(drawn: ExperimentPlan) -> list[tuple[str, str]]:
    days = "traffic is not known" if drawn.expected_days is None else f"{drawn.expected_days:.1f}"
    return [
        ("units per arm", ", ".join(str(count) for count in drawn.units.values())),
        ("in all", str(drawn.total_units)),
        ("for one look", ", ".join(str(count) for count in drawn.fixed_units.values())),
        ("times as many", f"{drawn.inflation:.2f}, for looking all the time"),
        ("expected days", days),
        ("longest, days", f"{drawn.policy.maximum_days:g}"),
    ]


def _move(run: JobRun) -> dict[str, Any]:
    made = run.metadata["production_endpoint"]
    return {"changed": made["changed"], "commit": made["commit"], "run_id": run.run_id}


def _open(name: str) -> tuple[ReleaseLine, Settings, Wiring]:
    from ml_release.definitions import find_line
    from ml_release.orchestration.wiring import local_wiring
    from ml_release.settings import read_settings, refuse_telemetry

    refuse_telemetry()
    settings = read_settings()
    return find_line(name), settings, local_wiring(settings)


def _print(
    rows: list[tuple[str, str]], title: str, document: dict[str, Any], *, as_json: bool
) -> None:
    from ml_release.cli.console import print_facts, print_json

    if as_json:
        print_json(document)
    else:
        print_facts(rows, title=title)
