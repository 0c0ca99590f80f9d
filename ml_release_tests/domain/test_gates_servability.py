"""The artefact that would serve: each cost at its limit, beyond it, and not measured."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.gates_servability import (
    RULE,
    Servability,
    ServabilityEvidence,
    ServabilityPolicy,
    judge_servability,
)
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN, INF = float("nan"), float("inf")
POLICY = ServabilityPolicy(
    parity_limit=1e-12,
    latency_limit_ms=10.0,
    latency_p99_limit_ms=50.0,
    load_limit_ms=5000.0,
    memory_limit_mb=500.0,
)
MEASURED = Servability(n=200, load_ms=800.0, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, memory_mb=90.0)
EVIDENCE = ServabilityEvidence(rows=500, parity=0.0, repeats=True, measured=MEASURED)
SUBJECTS = (
    "answers like the estimator",
    "answers the same twice",
    "latency of one row",
    "slowest rows",
    "load time",
    "memory",
)


def judge(**change: Any) -> dict[str, Finding]:
    found = judge_servability(replace(EVIDENCE, **change), POLICY)
    assert {finding.rule for finding in found} == {RULE}
    return {finding.subject: finding for finding in found}


def test_a_servable_artefact_passes_every_rule() -> None:
    """One finding for each."""
    found = judge()
    assert tuple(found) == SUBJECTS
    assert {finding.outcome for finding in found.values()} == {PASS}


@pytest.mark.parametrize(
    ("field", "subject", "limit", "unit"),
    [
        ("p50_ms", "latency of one row", 10.0, "ms, median"),
        ("p99_ms", "slowest rows", 50.0, "ms, 99th percentile"),
        ("load_ms", "load time", 5000.0, "ms"),
        ("memory_mb", "memory", 500.0, "MB"),
    ],
)
def test_a_cost_holds_at_its_limit_and_fails_beyond(
    field: str, subject: str, limit: float, unit: str
) -> None:
    """Not measured, of no rows, or not a number, it does neither."""
    for value, n, expected in (
        (limit, 200, PASS),
        (math.nextafter(limit, INF), 200, FAIL),
        (NAN, 200, INCONCLUSIVE),
        (INF, 200, INCONCLUSIVE),
        (0.0, 0, INCONCLUSIVE),
    ):
        change: dict[str, Any] = {field: value, "n": n}
        found = judge(measured=replace(MEASURED, **change))[subject]
        assert (found.outcome, found.limit, found.unit) == (expected, limit, unit)
        assert found.n == n


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"parity": 1e-12}, PASS, id="at the limit"),
        pytest.param({"parity": 2e-12}, FAIL, id="beyond"),
        pytest.param({"parity": NAN}, INCONCLUSIVE, id="not known"),
        pytest.param({"parity": 0.0, "rows": 0}, INCONCLUSIVE, id="of no rows"),
    ],
)
def test_an_artefact_answers_like_its_estimator(change: dict[str, Any], expected: Outcome) -> None:
    """What was judged has to be what will serve."""
    found = judge(**change)["answers like the estimator"]
    assert (found.outcome, found.n) == (expected, change.get("rows", 500))
    assert found.unit == "largest difference of answers"


@pytest.mark.parametrize(
    ("rows", "repeats", "expected"),
    [(500, True, PASS), (500, False, FAIL), (0, True, INCONCLUSIVE), (0, False, INCONCLUSIVE)],
)
def test_an_artefact_answers_the_same_twice(rows: int, repeats: bool, expected: Outcome) -> None:
    """Of no rows nobody asked twice."""
    found = judge(rows=rows, repeats=repeats)["answers the same twice"]
    assert found.outcome is expected
    assert found.detail == ("" if rows else "there was no row to ask twice")


@pytest.mark.parametrize(
    ("change", "expected", "detail"),
    [
        pytest.param({"measured": None, "problem": "no plan"}, FAIL, "no plan", id="cannot load"),
        pytest.param({"problem": "no plan"}, FAIL, "no plan", id="measured, with a problem"),
        pytest.param({"measured": None}, INCONCLUSIVE, "nothing was measured", id="not asked"),
    ],
)
def test_without_an_artefact_that_answers_there_is_one_finding(
    change: dict[str, Any], expected: Outcome, detail: str
) -> None:
    """Parity and latency of nothing would be made up."""
    found = judge(**change)
    assert list(found) == ["artefact"]
    assert (found["artefact"].outcome, found["artefact"].detail) == (expected, detail)


@pytest.mark.parametrize(
    "change",
    [
        {"parity_limit": -1e-12},
        {"parity_limit": INF},
        {"latency_limit_ms": 0.0},
        {"latency_p99_limit_ms": INF},
        {"load_limit_ms": NAN},
        {"memory_limit_mb": -1.0},
        {"latency_ms": 1.0},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """The field is named."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        ServabilityPolicy.model_validate(change)
