"""Training-serving skew: served requests have the features that the offline path computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from ml_release.domain.features import Columns

JUDGE = "skew/1"
DESCRIPTIONS = {
    "served_features_equal_offline": "Served rows have exactly the features of the offline path.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewEvidence:
    """The same rows by both paths.

    Attributes
    ----------
    served, offline
        Per feature an array of shape (n,), row by row the same request.
    request_ids
        Of those rows, shape (n,).
    unmatched
        Served rows that no offline row was found for: nothing is known of them.
    masked
        Features that are masked in the log as personal data: nothing is known of them either.
    """

    line: str
    model_digest: str
    served: Columns
    offline: Columns
    request_ids: tuple[str, ...]
    unmatched: int
    masked: frozenset[str] = frozenset()


def judge_skew(evidence: SkewEvidence) -> Verdict:
    """Count the rows that differ in any feature; exactly none may.

    Both paths run the same float64 operations on the same inputs, so that the smallest difference
    is a defect. Without a row or a feature to compare it is inconclusive. A masked feature is told
    as such and has no vote: its line has declared that it is not to be known.
    """
    n = len(evidence.request_ids)
    differs = {
        name: differing(evidence.served[name], evidence.offline[name])
        for name in evidence.offline
        if name not in evidence.masked
    }
    masked = sorted(evidence.masked & set(evidence.offline))
    anywhere = np.zeros(n, dtype=np.bool_)
    for rows in differs.values():
        anywhere |= rows
    findings = [
        compare(
            rule="served_features_equal_offline",
            subject="all features that are not masked" if masked else "all features",
            observed=float(anywhere.sum()) if n and differs else None,
            limit=0.0,
            bound="at most",
            unit="rows",
            n=n,
            detail="every feature is masked"
            if not differs
            else f"{evidence.unmatched} served rows have no offline row"
            if n
            else f"none of {evidence.unmatched} served rows has an offline row to compare with",
        )
    ]
    findings += [
        Finding(
            rule="served_features_equal_offline",
            subject=name,
            outcome=Outcome.FAIL,
            observed=float(rows.sum()),
            limit=0.0,
            unit="rows",
            n=n,
            detail=_example(evidence, name, int(np.flatnonzero(rows)[0])),
        )
        for name, rows in differs.items()
        if rows.any()
    ]
    findings += [
        Finding(
            rule="served_features_equal_offline",
            subject=name,
            outcome=Outcome.INCONCLUSIVE,
            votes=False,
            detail="masked in the log as personal data, so it cannot be compared",
        )
        for name in masked
    ]
    return Verdict(
        judge=JUDGE,
        line=evidence.line,
        subject_digest=evidence.model_digest,
        findings=tuple(findings),
    )


def differing(
    served: npt.NDArray[np.generic], offline: npt.NDArray[np.generic]
) -> npt.NDArray[np.bool_]:
    """Which rows differ, shape (n,); two missing values are equal.

    >>> differing(np.array([1.0, np.nan, 2.0]), np.array([1.0, np.nan, 2.0 + 1e-15])).tolist()
    [False, False, True]
    """
    missing = np.array([_is_missing(value) for value in served], dtype=np.bool_)
    expected_missing = np.array([_is_missing(value) for value in offline], dtype=np.bool_)
    pairs = zip(served.tolist(), offline.tolist(), strict=True)
    unequal = np.array([left != right for left, right in pairs], dtype=np.bool_)
    found: npt.NDArray[np.bool_] = (missing != expected_missing) | (
        unequal & ~(missing & expected_missing)
    )
    return found


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 (NaN)


def _example(evidence: SkewEvidence, feature: str, row: int) -> str:
    return (
        f"for example request {evidence.request_ids[row]}: served"
        f" {evidence.served[feature].tolist()[row]!r}, offline"
        f" {evidence.offline[feature].tolist()[row]!r}"
    )
