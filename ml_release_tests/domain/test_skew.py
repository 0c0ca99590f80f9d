"""Training-serving skew, judged on the same rows by both paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml_release.domain.skew import SkewEvidence, differing, judge_skew
from ml_release.domain.verdict import Outcome

NAN = float("nan")


def floats(*values: float) -> Any:
    return np.array(values, dtype=np.float64)


def words(*values: str | None) -> Any:
    return np.array(values, dtype=object)


def evidence(served: dict[str, Any], offline: dict[str, Any], unmatched: int = 0) -> SkewEvidence:
    n = len(next(iter(offline.values())))
    return SkewEvidence(
        line="small_line",
        model_digest="d",
        served=served,
        offline=offline,
        request_ids=tuple(f"r{row}" for row in range(n)),
        unmatched=unmatched,
    )


@pytest.mark.parametrize(
    ("served", "offline", "expected"),
    [
        pytest.param(floats(1, NAN), floats(1, NAN), [False, False], id="equal, also missing"),
        pytest.param(floats(1, 2), floats(1, 2 + 1e-15), [False, True], id="the last bit"),
        pytest.param(floats(NAN, 1), floats(1, NAN), [True, True], id="missing on one side"),
        pytest.param(words("UA", None), words("UA", None), [False, False], id="words"),
        pytest.param(words("UA", None), words("ua", "DL"), [True, True], id="other words"),
        pytest.param(words(None, None), floats(NAN, NAN), [False, False], id="missing is missing"),
    ],
)
def test_rows_differ_by_any_bit_and_never_by_missing_values(
    served: Any, offline: Any, expected: list[bool]
) -> None:
    """Two missing values are equal, whatever spells them."""
    assert differing(served, offline).tolist() == expected


def test_equal_rows_pass() -> None:
    """With their number."""
    columns = {"distance": floats(1, 2), "carrier": words("UA", None)}
    verdict = judge_skew(evidence(columns, columns))
    assert verdict.outcome is Outcome.PASS
    assert verdict.findings[0].n == 2


def test_a_row_that_differs_in_two_features_is_one_row() -> None:
    """And each feature is named with an example."""
    verdict = judge_skew(
        evidence(
            {"distance": floats(1, 2, 3), "carrier": words("UA", "DL", "DL")},
            {"distance": floats(1, 2.5, 3), "carrier": words("UA", "AA", "DL")},
        )
    )
    assert verdict.outcome is Outcome.FAIL
    every, distance, carrier = verdict.findings
    assert (every.observed, distance.observed, carrier.observed) == (1, 1, 1)
    assert "request r1: served 2.0, offline 2.5" in distance.detail
    assert "served 'DL', offline 'AA'" in carrier.detail


def test_nothing_to_compare_is_inconclusive() -> None:
    """However much was served."""
    verdict = judge_skew(evidence({"distance": floats()}, {"distance": floats()}, unmatched=900))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "none of 900 served rows" in verdict.findings[0].detail


def test_a_masked_feature_is_told_as_masked_and_not_compared() -> None:
    """Its hashes equal no value; the others are judged, and without any nothing is shown."""
    same = {"town": words("Oslo"), "temp": floats(1.0)}
    served = {"town": words("hmac-sha256:ab"), "temp": floats(1.0)}
    verdict = judge_skew(replace(evidence(served, same), masked=frozenset({"town"})))
    assert verdict.outcome is Outcome.PASS
    whole, masked = verdict.findings
    assert whole.subject == "all features that are not masked"
    assert (masked.subject, masked.outcome, masked.votes) == ("town", Outcome.INCONCLUSIVE, False)
    assert "masked" in masked.detail
    nothing = judge_skew(replace(evidence(served, same), masked=frozenset(same)))
    assert nothing.outcome is Outcome.INCONCLUSIVE
    assert nothing.findings[0].detail == "every feature is masked"
