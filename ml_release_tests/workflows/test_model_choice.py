"""Search, final fit and calibration: what sees which rows, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.in_memory import InMemoryExperiments
from ml_release.adapters.random_search import RandomSearch
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.features import encode
from ml_release.domain.search import TrialState
from ml_release.domain.search_objectives import Objective, objective_value
from ml_release.domain.training_plan import Fold, time_ordered_folds
from ml_release.errors import DeclarationError, RefusedError
from ml_release.workflows.fitting import answers_of, require_labels, rows_of_folds
from ml_release.workflows.model_choice import Chosen, choose_model
from ml_release.workflows.training import Window, read_window
from ml_release_tests.small_line import MONTHS, NoPictures
from ml_release_tests.small_regression import SMALL_REGRESSION, regression_window
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.adapters.in_memory import InMemoryRun
    from ml_release.spec.release_line import ReleaseLine
    from ml_release_tests.small_line import House


class Seen:
    """Makes estimators that remember what they were fitted on and asked about."""

    def __init__(self, line: ReleaseLine) -> None:
        self._build = line.build_estimator
        self.fitted: list[np.ndarray] = []
        self.asked: list[np.ndarray] = []

    def __call__(self, parameters: Mapping[str, Any], seed: int) -> Any:
        estimator = self._build(parameters, seed)
        fit, decide = estimator.fit, getattr(estimator, "decision_function", None)

        def remembered(matrix: np.ndarray, target: np.ndarray) -> Any:
            self.fitted.append(matrix)
            return fit(matrix, target)

        def answered(matrix: np.ndarray) -> Any:
            self.asked.append(matrix)
            assert decide is not None
            return decide(matrix)

        estimator.fit, estimator.decision_function = remembered, answered
        return estimator


def window_of(house: House) -> Window:
    current = steps.current(house, "features")
    return read_window(house.line, [current[month] for month in MONTHS], tables=house.tables)


def choose(
    line: ReleaseLine, window: Window, *, run: InMemoryRun | None = None, **policy: Any
) -> Chosen:
    applied = line.policies.training.model_copy(update=policy)
    return choose_model(
        line,
        window,
        applied,
        search=RandomSearch(),
        plotter=NoPictures(),
        run=run or InMemoryExperiments().start(),
        progress=lambda _done, _total, _best: None,
    )


def test_without_a_search_the_declared_parameters_are_fitted_once(prepared: House) -> None:
    """No folds are made: a short window is long enough."""
    seen = Seen(prepared.line)
    line = prepared.line.model_copy(update={"build_estimator": seen})
    window = window_of(prepared)
    chosen = choose(line, window, validation_days=300)
    assert [len(matrix) for matrix in seen.fitted] == [window.fit.sum()]
    assert chosen.parameters == prepared.line.parameters
    assert (chosen.search, chosen.calibration, chosen.plots) == (None, None, {})


def test_rows_of_the_holdout_decide_nothing(prepared: House) -> None:
    """With other labels and values in them, search and calibration choose the same."""
    window = window_of(prepared)
    held_out = window.days >= window.holdout_from
    changed = replace(
        window,
        target=np.where(held_out, 1 - window.target, window.target),
        features={
            **window.features,
            "distance": np.where(held_out, -1.0, window.features["distance"]),
        },
    )
    asked: dict[str, Any] = {"search_trials": 5, "calibration": "sigmoid"}
    one, other = choose(prepared.line, window, **asked), choose(prepared.line, changed, **asked)
    assert one.parameters == other.parameters
    assert one.calibration == other.calibration
    assert one.plan == other.plan
    assert one.search is not None
    assert other.search is not None
    assert one.search.best_value == other.search.best_value


def test_the_final_fit_takes_every_labelled_row_before_the_holdout(prepared: House) -> None:
    """After two folds of fewer rows for each trial."""
    seen = Seen(prepared.line)
    line = prepared.line.model_copy(update={"build_estimator": seen})
    window = window_of(prepared)
    choose(line, window, search_trials=3, validation_folds=2)
    sizes = [len(matrix) for matrix in seen.fitted]
    assert len(sizes) == 3 * 2 + 1
    assert sizes[-1] == window.fit.sum()
    assert sizes[0] < sizes[1] < sizes[-1]
    assert sizes[:2] == sizes[2:4] == sizes[4:6]


def test_a_fold_is_encoded_by_what_it_has_learned(prepared: House) -> None:
    """A word that only later days know has the code of any other word."""
    window = window_of(prepared)
    from_day = window.holdout_from - np.timedelta64(7, "D")
    carrier = window.features["carrier"].copy()
    carrier[window.days >= from_day] = "ZZ"
    changed = replace(window, features={**window.features, "carrier": carrier})
    (rows,) = rows_of_folds(prepared.line, changed, last_fold_of(prepared.line, changed))
    column = prepared.line.features.index(
        next(feature for feature in prepared.line.features if feature.name == "carrier")
    )
    assert set(rows.validation_matrix[:, column]) == {3.0}
    assert set(rows.train_matrix[:, column]) == {0.0, 1.0, 2.0}


def last_fold_of(line: ReleaseLine, window: Window) -> tuple[Fold, ...]:
    return time_ordered_folds(
        window.days[window.fit],
        holdout_from=window.holdout_from,
        folds=1,
        validation_days=7,
        embargo_days=line.embargo_days,
    )


def test_a_window_too_short_for_its_folds_is_refused_before_any_fit(prepared: House) -> None:
    """One clear error, and nothing is tried."""
    run = InMemoryExperiments().start()
    with pytest.raises(RefusedError, match="folds before the holdout from 2013-04-17"):
        choose(prepared.line, window_of(prepared), run=run, search_trials=2, validation_days=60)
    assert run.trials == {}


def test_a_fold_of_one_class_is_refused_and_named(prepared: House) -> None:
    """A search could not compare anything on it."""
    window = window_of(prepared)
    last_fold = (window.days >= window.holdout_from - np.timedelta64(7, "D")) & window.fit
    changed = replace(window, target=np.where(last_fold, 0.0, window.target))
    with pytest.raises(
        RefusedError, match="in the validation part of fold 3, 2013-04-10 to 2013-04-16, found 0"
    ):
        choose(prepared.line, changed, search_trials=2)


def test_an_estimator_that_cannot_be_built_is_the_authors_error(prepared: House) -> None:
    """After every trial of it has failed, each recorded."""
    line = prepared.line.model_copy(update={"parameters": {**prepared.line.parameters, "max": 1}})
    run = InMemoryExperiments().start()
    with pytest.raises(DeclarationError, match="unexpected keyword argument 'max'"):
        choose(line, window_of(prepared), run=run, search_trials=3)
    assert [trial.state for trial in run.trials.values()] == [TrialState.FAILED] * 3


def test_calibration_rests_on_answers_to_rows_the_estimator_has_not_seen(prepared: House) -> None:
    """Of the validation days only, none of the holdout; the model keeps its ranks."""
    seen = Seen(prepared.line)
    line = prepared.line.model_copy(update={"build_estimator": seen})
    window = window_of(prepared)
    chosen = choose(line, window, calibration="sigmoid")
    assert chosen.calibration is not None
    days = window.days[window.fit]
    validated = (days >= window.holdout_from - np.timedelta64(21, "D")).sum()
    assert chosen.calibration.rows == validated
    assert sum(len(matrix) for matrix in seen.asked) == validated
    assert len(seen.fitted) == 3 + 1
    assert isinstance(chosen.model, CalibratedMargin)
    assert (chosen.model.slope, chosen.model.intercept) == (
        chosen.calibration.slope,
        chosen.calibration.intercept,
    )


def test_a_model_that_is_too_sure_is_calibrated_on_later_days(prepared: House) -> None:
    """Far too many leaves: on the holdout the calibrated probabilities lose less."""
    line = prepared.line.model_copy(
        update={
            "parameters": {"max_iter": 200, "max_leaf_nodes": 31, "min_samples_leaf": 2},
            "search_space": {},
        }
    )
    window = window_of(prepared)
    losses = []
    for calibration in ("none", "sigmoid"):
        chosen = choose(line, window, calibration=calibration)
        rows = {name: column[window.holdout] for name, column in window.features.items()}
        answers = answers_of(line, chosen.model, encode(chosen.plan, rows))
        losses.append(objective_value("log_loss", window.target[window.holdout], answers))
    assert losses[1] < losses[0] - 0.1
    assert chosen.calibration is not None
    assert chosen.calibration.slope < 0.7
    assert chosen.calibration.log_loss_after < chosen.calibration.log_loss_before


@pytest.mark.parametrize(
    "objective", ["mean_absolute_error", "root_mean_squared_error", "pinball_loss"]
)
def test_a_regressor_is_searched_and_fitted(objective: Objective) -> None:
    """Its answers are values; what is found is better than one round of small trees."""
    window = regression_window()
    run = InMemoryExperiments().start()
    chosen = choose(SMALL_REGRESSION, window, run=run, search_trials=6, search_objective=objective)
    record = chosen.search
    assert record is not None
    assert record.declared_value is not None
    assert record.best_value < record.declared_value
    assert len(record.folds) == 2
    # A label of 36 hours: two days between what is learned and what is judged.
    last = record.folds[-1]
    assert (last.train_to, last.validation_from) == ("2013-02-06", "2013-02-09")
    assert [len(trial.fold_values) for trial in run.trials.values()] == [2] * 6
    rows = {name: column[window.holdout] for name, column in window.features.items()}
    answers = answers_of(SMALL_REGRESSION, chosen.model, encode(chosen.plan, rows))
    found = objective_value("mean_absolute_error", window.target[window.holdout], answers)
    always_the_mean = np.full(len(answers), window.target[window.fit].mean())
    assert found < 0.7 * objective_value(
        "mean_absolute_error", window.target[window.holdout], always_the_mean
    )


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        pytest.param([], "found 0 infinite of 0", id="no rows"),
        pytest.param([1.0, float("inf")], "found 1 infinite of 2", id="infinite"),
    ],
)
def test_labels_a_regressor_cannot_learn_are_refused(target: list[float], problem: str) -> None:
    """One class is enough for it, and any finite number."""
    require_labels(SMALL_REGRESSION, np.array([-3.5, -3.5]), part="training part")
    with pytest.raises(RefusedError, match=problem):
        require_labels(SMALL_REGRESSION, np.array(target), part="training part")


def test_a_label_that_is_no_class_is_refused(prepared: House) -> None:
    """A classifier would learn a third class."""
    with pytest.raises(RefusedError, match=r"found 1 positive of 3 and 1 that are neither\."):
        require_labels(prepared.line, np.array([0.0, 1.0, 2.0]), part="training part")
