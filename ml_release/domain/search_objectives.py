"""What a search compares its trials by.

By scikit-learn's rule a ``_score`` grows with quality and an ``_error`` or ``_loss`` shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from ml_release.domain.scores import auc_score, brier_loss, log_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Floats = npt.NDArray[np.float64]
Task = Literal["classification", "regression"]
_OfClassifiers = Literal["log_loss", "brier_loss", "auc_score"]
_OfRegressors = Literal["mean_absolute_error", "root_mean_squared_error", "pinball_loss"]
Objective = _OfClassifiers | _OfRegressors


def objectives_of(task: Task) -> tuple[str, ...]:
    """Names of the objectives that fit a task.

    >>> objectives_of("classification")
    ('log_loss', 'brier_loss', 'auc_score')
    """
    return get_args(_OfClassifiers if task == "classification" else _OfRegressors)


def grows_with_quality(objective: str) -> bool:
    """Whether more is better.

    >>> grows_with_quality("auc_score"), grows_with_quality("log_loss")
    (True, False)
    """
    return objective.endswith("_score")


def objective_value(
    objective: Objective, target: Floats, answer: Floats, *, quantile: float = 0.5
) -> float:
    """One number for the answers on the rows of a fold.

    Parameters
    ----------
    target, answer
        Shape (n,): labels 0 or 1 and probabilities for a classifier, values in the unit of the
        target for a regressor.
    quantile
        Which one the answers estimate, above 0 and below 1; of ``pinball_loss`` only: the mean of
        q * max(y - a, 0) + (1 - q) * max(a - y, 0) (Koenker and Bassett 1978, Econometrica 46).

    Returns
    -------
    float
        NaN without rows, with an answer that is not finite, or where the objective is undefined.
    """
    if not len(target) or not np.isfinite(answer).all():
        return float("nan")
    if objective == "pinball_loss":
        error = target - answer
        return float(np.mean(np.maximum(quantile * error, (quantile - 1) * error)))
    return _VALUES[objective](target, answer)


def _mean_absolute_error(target: Floats, answer: Floats) -> float:
    return float(np.mean(np.abs(target - answer)))


def _root_mean_squared_error(target: Floats, answer: Floats) -> float:
    return float(np.sqrt(np.mean((target - answer) ** 2)))


_VALUES: Mapping[str, Callable[[Floats, Floats], float]] = {
    "log_loss": log_loss,
    "brier_loss": brier_loss,
    "auc_score": auc_score,
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_squared_error": _root_mean_squared_error,
}
