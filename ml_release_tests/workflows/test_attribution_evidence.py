"""Importances by the declared method: closed forms, words, champions, and the extra that lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.exact_shapley import ExactShapley
from ml_release.adapters.shap_values import ShapValues
from ml_release.domain.features import Category, FeaturePlan, Number
from ml_release.domain.verdict import Outcome
from ml_release.errors import DeclarationError
from ml_release.workflows.attribution_evidence import attribution_evidence
from ml_release.workflows.gate_scorecard import Bench, run_scorecard
from ml_release.workflows.holdout_answers import Answered, Holdout
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.domain.features import Columns
    from ml_release.ports import Attributor
    from ml_release.spec.release_line import ReleaseLine
    from ml_release_tests.small_line import House

ROWS = 60
PLAN = FeaturePlan(
    features=(
        Number(name="distance", column="distance"),
        Category(name="carrier", column="carrier"),
        Number(name="minute", column="minute"),
    ),
    vocabularies={"carrier": ("AA",)},
)
COST = {"AA": 0.2, "BB": -0.1, None: 0.05}


class Linear:
    """Answers by a weight per number and a summand per word; refuses words it was never given."""

    platform = "test"
    plan = PLAN

    def __init__(self, weight: float = 1e-4) -> None:
        self.weight = weight

    def predict(self, values: Columns) -> Any:
        words = np.array([COST[word] for word in values["carrier"].tolist()])
        return 0.3 + self.weight * np.nan_to_num(values["distance"].astype(np.float64)) + words


class Uninstalled(ExactShapley):
    """As it is without the extra."""

    def require_installed(self) -> None:
        message = "pip install ml-release[shap]"
        raise DeclarationError(message)


def holdout() -> Holdout:
    generator = np.random.default_rng(5)
    distance = generator.choice([np.nan, 100.0, 800.0, 2400.0], ROWS)
    return Holdout(
        values={
            "distance": distance,
            "carrier": generator.choice(np.array(["AA", "BB", None], dtype=object), ROWS),
            "minute": generator.uniform(0, 1440, ROWS),
        },
        target=(np.arange(ROWS) % 2).astype(np.float64),
        days=np.datetime64("2013-03-01") + np.arange(ROWS) // 6,
    )


def line_with(**attribution: Any) -> ReleaseLine:
    policy = SMALL_LINE.policies.evaluation.attribution.model_copy(update=attribution)
    return steps.with_policy(SMALL_LINE, "evaluation", attribution=policy)


SHAP = line_with(method="shap", explained_rows=40, background_rows=ROWS)


def answered(model: Any, problem: str = "") -> Answered:
    return Answered(
        version=1, model_digest="m", model=model, answers=np.zeros(ROWS), problem=problem
    )


@pytest.mark.parametrize("attributor", [ExactShapley(), ShapValues()], ids=["exact", "shap"])
def test_of_a_linear_model_importances_are_the_closed_form(attributor: Attributor) -> None:
    """Numbers, missing ones and words: the mean distance of each summand from its mean."""
    rows = holdout()
    found = attribution_evidence(SHAP, answered(Linear()), None, rows, attributor=attributor)
    explained = rows.sample(40).values
    assert (found.method, found.n, found.champion) == ("shap", 40, None)

    def mean_distance(of: Any, name: str) -> float:
        mean = np.mean([of(value) for value in rows.values[name].tolist()])
        return float(np.mean([abs(of(value) - mean) for value in explained[name].tolist()]))

    assert found.candidate == {
        "distance": pytest.approx(
            mean_distance(lambda v: 0 if np.isnan(v) else 1e-4 * v, "distance")
        ),
        "carrier": pytest.approx(mean_distance(lambda word: COST[word], "carrier")),
        "minute": 0.0,
    }
    assert found.ignored == ("minute",)


def test_candidate_and_champion_are_measured_by_the_same_method_on_the_same_rows() -> None:
    """Anew: what was once said of the champion is not read."""
    found = attribution_evidence(
        SHAP, answered(Linear(2e-4)), answered(Linear()), holdout(), attributor=ExactShapley()
    )
    assert found.champion is not None
    assert found.candidate["distance"] == pytest.approx(2 * found.champion["distance"])
    assert found.candidate["carrier"] == pytest.approx(found.champion["carrier"])


def test_a_champion_that_cannot_answer_is_not_measured() -> None:
    """By neither method; why is said."""
    for line in (SHAP, SMALL_LINE):
        found = attribution_evidence(
            line,
            answered(Linear()),
            answered(Linear(), problem="it is broken"),
            holdout(),
            attributor=ExactShapley(),
        )
        assert (found.champion, found.champion_problem) == (None, "it is broken")
        assert found.candidate


def test_without_a_model_nothing_is_measured_and_the_method_is_still_named() -> None:
    """What cannot be measured is a problem, not a measurement by another method."""
    found = attribution_evidence(
        SHAP, answered(None, problem="not a model"), None, holdout(), attributor=ExactShapley()
    )
    assert (found.candidate, found.problem, found.method) == ({}, "not a model", "shap")


def test_permutation_needs_nothing_installed(evaluated: House) -> None:
    """It is the default."""
    evaluated.attributor = Uninstalled()
    assert steps.evaluate(evaluated).evidence.attribution.method == "permutation"


def test_an_evaluation_with_shapley_values_says_so(evaluated: House) -> None:
    """In the verdict, in its digest and on the picture."""
    before = steps.evaluate(evaluated).verdict
    evaluated.line = with_shap(evaluated.line)
    found = steps.evaluate(evaluated)
    assert before.evidence["attribution_method"] == "permutation"
    assert found.verdict.evidence["attribution_method"] == "shap"
    assert found.verdict.outcome is Outcome.PASS
    assert found.verdict.digest != before.digest
    assert found.plots["importances.png"].startswith(b"importances by shap of distance")
    assert found.evidence.attribution.candidate["distance"] > 0


def with_shap(line: ReleaseLine) -> ReleaseLine:
    policy = line.policies.evaluation.attribution.model_copy(
        update={"method": "shap", "explained_rows": 20, "background_rows": 10}
    )
    return steps.with_policy(line, "evaluation", attribution=policy)


def test_without_the_extra_nothing_is_trained_or_evaluated(prepared: House) -> None:
    """The refusal comes first: no run, no artefact, no record."""
    prepared.line, prepared.attributor = with_shap(prepared.line), Uninstalled()
    documents = dict(prepared.evidence._documents)
    bench = Bench(
        line=prepared.line,
        compiler=prepared.compiler,
        loader=prepared.loader,
        probe=prepared.probe,
        attributor=prepared.attributor,
    )
    for act in (
        lambda: steps.train(prepared),
        lambda: steps.evaluate(prepared),
        lambda: run_scorecard(bench, tables=prepared.tables),
    ):
        with pytest.raises(DeclarationError, match=r"ml-release\[shap\]"):
            act()
    assert prepared.evidence._documents == documents
    assert prepared.models.artefacts == {}


def test_a_feature_that_answers_nan_is_not_known() -> None:
    """The gate cannot tell then."""

    class Broken(Linear):
        def predict(self, values: Columns) -> Any:
            return np.where(np.isnan(values["distance"].astype(np.float64)), np.nan, 0.5)

    found = attribution_evidence(
        SHAP, replace(answered(None), model=Broken()), None, holdout(), attributor=ExactShapley()
    )
    assert np.isnan(found.candidate["distance"])
