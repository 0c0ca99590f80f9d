"""Declared behaviour: what is asked of the model, and what its answers say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.behaviour_tests import (
    BehaviourPolicy,
    Directional,
    Functionality,
    Invariance,
    changed,
    declared_rows,
)
from ml_release.domain.gates_behaviour import RULE, Answers, judge_behaviour
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import InputError

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN, INF = float("nan"), float("inf")
VALUES = {
    "visib": np.array([10.0, NAN, 3.0]),
    "dest": np.array(["ATL", None, "LAX"], dtype=object),
}
STILL = Invariance(name="a mile more", add={"visib": 1.0}, tolerance=0.1)
UP = Directional(name="fog", set={"visib": 0.5}, direction="up", minimum_mean=0.05)
STORM = Functionality(name="storm", rows=({"visib": 1.0}, {"visib": 2.0}), minimum=0.2, maximum=0.9)


def floats(*values: float) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def judge(
    test: Invariance | Directional | Functionality, answers: Answers | None
) -> tuple[Finding, ...]:
    found = {} if answers is None else {test.name: answers}
    return judge_behaviour(BehaviourPolicy(tests=(test,)), found)


def moved(*after: float, before: float = 0.3) -> Answers:
    return Answers(before=np.full(len(after), before), after=floats(*after))


def outcomes(findings: tuple[Finding, ...]) -> list[Outcome]:
    return [finding.outcome for finding in findings]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"set": {"visib": 0.5}}, {"visib": [0.5, 0.5, 0.5]}, id="a number"),
        pytest.param({"set": {"visib": None}}, {"visib": [NAN, NAN, NAN]}, id="a missing number"),
        pytest.param({"set": {"dest": "???"}}, {"dest": ["???"] * 3}, id="a word"),
        pytest.param({"set": {"dest": "1"}}, {"dest": ["1"] * 3}, id="a word of digits"),
        pytest.param({"set": {"dest": None}}, {"dest": [None] * 3}, id="a missing word"),
        pytest.param({"add": {"visib": -1.0}}, {"visib": [9.0, NAN, 2.0]}, id="missing stays"),
        pytest.param(
            {"set": {"dest": "BOS"}, "add": {"visib": 1.0}},
            {"dest": ["BOS"] * 3, "visib": [11.0, NAN, 4.0]},
            id="both",
        ),
    ],
)
def test_a_change_is_made_in_every_row_and_nowhere_else(
    change: dict[str, Any], expected: dict[str, list[Any]]
) -> None:
    """The rows given are left alone, and types stay as they are."""
    kept = {name: column.copy() for name, column in VALUES.items()}
    test = Invariance.model_validate({"name": "t", "tolerance": 0.0, **change})
    found = changed(test, VALUES)
    assert list(found) == list(VALUES)
    for name, column in VALUES.items():
        assert found[name].dtype == column.dtype
        np.testing.assert_array_equal(
            found[name], np.array(expected.get(name, column), column.dtype)
        )
        np.testing.assert_array_equal(column, kept[name])


def test_whole_numbers_are_changed_to_fractions() -> None:
    """A column of integers would cut 0.5 to 0 and have no missing value."""
    values = {"weekday": np.array([0, 6])}
    for value, expected in ((0.5, [0.5, 0.5]), (None, [NAN, NAN])):
        test = Invariance(name="t", set={"weekday": value}, tolerance=0.0)
        np.testing.assert_array_equal(changed(test, values)["weekday"], expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set": {"wind": 1.0}}, r"features of \['dest', 'visib'\], found \['wind'\]"),
        ({"add": {"wind": 1.0, "gust": 1.0}}, r"found \['gust', 'wind'\]"),
        ({"add": {"dest": 1.0}}, "numbers in 'dest' to add to, not words"),
        ({"set": {"dest": 15}}, "expected words for the feature 'dest', found 15.0"),
        ({"set": {"visib": "fog"}}, "expected numbers for the feature 'visib', found 'fog'"),
        ({"set": {"visib": "0.5"}}, "expected numbers for the feature 'visib', found '0.5'"),
    ],
)
def test_a_change_that_no_row_can_carry_is_refused(change: dict[str, Any], words: str) -> None:
    """An unknown feature, a word for a number, a number for a word; the test is named."""
    test = Invariance.model_validate({"name": "mine", "tolerance": 0.0, **change})
    with pytest.raises(InputError, match=f"'mine': .*{words}"):
        changed(test, VALUES)


def test_declared_rows_have_every_feature_and_its_type() -> None:
    """What a row does not name, or names as null, is missing."""
    test = Functionality(
        name="t",
        rows=({"visib": 1}, {"dest": "ATL"}, {"visib": None, "dest": None}, {}),
        minimum=0.0,
    )
    found = declared_rows(test, VALUES)
    assert test.features == ("visib", "dest")
    assert found["visib"].dtype == np.float64
    np.testing.assert_array_equal(found["visib"], [1.0, NAN, NAN, NAN])
    assert found["dest"].tolist() == [None, "ATL", None, None]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"wind": 1.0}, r"found \['wind'\]"),
        ({"dest": 1.0}, "expected words for the feature 'dest', found 1.0"),
        ({"visib": "low"}, "expected numbers for the feature 'visib', found 'low'"),
    ],
)
def test_declared_rows_that_the_model_cannot_read_are_refused(
    row: dict[str, Any], words: str
) -> None:
    """As a change is."""
    test = Functionality(name="mine", rows=({}, row), minimum=0.0)
    with pytest.raises(InputError, match=words):
        declared_rows(test, VALUES)


@pytest.mark.parametrize(
    ("after", "rows_limit", "expected"),
    [
        pytest.param((0.3, 0.3, 0.3, 0.3), 0.0, PASS, id="nothing moved"),
        pytest.param((0.4, 0.2, 0.3, 0.3), 0.0, PASS, id="up to the tolerance"),
        pytest.param((0.41, 0.3, 0.3, 0.3), 0.0, FAIL, id="one row beyond"),
        pytest.param((0.1, 0.3, 0.3, 0.3), 0.0, FAIL, id="one row beyond, downwards"),
        pytest.param((0.9, 0.3, 0.3, 0.3), 0.25, PASS, id="as many rows as may"),
        pytest.param((0.9, 0.9, 0.3, 0.3), 0.25, FAIL, id="one more than may"),
        pytest.param((NAN, 0.3, 0.3, 0.3), 0.25, INCONCLUSIVE, id="an answer of NaN"),
        pytest.param((INF, 0.3, 0.3, 0.3), 0.25, INCONCLUSIVE, id="an infinite answer"),
        pytest.param((NAN, 0.9, 0.9, 0.9), 0.0, INCONCLUSIVE, id="broken and unknown"),
    ],
)
def test_an_invariant_answer_moves_in_few_rows_only(
    after: tuple[float, ...], rows_limit: float, expected: Outcome
) -> None:
    """The share of the rows that moved further than the tolerance."""
    # 0.4 - 0.3 is a little more than 0.1 in binary.
    test = STILL.model_copy(update={"rows_limit": rows_limit, "tolerance": 0.1 + 1e-12})
    (found,) = judge(test, moved(*after))
    assert (found.rule, found.outcome) == (RULE, expected)
    assert (found.subject, found.limit, found.n) == ("invariance: a mile more", rows_limit, 4)
    assert found.unit == "share of rows that moved by more than 0.1"
    if expected is INCONCLUSIVE:
        assert found.detail == "an answer is not finite"
    else:
        assert found.detail == f"largest move {max(abs(a - 0.3) for a in after):.4g}"


def test_a_move_of_just_the_tolerance_breaks_nothing() -> None:
    """Moves of a quarter, a tolerance of a quarter."""
    test = STILL.model_copy(update={"tolerance": 0.25})
    assert outcomes(judge(test, moved(0.5, 0.0, before=0.25))) == [PASS]
    more = math.nextafter(0.5, 1)
    assert outcomes(judge(test, moved(more, 0.0, before=0.25))) == [FAIL]


@pytest.mark.parametrize("test", [STILL, UP])
def test_the_same_infinite_answer_twice_is_no_answer_left_alone(
    test: Invariance | Directional,
) -> None:
    """Its move is not a number, and nothing is computed of it."""
    assert set(outcomes(judge(test, moved(INF, INF, before=INF)))) == {INCONCLUSIVE}


@pytest.mark.parametrize(
    ("direction", "after", "tolerance", "expected"),
    [
        pytest.param("up", (0.4, 0.4), 0.0, [PASS, PASS], id="all up"),
        pytest.param("down", (0.4, 0.4), 0.0, [FAIL, FAIL], id="all the wrong way"),
        pytest.param("down", (0.2, 0.2), 0.0, [PASS, PASS], id="all down"),
        pytest.param("up", (0.9, 0.25), 0.0, [FAIL, PASS], id="one against it"),
        pytest.param("up", (0.9, 0.25), 0.06, [PASS, PASS], id="one within the tolerance"),
        pytest.param("up", (0.3, 0.3), 0.0, [PASS, FAIL], id="a constant model"),
        pytest.param("down", (0.3, 0.3), 0.5, [PASS, FAIL], id="a constant model, tolerant"),
        pytest.param("up", (0.31, 0.31), 0.0, [PASS, FAIL], id="too little on average"),
        pytest.param("up", (NAN, 0.9), 0.0, [INCONCLUSIVE] * 2, id="NaN"),
        pytest.param("up", (INF, 0.9), 0.0, [INCONCLUSIVE] * 2, id="infinite"),
        pytest.param("up", (-INF, 0.9), 0.0, [INCONCLUSIVE] * 2, id="infinitely against it"),
    ],
)
def test_an_answer_moves_the_declared_way_row_by_row_and_on_average(
    direction: str, after: tuple[float, ...], tolerance: float, expected: list[Outcome]
) -> None:
    """A model that does not look at the feature breaks no row's claim, and fails on average."""
    test = UP.model_copy(update={"direction": direction, "tolerance": tolerance})
    found = judge(test, moved(*after))
    assert outcomes(found) == expected
    assert [f.subject for f in found] == ["directional: fog", "directional: fog, on average"]
    assert found[0].unit == f"share of rows that moved against {direction} by {tolerance:g}"
    assert (found[1].limit, found[1].unit) == (0.05, f"mean move {direction}")
    assert {f.n for f in found} == {2}
    assert (found[1].detail == "an answer is not finite") is (expected[1] is INCONCLUSIVE)


def test_the_mean_move_passes_exactly_at_its_limit() -> None:
    """Moves of a half, a limit of a half."""
    test = UP.model_copy(update={"minimum_mean": 0.5})
    assert outcomes(judge(test, moved(0.75, 0.75, before=0.25))) == [PASS, PASS]
    less = math.nextafter(0.75, 0)
    assert outcomes(judge(test, moved(less, less, before=0.25))) == [PASS, FAIL]


@given(st.floats(-1e6, 1e6), st.integers(1, 50), st.sampled_from(["up", "down"]))
def test_no_constant_model_passes_a_directional_test(
    answer: float, rows: int, direction: str
) -> None:
    """Whatever it answers."""
    test = UP.model_copy(update={"direction": direction, "minimum_mean": 1e-9, "tolerance": 10.0})
    constant = Answers(before=np.full(rows, answer), after=np.full(rows, answer))
    assert FAIL in outcomes(judge(test, constant))


@pytest.mark.parametrize(
    ("answers", "expected", "place"),
    [
        pytest.param((0.5, 0.6), [PASS, PASS], "row 1 of 2", id="between"),
        pytest.param((0.2, 0.9), [PASS, PASS], "row 1 of 2", id="at both limits"),
        pytest.param((0.5, 0.19), [FAIL, PASS], "row 2 of 2", id="below"),
        pytest.param((0.91, 0.95), [PASS, FAIL], "row 1 of 2", id="above"),
        pytest.param((NAN, 0.5), [INCONCLUSIVE] * 2, "an answer is not finite", id="NaN"),
        pytest.param((INF, 0.5), [INCONCLUSIVE] * 2, "an answer is not finite", id="infinite"),
        pytest.param((-INF, 0.5), [INCONCLUSIVE] * 2, "an answer is not finite", id="minus"),
        pytest.param((0.5,), [INCONCLUSIVE] * 2, "each of 2 rows, found 1", id="one unanswered"),
    ],
)
def test_declared_rows_are_answered_within_their_limits(
    answers: tuple[float, ...], expected: list[Outcome], place: str
) -> None:
    """The worst row decides and is named."""
    found = judge(STORM, Answers(before=None, after=floats(*answers)))
    assert outcomes(found) == expected
    assert [f.subject for f in found] == [
        "functionality: storm, least answer",
        "functionality: storm, greatest answer",
    ]
    assert [(f.bound, f.limit) for f in found] == [("at least", 0.2), ("at most", 0.9)]
    assert place in found[0].detail


@pytest.mark.parametrize(
    ("limits", "answer"),
    [({"minimum": 0.2}, INF), ({"maximum": 0.9}, -INF), ({"minimum": 0.2}, NAN)],
)
def test_an_answer_that_is_not_finite_passes_no_single_limit(
    limits: dict[str, Any], answer: float
) -> None:
    """An infinite one is beyond no limit at the other end."""
    test = Functionality(name="t", rows=({}, {}), **limits)
    assert outcomes(judge(test, Answers(before=None, after=floats(answer, 0.5)))) == [INCONCLUSIVE]


@pytest.mark.parametrize("test", [STILL, UP, STORM])
@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        pytest.param(None, "it was not run", id="never run"),
        pytest.param(
            Answers(before=None, after=floats(), problem="no such feature"),
            "no such feature",
            id="a problem",
        ),
        pytest.param(
            Answers(before=floats(), after=floats()), "there was no row to run it on", id="no row"
        ),
    ],
)
def test_a_test_without_answers_is_inconclusive(
    test: Invariance | Directional | Functionality, answers: Answers | None, detail: str
) -> None:
    """It was declared, so it votes; the reason is shown."""
    (found,) = judge(test, answers)
    assert (found.outcome, found.votes, found.detail) == (INCONCLUSIVE, True, detail)
    assert found.subject == f"{test.kind}: {test.name}"


@pytest.mark.parametrize("test", [STILL, UP])
@pytest.mark.parametrize("before", [None, floats(0.3), floats()])
def test_a_change_without_its_unchanged_rows_is_inconclusive(
    test: Invariance | Directional, before: npt.NDArray[np.float64] | None
) -> None:
    """One answer is not held against many."""
    (found,) = judge(test, Answers(before=before, after=floats(0.3, 0.3)))
    assert found.outcome is INCONCLUSIVE
    assert found.detail == "the answers to the unchanged rows are missing"


def test_every_declared_test_is_judged_by_its_own_answers() -> None:
    """In the order declared; answers to a test nobody declared are left out."""
    policy = BehaviourPolicy(tests=(UP, STILL, STORM))
    found = judge_behaviour(policy, {"fog": moved(0.4), "other": moved(9.0)})
    assert [(f.subject, f.outcome) for f in found] == [
        ("directional: fog", PASS),
        ("directional: fog, on average", PASS),
        ("invariance: a mile more", INCONCLUSIVE),
        ("functionality: storm", INCONCLUSIVE),
    ]


def test_without_a_declared_test_nothing_passes_and_nothing_votes() -> None:
    """A line may do without, and it is said."""
    (found,) = judge_behaviour(BehaviourPolicy(), {})
    assert (found.outcome, found.votes) == (INCONCLUSIVE, False)
    assert found.detail == "no behavioural test is declared"


INVARIANT = {"kind": "invariance", "name": "t", "add": {"a": 1.0}, "tolerance": 0.1}
DIRECTED = {**INVARIANT, "kind": "directional", "direction": "up", "minimum_mean": 0.1}
FUNCTIONAL = {"kind": "functionality", "name": "t", "rows": [{"a": 1.0}], "minimum": 0.1}


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        pytest.param({**INVARIANT, "add": {}}, "found neither", id="no change"),
        pytest.param({**INVARIANT, "set": {"a": 1.0}}, "found both for ['a']", id="set and add"),
        pytest.param({**INVARIANT, "tolerance": -0.1}, "tolerance", id="tolerance"),
        pytest.param({**INVARIANT, "add": {"a": INF}}, "add.a", id="infinite"),
        pytest.param({**INVARIANT, "set": {"b": NAN}}, "set.b", id="NaN"),
        pytest.param({**INVARIANT, "rows_limit": 1.0}, "rows_limit", id="any row may"),
        pytest.param({**DIRECTED, "direction": "sideways"}, "direction", id="direction"),
        pytest.param({**DIRECTED, "minimum_mean": 0.0}, "minimum_mean", id="no move"),
        pytest.param({**FUNCTIONAL, "minimum": None}, "found neither", id="no limit"),
        pytest.param({**FUNCTIONAL, "maximum": 0.05}, "found 0.1 above 0.05", id="empty band"),
        pytest.param({**FUNCTIONAL, "rows": []}, "rows", id="no rows"),
        pytest.param({**FUNCTIONAL, "kind": "fairness"}, "functionality", id="unknown kind"),
        pytest.param({**FUNCTIONAL, "tolerance": 0.1}, "tolerance", id="unknown word"),
    ],
)
def test_a_test_that_makes_no_sense_cannot_be_declared(test: dict[str, Any], problem: str) -> None:
    """It says nothing, or nothing can keep or break it."""
    with pytest.raises(ValidationError) as refused:
        BehaviourPolicy.model_validate({"tests": [test]})
    assert problem in str(refused.value)


def test_a_policy_names_every_name_that_stands_twice() -> None:
    """Answers are found by name."""
    pairs = tuple(Invariance(name=n, add={"a": 1.0}, tolerance=0.0) for n in ("b", "a", "a", "b"))
    with pytest.raises(ValidationError, match=r"found twice \['a', 'b'\]"):
        BehaviourPolicy(tests=pairs)
    with pytest.raises(ValidationError, match="sample_rows"):
        BehaviourPolicy(sample_rows=99)
