"""What every act on a model reads again first: candidate, verdicts, artefact, run and card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.evaluation_gates import JUDGE
from ml_release.domain.identity import check_digest, digest_of_json
from ml_release.domain.quarantine import judge_coverage
from ml_release.domain.verdict import (
    Outcome,
    Verdict,
    require_evidence,
    require_pass,
    verdict_from_json,
)
from ml_release.domain.waivers import Waived, require_pass_or_waivers
from ml_release.errors import RefusedError
from ml_release.workflows.evaluation import VERDICT_TAG
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.model_cards import require_card
from ml_release.workflows.snapshots import require_fit_snapshot
from ml_release.workflows.training import CANDIDATE_TAG, find_candidate
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasable:
    """A candidate whose recorded evidence lets it go on.

    ``waived`` are findings that do not pass and were let go on somebody's word; with any of them
    the verdict is no pass, and has to be shown so.
    """

    candidate: CandidateRecord
    verdict: Verdict
    waived: tuple[Waived, ...] = ()

    @property
    def policy_digest(self) -> str:
        """Of the policy it was judged under, which may be newer than the one it was trained at."""
        return self.verdict.evidence["policy_digest"]


def require_releasable(
    line: ReleaseLine,
    model_digest: str | None,
    *,
    act: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    now: datetime,
) -> Releasable:
    """Read all evidence on a candidate again, the newest one for None.

    The asset graph is not the guard: a failed check stops only its own run. This does, in every
    run.

    Raises
    ------
    RefusedError
        If the evaluation or a snapshot has no passing verdict under the present policy and on this
        very data (findings of the evaluation that are waived ``now`` aside), if it was judged by
        other rules, if more of its window was set aside than the present policy allows, if the
        experiment run does not carry the same candidate and verdict, or if the model card is none
        or stale.
    IntegrityError
        If a record or a file of the artefact was changed.
    NotFoundError
        If there is no such candidate or artefact.
    """
    candidate = find_candidate(line, model_digest, evidence=evidence)
    content = evidence.find(line.name, EVALUATION_VERDICT, candidate.model_digest)
    subject = f"{line.name} candidate {candidate.model_digest[:19]}"
    verdict = (
        require_pass(None, act=act, subject=subject)
        if content is None
        else verdict_from_json(content)
    )
    check_digest(
        f"verdict on {subject}", expected=candidate.model_digest, found=verdict.subject_digest
    )
    waived = require_pass_or_waivers(
        verdict,
        recorded_waivers(line, candidate.model_digest, evidence=evidence),
        act=act,
        subject=subject,
        now=now,
    )
    if verdict.judge != JUDGE:
        message = (
            f"{act} of {subject} refused: it was judged by {verdict.judge}, the rules are now those"
            f" of {JUDGE}. Evaluate again."
        )
        raise RefusedError(message)
    require_evidence(
        verdict,
        act=f"{act} of {subject}",
        data_digest=candidate.data_digest,
        feature_version=candidate.feature_version,
        candidate_digest=candidate.digest,
        policy_digest=digest_of_json(line.policies.evaluation.model_dump(mode="json")),
    )
    coverage = judge_coverage(
        tuple(candidate.partitions), candidate.left_out, line.policies.quarantine
    )
    if coverage.outcome is not Outcome.PASS:
        message = f"{act} of {subject} refused: {coverage.sentence()}. Train again."
        raise RefusedError(message)
    for partition, digest in candidate.snapshots.items():
        require_fit_snapshot(line, partition=partition, digest=digest, evidence=evidence, act=act)
    models.read(candidate.model_digest)
    tags = registry.run_tags(candidate.run_id)
    for name, tag, recorded, again in (
        ("candidate", CANDIDATE_TAG, candidate.digest, "train"),
        ("verdict", VERDICT_TAG, verdict.digest, "evaluate"),
    ):
        tagged = tags.get(tag)
        if tagged != recorded:
            message = (
                f"{act} of {subject} refused: the recorded {name} is {recorded[:19]}, its"
                f" experiment run {candidate.run_id} carries {tagged[:19] if tagged else 'none'}."
                f" One of them was changed; {again} again."
            )
            raise RefusedError(message)
    require_card(line, candidate, verdict, act=act, evidence=evidence)
    return Releasable(candidate=candidate, verdict=verdict, waived=waived)
