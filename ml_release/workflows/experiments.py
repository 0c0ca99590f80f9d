"""Judge a declared experiment from the inference log, by the plan it was begun with; record it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.experiment_design import digest_of_experiment, plan_from_json
from ml_release.domain.experiment_verdict import judge_experiment
from ml_release.domain.regret import report_regret
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.experiment_gathering import gather_experiment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.regret import RegretReport
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog, Plotter
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.experiment_gathering import Gathered

EXPERIMENT_PLAN = "experiment_plan"
EXPERIMENT_VERDICT = "experiment_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """An experiment, what it has shown, and what it has cost."""

    experiment: Experiment
    is_declared: bool
    plan: ExperimentPlan
    gathered: Gathered
    analysis: Analysis
    verdict: Verdict
    regret: RegretReport
    plots: Mapping[str, bytes]


def report_experiment(
    line: ReleaseLine,
    name: str | None = None,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> ExperimentReport:
    """Judge the declared experiment, or the one of a name that was declared last, as of ``now``.

    Nothing is recorded here; see `record_experiment`.

    Raises
    ------
    NotFoundError
        If there is no such experiment, or it was begun without a plan.
    IntegrityError
        If its plan was changed.
    """
    state, is_declared = _state_of(line, name, environment=environment, deployments=deployments)
    experiment = state.experiment
    if experiment is None:
        message = f"{line.name}: expected a declared experiment, found none"
        raise NotFoundError(message)
    plan = _plan_of(line, experiment, evidence=evidence)
    gathered = gather_experiment(line, experiment, plan, inference_log=inference_log, now=now)
    digests = {variant.version: variant.model_digest for variant in state.variants}
    analysis, verdict = judge_experiment(
        line.name,
        experiment,
        gathered.observed,
        plan,
        now=now,
        evidence={
            **{f"version_{v}_digest": digests[v] for v in sorted(experiment.versions)},
            "route_commits": " ".join(gathered.route_commits) or "none",
            "window": f"{gathered.first.isoformat()} to {gathered.last.isoformat()}"
            if gathered.first is not None and gathered.last is not None
            else "none",
        },
    )
    regret = report_regret(experiment, gathered.observed, plan)
    return ExperimentReport(
        experiment=experiment,
        is_declared=is_declared,
        plan=plan,
        gathered=gathered,
        analysis=analysis,
        verdict=verdict,
        regret=regret,
        plots={
            "differences.png": plotter.arm_differences(
                analysis, effect=plan.policy.minimum_detectable_effect
            ),
            "regret.png": plotter.regret(regret),
        }
        if len(gathered.observed)
        else {},
    )


def record_experiment(
    line: ReleaseLine, report: ExperimentReport, *, evidence: EvidenceStore
) -> None:
    """Record the verdict under the digest of the experiment, where the sensor looks for it."""
    evidence.record(
        line.name,
        EXPERIMENT_VERDICT,
        digest_of_experiment(report.experiment),
        report.verdict.to_json(),
    )


def declared_experiment(
    line: ReleaseLine, *, environment: str, deployments: Deployments
) -> Experiment | None:
    """What is declared now; None if there is none."""
    declaration = deployments.read(line.name, environment)
    return None if declaration is None else declaration.state.experiment


def newest_verdict(
    line: ReleaseLine, experiment: Experiment, *, evidence: EvidenceStore
) -> Verdict | None:
    """The verdict recorded last on an experiment; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, EXPERIMENT_VERDICT, digest_of_experiment(experiment))
    return None if content is None else verdict_from_json(content)


def _state_of(
    line: ReleaseLine, name: str | None, *, environment: str, deployments: Deployments
) -> tuple[DeclaredState, bool]:
    history = deployments.history(line.name, environment)
    if history:
        present = history[-1].state
        if present.experiment is not None and name in (None, present.experiment.name):
            return present, True
    names = []
    for declaration in reversed(history):
        known = declaration.state.experiment
        if known is not None and name is not None and known.name == name:
            return declaration.state, False
        if known is not None:
            names.append(known.name)
    wanted = "a declared experiment" if name is None else f"experiment {name}"
    past = ", ".join(dict.fromkeys(names)) or "none"
    message = (
        f"{line.name}: expected {wanted}, found none in {environment} (ended: {past}). Begin one"
        f" with `ml-release experiment begin {line.name}`."
    )
    raise NotFoundError(message)


def _plan_of(
    line: ReleaseLine, experiment: Experiment, *, evidence: EvidenceStore
) -> ExperimentPlan:
    digest = digest_of_experiment(experiment)
    content = evidence.find(line.name, EXPERIMENT_PLAN, digest)
    if content is None:
        message = (
            f"experiment {experiment.name} of {line.name}: expected the plan it was begun with,"
            " found none. Limits chosen after the fact prove nothing: end it, and begin another"
            " one with a plan."
        )
        raise NotFoundError(message)
    plan = plan_from_json(content)
    if plan.experiment_digest != digest:
        message = (
            f"plan of experiment {experiment.name}: expected that of {digest}, found that of"
            f" {plan.experiment_digest}"
        )
        raise IntegrityError(message)
    return plan
