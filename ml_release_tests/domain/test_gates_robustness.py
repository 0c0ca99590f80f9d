"""Noise and edge values: how they are made, and what the answers to them say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.gates_robustness import (
    HUGE,
    RULE,
    UNSEEN_WORD,
    EdgeAnswers,
    RobustnessEvidence,
    RobustnessPolicy,
    edge_cases,
    judge_robustness,
    noisy,
)
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN, INF = float("nan"), float("inf")
POLICY = RobustnessPolicy(noise_share=0.05, shift_limit=0.05, score_loss_limit=0.02)
GOOD = EdgeAnswers(case="temp missing", n=20, finite=True, within=True)
EVIDENCE = RobustnessEvidence(n=500, mean_shift=0.01, score_loss=0.001, edges=(GOOD,))
NOISE, SCORE, EDGES = 0, 1, 2


def judge(**change: Any) -> tuple[Finding, ...]:
    return judge_robustness(replace(EVIDENCE, **change), POLICY)


def values(n: int = 4000) -> dict[str, Any]:
    generator = np.random.default_rng(3)
    return {
        "temp": np.where(generator.random(n) < 0.1, NAN, generator.normal(50, 20, n)),
        "rain": np.where(np.arange(n) % 10, 0.0, 1.0),
        "dest": np.array(["ATL", None] * (n // 2), dtype=object),
        "lost": np.full(n, NAN),
    }


def test_the_same_seed_gives_the_same_noise_in_any_order_of_the_features() -> None:
    """And another seed another one."""
    given_values = values()
    first = noisy(given_values, share=0.05, seed=1)
    turned = noisy(dict(reversed(given_values.items())), share=0.05, seed=1)
    assert list(first) == list(given_values)
    for name in given_values:
        np.testing.assert_array_equal(first[name], turned[name])
    other = noisy(given_values, share=0.05, seed=2)
    assert not np.array_equal(first["temp"], other["temp"], equal_nan=True)


def test_noise_has_its_share_of_the_quartile_range() -> None:
    """Mean about 0, standard deviation about the share; both to a tenth of it."""
    given_values = values()
    known = given_values["temp"][np.isfinite(given_values["temp"])]
    error = (noisy(given_values, share=0.2, seed=1)["temp"] - given_values["temp"])[
        np.isfinite(given_values["temp"])
    ]
    size = 0.2 * np.subtract(*np.quantile(known, [0.75, 0.25]))
    assert abs(np.mean(error)) < 0.1 * size
    assert np.std(error) == pytest.approx(size, rel=0.1)


def test_words_missing_values_and_what_does_not_vary_stay() -> None:
    """And the values given are left alone."""
    given_values, kept = values(), values()
    found = noisy(given_values, share=0.5, seed=1)
    assert found["dest"].tolist() == kept["dest"].tolist()
    np.testing.assert_array_equal(np.isnan(found["temp"]), np.isnan(kept["temp"]))
    assert np.isnan(found["lost"]).all()
    # Nine of ten are 0: a quartile range of 0 makes no noise.
    np.testing.assert_array_equal(found["rain"], kept["rain"])
    np.testing.assert_array_equal(given_values["temp"], kept["temp"])


def test_noise_does_not_fail_without_rows() -> None:
    """There is nothing to change."""
    empty = {"a": np.empty(0), "w": np.empty(0, dtype=object)}
    assert {len(column) for column in noisy(empty, share=0.1, seed=0).values()} == {0}


def test_edge_cases_take_one_feature_at_a_time_and_all_of_them() -> None:
    """A number at its ends, far beyond, zero, missing; a word never seen, empty, missing."""
    given_values = {
        "temp": np.array([3.0, NAN, -1.0]),
        "dest": np.array(["ATL", None, "LAX"], dtype=object),
    }
    cases = dict(edge_cases(given_values))
    expected: dict[str, tuple[str, Any]] = {
        "temp missing": ("temp", NAN),
        "temp huge": ("temp", HUGE),
        "temp hugely negative": ("temp", -HUGE),
        "temp zero": ("temp", 0.0),
        "temp at its least": ("temp", -1.0),
        "temp at its greatest": ("temp", 3.0),
        "dest missing": ("dest", None),
        "dest never seen": ("dest", UNSEEN_WORD),
        "dest empty": ("dest", ""),
    }
    assert list(cases) == [*expected, "everything missing"]
    for case, (feature, value) in expected.items():
        dtype = given_values[feature].dtype
        np.testing.assert_array_equal(cases[case][feature], np.array([value] * 3, dtype=dtype))
        assert cases[case][feature].dtype == dtype
        (other,) = set(given_values) - {feature}
        assert cases[case][other] is given_values[other]
    assert np.isnan(cases["everything missing"]["temp"].astype(float)).all()
    assert cases["everything missing"]["dest"].tolist() == [None] * 3


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.sampled_from(
            [
                np.array([1.0, 2.0]),
                np.array([NAN, NAN]),
                np.array([1, 2]),
                np.array(["a", None], dtype=object),
            ]
        ),
        min_size=1,
        max_size=4,
    )
)
def test_every_feature_has_its_edges_and_every_case_all_features(columns: dict[str, Any]) -> None:
    """Known values or none, words or numbers, whole or not."""
    cases = list(edge_cases(columns))
    for case, found in cases:
        assert {name: len(column) for name, column in found.items()} == dict.fromkeys(columns, 2)
        assert all(
            found[name].dtype in (np.object_, np.float64) or found[name] is columns[name]
            for name in columns
        ), case
    names = [case for case, _ in cases]
    assert len(set(names)) == len(names)
    for name in columns:
        assert f"{name} missing" in names


@pytest.mark.parametrize(
    ("change", "position", "expected"),
    [
        pytest.param({"mean_shift": 0.05}, NOISE, PASS, id="shift at its limit"),
        pytest.param({"mean_shift": math.nextafter(0.05, 1)}, NOISE, FAIL, id="shift beyond"),
        pytest.param({"mean_shift": NAN}, NOISE, INCONCLUSIVE, id="shift not known"),
        pytest.param({"mean_shift": INF}, NOISE, INCONCLUSIVE, id="shift infinite"),
        pytest.param({"mean_shift": None}, NOISE, INCONCLUSIVE, id="shift missing"),
        pytest.param({"score_loss": 0.02}, SCORE, PASS, id="loss at its limit"),
        pytest.param({"score_loss": math.nextafter(0.02, 1)}, SCORE, FAIL, id="loss beyond"),
        pytest.param({"score_loss": -0.5}, SCORE, PASS, id="better with noise"),
        pytest.param({"score_loss": NAN}, SCORE, INCONCLUSIVE, id="loss not known"),
        pytest.param({"score_loss": None}, SCORE, INCONCLUSIVE, id="loss missing"),
        pytest.param({"edges": ()}, EDGES, INCONCLUSIVE, id="no edges"),
        pytest.param({"edges": (replace(GOOD, finite=False),)}, EDGES, FAIL, id="not finite"),
        pytest.param({"edges": (replace(GOOD, within=False),)}, EDGES, FAIL, id="no probability"),
        pytest.param({"edges": (replace(GOOD, n=0),)}, EDGES, INCONCLUSIVE, id="asked of no row"),
        pytest.param({"edges": (GOOD, replace(GOOD, n=0))}, EDGES, INCONCLUSIVE, id="one unasked"),
    ],
)
def test_each_rule_holds_at_its_limit_and_fails_beyond(
    change: dict[str, Any], position: int, expected: Outcome
) -> None:
    """The others are judged as before."""
    found = judge(**change)
    assert found[position].outcome is expected
    assert {f.outcome for at, f in enumerate(found) if at != position} == {PASS}
    assert {f.rule for f in found} == {RULE}


def test_findings_say_how_much_noise_and_how_many_rows() -> None:
    """What a reader compares with the policy."""
    noise, score, edges = judge()
    assert noise.subject == "noise of 0.05 of each number's quartile range"
    assert score.subject == f"score under {noise.subject}"
    assert (noise.observed, noise.limit, noise.n) == (0.01, 0.05, 500)
    assert (score.observed, score.limit, score.n) == (0.001, 0.02, 500)
    assert (edges.subject, edges.observed, edges.limit, edges.n) == ("edge values", 0, 0, 1)


def test_of_no_rows_nothing_is_known() -> None:
    """A shift of 0 of nobody's answers passes nothing."""
    assert {f.outcome for f in judge(n=0, mean_shift=0.0, score_loss=0.0)[:2]} == {INCONCLUSIVE}


def test_broken_edges_are_counted_and_the_first_named() -> None:
    """Three are enough to start with."""
    broken = tuple(replace(GOOD, case=f"case {number}", finite=False) for number in range(5))
    found = judge(edges=(GOOD, *broken))[EDGES]
    assert (found.observed, found.n) == (5, 6)
    assert found.detail == "first: case 0, case 1, case 2"
    unasked = judge(edges=(GOOD, replace(GOOD, case="dest empty", n=0)))[EDGES]
    assert unasked.detail == "not asked: dest empty"
    assert judge(edges=())[EDGES].detail == "not asked: any case"


def test_a_model_that_could_not_be_asked_is_inconclusive() -> None:
    """With the reason."""
    (found,) = judge(problem="file lost")
    assert (found.outcome, found.subject, found.detail) == (INCONCLUSIVE, "noise", "file lost")


@pytest.mark.parametrize(
    "change",
    [
        {"noise_share": 0.0},
        {"noise_share": 1.1},
        {"shift_limit": 0.0},
        {"shift_limit": INF},
        {"score_loss_limit": 0.0},
        {"score_loss_limit": NAN},
        {"sample_rows": 99},
        {"noise": 0.1},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """The field is named."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        RobustnessPolicy.model_validate(change)
