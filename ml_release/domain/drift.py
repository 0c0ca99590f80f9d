"""Data drift: the judge that holds a window's counts against a reference profile.

What is not done here: whether a shift hurts the model (that needs labels or importance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.identity import digest_of_json
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.reference_profile import ReferenceProfile

JUDGE = "drift/1"
DESCRIPTIONS = {
    "distribution_is_stable": "No feature moved beyond what the reference shows of itself.",
    "missing_rate_is_stable": "No feature misses more values than in the reference.",
    "categories_are_known": "No feature holds more unknown words than in the reference.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


class DriftPolicy(BaseModel):
    """When a shift of the inputs is called drift.

    Attributes
    ----------
    psi_limit_nats
        Smallest adjusted PSI that can be called drift.
    contiguous_factor
        The limit of a feature is at least this factor times the largest PSI that a window of the
        same number of days, inside the reference, had against the whole reference: neighbouring
        days are no random sample.
    minimum_rows
        Fewer rows in the window are inconclusive.
    missing_increase_limit
        Allowed increase of the share of missing values, as a fraction.
    unseen_limit
        Allowed share of words that the reference did not hold, as a fraction.
    muted
        Features that are shown but have no vote, such as those seasonal by nature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    psi_limit_nats: Annotated[float, Field(gt=0)] = 0.1
    contiguous_factor: Annotated[float, Field(ge=1)] = 1.1
    minimum_rows: Annotated[int, Field(ge=1)] = 1000
    missing_increase_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    unseen_limit: Annotated[float, Field(ge=0, le=1)] = 0.02
    muted: tuple[str, ...] = ()


def calibrated_limit_nats(
    profile: ReferenceProfile, feature: str, *, days: int, policy: DriftPolicy
) -> float:
    """The limit for windows of ``days`` days: what the reference itself shows, or the policy's.

    The largest adjusted PSI of the non-overlapping windows of that length inside the reference
    against the whole reference, times the policy's factor. A reference shorter than two such
    windows cannot show its own variation, and a window of no days has none; the policy's limit then
    stands alone.
    """
    if days < 1:
        return policy.psi_limit_nats
    table = profile.table(feature)
    whole = table.sum(axis=0)
    windows = [
        table[start : start + days].sum(axis=0) for start in range(0, len(table) - days + 1, days)
    ]
    if len(windows) < 2:  # noqa: PLR2004
        return policy.psi_limit_nats
    largest = max(adjusted_psi_nats(whole, window) for window in windows)
    return max(policy.psi_limit_nats, policy.contiguous_factor * largest)


def judge_drift(
    *,
    line: str,
    profile: ReferenceProfile,
    current: Mapping[str, npt.NDArray[np.int64]],
    days: int,
    subject_digest: str,
    policy: DriftPolicy,
    masked: frozenset[str] = frozenset(),
) -> Verdict:
    """Hold a window's counts against the reference.

    Parameters
    ----------
    current
        Per feature the counts of the window over the profile's bins, shape (bins,).
    days
        Number of calendar days the window holds.
    subject_digest
        Digest of the window.
    masked
        Features that are masked in the log as personal data. They are told as such and have no
        vote: their line has declared that they are not to be known.
    """
    findings: list[Finding] = []
    for feature, bins in profile.bins.items():
        if feature in masked:
            findings.append(_masked(feature))
            continue
        counts = current.get(feature, np.zeros(bins.size, dtype=np.int64))
        findings += _judge_feature(
            feature, profile=profile, counts=counts, days=days, policy=policy
        )
    return Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=subject_digest,
        evidence={
            "reference_digest": profile.digest,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=tuple(findings),
    )


def _masked(feature: str) -> Finding:
    return Finding(
        rule="distribution_is_stable",
        subject=feature,
        outcome=Outcome.INCONCLUSIVE,
        votes=False,
        detail="masked in the log as personal data, so its drift cannot be told",
    )


def _judge_feature(
    feature: str,
    *,
    profile: ReferenceProfile,
    counts: npt.NDArray[np.int64],
    days: int,
    policy: DriftPolicy,
) -> list[Finding]:
    reference = profile.table(feature).sum(axis=0)
    n = int(counts.sum())
    votes = feature not in policy.muted
    share = counts / n if n else np.full(len(counts), np.nan)
    reference_share = reference / max(1, reference.sum())
    findings = [
        compare(
            rule="distribution_is_stable",
            subject=feature,
            observed=adjusted_psi_nats(reference, counts),
            limit=calibrated_limit_nats(profile, feature, days=days, policy=policy),
            bound="at most",
            unit="nats",
            n=n,
            minimum_n=policy.minimum_rows,
            votes=votes,
        ),
        compare(
            rule="missing_rate_is_stable",
            subject=feature,
            observed=float(share[-1] - reference_share[-1]),
            limit=policy.missing_increase_limit,
            bound="at most",
            n=n,
            minimum_n=policy.minimum_rows,
            votes=votes,
        ),
    ]
    if profile.bins[feature].words is not None:
        findings.append(
            compare(
                rule="categories_are_known",
                subject=feature,
                observed=float(share[-2] - reference_share[-2]),
                limit=policy.unseen_limit,
                bound="at most",
                n=n,
                minimum_n=policy.minimum_rows,
                votes=votes,
            )
        )
    return findings


def drifted_features(verdict: Verdict) -> tuple[str, ...]:
    """Subjects of the voting findings that failed, in order, each once."""
    failed = (f.subject for f in verdict.findings if f.votes and f.outcome is Outcome.FAIL)
    return tuple(dict.fromkeys(failed))
