"""The usual scores on any rows: estimates of scikit-learn, intervals by rows and by days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.domain.binary_scores import BinaryScores
from ml_release.domain.resampling import Resampling
from ml_release.domain.slice_scores import Slicing, slice_scores
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")
RNG = np.random.default_rng(0)
N = 600
PROBABILITY = np.round(RNG.beta(2, 3, N), 2)
TARGET = (RNG.random(N) < PROBABILITY).astype(float)
DAYS = np.arange(N) // 20
PLAN = Resampling(seed=1, resamples=200, method="standard")
SCORES = BinaryScores(target=TARGET, probability=PROBABILITY, threshold=0.4, plan=PLAN)
BY_DAY = replace(SCORES, plan=replace(PLAN, groups=DAYS))


def test_estimates_are_those_of_scikit_learn_on_the_rows_asked_for() -> None:
    """Every third row, to 1e-9, each within its interval, by rows and by days."""
    from sklearn import metrics

    rows = np.arange(0, N, 3)
    y, p = TARGET[rows], PROBABILITY[rows]
    d = (p >= 0.4).astype(float)
    expected = {
        "auc_score": metrics.roc_auc_score(y, p),
        "average_precision_score": metrics.average_precision_score(y, p),
        "brier_loss": metrics.brier_score_loss(y, p),
        "log_loss": metrics.log_loss(y, p),
        "calibration_gap": np.mean(p - y),
        "precision_score": metrics.precision_score(y, d),
        "recall_score": metrics.recall_score(y, d),
        "f1_score": metrics.f1_score(y, d),
        "false_positive_rate": d[y == 0].mean(),
        "selection_rate": d.mean(),
    }
    for scores, units in ((SCORES, None), (BY_DAY, 30)):
        assert scores.by_name().keys() == expected.keys()
        for name, score in scores.by_name().items():
            found = score(rows, 0.9)
            assert found.estimate == pytest.approx(expected[name], abs=1e-9), name
            assert found.low < found.estimate < found.high, name
            assert found.confidence == 0.9
            assert units is None or found.units == units, name


def test_a_higher_confidence_gives_a_wider_interval() -> None:
    """Also one far beyond what 200 resamples show by quantiles."""
    rows = np.arange(N)
    for name, score in BY_DAY.by_name().items():
        narrow, wide = score(rows, 0.9), score(rows, 0.9995)
        assert wide.low < narrow.low < narrow.high < wide.high, name


@pytest.mark.parametrize("scores", [SCORES, BY_DAY])
def test_on_no_rows_every_score_is_undefined(scores: BinaryScores) -> None:
    """An empty slice is shown, not an error."""
    for name, score in scores.by_name().items():
        found = score(np.empty(0, dtype=np.intp), 0.9)
        assert np.isnan([found.estimate, found.low, found.high]).all(), name
        assert found.n == 0


@pytest.mark.parametrize("groups", [None, DAYS])
@pytest.mark.parametrize("column", ["target", "probability"])
def test_a_value_that_is_not_known_undefines_the_slices_that_hold_it(
    column: str, groups: npt.NDArray[np.int64] | None
) -> None:
    """And no other."""
    values = getattr(SCORES, column).copy()
    values[5] = NAN
    scores = replace(SCORES, plan=replace(PLAN, groups=groups), **{column: values})
    slicing = Slicing(column="half", codes=(np.arange(N) >= 300).astype(np.intp), names=("a", "b"))
    table = slice_scores([slicing], scores.by_name(), confidence=0.9, minimum_n=1)
    for row in table.rows:
        assert np.isnan(row.interval.estimate) == (row.value == "a"), row.score
        assert np.isnan(row.interval.low) == (row.value == "a"), row.score


def test_columns_of_different_rows_and_strata_are_refused() -> None:
    """Before anything is scored."""
    with pytest.raises(InputError, match="for each of 600 targets, found 599 and 600"):
        replace(SCORES, probability=PROBABILITY[:-1])
    with pytest.raises(InputError, match="found 600 and 3"):
        replace(SCORES, plan=replace(PLAN, groups=np.zeros(3)))
    with pytest.raises(InputError, match="without strata"):
        replace(SCORES, plan=replace(PLAN, strata=TARGET))
