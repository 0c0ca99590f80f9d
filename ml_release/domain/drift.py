"""Data drift: the judge that holds a window's counts against a reference profile.

Every feature, and the score, ends as stable, shifted but harmless, shifted and hurting, or unknown;
only harm is held against a window. Beside that stand findings on the quality of the data, which are
faults whatever they cost. What is not done here: what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain import drift_quality
from ml_release.domain.drift_departure import Departure, WindowCounts, departures
from ml_release.domain.drift_effect import effect_of
from ml_release.domain.drift_limits import Calibration
from ml_release.domain.drift_record import DriftRecord, FeatureDrift
from ml_release.domain.drift_standing import DriftStanding, RealisedChange, Told, tell
from ml_release.domain.identity import digest_of_json
from ml_release.domain.recorded import known
from ml_release.domain.reference_profile import SCORE, ReferenceProfile
from ml_release.domain.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from ml_release.domain.drift_policy import DriftPolicy

    Counts = npt.NDArray[np.int64]

JUDGE = "drift/2"
DESCRIPTIONS = {
    "drift_is_harmless": "No feature has moved, window after window, to where the model is worse.",
    "distribution_is_stable": "No feature moved beyond what the reference shows of itself (shown"
    " only).",
    **drift_quality.DESCRIPTIONS,
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)

_OUTCOMES = {
    DriftStanding.STABLE: Outcome.PASS,
    DriftStanding.HARMLESS: Outcome.PASS,
    DriftStanding.HURTING: Outcome.FAIL,
    DriftStanding.UNKNOWN: Outcome.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict on a window, and its features one by one."""

    verdict: Verdict
    features: tuple[FeatureDrift, ...]


def judge_drift(
    *,
    line: str,
    profile: ReferenceProfile,
    window: WindowCounts,
    earlier: Sequence[WindowCounts] = (),
    subject_digest: str,
    policy: DriftPolicy,
    seasonal: Mapping[str, Counts] | None = None,
    realised: RealisedChange | None = None,
    masked: frozenset[str] = frozenset(),
    calibration: Calibration | None = None,
) -> Judged:
    """Hold a window's counts against the reference.

    Parameters
    ----------
    window
        The newest one, counted over the bins of the profile.
    earlier
        Windows of the same length before it that share no day with it or with one another, the
        newest first.
    subject_digest
        Digest of the window.
    seasonal
        Per feature the counts of the same season as the newest window's, over the same bins: a
        second reference. A feature is stable if it is close to either. It stands for the windows
        right before, too.
    realised
        What the matured labels of the window say of the loss; it overrules what is expected.
    masked
        Features that are masked in the log as personal data. They are told as such and have no
        vote: their line has declared that they are not to be known.
    calibration
        The limits of this profile under this policy, if they were worked out before.
    """
    windows = (window, *earlier[: policy.persistence_windows - 1])
    limits = calibration or Calibration(profile, policy, masked=masked)
    measured = [departures(limits, one, seasonal=seasonal) for one in windows]
    features: list[FeatureDrift] = []
    findings: list[Finding] = []
    for name in (*profile.bins, *((SCORE,) if SCORE in measured[0] else ())):
        if name in masked:
            told = Told(
                standing=DriftStanding.UNKNOWN,
                windows_in_a_row=0,
                why="masked in the log as personal data, so its drift cannot be told",
            )
            features.append(_feature(name, None, told))
            findings.append(_masked(name, told.why))
            continue
        newest = measured[0][name]
        told = tell([one.get(name) for one in measured], policy=policy, realised=realised)
        effect = effect_of(limits, name, window)
        features.append(_feature(name, newest, told, *effect))
        findings += _findings(name, newest, told, policy=policy)
        findings += drift_quality.quality_findings(name, calibration=limits, window=window)
    verdict = Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=subject_digest,
        evidence={
            "reference_digest": limits.reference_digest,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=tuple(sorted(findings, key=lambda finding: RULES.index(finding.rule))),
    )
    return Judged(verdict=verdict, features=tuple(features))


def record_of(
    judged: Judged, *, model_digest: str, as_of: str | None, window: WindowCounts, rows: int
) -> DriftRecord:
    """What is recorded beside the verdict."""
    return DriftRecord(
        line=judged.verdict.line,
        model_digest=model_digest,
        reference_digest=judged.verdict.evidence["reference_digest"],
        as_of=as_of,
        days=window.days,
        rows=rows,
        verdict_digest=judged.verdict.digest,
        features=judged.features,
        problems=tuple(
            f"{finding.rule} [{finding.subject}]"
            for finding in judged.verdict.findings
            if finding.rule in drift_quality.RULES and _objects(finding)
        ),
    )


def drifted_features(verdict: Verdict) -> tuple[str, ...]:
    """Features that have shifted and hurt, in order, each once."""
    return _subjects(verdict, ("drift_is_harmless",))


def data_quality_problems(verdict: Verdict) -> tuple[str, ...]:
    """Features whose data are at fault, in order, each once: missing, unknown, beyond, stuck."""
    return _subjects(verdict, drift_quality.RULES)


def _subjects(verdict: Verdict, rules: Sequence[str]) -> tuple[str, ...]:
    found = (f.subject for f in verdict.findings if f.rule in rules and _objects(f))
    return tuple(dict.fromkeys(found))


def _objects(finding: Finding) -> bool:
    return finding.votes and finding.outcome is Outcome.FAIL


def _masked(feature: str, why: str) -> Finding:
    return Finding(
        rule="drift_is_harmless",
        subject=feature,
        outcome=Outcome.INCONCLUSIVE,
        votes=False,
        detail=why,
    )


def _findings(
    feature: str, newest: Departure, told: Told, *, policy: DriftPolicy
) -> tuple[Finding, Finding]:
    moved = newest.moved(policy)
    harmless = Finding(
        rule="drift_is_harmless",
        subject=feature,
        outcome=_OUTCOMES[told.standing],
        observed=known(newest.loss_change),
        limit=known(newest.loss_limit),
        unit="nats of expected loss",
        n=newest.n,
        votes=feature not in policy.muted,
        detail=f"{told.standing.value}{': ' if told.why else ''}{told.why}",
    )
    stable = Finding(
        rule="distribution_is_stable",
        subject=feature,
        outcome=Outcome.INCONCLUSIVE if moved is None else (Outcome.PASS, Outcome.FAIL)[moved],
        observed=known(newest.psi_nats),
        limit=known(newest.limit_nats),
        unit="nats",
        n=newest.n,
        votes=False,
        detail="" if moved is not None else told.why,
    )
    return harmless, stable


def _feature(
    name: str,
    newest: Departure | None,
    told: Told,
    effect: float | None = None,
    effect_name: str = "",
) -> FeatureDrift:
    psi = None if newest is None else known(newest.psi_nats)
    importance = None if newest is None else newest.importance
    return FeatureDrift(
        feature=name,
        standing=told.standing,
        n=0 if newest is None else newest.n,
        psi_nats=psi,
        limit_nats=None if newest is None else known(newest.limit_nats),
        p_adjusted=None if newest is None else known(newest.p_adjusted),
        effect=effect,
        effect_name=effect_name,
        importance=importance,
        weighted_psi_nats=None if psi is None or importance is None else importance * psi,
        loss_change=None if newest is None else known(newest.loss_change),
        loss_limit=None if newest is None else known(newest.loss_limit),
        unknown_share=None if newest is None else known(newest.unknown_share),
        windows_in_a_row=told.windows_in_a_row,
        why=told.why,
    )
