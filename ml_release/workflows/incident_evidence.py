"""What is on record of the two versions of an incident, and of who or what took one back.

Nothing here may keep an incident from being written: a record that is gone or was edited leaves its
part unknown, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.artefact import PLAN_FILE, SIGNATURE_FILE, signature_from_json
from ml_release.domain.features import plan_from_json
from ml_release.domain.incident import Release, Trigger
from ml_release.domain.incident_causes import (
    features_that_cannot_be_asked,
    plan_differences,
    version_differences,
)
from ml_release.domain.taken_back import part_of
from ml_release.domain.verdict import Outcome
from ml_release.domain.waivers import split_objections
from ml_release.errors import MlReleaseError
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.masked import masked_features
from ml_release.workflows.monitoring_decision import MONITORING
from ml_release.workflows.rollout_tick import AUTOMATION
from ml_release.workflows.stage_verdicts import (
    CANARY_VERDICT,
    JUDGED_AT,
    SHADOW_VERDICT,
    WATCH_VERDICT,
    recorded_verdict,
)
from ml_release.workflows.training import find_candidate
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.incident_causes import VersionDifference
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.taken_back import TakenBack
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.ports import EvidenceStore, Experiments, ModelLoader, ModelStore
    from ml_release.spec.release_line import ReleaseLine

    _T = TypeVar("_T")

_VERDICTS = {"shadow": SHADOW_VERDICT, "canary": CANARY_VERDICT, "champion": WATCH_VERDICT}


@dataclass(slots=True)
class Gaps:
    """What could not be had so far, and why."""

    found: list[str] = field(default_factory=list)

    def had(self, what: str, get: Callable[[], _T]) -> _T | None:
        """What ``get`` gives; None if it cannot, which is noted."""
        try:
            return get()
        except MlReleaseError as error:
            self.found.append(f"{what}: {error}")
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Who or what took the version back; ``at`` is the judge's time, None without a verdict."""

    trigger: Trigger
    at: str | None


def decided_by(
    line: ReleaseLine, taken: TakenBack, *, evidence: EvidenceStore, gaps: Gaps
) -> Decided:
    """The verdict on the very declaration that was taken back, or the person behind the commit."""
    kind = _VERDICTS.get(part_of(taken.before.state, taken.version))
    verdict = (
        None
        if kind is None
        else gaps.had(
            "verdict of the judge",
            lambda: recorded_verdict(line, kind, taken.model_digest, evidence=evidence),
        )
    )
    # A later release of the same version is judged on another declaration.
    if verdict is not None and verdict.evidence.get("declared_commit") != taken.before.commit:
        verdict = None
    trigger = Trigger(
        is_automatic=taken.after.actor in (AUTOMATION, MONITORING),
        by=taken.after.actor,
        reason=taken.after.reason,
    )
    if verdict is None:
        # A decision of monitoring is carried out at once; the judge of a leg has a verdict.
        is_judged = taken.after.actor == AUTOMATION
        at = None if is_judged else taken.after.committed_at
        return Decided(trigger=trigger, at=at)
    trigger = replace(trigger, findings=_behind(verdict), verdict_digest=verdict.digest)
    if trigger.is_automatic:
        trigger = replace(trigger, by=verdict.judge)
        return Decided(trigger=trigger, at=verdict.evidence.get(JUDGED_AT))
    return Decided(trigger=trigger, at=taken.after.committed_at)


def _behind(verdict: Verdict) -> tuple[Finding, ...]:
    """Shown harm; where none is shown, whatever keeps the verdict from passing."""
    harm = tuple(one for one in verdict.objections if one.outcome is Outcome.FAIL)
    return harm or verdict.objections


def recorded_release(
    line: ReleaseLine,
    version: int,
    model_digest: str,
    *,
    evidence: EvidenceStore,
    experiments: Experiments,
    gaps: Gaps,
) -> tuple[Release, CandidateRecord | None]:
    """One of the two versions with the record of its training, None where there is none."""
    record = gaps.had(
        f"record of version {version}",
        lambda: find_candidate(line, model_digest, evidence=evidence),
    )
    found = Release(version=version, model_digest=model_digest)
    if record is None:
        return found, None
    run = gaps.had(f"training run of version {version}", lambda: experiments.resume(record.run_id))
    address = None if run is None else run.address
    return replace(found, trained_at=record.trained_at, run=address), record


def evaluation_gaps(
    line: ReleaseLine, taken: TakenBack, *, evidence: EvidenceStore, gaps: Gaps
) -> tuple[tuple[Finding, ...] | None, tuple[str, ...]]:
    """What the version's evaluation did not pass, and what of it was let go when it was declared.

    None if there is no verdict to read.
    """
    verdict = gaps.had(
        "verdict of the evaluation",
        lambda: recorded_verdict(line, EVALUATION_VERDICT, taken.model_digest, evidence=evidence),
    )
    if verdict is None:
        return None, ()
    waivers = gaps.had(
        "waivers", lambda: recorded_waivers(line, taken.model_digest, evidence=evidence)
    )
    at = datetime.fromisoformat(taken.declared[0].committed_at)
    _, waived = split_objections(verdict, waivers or (), now=at)
    shown = tuple(
        one for one in verdict.findings if not one.votes and one.outcome is not Outcome.PASS
    )
    return (*verdict.objections, *shown), tuple(one.sentence() for one in waived)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoModels:
    """The artefacts of both versions, as far as they can be read.

    Attributes
    ----------
    restored
        Ready to answer; None if it cannot.
    unaskable
        Why the rows of the bad version cannot be asked again; "" if they can.
    unit
        Of the restored version's answers: ``probability``, ``value`` or ``probabilities``.
    differences
        Between the two feature plans.
    """

    restored: LoadedModel | None
    unaskable: str
    unit: str = "probability"
    differences: tuple[VersionDifference, ...] = ()


def two_models(
    taken: TakenBack, restored_digest: str, *, models: ModelStore, loader: ModelLoader, gaps: Gaps
) -> TwoModels:
    """Load the restored version, and find out whether it can be asked what the bad one was."""
    bad = gaps.had("artefact of the bad version", lambda: models.read(taken.model_digest))
    good = gaps.had("artefact of the restored version", lambda: models.read(restored_digest))
    if bad is None or good is None:
        return TwoModels(restored=None, unaskable="an artefact of the two cannot be read")
    model = gaps.had("restored version", lambda: loader.load(good))
    signature = gaps.had("its signature", lambda: signature_from_json(good[SIGNATURE_FILE]))
    plan = gaps.had("plan of the bad version", lambda: plan_from_json(bad[PLAN_FILE]))
    masked = gaps.had("masks of the bad version", lambda: masked_features(bad))
    if model is None or signature is None or plan is None or masked is None:
        return TwoModels(restored=None, unaskable="an artefact of the two cannot be read")
    lost = features_that_cannot_be_asked(plan, model.plan, masked=masked)
    reasons: dict[str, list[str]] = {}
    for name, reason in lost.items():
        reasons.setdefault(reason, []).append(name)
    said = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    if signature.classes:
        said = f"answers of {len(signature.classes)} classes are not compared"
    return TwoModels(
        restored=None if said else model,
        unaskable=said,
        unit=signature.output_kind,
        differences=plan_differences(plan, model.plan),
    )


def all_differences(
    bad: CandidateRecord | None, restored: CandidateRecord | None, found: TwoModels
) -> tuple[VersionDifference, ...] | None:
    """Of records and plans; None if neither can be compared."""
    recorded = None if bad is None or restored is None else version_differences(bad, restored)
    if recorded is None:
        return found.differences or None
    return (*recorded, *found.differences)
