"""What is recorded of a line's promises, and whether that freezes the promotion of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.promotion_freeze import freeze_finding
from ml_release.domain.provenance import CandidateRecord, record_from_json
from ml_release.domain.slo import BUDGET, exhausted
from ml_release.domain.verdict import Verdict, verdict_from_json
from ml_release.domain.waivers import waivers_from_json, waivers_to_json
from ml_release.errors import RefusedError
from ml_release.workflows.training import CANDIDATE

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.verdict import Finding
    from ml_release.domain.waivers import Waived, Waiver
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.waiving import WaiverRequest

SLO_RECORD = "slo_record"
SLO_VERDICT = "slo_verdict"
BUDGET_WAIVERS = "budget_waivers"


def newest_slo_verdict(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> Verdict | None:
    """The verdict given last, None if there is none; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, SLO_VERDICT, environment)
    return None if content is None else verdict_from_json(content)


def promotion_freeze(
    line: ReleaseLine,
    version: ModelVersion,
    state: DeclaredState,
    *,
    evidence: EvidenceStore,
    now: datetime,
) -> Finding:
    """Whether the error budgets let a version be promoted beside or in the place of what serves.

    Raises
    ------
    IntegrityError
        If a record was edited.
    """
    return freeze_finding(
        newest_slo_verdict(line, environment=state.environment, evidence=evidence),
        line=line.name,
        subject=f"version {version.number}",
        model_digest=version.model_digest,
        learned_to=learned_to(line, version.model_digest, evidence=evidence),
        champion_learned_to=learned_to(line, state.champion.model_digest, evidence=evidence),
        waivers=budget_waivers(line, version.model_digest, evidence=evidence),
        now=now,
    )


def learned_to(line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore) -> str | None:
    """Last ISO day of a model's training data, None if its record is gone.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, CANDIDATE, model_digest)
    return None if content is None else record_from_json(CandidateRecord, content).window_to


def budget_waivers(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> tuple[Waiver, ...]:
    """Every waiver of an error budget that was given for a model, also those that have expired.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, BUDGET_WAIVERS, model_digest)
    return () if content is None else waivers_from_json(content)


def waive_budget(
    line: ReleaseLine,
    request: WaiverRequest,
    *,
    model_digest: str,
    environment: str,
    evidence: EvidenceStore,
    now: datetime,
) -> tuple[Waived, ...]:
    """Let a version pass budgets that are spent, for a time; they stay spent.

    Raises
    ------
    RefusedError
        If the newest verdict shows no such budget to be spent.
    IntegrityError
        If a record was edited.
    """
    verdict = newest_slo_verdict(line, environment=environment, evidence=evidence)
    budgets = exhausted(verdict)
    chosen = [f for f in budgets if request.subject in (None, f.subject)]
    if verdict is None or not chosen:
        known = [f.subject for f in budgets]
        message = (
            f"waiver of {BUDGET}{'' if request.subject is None else f' [{request.subject}]'}"
            f" refused: expected a spent error budget of {line.name} in {environment}, found"
            f" {known or 'none'}."
        )
        raise RefusedError(message)
    found = request.of(verdict, chosen, model_digest=model_digest, now=now)
    known_waivers = budget_waivers(line, model_digest, evidence=evidence)
    document = waivers_to_json((*known_waivers, *(one.waiver for one in found)))
    evidence.record(line.name, BUDGET_WAIVERS, model_digest, document)
    return found
