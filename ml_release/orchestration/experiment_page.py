"""An experiment, its plan and its regret as Dagster shows them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.verdict import Outcome
from ml_release.orchestration.rendering import picture
from ml_release.orchestration.tables import number

if TYPE_CHECKING:
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.regret import RegretReport
    from ml_release.workflows.experiments import ExperimentReport


def report_metadata(report: ExperimentReport) -> dict[str, dg.MetadataValue | str | int]:
    """What a reader asks first, then the arms, the plan, the cost and the pictures."""
    analysis, plan = report.analysis, report.plan
    warned = [
        finding.sentence()
        for finding in report.verdict.findings
        if not finding.votes and finding.outcome is not Outcome.PASS
    ]
    return {
        "experiment": report.experiment.name + ("" if report.is_declared else " (ended)"),
        "answer": analysis.answer.value,
        "reason": analysis.reason,
        "winner": "none" if analysis.winner is None else f"version {analysis.winner}",
        "information": f"{analysis.information:.0%} of the planned",
        "answers": len(report.gathered.observed),
        "arms": arms_table(analysis),
        "guardrails": guardrails_table(analysis),
        "bandit": bandit_table(report.regret),
        "regret": _regret(report.regret),
        "warnings": "\n".join(warned) or "none",
        "left out": "\n".join(
            f"{reason}: {n}" for reason, n in report.gathered.left_out.items() if n
        )
        or "nothing",
        "begun": plan.begun_at,
        **plan_metadata(plan),
        **{name: picture(png) for name, png in report.plots.items()},
    }


def plan_metadata(plan: ExperimentPlan) -> dict[str, dg.MetadataValue | str]:
    """What was decided before the first unit."""
    policy = plan.policy
    rows = {
        "metric": f"{policy.metric} reward, {policy.direction} is better",
        "baseline mean": number(plan.baseline_mean),
        "smallest effect": number(policy.minimum_detectable_effect),
        "alpha": f"{policy.alpha:g}, {plan.alpha_each:g} for each of {plan.comparisons}",
        "power": f"{policy.power:g}",
        "units for one look": _units(plan.fixed_units),
        "units for looking all the time": _units(plan.units),
        "times as many": number(plan.inflation),
        "units, control at its floor": "does not apply"
        if plan.units_at_floor is None
        else f"{plan.units_at_floor} in all",
        "expected days": "traffic is not known"
        if plan.expected_days is None
        else f"{plan.expected_days:.1f}",
        "longest, days": f"{policy.maximum_days:g}",
    }
    return {
        "plan": dg.MetadataValue.table(
            [dg.TableRecord({"plan": name, "value": value}) for name, value in rows.items()]
        ),
        "plan digest": plan.digest,
    }


def arms_table(analysis: Analysis) -> dg.TableMetadataValue:
    """One row per arm beside the control."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "arm": f"version {arm.version}",
                    "outcome": arm.outcome.value,
                    "mean": _number(arm.mean),
                    "control": _number(analysis.control_mean),
                    "difference": _number(arm.difference),
                    "interval": interval(arm.low, arm.high),
                    "p": _number(arm.p_value),
                    "rewarded": str(arm.answers),
                    "groups": str(arm.units),
                    "about so many more": "" if arm.more_answers is None else str(arm.more_answers),
                }
            )
            for arm in analysis.arms
        ]
    )


def guardrails_table(analysis: Analysis) -> dg.TableMetadataValue | str:
    """One row per arm and guardrail; in a word if there is none."""
    rows = [(arm.version, one) for arm in analysis.arms for one in arm.guardrails]
    if not rows:
        return "none"
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "arm": f"version {version}",
                    "guardrail": one.metric,
                    "shown": "harmed" if one.is_harmed else "kept" if one.is_kept else "unknown",
                    "difference": _number(one.difference),
                    "interval": interval(one.low, one.high),
                    "tolerance": number(one.tolerance),
                    "answers": str(one.answers),
                }
            )
            for version, one in rows
        ]
    )


def bandit_table(report: RegretReport) -> dg.TableMetadataValue:
    """One row per arm, the control too."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "arm": f"version {arm.version}",
                    "mean": _number(arm.mean),
                    "interval": interval(arm.low, arm.high),
                    "plain mean": _number(arm.plain_mean),
                    "probability best": _number(arm.probability_best),
                    "rewarded": str(arm.answers),
                    "worth": f"{arm.effective_answers:.0f}",
                }
            )
            for arm in report.arms
        ]
    )


def interval(low: float, high: float) -> str:
    """Both ends; in a word if nothing is known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not known yet"
    return f"{number(low)} to {number(high)}"


def _regret(report: RegretReport) -> str:
    if not len(report.days) or not math.isfinite(report.regret[-1]):
        return "not known yet"
    ends = interval(float(report.regret_low[-1]), float(report.regret_high[-1]))
    return (
        f"{report.regret[-1]:.1f} rewards lost to the best arm ({ends}); equal parts would have"
        f" lost {report.equal_parts_regret:.1f}"
    )


def _units(units: dict[int, int]) -> str:
    return ", ".join(f"version {version}: {count}" for version, count in units.items())


def _number(value: float) -> str:
    return number(value) if math.isfinite(value) else "not known yet"
