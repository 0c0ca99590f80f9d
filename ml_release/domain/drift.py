"""Data drift: a reference profile, window profiles that merge, and the judge that reads them.

A profile holds counts per day and bin, never rows: any window is a sum of days. Bins are frozen at
training: the unique 10 % to 90 % quantiles of the reference with open ends for numbers, the 50 most
frequent words for categories, and bins of their own for *other* and *missing*.

What is not done here: whether a shift hurts the model (that needs labels or importance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.features import frequent_words
from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.features import Columns

JUDGE = "drift/1"
DESCRIPTIONS = {
    "distribution_is_stable": "No feature moved beyond what the reference shows of itself.",
    "missing_rate_is_stable": "No feature misses more values than in the reference.",
    "categories_are_known": "No feature holds more unknown words than in the reference.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)
CATEGORY_BINS = 50
PSEUDOCOUNT = 0.5


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


class FeatureBins(BaseModel):
    """The frozen bins of one feature: edges for a number, words for a category.

    A number has ``len(edges) + 1`` bins, bin i holding edges[i-1] < x <= edges[i]; a category one
    per word. Then *other* (categories only) and *missing* (both), in that order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...] | None = None
    words: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Number of bins, *other* and *missing* included."""
        return len(self.words) + 2 if self.words is not None else len(self.edges or ()) + 2

    def count(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Rows per bin, shape (size,)."""
        if self.words is not None:
            code_of = {word: position for position, word in enumerate(self.words)}
            other, missing = len(self.words), len(self.words) + 1
            positions = np.fromiter(
                (code_of.get(v, other) if isinstance(v, str) else missing for v in values),
                dtype=np.int64,
                count=len(values),
            )
        else:
            numbers = values.astype(np.float64)
            positions = np.searchsorted(np.array(self.edges or ()), numbers, side="left")
            positions = np.where(np.isnan(numbers), self.size - 1, positions)
        return np.bincount(positions, minlength=self.size)


class ReferenceProfile(BaseModel):
    """Counts of the reference window per feature, day and bin.

    Attributes
    ----------
    days
        ISO dates in order, one per row of each count table.
    counts
        Per feature a table of shape (days, bins).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: dict[str, FeatureBins]
    days: tuple[str, ...]
    counts: dict[str, tuple[tuple[int, ...], ...]]

    def table(self, feature: str) -> npt.NDArray[np.int64]:
        """Counts of one feature, shape (days, bins)."""
        shape = (len(self.days), self.bins[feature].size)
        return np.array(self.counts[feature], dtype=np.int64).reshape(shape)

    @property
    def digest(self) -> str:
        """Digest of the whole profile."""
        return digest_of_json(self.model_dump(mode="json"))


def profile_from_json(content: bytes) -> ReferenceProfile:
    """Read a reference profile back; `IntegrityError` if it is none."""
    try:
        return ReferenceProfile.model_validate_json(content)
    except ValidationError as error:
        message = f"reference profile: expected a recorded profile, found something else ({error})"
        raise IntegrityError(message) from error


def fit_profile(values: Columns, days: npt.NDArray[np.datetime64]) -> ReferenceProfile:
    """Freeze the bins on the reference window and count it per day.

    Parameters
    ----------
    values
        Readable feature values of shape (n,): float64, or object of str or None.
    days
        Day of each row, shape (n,).
    """
    unique_days, day_of_row = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    bins = {name: _fit_bins(column) for name, column in values.items()}
    counts = {
        name: tuple(
            tuple(int(c) for c in bins[name].count(column[day_of_row == day]))
            for day in range(len(unique_days))
        )
        for name, column in values.items()
    }
    return ReferenceProfile(bins=bins, days=tuple(str(day) for day in unique_days), counts=counts)


def _fit_bins(column: npt.NDArray[np.generic]) -> FeatureBins:
    if column.dtype == object:
        return FeatureBins(words=frequent_words(column, limit=CATEGORY_BINS))
    numbers = column.astype(np.float64)
    present_numbers = numbers[~np.isnan(numbers)]
    if not len(present_numbers):
        return FeatureBins(edges=())
    quantiles = np.quantile(present_numbers, np.arange(1, 10) / 10, method="inverted_cdf")
    return FeatureBins(edges=tuple(float(edge) for edge in np.unique(quantiles)))


def psi_nats(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> float:
    """Population stability index of two count vectors over the same bins, in nats.

    ``sum((p - q) * ln(p / q))`` with shares (count + 0.5) / (n + 0.5 B), bins empty on both sides
    dropped (Siddiqi 2006, Credit Risk Scorecards). NaN if either side holds no rows.
    """
    if reference.sum() == 0 or current.sum() == 0:
        return float("nan")
    used = (reference + current) > 0
    reference, current = reference[used], current[used]
    p = (current + PSEUDOCOUNT) / (current.sum() + PSEUDOCOUNT * len(current))
    q = (reference + PSEUDOCOUNT) / (reference.sum() + PSEUDOCOUNT * len(reference))
    return float(np.sum((p - q) * np.log(p / q)))


def adjusted_psi_nats(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> float:
    """PSI less what identical distributions give on average: max(0, PSI - (B-1)(1/n + 1/m)).

    Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4), give that expectation.
    """
    raw = psi_nats(reference, current)
    if np.isnan(raw):
        return raw
    used = int(((reference + current) > 0).sum())
    expected = (used - 1) * (1 / reference.sum() + 1 / current.sum())
    return max(0.0, float(raw - expected))


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
