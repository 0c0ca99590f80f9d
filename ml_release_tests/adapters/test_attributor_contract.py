"""What every adapter of `Attributor` has to do, by closed forms and by definition."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters import shap_values
from ml_release.adapters.exact_shapley import MOST_FEATURES, ExactShapley
from ml_release.adapters.shap_values import ShapValues
from ml_release.errors import DeclarationError, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.ports import Attributor

    Floats = npt.NDArray[np.float64]

GENERATOR = np.random.default_rng(3)
ROWS = GENERATOR.integers(0, 40, (25, 4)).astype(np.float64)
BACKGROUND = GENERATOR.integers(0, 40, (12, 4)).astype(np.float64)
WEIGHTS = np.array([0.5, -2.0, 0.0, 0.01])


def linear(matrix: Floats) -> Floats:
    answers: Floats = 3 + matrix @ WEIGHTS
    return answers


def products(matrix: Floats) -> Floats:
    answers: Floats = matrix[:, 0] * matrix[:, 1] - matrix[:, 2] * matrix[:, 3]
    return answers


def steps(matrix: Floats) -> Floats:
    above = (matrix > 20).astype(np.float64)
    answers: Floats = above[:, 0] * above[:, 1] * above[:, 2] + 0.5 * above[:, 3]
    return answers


@pytest.fixture(params=[ExactShapley, ShapValues])
def attributor(request: pytest.FixtureRequest) -> Attributor:
    found: Attributor = request.param()
    found.require_installed()
    return found


def test_of_a_linear_model_they_are_its_closed_form(attributor: Attributor) -> None:
    """The weight times the distance from the mean of the background."""
    found = attributor.shapley_values(linear, ROWS, BACKGROUND, seed=1)
    expected = WEIGHTS * (ROWS - BACKGROUND.mean(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert (found[:, 2] == 0).all()


def test_an_interaction_of_two_is_shared_by_halves(attributor: Attributor) -> None:
    """A product has a closed form too: half with the other known, half with it not known."""
    found = attributor.shapley_values(products, ROWS, BACKGROUND, seed=1)
    mean, both = BACKGROUND.mean(axis=0), (BACKGROUND[:, 0] * BACKGROUND[:, 1]).mean()
    a, b = ROWS[:, 0], ROWS[:, 1]
    first = ((a * mean[1] - both) + (a * b - mean[0] * b)) / 2
    np.testing.assert_allclose(found[:, 0], first, atol=1e-9)


@pytest.mark.parametrize("ask", [linear, products, steps])
def test_they_add_up_to_what_the_row_is_above_the_background(
    attributor: Attributor, ask: Any
) -> None:
    """Nothing of an answer is left unexplained."""
    found = attributor.shapley_values(ask, ROWS, BACKGROUND, seed=1)
    above = ask(ROWS) - ask(BACKGROUND).mean()
    np.testing.assert_allclose(found.sum(axis=1), above, atol=1e-9)


def test_the_same_seed_gives_the_same_values(attributor: Attributor) -> None:
    """Whatever was drawn in between, and without changing what anybody else draws."""
    np.random.seed(11)  # noqa: NPY002 (whoever still uses it)
    expected = np.random.random(3)  # noqa: NPY002 (see above)
    np.random.seed(11)  # noqa: NPY002 (see above)
    first = attributor.shapley_values(steps, ROWS, BACKGROUND, seed=1)
    drawn = np.random.random(3)  # noqa: NPY002 (see above)
    np.testing.assert_array_equal(drawn, expected)
    again = attributor.shapley_values(steps, ROWS, BACKGROUND, seed=1)
    np.testing.assert_array_equal(first, again)


def test_one_feature_or_one_row_is_enough(attributor: Attributor) -> None:
    """The only feature explains everything; a row that is the background explains nothing."""
    found = attributor.shapley_values(
        lambda matrix: matrix[:, 0], ROWS[:3, :1], BACKGROUND[:1, :1], seed=1
    )
    np.testing.assert_allclose(found[:, 0], ROWS[:3, 0] - BACKGROUND[0, 0])
    same = attributor.shapley_values(linear, BACKGROUND[:1], BACKGROUND[:1], seed=1)
    assert same.tolist() == [[0.0] * 4]


def test_answers_that_are_none_give_no_values(attributor: Attributor) -> None:
    """NaN stays NaN, so that nothing is judged on it."""
    found = attributor.shapley_values(
        lambda matrix: np.full(len(matrix), np.nan), ROWS, BACKGROUND, seed=1
    )
    assert np.isnan(found).all()


def test_the_estimate_is_near_the_exact_values() -> None:
    """Also with an interaction of three features; the mean over the rows nearer still."""
    exact = ExactShapley().shapley_values(steps, ROWS, BACKGROUND, seed=1)
    found = ShapValues().shapley_values(steps, ROWS, BACKGROUND, seed=1)
    np.testing.assert_allclose(found, exact, atol=0.1)
    np.testing.assert_allclose(np.abs(found).mean(0), np.abs(exact).mean(0), atol=0.02)


def test_more_features_than_can_be_enumerated_are_refused() -> None:
    """Before anything is asked."""
    wide = np.zeros((2, MOST_FEATURES + 1))
    with pytest.raises(InputError, match="expected at most 10 features, found 11"):
        ExactShapley().shapley_values(linear, wide, wide, seed=1)


def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found out without importing it, and before it is used."""
    monkeypatch.setattr(shap_values, "find_spec", lambda name: None)

    def refuse(name: str, *rest: Any) -> Any:
        assert name != "shap"
        return real(name, *rest)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    for use in (
        ShapValues().require_installed,
        lambda: ShapValues().shapley_values(linear, ROWS, BACKGROUND, seed=1),
    ):
        with pytest.raises(DeclarationError, match=r"pip install ml-release\[shap\]"):
            use()
