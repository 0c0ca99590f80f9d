"""What the holdout says of a model, in the form its reference profile keeps: by bin, never by row.

The model was not fitted on the holdout, so its scores and losses there are those that later traffic
is held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_release.domain.feature_bins import FeatureBins
from ml_release.domain.reference_profile import (
    SCORE,
    BinOutcomes,
    ScoreReference,
    as_table,
    rounded,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.features import Columns
    from ml_release.domain.reference_profile import ReferenceProfile

    Floats = npt.NDArray[np.float64]

_QUANTILES = np.arange(1, 20) / 20
_LEAST = 1e-15


def with_holdout(
    profile: ReferenceProfile,
    *,
    values: Columns,
    days: npt.NDArray[np.datetime64],
    target: Floats,
    scores: Floats,
    is_probability: bool,
) -> ReferenceProfile:
    """The profile with what its model did on the holdout.

    Rows whose score or label is not finite are left out; without any other row nothing is known.

    Parameters
    ----------
    values
        Readable feature values of shape (n,), over the profile's features.
    days
        Day of each row, shape (n,).
    target, scores
        Label and the model's answer, shape (n,).
    is_probability
        Whether labels are 0 or 1 and answers their probabilities; otherwise there is no log loss,
        and ``holdout`` stays empty.
    """
    known = np.isfinite(scores) & np.isfinite(target)
    if not known.any():
        return profile
    scores, target, days = scores[known], target[known], days[known]
    unique_days, day_of_row = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    bins = {**profile.bins, SCORE: fit_score_bins(scores)}
    columns = {name: values[name][known] for name in profile.bins} | {SCORE: scores}
    outcomes = {
        name: _outcomes(own, columns[name], target=target, scores=scores)
        for name, own in bins.items()
    }
    tables = {
        name: as_table(own.count_by(day_of_row, columns[name], groups=len(unique_days)))
        for name, own in bins.items()
    }
    return profile.model_copy(
        update={
            "score": ScoreReference(
                bins=bins[SCORE],
                days=tuple(str(day) for day in unique_days),
                counts=tables.pop(SCORE),
            ),
            "holdout": outcomes if is_probability else {},
            "holdout_days": tables,
            "importance": _importance({name: outcomes[name] for name in profile.bins}, scores),
        }
    )


def fit_score_bins(scores: Floats) -> FeatureBins:
    """The unique 5 % to 95 % quantiles of some finite answers, with open ends.

    Twice as many as of a feature: one shift of the score is a shift of everything that is decided.
    """
    quantiles = np.quantile(scores, _QUANTILES, method="inverted_cdf")
    return FeatureBins(edges=tuple(sorted({rounded(edge) for edge in quantiles.tolist()})))


def _outcomes(
    bins: FeatureBins, values: npt.NDArray[np.generic], *, target: Floats, scores: Floats
) -> BinOutcomes:
    place = bins.positions(values)
    probability = np.clip(scores, _LEAST, 1 - _LEAST)
    loss = -(target * np.log(probability) + (1 - target) * np.log1p(-probability))

    def sums(of: Floats) -> tuple[float, ...]:
        found = np.bincount(place, weights=of, minlength=bins.size)
        return tuple(rounded(one) for one in found.tolist())

    return BinOutcomes(
        rows=tuple(np.bincount(place, minlength=bins.size).tolist()),
        scores=sums(scores),
        labels=sums(target),
        loss=sums(loss),
        loss_squares=sums(loss**2),
    )


def _importance(outcomes: Mapping[str, BinOutcomes], scores: Floats) -> dict[str, float]:
    """Share of the variance of the score that the bins of each feature explain, adding up to 1.

    ``eta^2 = sum_b n_b (mean_b - mean)^2 / sum (s - mean)^2``, less what B bins explain by chance:
    ``1 - (1 - eta^2) (n - 1) / (n - B)`` (Kelley 1935, PNAS 21(9)), at least 0. A feature that
    works only together with others is told too small. Empty where nothing is explained.
    """
    n, mean = len(scores), float(scores.mean())
    total = float(((scores - mean) ** 2).sum())
    explained = {}
    for name, own in outcomes.items():
        rows = np.array(own.rows, dtype=np.float64)
        used = rows > 0
        groups = int(used.sum())
        if total <= 0 or n <= groups:
            continue
        means = np.array(own.scores)[used] / rows[used]
        eta = float((rows[used] * (means - mean) ** 2).sum()) / total
        explained[name] = max(0.0, 1 - (1 - eta) * (n - 1) / (n - groups))
    whole = sum(explained.values())
    return {name: rounded(one / whole) for name, one in explained.items()} if whole > 0 else {}
