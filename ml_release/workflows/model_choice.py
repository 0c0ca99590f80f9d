"""From the rows of a window to a fitted model: search, final fit, calibration.

Everything before the final fit sees folds that end before the holdout; the final fit sees all days
before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ml_release.domain.calibrated_margin import (
    CalibratedMargin,
    CalibrationRecord,
    fit_sigmoid,
    sigmoid,
)
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.scores import log_loss
from ml_release.domain.search import DECLARED, FoldRecord, SearchRecord, TrialState
from ml_release.domain.search_objectives import grows_with_quality
from ml_release.domain.training_plan import time_ordered_folds
from ml_release.workflows.fitting import (
    fit_estimator,
    fold_values,
    out_of_fold_margins,
    rows_of_folds,
)
from ml_release.workflows.parameter_search import search_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.features import FeaturePlan
    from ml_release.domain.search import Scalar
    from ml_release.domain.training_plan import Fold, TrainingPolicy
    from ml_release.ports import ExperimentRun, ParameterSearch, Plotter
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.fitting import FoldRows
    from ml_release.workflows.parameter_search import Progress, Searched
    from ml_release.workflows.training import Window

HISTORY_PLOT = "search_history.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A model with how it was found.

    Attributes
    ----------
    model
        A fitted estimator, or a `CalibratedMargin` around one.
    plots
        Of the search, by file name; none without one.
    """

    model: object
    plan: FeaturePlan
    parameters: Mapping[str, Scalar]
    search: SearchRecord | None = None
    calibration: CalibrationRecord | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)


def choose_model(
    line: ReleaseLine,
    window: Window,
    policy: TrainingPolicy,
    *,
    search: ParameterSearch,
    plotter: Plotter,
    run: ExperimentRun,
    progress: Progress,
) -> Chosen:
    """Search as the policy says, fit on everything before the holdout, calibrate if it is asked.

    Raises
    ------
    RefusedError
        If the window is too short for its folds, a part of one lacks a class, or the margins
        cannot be calibrated.
    DeclarationError
        If no trial ends with a value.
    """
    folds = _folds(line, window, policy) if policy.needs_folds else ()
    rows = rows_of_folds(line, window, folds)
    parameters: Mapping[str, Scalar] = line.parameters
    record: SearchRecord | None = None
    plots: dict[str, bytes] = {}
    if policy.search_trials:
        found = _search(line, policy, rows, search=search, run=run, progress=progress)
        parameters = found.parameters
        record = _search_record(line, policy, folds, found)
        plots[HISTORY_PLOT] = plotter.search_history(
            found.trials, objective=policy.search_objective
        )

    chosen = _fitted(line, window, policy, parameters, rows)
    return replace(chosen, search=record, plots=plots)


def fit_again(
    line: ReleaseLine, window: Window, policy: TrainingPolicy, parameters: Mapping[str, Scalar]
) -> Chosen:
    """The model that `choose_model` makes of parameters it has found: the search is not repeated.

    Raises
    ------
    RefusedError
        As `choose_model`.
    """
    found = policy.with_budget(trials=0, seconds=None)
    folds = _folds(line, window, found) if found.needs_folds else ()
    return _fitted(line, window, found, parameters, rows_of_folds(line, window, folds))


def _fitted(
    line: ReleaseLine,
    window: Window,
    policy: TrainingPolicy,
    parameters: Mapping[str, Scalar],
    rows: Sequence[FoldRows],
) -> Chosen:
    """Fit on everything before the holdout, calibrate on the folds if it is asked."""
    fitted_on = {name: column[window.fit] for name, column in window.features.items()}
    plan = fit_plan(line.features, fitted_on)
    model = fit_estimator(line, parameters, encode(plan, fitted_on), window.target[window.fit])
    calibration: CalibrationRecord | None = None
    if policy.calibration == "sigmoid":
        calibration = _calibration(line, parameters, rows)
        model = CalibratedMargin(
            estimator=model, slope=calibration.slope, intercept=calibration.intercept
        )
    return Chosen(model=model, plan=plan, parameters=parameters, calibration=calibration)


def _folds(line: ReleaseLine, window: Window, policy: TrainingPolicy) -> tuple[Fold, ...]:
    return time_ordered_folds(
        window.days[window.fit],
        holdout_from=window.holdout_from,
        folds=policy.validation_folds,
        validation_days=policy.validation_days,
        embargo_days=line.embargo_days,
    )


def _search(
    line: ReleaseLine,
    policy: TrainingPolicy,
    rows: Sequence[FoldRows],
    *,
    search: ParameterSearch,
    run: ExperimentRun,
    progress: Progress,
) -> Searched:
    return search_parameters(
        subject=line.name,
        space=line.search_space,
        declared=line.parameters,
        fold_values=lambda parameters: fold_values(line, parameters, rows, policy),
        folds=len(rows),
        maximise=grows_with_quality(policy.search_objective),
        trials=policy.search_trials,
        seconds=policy.search_seconds,
        seed=line.seed,
        search=search,
        # As it ends, so that a search that is cut off later has left its trials.
        on_trial=lambda trial: run.add_trial(trial, objective=policy.search_objective),
        progress=progress,
    )


def _search_record(
    line: ReleaseLine, policy: TrainingPolicy, folds: Sequence[Fold], found: Searched
) -> SearchRecord:
    states = [trial.state for trial in found.trials]
    return SearchRecord(
        objective=policy.search_objective,
        seed=line.seed,
        trials_asked=policy.search_trials,
        seconds_asked=policy.search_seconds,
        seconds_spent=found.seconds,
        ended_by=found.ended_by,
        complete=states.count(TrialState.COMPLETE),
        pruned=states.count(TrialState.PRUNED),
        failed=states.count(TrialState.FAILED),
        best_trial=found.best.number,
        best_value=found.best_value,
        declared_value=found.trials[DECLARED].value,
        folds=tuple(
            FoldRecord(
                train_to=str(fold.train_to),
                validation_from=str(fold.validation_from),
                validation_to=str(fold.validation_to),
            )
            for fold in folds
        ),
    )


def _calibration(
    line: ReleaseLine, parameters: Mapping[str, Scalar], rows: Sequence[FoldRows]
) -> CalibrationRecord:
    margin, label = out_of_fold_margins(line, parameters, rows)
    slope, intercept = fit_sigmoid(margin, label)
    return CalibrationRecord(
        slope=slope,
        intercept=intercept,
        rows=len(label),
        log_loss_before=log_loss(label, sigmoid(margin)),
        log_loss_after=log_loss(label, sigmoid(slope * margin + intercept)),
    )
