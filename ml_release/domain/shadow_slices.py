"""Slices of a shadow: a departure that the mean of all requests hides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.sequential_intervals import rate_sequence
from ml_release.domain.shadow_comparisons import UNTOLD, alpha_of, held_within, shift_finding
from ml_release.domain.shadow_policy import SLICES
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.domain.shadow_pairs import ShadowEvidence
    from ml_release.domain.shadow_policy import ShadowPolicy


def slice_findings(evidence: ShadowEvidence, policy: ShadowPolicy) -> Iterator[Finding]:
    """Agreement and shift per slice: a bad one is found, a small one holds nobody up.

    A slice passes as soon as it has pairs enough and its estimate is within the limit, and fails
    when its whole interval is beyond. Showing each slice to be good would hold every shadow for
    want of pairs.
    """
    largest = sorted(evidence.slices, key=lambda one: (-one.counts.pairs, one.name))
    confidence = 1 - alpha_of(policy) / (2 * policy.maximum_slices)
    for one in largest[: policy.maximum_slices]:
        counts = one.counts
        if evidence.decides:
            yield _lenient(
                held_within(
                    SLICES,
                    f"decisions, {one.name}",
                    rate_sequence(counts.disagreeing, counts.decided, confidence=confidence),
                    1 - policy.slice_agreement_floor,
                    minimum=policy.slice_minimum_pairs,
                    unit="of decisions differ",
                ),
                policy,
            )
        if evidence.output != "classes":
            yield _lenient(
                shift_finding(
                    SLICES,
                    f"scores, {one.name}",
                    counts,
                    evidence,
                    limit=policy.slice_shift_limit,
                    confidence=confidence,
                    minimum=policy.slice_minimum_pairs,
                ),
                policy,
            )


def _lenient(finding: Finding, policy: ShadowPolicy) -> Finding:
    """A slice with pairs enough passes on its estimate; one without has no vote."""
    n, observed = finding.n or 0, finding.observed
    if finding.outcome is not Outcome.INCONCLUSIVE:
        return finding
    if n < policy.slice_minimum_pairs:
        return replace(finding, votes=False)
    if observed is not None and finding.limit is not None and abs(observed) <= finding.limit:
        return replace(
            finding,
            outcome=Outcome.PASS,
            detail=finding.detail.replace(UNTOLD, "its estimate is within"),
        )
    return finding
