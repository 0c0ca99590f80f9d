"""Fit an estimator of a line on rows of a window, and ask it about others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.calibrated_margin import CalibratedMargin, margin_of
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.search_objectives import objective_value
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.artefact import OutputKind
    from ml_release.domain.search import Scalar
    from ml_release.domain.training_plan import Fold, TrainingPolicy
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRows:
    """One fold, ready to be fitted on.

    Attributes
    ----------
    train_matrix, validation_matrix
        Shape (rows, features), encoded by a plan of the fold's own training rows.
    train_target, validation_target
        Shape (rows,).
    """

    train_matrix: Floats
    train_target: Floats
    validation_matrix: Floats
    validation_target: Floats


def fit_estimator(
    line: ReleaseLine, parameters: Mapping[str, Any], matrix: Floats, target: Floats
) -> Any:  # noqa: ANN401 (any estimator)
    """A fitted estimator of the line; labels of a classifier are whole numbers."""
    estimator = line.build_estimator(parameters, line.seed)
    estimator.fit(matrix, target.astype(np.int64) if line.task == "classification" else target)
    return estimator


def algorithm_of(model: object) -> str:
    """Where the estimator is from: package and class; of a calibrated one that inside.

    >>> algorithm_of(CalibratedMargin(estimator=object(), slope=1.0, intercept=0.0))
    'builtins.object'
    """
    kind = type(model.estimator if isinstance(model, CalibratedMargin) else model)
    return f"{kind.__module__.partition('._')[0]}.{kind.__qualname__}"


def answers_of(line: ReleaseLine, estimator: Any, matrix: Floats) -> Floats:  # noqa: ANN401 (any estimator)
    """Probability of label 1 of a classifier, the predicted value of a regressor; shape (n,)."""
    if line.task == "classification":
        return np.asarray(estimator.predict_proba(matrix), dtype=np.float64)[:, 1]
    return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1)


def output_kind_of(line: ReleaseLine) -> OutputKind:
    """What the model's signature says of its answers."""
    return "probability" if line.task == "classification" else "value"


def require_labels(line: ReleaseLine, target: Floats, *, part: str) -> None:
    """Refuse rows that nothing can be learned from, or judged on.

    A classifier needs both classes, a regressor one row; every label has to be finite.

    Raises
    ------
    RefusedError
        Naming the ``part`` of the window.
    """
    if line.task == "regression":
        infinite = int((~np.isfinite(target)).sum())
        if infinite or not len(target):
            message = (
                f"training of {line.name} refused: expected finite labels in the {part}, found"
                f" {infinite} infinite of {len(target)}. Mend the labels or choose a longer window."
            )
            raise RefusedError(message)
        return
    positives, negatives = int((target == 1).sum()), int((target == 0).sum())
    neither = len(target) - positives - negatives
    if not positives or not negatives or neither:
        message = (
            f"training of {line.name} refused: expected labels 0 and 1 in the {part}, found"
            f" {positives} positive of {len(target)}"
            + (f" and {neither} that are neither. Mend the labels." if neither else "")
            + ("" if neither else ". Choose a longer window.")
        )
        raise RefusedError(message)


def rows_of_folds(line: ReleaseLine, window: Window, folds: Sequence[Fold]) -> tuple[FoldRows, ...]:
    """The labelled rows of every fold, encoded once for all trials.

    Raises
    ------
    RefusedError
        As `require_labels`, naming the fold.
    """
    found = []
    for number, fold in enumerate(folds, start=1):
        train = window.fit & fold.trains_on(window.days)
        validation = window.fit & fold.validates_on(window.days)
        for name, rows in (("training", train), ("validation", validation)):
            days = f"fold {number}, {fold.validation_from} to {fold.validation_to}"
            require_labels(line, window.target[rows], part=f"{name} part of {days}")
        values = {name: column[train] for name, column in window.features.items()}
        # A vocabulary of the whole window would know words of the days that are judged.
        plan = fit_plan(line.features, values)
        later = {name: column[validation] for name, column in window.features.items()}
        found.append(
            FoldRows(
                train_matrix=encode(plan, values),
                train_target=window.target[train],
                validation_matrix=encode(plan, later),
                validation_target=window.target[validation],
            )
        )
    return tuple(found)


def fold_values(
    line: ReleaseLine,
    parameters: Mapping[str, Scalar],
    folds: Sequence[FoldRows],
    policy: TrainingPolicy,
) -> Iterator[float]:
    """The objective on the validation rows of each fold, fitted when it is asked for."""
    for rows in folds:
        estimator = fit_estimator(line, parameters, rows.train_matrix, rows.train_target)
        yield objective_value(
            policy.search_objective,
            rows.validation_target,
            answers_of(line, estimator, rows.validation_matrix),
            quantile=policy.pinball_quantile,
        )


def out_of_fold_margins(
    line: ReleaseLine, parameters: Mapping[str, Scalar], folds: Sequence[FoldRows]
) -> tuple[Floats, Floats]:
    """Margins of validation rows that the estimator was not fitted on, and their labels."""
    margins = [
        margin_of(
            fit_estimator(line, parameters, rows.train_matrix, rows.train_target),
            rows.validation_matrix,
        )
        for rows in folds
    ]
    return np.concatenate(margins), np.concatenate([rows.validation_target for rows in folds])
