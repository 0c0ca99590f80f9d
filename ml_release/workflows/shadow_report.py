"""One look at a shadow: count what is new, judge, record the verdict, draw it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_release.domain.shadow import judge_shadow
from ml_release.workflows.shadow_evidence import shadow_evidence
from ml_release.workflows.shadow_tallying import tally_shadow
from ml_release.workflows.stage_verdicts import SHADOW_VERDICT, bound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.shadow import ShadowJudgement
    from ml_release.domain.shadow_pairs import ShadowEvidence
    from ml_release.domain.shadow_policy import ShadowPolicy
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog, Plotter, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.shadow_tallying import ShadowStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """What one look saw.

    Attributes
    ----------
    plots
        PNG by file name: ``scores.png`` with scored pairs, ``agreement.png`` with slices of
        decisions.
    """

    evidence: ShadowEvidence
    judgement: ShadowJudgement
    plots: Mapping[str, bytes]

    @property
    def numbers(self) -> dict[str, float | str | None]:
        """The few values that go beside an asset; what is not known is None."""
        found, counts = self.evidence, self.evidence.requests
        decided = counts.decided
        return {
            "answer": self.judgement.answer.value,
            "reason": self.judgement.reason,
            "more_pairs": self.judgement.more_pairs,
            "pairs": counts.pairs,
            "coverage": found.coverage if found.sampled_requests else None,
            "agreement": 1 - counts.disagreeing / decided if decided else None,
            "yes_of_shadow_alone": counts.shadow_only,
            "yes_of_champion_alone": counts.champion_only,
            "mean_difference": counts.scores.difference if counts.scores.n else None,
            "shadow_failed_alone": counts.shadow_failed,
            "champion_failed_alone": counts.champion_failed,
            "labelled": found.labelled.labelled,
            "quality_blocks": len(found.labelled.blocks),
        }


def report_shadow(
    line: ReleaseLine,
    step: ShadowStep,
    policy: ShadowPolicy,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    plotter: Plotter | None,
    now: datetime,
    afresh: bool = False,
) -> ShadowReport:
    """Look at a shadow; the same log and the same moment give the same verdict.

    Raises
    ------
    IntegrityError
        If the recorded tally was edited (``afresh`` counts again), or a partition of the labels.
    """
    tally = tally_shadow(
        line,
        step,
        environment=environment,
        inference_log=inference_log,
        deployments=deployments,
        evidence=evidence,
        afresh=afresh,
    )
    found = shadow_evidence(
        line,
        step,
        tally,
        policy,
        environment=environment,
        deployments=deployments,
        tables=tables,
        now=now,
    )
    judgement = judge_shadow(found, policy)
    standing = deployments.read(line.name, environment)
    verdict = bound(judgement.verdict, standing, now=now)
    judgement = replace(judgement, verdict=verdict)
    evidence.record(line.name, SHADOW_VERDICT, step.model_digest, judgement.verdict.to_json())
    plots = {}
    if plotter is not None and found.sample.n:
        plots["scores.png"] = plotter.paired_scores(found.sample)
    decided = [one for one in found.slices if one.counts.decided]
    if plotter is not None and decided:
        largest = sorted(decided, key=lambda one: (-one.counts.pairs, one.name))
        plots["agreement.png"] = plotter.agreement(
            largest[: policy.maximum_slices], floor=policy.slice_agreement_floor
        )
    return ShadowReport(evidence=found, judgement=judgement, plots=plots)
