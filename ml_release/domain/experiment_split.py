"""Whether units met the arms as declared, and whether every arm met enough to be compared.

A split that is off, of the units or of those whose reward came in, says that the arms met units of
different kinds: no comparison of them can be used (Fabijan et al. 2019, KDD). Units are counted by
their buckets, each once, at its first answer, since a unit that asks often does not say more of the
split. Where more than half of the buckets are met the count says less and less; it never rejects
too often for that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.experiment_scores import effective_answers
from ml_release.domain.mean_sequences import mean_radius
from ml_release.domain.sample_ratio import log_e_sample_ratio
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_policy import ExperimentPolicy
    from ml_release.domain.experiment_scores import Observed

SAMPLE_RATIO = "sample_ratio_matches"
OVERLAP = "arms_overlap"
_TESTS = 2
_CONCENTRATION = 1000.0
"""Of the mixture: there are 10,000 buckets at most, which show no smaller deviations."""
_TAU = 0.05
"""Relative error of a share to which the test of learned parts is tuned."""


def split_findings(
    experiment: Experiment, observed: Observed, policy: ExperimentPolicy
) -> tuple[Finding, ...]:
    """The split of all units, and of those with a reward."""
    alpha = policy.sample_ratio_alpha / _TESTS
    return (
        _split(experiment, observed, policy, "assigned units", alpha),
        _split(experiment, observed.rewarded, policy, "rewarded units", alpha),
    )


def overlap_findings(
    experiment: Experiment, observed: Observed, policy: ExperimentPolicy
) -> tuple[Finding, ...]:
    """A warning per arm whose rewarded answers are worth little once they are weighted."""
    rewarded = observed.rewarded
    found = []
    for arm in experiment.arms:
        mine = rewarded.version == arm.version
        n = int(mine.sum())
        share = effective_answers(rewarded, arm.version) / n if n else None
        least = float(rewarded.propensity[mine].min()) if n else None
        outcome = Outcome.INCONCLUSIVE
        if share is not None:
            outcome = Outcome.PASS if share >= policy.overlap_floor else Outcome.FAIL
        found.append(
            Finding(
                rule=OVERLAP,
                subject=f"version {arm.version}",
                outcome=outcome,
                observed=share,
                limit=policy.overlap_floor,
                bound="at least",
                unit="effective share",
                n=n,
                votes=False,
                detail="no rewarded answer" if least is None else f"least propensity {least:.4g}",
            )
        )
    return tuple(found)


def void_because(findings: tuple[Finding, ...]) -> str:
    """Why the comparison cannot be used; empty if no split is shown to be off."""
    return "; ".join(f.sentence() for f in findings if f.outcome is Outcome.FAIL)


def _split(
    experiment: Experiment,
    observed: Observed,
    policy: ExperimentPolicy,
    subject: str,
    alpha: float,
) -> Finding:
    _, first = np.unique(observed.bucket, return_index=True)
    units = observed.where(np.sort(first))
    arms = [arm for arm in experiment.arms if arm.weight_percent > 0]
    counts = [int((units.version == arm.version).sum()) for arm in arms]
    n = sum(counts)
    if n == 0:
        p_value = None
    elif experiment.allocation == "fixed":
        shares = np.array([arm.weight_percent for arm in arms])
        log_e = float(
            log_e_sample_ratio(counts, shares / shares.sum(), concentration=_CONCENTRATION)
        )
        p_value = math.exp(-max(0.0, log_e))
    elif n < policy.minimum_units_per_arm:
        p_value = None
    else:
        p_value = 1.0 if _as_logged(units, [arm.version for arm in arms], alpha) else 0.0
    outcome = Outcome.INCONCLUSIVE
    if p_value is not None:
        outcome = Outcome.FAIL if p_value <= alpha else Outcome.PASS
    split = ", ".join(f"version {arm.version}: {k}" for arm, k in zip(arms, counts, strict=True))
    return Finding(
        rule=SAMPLE_RATIO,
        subject=subject,
        outcome=outcome,
        observed=p_value,
        limit=alpha,
        bound="at least",
        unit="p",
        n=n,
        detail=f"buckets met: {split}" if n else "no unit was met",
    )


def _as_logged(units: Observed, versions: list[int], alpha: float) -> bool:
    """Whether, under learned parts, each arm's answers weighted by 1 / p count all units."""
    for version in versions:
        scores = np.where(units.version == version, 1 / units.propensity, 0.0) - 1
        variance = float(scores.var(ddof=1)) / len(scores)
        radius = float(mean_radius(variance, tau=_TAU, alpha=alpha / (2 * len(versions))))
        if abs(float(scores.mean())) > radius:
            return False
    return True
