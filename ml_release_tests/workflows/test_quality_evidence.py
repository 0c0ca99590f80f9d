"""Evidence on the holdout of a regressor, and the slices of words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.exact_shapley import ExactShapley
from ml_release.adapters.in_memory import SameProcessProbe
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.domain.gates_robustness import RobustnessPolicy
from ml_release.domain.gates_slices import SlicePolicy
from ml_release.errors import DeclarationError
from ml_release.workflows.gate_scorecard import Bench, _honest
from ml_release.workflows.holdout_answers import Answered, Holdout, holdout_of, problem_of
from ml_release.workflows.quality_evidence import OTHER, decided_cost, slicing_of
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.small_regression import SMALL_REGRESSION, regression_window

if TYPE_CHECKING:
    from ml_release.spec.release_line import ReleaseLine


def regression(**parameters: object) -> ReleaseLine:
    """The small regression with slices by a word and by a number."""
    policies = SMALL_REGRESSION.policies
    evaluation = policies.evaluation.model_copy(
        update={
            "slices": SlicePolicy(limit=8.0, champion_margin=1.0, minimum_rows=20),
            # Both limits are in minutes, the unit of the answers and of their mean error.
            "robustness": RobustnessPolicy(shift_limit=5.0, score_loss_limit=1.0),
        }
    )
    return SMALL_REGRESSION.model_copy(
        update={
            "slices": ("carrier", "distance"),
            "parameters": {**SMALL_REGRESSION.parameters, **parameters},
            "policies": policies.model_copy(update={"evaluation": evaluation}),
        }
    )


@pytest.mark.parametrize(
    ("trees", "rules"),
    [
        pytest.param(60, (), id="good"),
        pytest.param(
            1,
            ("loss_is_below_ceiling", "slices_are_good_enough"),
            id="a single tree",
        ),
    ],
)
def test_a_regressor_meets_the_same_gates_by_its_own_errors(
    trees: int, rules: tuple[str, ...]
) -> None:
    """Errors with intervals, slices, noise, importances and the artefact; no calibration."""
    line, window = regression(max_iter=trees), regression_window()
    bench = Bench(
        line=line,
        compiler=OnnxCompiler(),
        loader=OnnxLoader(),
        probe=SameProcessProbe(OnnxLoader()),
        attributor=ExactShapley(),
    )
    base = bench.fit(window)
    (trial,) = _honest(bench, window, name="w", base=base, champion=None, seeds=1)
    assert set(rules) <= set(trial.stopped_by)
    assert bool(trial.stopped_by) is bool(rules)


def test_only_a_classifier_has_to_answer_probabilities() -> None:
    """A number that is none is no answer of either."""
    answers = np.array([0.5, 1.5, -0.1])
    assert problem_of(SMALL_LINE, answers).startswith("2 of 3 answers are no probabilities")
    assert problem_of(SMALL_REGRESSION, answers) == ""
    for line in (SMALL_LINE, SMALL_REGRESSION):
        assert problem_of(line, np.array([0.5, np.inf])) == "1 of 2 answers are not finite"


def holdout(**values: object) -> Holdout:
    columns = {name: np.asarray(column) for name, column in values.items()}
    n = len(next(iter(columns.values())))
    return Holdout(values=columns, target=np.zeros(n), days=np.zeros(n, dtype="datetime64[D]"))


def test_rare_words_share_a_slice_and_missing_ones_have_their_own() -> None:
    """The most frequent words keep their names."""
    carrier = np.array(["AA", "AA", "BB", "CC", None], dtype=object)
    found = slicing_of(SMALL_LINE, "carrier", holdout(carrier=carrier), maximum=2)
    assert found.names == ("AA", OTHER)
    assert found.codes.tolist() == [0, 0, 1, 1, -1]


def test_numbers_are_sliced_by_their_quarters() -> None:
    """Each row in one of them; what is missing in none."""
    distance = np.append(np.arange(100.0), np.nan)
    found = slicing_of(SMALL_LINE, "distance", holdout(distance=distance), maximum=20)
    assert len(found.names) == 4
    assert np.bincount(found.codes[:-1]).tolist() == [25, 25, 25, 25]
    assert found.codes[-1] == -1


def test_a_column_that_no_feature_carries_cannot_be_sliced_by() -> None:
    """The declaration is wrong, and says so."""
    with pytest.raises(DeclarationError, match="of the column 'trip' to make slices of"):
        slicing_of(SMALL_LINE, "trip", holdout(distance=np.zeros(3)), maximum=3)


def test_a_window_of_the_regression_has_a_holdout() -> None:
    """What the tests above stand on."""
    assert holdout_of(regression_window()).n > 100


def answered(*answers: float, problem: str = "") -> Answered:
    return Answered(
        version=1, model_digest="a", model=None, answers=np.array(answers), problem=problem
    )


DECIDED = Holdout(
    values={},
    target=np.array([0.0, 0.0, 1.0, 1.0]),
    days=np.array(["2013-03-01", "2013-03-01", "2013-03-02", "2013-03-02"], dtype="datetime64[D]"),
)


def test_decisions_cost_what_the_policy_says() -> None:
    """A false yes costs 1, a false no 2; at the declared threshold."""
    found = decided_cost(SMALL_LINE, answered(0.9, 0.1, 0.1, 0.9), DECIDED)
    assert found is not None
    quality = SMALL_LINE.policies.evaluation.quality
    assert (found.threshold, found.false_positive, found.false_negative) == (
        quality.threshold,
        1.0,
        2.0,
    )
    assert found.per_1000.estimate == pytest.approx(750)
    assert found.per_1000.n == 4


@pytest.mark.parametrize(
    "own",
    [
        answered(0.9, 0.1, float("nan"), 0.9),
        answered(0.9, 0.1, 0.1, 0.9, problem="cannot be loaded"),
    ],
    ids=["no number", "not answered"],
)
def test_an_answer_that_is_none_is_no_decision(own: Answered) -> None:
    """It is not counted as a no."""
    assert decided_cost(SMALL_LINE, own, DECIDED) is None
