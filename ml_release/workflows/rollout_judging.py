"""Judge the release under way on what was served, on whichever leg, and record the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.domain.canary import judge_canary
from ml_release.domain.canary_policy import CanaryStep
from ml_release.domain.canary_tally import CanaryUnderWay
from ml_release.workflows.canary_evidence import observe_canary
from ml_release.workflows.shadow_report import report_shadow
from ml_release.workflows.shadow_tallying import ShadowStep
from ml_release.workflows.stage_verdicts import CANARY_VERDICT, bound
from ml_release.workflows.watch_evidence import report_watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.canary import CanaryVerdict
    from ml_release.domain.declared_rollout import Leg, Rollout
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.rollout_decision import Answer
    from ml_release.domain.rollout_policy import RolloutPolicy
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog, Plotter, Tables
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class LegJudgement:
    """What was said of a release on its present leg.

    Attributes
    ----------
    said
        Why, in words, with what is still needed.
    numbers, plots
        What goes beside it on its page: values by name, PNG by file name.
    """

    leg: Leg
    version: int
    answer: Answer
    said: str
    verdict: Verdict
    numbers: Mapping[str, float | str | None] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)


def judge_rollout(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    plotter: Plotter | None,
    now: datetime,
) -> LegJudgement | None:
    """Look at the release under way; only what is new in the log is read.

    None if none is under way, or nothing that is declared may be built on. Without a plotter
    nothing is drawn: who looks every half minute shows no pictures.

    Raises
    ------
    IntegrityError
        If what was counted before was edited.
    """
    standing = deployments.read(line.name, environment)
    if standing is None or standing.seal_problem or standing.state.rollout is None:
        return None
    rollout = standing.state.rollout
    if rollout.leg == "shadow":
        return _shadow(
            line,
            standing,
            rollout,
            environment=environment,
            inference_log=inference_log,
            deployments=deployments,
            tables=tables,
            evidence=evidence,
            plotter=plotter,
            now=now,
        )
    if rollout.leg == "canary":
        return _canary(
            line,
            standing,
            rollout,
            environment=environment,
            inference_log=inference_log,
            deployments=deployments,
            tables=tables,
            evidence=evidence,
            now=now,
        )
    watched = report_watch(
        line,
        line.policies.rollout.watch,
        environment=environment,
        inference_log=inference_log,
        deployments=deployments,
        tables=tables,
        evidence=evidence,
        now=now,
    )
    if watched is None:
        return None
    judged = watched.verdict
    return LegJudgement(
        leg="watch",
        version=rollout.version,
        answer="advance" if judged.answer == "finish" else judged.answer,
        said="; ".join((judged.reason, *judged.waits_for)),
        verdict=judged.verdict,
    )


def _shadow(
    line: ReleaseLine,
    standing: Declaration,
    rollout: Rollout,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    plotter: Plotter | None,
    now: datetime,
) -> LegJudgement:
    report = report_shadow(
        line,
        ShadowStep(
            release=standing.state.release,
            step=rollout.step,
            version=rollout.version,
            model_digest=rollout.model_digest,
            champion_digest=standing.state.champion.model_digest,
            since=rollout.since,
        ),
        line.policies.rollout.shadow,
        environment=environment,
        inference_log=inference_log,
        deployments=deployments,
        tables=tables,
        evidence=evidence,
        plotter=plotter,
        now=now,
    )
    judged = report.judgement
    more = "" if not judged.more_pairs else f"; about {judged.more_pairs} more pairs"
    return LegJudgement(
        leg="shadow",
        version=rollout.version,
        answer=judged.answer.value,
        said=judged.reason + more,
        verdict=judged.verdict,
        numbers=report.numbers,
        plots=report.plots,
    )


def _canary(
    line: ReleaseLine,
    standing: Declaration,
    rollout: Rollout,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> LegJudgement:
    policy = line.policies.rollout
    champion = standing.state.champion
    found = observe_canary(
        line,
        CanaryUnderWay(
            release=standing.state.release,
            step=rollout.step,
            step_began=rollout.since,
            canary_version=rollout.version,
            canary_digest=rollout.model_digest,
            control_version=champion.version,
            control_digest=champion.model_digest,
        ),
        environment=environment,
        policy=policy.canary,
        inference_log=inference_log,
        deployments=deployments,
        tables=tables,
        evidence=evidence,
        now=now,
    )
    judged = judge_canary(found, policy.canary, step=_minima(policy, standing, rollout))
    verdict = bound(judged.verdict, standing, now=now)
    evidence.record(line.name, CANARY_VERDICT, rollout.model_digest, verdict.to_json())
    arms = found.in_step
    objections = "; ".join(finding.sentence() for finding in verdict.objections)
    return LegJudgement(
        leg="canary",
        version=rollout.version,
        answer=judged.answer.value,
        said=f"{objections}{_needs(judged)}" if objections else "every rule that votes passes",
        verdict=verdict,
        numbers={
            "canary requests": float(arms.canary.requests),
            "control requests": float(arms.control.requests),
        },
    )


def _minima(policy: RolloutPolicy, standing: Declaration, rollout: Rollout) -> CanaryStep:
    """What the policy asks of the present step.

    A step that it lost is judged for harm all the same. It goes nowhere from there: the way on is
    asked in `ml_release.domain.rollout`.
    """
    if rollout.step < len(policy.canary_steps):
        return policy.canary_steps[rollout.step]
    (share,) = (v.weight_percent for v in standing.state.variants if v.role == "canary")
    return CanaryStep(weight_percent=share)


def _needs(judged: CanaryVerdict) -> str:
    """What an undecided canary waits for, in words."""
    requests, minutes = judged.needs.requests, judged.needs.minutes
    if not requests:
        return ""
    when = "" if minutes is None else f", about {minutes:.0f} more minutes at this traffic"
    return f"; about {requests} more requests of the canary{when}"
