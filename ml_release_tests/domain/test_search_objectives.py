"""Objectives of a search: their values, their direction, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.search_objectives import (
    Objective,
    grows_with_quality,
    objective_value,
    objectives_of,
)

TARGET = np.array([0.0, 1.0, 1.0, 0.0])
PROBABILITY = np.array([0.2, 0.9, 0.4, 0.5])
ALL: tuple[Objective, ...] = (
    "log_loss",
    "brier_loss",
    "auc_score",
    "mean_absolute_error",
    "root_mean_squared_error",
    "pinball_loss",
)


def test_every_objective_is_of_one_task() -> None:
    """None is of both, and none of neither."""
    assert (*objectives_of("classification"), *objectives_of("regression")) == ALL


@pytest.mark.parametrize("objective", ALL)
def test_objectives_are_those_of_scikit_learn(objective: Objective) -> None:
    """An independent implementation gives the same number."""
    from sklearn import metrics

    theirs = {
        "log_loss": metrics.log_loss(TARGET, PROBABILITY),
        "brier_loss": metrics.brier_score_loss(TARGET, PROBABILITY),
        "auc_score": metrics.roc_auc_score(TARGET, PROBABILITY),
        "mean_absolute_error": metrics.mean_absolute_error(TARGET, PROBABILITY),
        "root_mean_squared_error": metrics.root_mean_squared_error(TARGET, PROBABILITY),
        "pinball_loss": metrics.mean_pinball_loss(TARGET, PROBABILITY, alpha=0.9),
    }
    found = objective_value(objective, TARGET, PROBABILITY, quantile=0.9)
    assert found == pytest.approx(theirs[objective], rel=1e-12)


@pytest.mark.parametrize("objective", ALL)
@given(
    answer=st.lists(st.floats(0.01, 0.99), min_size=len(TARGET), max_size=len(TARGET)),
)
def test_the_name_says_which_way_is_better(objective: Objective, answer: list[float]) -> None:
    """Nothing is better than the truth."""
    value = objective_value(objective, TARGET, np.array(answer))
    truth = objective_value(objective, TARGET, TARGET)
    assert truth >= value if grows_with_quality(objective) else truth <= value


@pytest.mark.parametrize("objective", ALL)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([], id="no rows"),
        pytest.param([0.5, float("nan"), 0.5, 0.5], id="no number"),
        pytest.param([0.5, float("inf"), 0.5, 0.5], id="infinite"),
    ],
)
def test_what_cannot_be_computed_is_nan(objective: Objective, answer: list[float]) -> None:
    """Never a convenient number that could win."""
    assert np.isnan(objective_value(objective, TARGET[: len(answer)], np.array(answer)))


def test_one_class_alone_has_no_auc() -> None:
    """There is no pair to order."""
    assert np.isnan(objective_value("auc_score", np.ones(3), np.array([0.1, 0.2, 0.3])))
