"""Importances against the champion's and the author's: ranks, places, shares, and none at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.gates_attribution import (
    RULE,
    AttributionEvidence,
    AttributionPolicy,
    judge_attribution,
)
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN, INF = float("nan"), float("inf")
POLICY = AttributionPolicy(
    rank_correlation_floor=0.4, core_features=("hour",), core_top=2, single_share_limit=0.5
)
IMPORTANCES = {"hour": 0.4, "carrier": 0.3, "distance": 0.2, "month": 0.1}
EVIDENCE = AttributionEvidence(n=5000, candidate=IMPORTANCES, champion=IMPORTANCES)


def judge(policy: AttributionPolicy = POLICY, **change: Any) -> dict[str, Finding]:
    found = judge_attribution(replace(EVIDENCE, **change), policy)
    assert {finding.rule for finding in found} == {RULE}
    return {finding.subject: finding for finding in found}


def test_a_model_like_its_champion_passes_every_rule() -> None:
    """Against the champion, each core feature, the most important one."""
    found = judge()
    assert list(found) == [
        "against the champion",
        "features that matter to the champion",
        "core feature hour",
        "most important feature hour",
    ]
    assert {finding.outcome for finding in found.values()} == {PASS}


@pytest.mark.parametrize(
    ("candidate", "expected", "observed"),
    [
        pytest.param(IMPORTANCES, PASS, 1.0, id="the same"),
        pytest.param({**IMPORTANCES, "carrier": 0.05}, PASS, 0.4, id="at the floor"),
        pytest.param({**IMPORTANCES, "hour": 0.05}, FAIL, -0.2, id="below"),
        pytest.param({name: -v for name, v in IMPORTANCES.items()}, FAIL, -1.0, id="reversed"),
        pytest.param(dict.fromkeys(IMPORTANCES, 0.1), INCONCLUSIVE, None, id="all alike"),
    ],
)
def test_importances_rank_about_as_the_champions(
    candidate: dict[str, float], expected: Outcome, observed: float | None
) -> None:
    """Spearman's correlation over the features of both."""
    policy = POLICY.model_copy(update={"rank_correlation_floor": 0.4 - 1e-9})
    found = judge(policy, candidate=candidate)["against the champion"]
    assert found.outcome is expected
    assert found.observed == (None if observed is None else pytest.approx(observed))
    assert (found.n, found.unit) == (4, "rank correlation of importances")


@pytest.mark.parametrize(
    ("champion", "n", "detail"),
    [
        pytest.param({}, 0, "only the candidate has carrier, distance, hour, month", id="empty"),
        pytest.param({"hour": 0.2, "carrier": 0.1}, 2, "2 features of both models", id="too few"),
        pytest.param({**IMPORTANCES, "hour": NAN}, 4, "importances that are known", id="NaN"),
        pytest.param({**IMPORTANCES, "hour": INF}, 4, "importances that are known", id="infinite"),
        pytest.param(dict.fromkeys(IMPORTANCES, 0.0), 4, "not all alike", id="all alike"),
    ],
)
def test_a_champion_that_cannot_be_ranked_is_inconclusive(
    champion: dict[str, float], n: int, detail: str
) -> None:
    """Two features can only agree or disagree altogether; n counts those of both."""
    found = judge(champion=champion)["against the champion"]
    assert (found.outcome, found.observed, found.n) == (INCONCLUSIVE, None, n)
    assert detail in found.detail


def test_features_of_one_model_only_are_named() -> None:
    """The correlation over the others does not see that the most important one went away."""
    champion = {**IMPORTANCES, "leak": 0.9}
    candidate = {**IMPORTANCES, "gust": 0.0}
    found = judge(champion=champion, candidate=candidate)["against the champion"]
    assert (found.outcome, found.n) == (PASS, 4)
    assert found.detail == "only the champion has leak; only the candidate has gust"


@pytest.mark.parametrize(
    ("problem", "expected", "detail"),
    [
        pytest.param("", PASS, "no version is declared yet", id="none"),
        pytest.param("file lost", INCONCLUSIVE, "file lost", id="lost"),
    ],
)
def test_a_lost_champion_is_not_taken_for_none(
    problem: str, expected: Outcome, detail: str
) -> None:
    """Without one there is nothing to be stable against."""
    found = judge(champion=None, champion_problem=problem)["against the champion"]
    assert (found.outcome, found.detail) == (expected, detail)


@pytest.mark.parametrize(
    ("candidate", "expected", "place", "detail"),
    [
        pytest.param({"hour": 0.4, "a": 0.3, "b": 0.2}, PASS, 1, "costs 0.4", id="first"),
        pytest.param({"hour": 0.3, "a": 0.4, "b": 0.2}, PASS, 2, "costs 0.3", id="at the limit"),
        pytest.param({"hour": 0.2, "a": 0.4, "b": 0.3}, FAIL, 3, "costs 0.2", id="beyond"),
        pytest.param({"hour": 0.3, "a": 0.3, "b": 0.2}, PASS, 2, "costs 0.3", id="tied, within"),
        pytest.param({"hour": 0.3, "a": 0.3, "b": 0.3}, FAIL, 3, "costs 0.3", id="tied, beyond"),
        pytest.param({"hour": 0.0, "a": -0.1, "b": -0.2}, FAIL, 1, "costs 0 of", id="no use"),
        pytest.param({"hour": -0.1, "a": -0.2}, FAIL, 1, "costs -0.1", id="worse than none"),
        pytest.param({"a": 0.4, "b": 0.3}, INCONCLUSIVE, None, "does not have it", id="missing"),
    ],
)
def test_a_core_feature_is_among_the_first_and_matters(
    candidate: dict[str, float], expected: Outcome, place: int | None, detail: str
) -> None:
    """Whatever the order of the mapping; a tie takes the last place."""
    for order in (candidate, dict(reversed(candidate.items()))):
        found = judge(candidate=order)["core feature hour"]
        assert (found.outcome, found.observed, found.limit) == (expected, place, 2)
        assert detail in found.detail
        assert found.n == 5000


@given(st.permutations(("hour", "a", "b", "c")), st.integers(1, 10))
def test_a_constant_model_passes_no_core_feature(order: tuple[str, ...], top: int) -> None:
    """All its importances are 0, however many places there are."""
    policy = POLICY.model_copy(update={"core_top": top})
    found = judge(policy, candidate=dict.fromkeys(order, 0.0))
    assert found["core feature hour"].outcome is FAIL


@pytest.mark.parametrize(
    ("candidate", "expected", "observed"),
    [
        pytest.param({"hour": 0.5, "a": 0.25, "b": 0.25}, PASS, 0.5, id="at the limit"),
        pytest.param({"hour": 0.5, "a": 0.25, "b": 0.0}, FAIL, 2 / 3, id="beyond"),
        pytest.param({"hour": 0.5, "a": 0.5, "b": -9.0}, PASS, 0.5, id="negative counts nothing"),
        pytest.param({"hour": 0.5}, FAIL, 1.0, id="the only one"),
        pytest.param({"hour": 0.0, "a": -0.1}, INCONCLUSIVE, None, id="none matters"),
    ],
)
def test_no_single_feature_carries_the_model(
    candidate: dict[str, float], expected: Outcome, observed: float | None
) -> None:
    """Its share in the sum of all positive importances."""
    found = judge(candidate=candidate)["most important feature hour"]
    assert (found.outcome, found.observed) == (
        expected,
        None if observed is None else pytest.approx(observed),
    )
    assert (found.limit, found.unit) == (0.5, "share of all importance")
    assert found.detail == ("no feature matters" if observed is None else "")


def test_a_share_limit_of_one_and_no_core_feature_judge_nothing() -> None:
    """The defaults leave the comparison with the champion."""
    assert list(judge(AttributionPolicy())) == [
        "against the champion",
        "features that matter to the champion",
    ]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        pytest.param({"candidate": {}}, "of any feature", id="none"),
        pytest.param(
            {"candidate": {**IMPORTANCES, "month": NAN, "hour": INF}},
            "of ['hour', 'month']",
            id="not finite",
        ),
        pytest.param({"problem": "file lost"}, "file lost", id="not asked"),
    ],
)
def test_without_importances_there_is_one_inconclusive_finding(
    change: dict[str, Any], detail: str
) -> None:
    """Those that are known pass nothing on their own."""
    found = judge(**change)
    assert list(found) == ["importances"]
    assert found["importances"].outcome is INCONCLUSIVE
    assert detail in found["importances"].detail


@pytest.mark.parametrize(
    "change",
    [
        {"rank_correlation_floor": -1.1},
        {"rank_correlation_floor": NAN},
        {"core_top": 0},
        {"single_share_limit": 0.0},
        {"single_share_limit": 1.1},
        {"sample_rows": 99},
        {"core": ("hour",)},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """The field is named."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        AttributionPolicy.model_validate(change)


@pytest.mark.parametrize(
    ("ignored", "expected", "detail"),
    [
        pytest.param((), PASS, "", id="every feature has an effect"),
        pytest.param(("weak",), PASS, "", id="one that hardly mattered has none"),
        pytest.param(("strong",), FAIL, "strong", id="one that mattered has none"),
        pytest.param(("new",), PASS, "", id="one the champion does not have"),
    ],
)
def test_what_mattered_to_the_champion_may_not_be_without_effect(
    ignored: tuple[str, ...], expected: Outcome, detail: str
) -> None:
    """A vocabulary that was lost costs little score, and is another model all the same."""
    champion = {"strong": 0.3, "other": 0.69, "weak": 0.001}
    found = judge(champion=champion, ignored=ignored)["features that matter to the champion"]
    assert (found.outcome, found.detail) == (expected, detail)


def test_shapley_values_are_judged_by_the_same_limits_in_their_own_words() -> None:
    """Unit and detail say what was measured."""
    policy = POLICY.model_copy(update={"method": "shap"})
    found = judge(policy, method="shap")
    assert {finding.outcome for finding in found.values()} == {PASS}
    unit = "rank correlation of mean absolute Shapley values"
    assert found["against the champion"].unit == unit
    assert found["core feature hour"].detail == "it moves an answer by 0.4 on average"


@pytest.mark.parametrize(("asked", "measured"), [("shap", "permutation"), ("permutation", "shap")])
def test_importances_by_another_method_than_the_declared_are_inconclusive(
    asked: str, measured: str
) -> None:
    """The limits were set for one of them."""
    found = judge(POLICY.model_copy(update={"method": asked}), method=measured)
    assert {name: one.outcome for name, one in found.items()} == {"importances": INCONCLUSIVE}
    assert found["importances"].detail == (
        f"importances were measured by {measured}, asked for is {asked}"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"method": "gain"},
        {"explained_rows": 0},
        {"background_rows": 1_000_000},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_method_nobody_knows_or_rows_out_of_range_are_refused(change: dict[str, Any]) -> None:
    """When the policy is read."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        AttributionPolicy(**change)
