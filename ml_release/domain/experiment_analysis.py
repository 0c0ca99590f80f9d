"""What the arms of an experiment have shown so far, at any look, and what follows from it.

Every interval holds at all looks at once, so that looking often costs nothing but the units that
were planned for it. Harm is asked for first, then whether anything is known at all: an arm is
better only while no guardrail is in doubt. What a declared winner gets is a promotion of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ml_release.domain.experiment_guardrails import Guarded, guarded
from ml_release.domain.experiment_scores import arm_difference, arm_mean, groups_met
from ml_release.domain.planned_looks import always_valid_p, half_width, variance_for

if TYPE_CHECKING:
    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.experiment_scores import Estimate, Observed


class ArmOutcome(StrEnum):
    """What is known of an arm beside the control."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference larger than the smallest effect"
    UNDECIDED = "undecided"


class Answer(StrEnum):
    """What is to be done with the experiment."""

    CONTINUE = "continue"
    NAME_WINNER = "stop and name a winner"
    HARM = "stop for harm"
    PLANNED_END = "stop at the planned end"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm.

    Attributes
    ----------
    mean
        Of its rewards, were it alone; with ``low`` and ``high`` none, since what is compared is the
        difference.
    difference, low, high
        To the control, in the unit of the reward; NaN and without bounds while nothing is known.
        The intervals of all arms and of all looks hold together.
    p_value
        Always valid, of this arm alone; NaN while nothing is known.
    answers, units
        Rewarded ones, and the groups (buckets) they came from.
    more_answers
        About so many more rewarded answers, in this arm and the control together, until it is
        decided if the difference stays what it is; None where it is decided, or nobody can tell.
    guardrails
        None of the control.
    """

    version: int
    mean: float
    difference: float
    low: float
    high: float
    p_value: float
    answers: int
    units: int
    outcome: ArmOutcome
    more_answers: int | None
    guardrails: tuple[Guarded, ...]

    @property
    def is_harmful(self) -> bool:
        """Whether it is shown to earn less, or to break a guardrail."""
        return self.outcome is ArmOutcome.WORSE or any(g.is_harmed for g in self.guardrails)

    @property
    def is_harmless(self) -> bool:
        """Whether every guardrail is shown to hold."""
        return all(g.is_kept for g in self.guardrails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All arms, and the answer.

    Attributes
    ----------
    control, control_mean
        The first arm, and the mean of its rewards.
    information
        Part of the planned information that is there, from 0: the planned variance by that of the
        comparison that knows least.
    winner
        The version, where one is named.
    reason
        One sentence.
    """

    control: int
    control_mean: float
    arms: tuple[ArmResult, ...]
    information: float
    answer: Answer
    winner: int | None
    reason: str


def analyse(
    experiment: Experiment,
    observed: Observed,
    plan: ExperimentPlan,
    *,
    now: datetime,
    void_because: str = "",
) -> Analysis:
    """Judge all arms against the first one.

    Parameters
    ----------
    observed
        Answers of this experiment alone, of arms it declares, old enough to have their reward.
    void_because
        Why the comparison cannot be used (see `ml_release.domain.experiment_split`); empty if
        nothing speaks against it.
    """
    control, *others = (arm.version for arm in experiment.arms)
    rewarded = observed.rewarded
    found = {
        version: arm_difference(rewarded, rewarded.reward, version, control) for version in others
    }
    arms = tuple(_arm(v, found[v], observed, control, plan) for v in others)
    least = max(estimate.variance for estimate in found.values())
    information = plan.planned_variance / least if math.isfinite(least) else 0.0
    answer, winner, reason = _answer(arms, plan, information, now=now, void_because=void_because)
    return Analysis(
        control=control,
        control_mean=arm_mean(rewarded, rewarded.reward, control).value,
        arms=arms,
        information=information,
        answer=answer,
        winner=winner,
        reason=reason,
    )


def _arm(
    version: int, found: Estimate, observed: Observed, control: int, plan: ExperimentPlan
) -> ArmResult:
    policy, rewarded = plan.policy, observed.rewarded
    low, high, p_value, outcome, more = -math.inf, math.inf, math.nan, ArmOutcome.UNDECIDED, None
    if math.isfinite(found.variance) and math.isfinite(found.value):
        tuned_at, alpha = plan.planned_variance, plan.alpha_each
        width = half_width(found.variance, tuned_at=tuned_at, alpha=alpha)
        low, high = found.value - width, found.value + width
        p_value = always_valid_p(found.value, found.variance, tuned_at=tuned_at, alpha=alpha)
        if found.groups >= policy.minimum_units_per_arm:
            outcome = _outcome(low, high, plan)
        if outcome is ArmOutcome.UNDECIDED:
            more = _more(found, plan)
    return ArmResult(
        version=version,
        mean=arm_mean(rewarded, rewarded.reward, version).value,
        difference=found.value,
        low=low,
        high=high,
        p_value=p_value,
        answers=int((rewarded.version == version).sum()),
        units=groups_met(rewarded, version),
        outcome=outcome,
        more_answers=more,
        guardrails=guarded(observed, version, control, plan),
    )


def _outcome(low: float, high: float, plan: ExperimentPlan) -> ArmOutcome:
    sign, effect = plan.policy.sign, plan.policy.minimum_detectable_effect
    worst, best = min(sign * low, sign * high), max(sign * low, sign * high)
    if worst > 0:
        return ArmOutcome.BETTER
    if best < 0:
        return ArmOutcome.WORSE
    return ArmOutcome.NO_DIFFERENCE if worst > -effect and best < effect else ArmOutcome.UNDECIDED


def _more(found: Estimate, plan: ExperimentPlan) -> int:
    """Until the interval leaves 0, or stays within the smallest effect, whichever is sooner."""
    effect = plan.policy.minimum_detectable_effect
    enough = max(abs(found.value), effect - abs(found.value))
    wanted = variance_for(enough, tuned_at=plan.planned_variance, alpha=plan.alpha_each)
    by_width = found.answers * (found.variance / wanted - 1)
    needed = plan.policy.minimum_units_per_arm
    by_units = found.answers * (needed / found.groups - 1)
    return max(1, math.ceil(max(by_width, by_units)))


def _answer(
    arms: tuple[ArmResult, ...],
    plan: ExperimentPlan,
    information: float,
    *,
    now: datetime,
    void_because: str,
) -> tuple[Answer, int | None, str]:
    harmful = [arm for arm in arms if arm.is_harmful]
    if harmful:
        # Also of a void experiment: what hurts is not left to hurt for want of a good comparison.
        names = ", ".join(_why_harmful(arm) for arm in harmful)
        return Answer.HARM, None, f"back to control: {names}"
    if void_because:
        return Answer.VOID, None, f"the comparison cannot be used: {void_because}"
    better = [arm for arm in arms if arm.outcome is ArmOutcome.BETTER]
    shown = [arm for arm in better if arm.is_harmless]
    if shown:
        best = max(shown, key=lambda arm: plan.policy.sign * arm.difference)
        return (
            Answer.NAME_WINNER,
            best.version,
            f"version {best.version} differs by {best.difference:+.4g}"
            f" ({best.low:.4g} to {best.high:.4g}); promote it to give it all traffic",
        )
    doubted = ", ".join(f"version {arm.version}" for arm in better)
    doubt = f"; {doubted} earns more, but not every guardrail is shown to hold" if doubted else ""
    ends_at = datetime.fromisoformat(plan.begun_at) + timedelta(days=plan.policy.maximum_days)
    if all(arm.outcome is ArmOutcome.NO_DIFFERENCE for arm in arms):
        return Answer.PLANNED_END, None, "back to control: no arm makes a difference worth having"
    if now >= ends_at or (information >= 1 and not doubted):
        what = "the last day has come" if now >= ends_at else "the planned information is there"
        return (
            Answer.PLANNED_END,
            None,
            f"back to control: {what} and no arm is shown better{doubt}",
        )
    more = [arm.more_answers for arm in arms if arm.more_answers is not None]
    about = f"; about {max(more)} more rewarded answers" if more else ""
    return Answer.CONTINUE, None, f"{information:.0%} of the planned information{about}{doubt}"


def _why_harmful(arm: ArmResult) -> str:
    if arm.outcome is ArmOutcome.WORSE:
        return f"version {arm.version} differs by {arm.difference:+.4g} in its rewards"
    harmed = next(g for g in arm.guardrails if g.is_harmed)
    return f"version {arm.version} has {harmed.metric} {harmed.difference:+.4g} to the control's"
