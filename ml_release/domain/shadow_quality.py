"""Whether a shadow is no worse than the champion on the requests whose label is known.

Labels come late and one looks again and again, so the score is compared block by block: each block
of labelled pairs gives one paired difference, and the interval of their mean holds at every look.
Before there are blocks enough the quality is not known, which is neither good nor bad.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.paired_tests import Relation, relation_of
from ml_release.domain.scores import auc_score, brier_loss, log_loss
from ml_release.domain.sequential_intervals import mean_sequence
from ml_release.domain.shadow_comparisons import alpha_of
from ml_release.domain.shadow_pairs import QualityBlock
from ml_release.domain.shadow_policy import QUALITY
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats
    from ml_release.domain.shadow_pairs import ShadowEvidence
    from ml_release.domain.shadow_policy import ShadowPolicy

_OUTCOMES = {
    Relation.BETTER: Outcome.PASS,
    Relation.NON_INFERIOR: Outcome.PASS,
    Relation.UNDECIDED: Outcome.INCONCLUSIVE,
    Relation.INFERIOR: Outcome.FAIL,
}


def quality_blocks(
    target: Floats, champion: Floats, shadow: Floats, *, block_pairs: int
) -> tuple[QualityBlock, ...]:
    """Differences of the scores in consecutive blocks; a block that is not full waits.

    Parameters
    ----------
    target
        0 or 1, shape (n,), in an order that later labels only add to.
    champion, shadow
        Probabilities of the same requests, shape (n,).
    """
    blocks = []
    for start in range(0, len(target) - block_pairs + 1, block_pairs):
        rows = slice(start, start + block_pairs)
        known, first, second = target[rows], champion[rows], shadow[rows]
        blocks.append(
            QualityBlock(
                n=block_pairs,
                positives=int(known.sum()),
                auc_score=auc_score(known, second) - auc_score(known, first),
                log_loss=log_loss(known, second) - log_loss(known, first),
                brier_loss=brier_loss(known, second) - brier_loss(known, first),
            )
        )
    return tuple(blocks)


def quality_finding(evidence: ShadowEvidence, policy: ShadowPolicy) -> Finding:
    """Non-inferiority with the declared margin, read from the interval of the blocks.

    A shadow that is shown to be worse fails. One that cannot be told holds only if labels are
    required. Blocks in which the score is not defined are left out and counted.
    """
    labelled, name = evidence.labelled, policy.quality_score
    greater = name.endswith("_score")
    differences = np.array([getattr(block, name) for block in labelled.blocks], dtype=np.float64)
    known = differences[np.isfinite(differences)]
    k = len(known)
    relation, observed, ends = Relation.UNDECIDED, None, ""
    if evidence.output != "probability":
        reason = "not judged: labels of 0 and 1 are compared with single probabilities only"
    elif k < policy.minimum_blocks:
        reason = (
            f"not known yet: expected {policy.minimum_blocks} blocks of {policy.block_pairs}"
            f" labelled pairs, found {k}"
        )
    else:
        mean, variance = float(known.mean()), float(known.var(ddof=1))
        interval = mean_sequence(
            mean, variance, k, confidence=1 - alpha_of(policy), tau=policy.quality_scale
        )
        relation = relation_of(interval, margin=policy.quality_margin, greater_is_better=greater)
        reason, observed = relation.value.replace("_", "-"), mean
        if math.isfinite(interval.low):
            ends = f"interval {interval.low:.4g} to {interval.high:.4g} over {k} blocks"
    undefined = len(differences) - k
    details = (
        reason,
        ends,
        f"{labelled.labelled} labelled, {labelled.immature} not due yet, {labelled.unlabelled} due"
        " without a label",
        f"{undefined} blocks with one class left out" if undefined else "",
    )
    return Finding(
        rule=QUALITY,
        subject=f"{name}, shadow less champion",
        outcome=_OUTCOMES[relation],
        observed=observed,
        limit=-policy.quality_margin if greater else policy.quality_margin,
        bound="at least" if greater else "at most",
        n=labelled.labelled,
        votes=policy.labels == "required" or relation is not Relation.UNDECIDED,
        detail="; ".join(part for part in details if part),
    )
