"""Pictures of an evaluation, and the threshold that costs least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.scores import reliability_bins
from ml_release.domain.threshold_curve import (
    cheapest_threshold,
    threshold_curve,
)

if TYPE_CHECKING:
    from ml_release.domain.evaluation_gates import EvaluationEvidence
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.ports import Plotter
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout
    from ml_release.workflows.quality_evidence import Judged


def cheapest_of(line: ReleaseLine, answered: Answered, holdout: Holdout) -> ThresholdPoint | None:
    """The threshold of least cost on these rows; None if the policy declares no costs."""
    costs = line.policies.evaluation.quality.costs
    if costs is None or answered.problem:
        return None
    return cheapest_threshold(holdout.target, answered.answers, costs=costs)


def pictures_of(
    line: ReleaseLine, plotter: Plotter, judged: Judged, found: EvaluationEvidence
) -> dict[str, bytes]:
    """File name to PNG of whatever there is to draw."""
    plots: dict[str, bytes] = {}
    if found.slices.candidate is not None:
        plots["slices.png"] = plotter.slices(found.slices.candidate)
    if found.attribution.candidate:
        plots["importances.png"] = plotter.importances(
            found.attribution.candidate,
            found.attribution.champion,
            method=found.attribution.method,
        )
    answers, target = judged.candidate.answers, judged.holdout.target
    is_probability = found.quality.calibration_error is not None
    if not is_probability or not len(target) or not np.isfinite(answers).all():
        return plots
    costs = line.policies.evaluation.quality.costs
    if costs is not None:
        curve = threshold_curve(target, answers, costs=costs)
        threshold = line.policies.evaluation.quality.threshold
        plots["costs.png"] = plotter.costs(curve, threshold=threshold)
    series = {"candidate": answers}
    if judged.champion is not None and not judged.champion.problem:
        series[f"champion, version {judged.champion.version}"] = judged.champion.answers
    return {
        **plots,
        "reliability.png": plotter.reliability(
            {name: reliability_bins(target, known) for name, known in series.items()}
        ),
        "roc.png": plotter.roc(target, series),
    }
