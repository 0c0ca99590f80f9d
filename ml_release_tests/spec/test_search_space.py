"""Ranges of a search space: which values they hold, and which make no sense."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ml_release.spec.search_space import Choice, FloatRange, IntRange, SearchRange


@pytest.mark.parametrize(
    ("range_", "inside", "outside"),
    [
        pytest.param(IntRange(low=1, high=9), [1, 5, 9], [0, 10, 5.0, True, "5", None], id="int"),
        pytest.param(IntRange(low=10, high=30, step=10), [10, 20, 30], [15, 40], id="int in steps"),
        pytest.param(
            FloatRange(low=0.0, high=1.0), [0, 0.0, 0.5, 1.0, 1], [-0.1, 1.1, True, "0"], id="float"
        ),
        pytest.param(FloatRange(low=0.1, high=1.0, log=True), [0.1], [float("nan")], id="log"),
        pytest.param(Choice(options=("a", None, 2)), ["a", None, 2], ["b", 2.0, 0], id="choice"),
        pytest.param(Choice(options=(True, False)), [True, False], [1, 0], id="yes or no"),
    ],
)
def test_a_range_holds_its_ends_and_nothing_of_another_kind(
    range_: SearchRange, inside: list[object], outside: list[object]
) -> None:
    """A whole number is a number of a float range, and neither yes nor no is one."""
    assert [range_.holds(value) for value in inside] == [True] * len(inside)
    assert [range_.holds(value) for value in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        pytest.param(IntRange, {"low": 2, "high": 2}, "high: expected more than", id="empty"),
        pytest.param(FloatRange, {"low": 2.0, "high": 1.0}, "high: expected more", id="backwards"),
        pytest.param(IntRange, {"low": 0, "high": 9, "log": True}, "log: expected low", id="log 0"),
        pytest.param(
            IntRange, {"low": 1, "high": 9, "log": True, "step": 2}, "step 1, found", id="log steps"
        ),
        pytest.param(IntRange, {"low": 1, "high": 9, "step": 3}, "step: expected one", id="beside"),
        pytest.param(IntRange, {"low": 1, "high": 9, "step": 0}, "step", id="no step"),
        pytest.param(IntRange, {"low": 1.5, "high": 9}, "low", id="half a number"),
        pytest.param(FloatRange, {"low": 0.0, "high": 1.0, "log": True}, "above 0", id="log of 0"),
        pytest.param(FloatRange, {"low": 0.0, "high": float("inf")}, "high", id="without end"),
        pytest.param(Choice, {"options": ("a",)}, "options", id="one option"),
        pytest.param(Choice, {"options": (1, True)}, "different ones", id="equal options"),
        pytest.param(Choice, {"options": ("a", ("b",))}, "options", id="a list as option"),
        pytest.param(IntRange, {"low": 1, "high": 9, "colour": 1}, "colour", id="unknown key"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(
    kind: type[BaseModel], values: dict[str, Any], problem: str
) -> None:
    """When it is declared, with what was found."""
    with pytest.raises(ValidationError, match=problem):
        kind.model_validate(values)
