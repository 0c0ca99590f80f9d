"""Whether to ask for a retraining now, and why: first triggers, drift and label volume.

Each trigger is judged on its own evidence and gives one decision; a sensor only carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.drift import drifted_features
from ml_release.domain.verdict import Outcome, Verdict

Trigger = Literal["drift", "label_volume"]


class RetrainingPolicy(BaseModel):
    """When a retraining may be asked for.

    Attributes
    ----------
    labels_needed
        New labels since the champion's last request for a retraining by label volume.
    cooldown_days
        Days of event time between two requests of the same trigger.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels_needed: Annotated[int, Field(ge=1)] = 20_000
    cooldown_days: Annotated[int, Field(ge=0)] = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingEvidence:
    """What a trigger looks at.

    Attributes
    ----------
    champion
        Digest of the model that serves, None if none does.
    trained_to
        Newest partition the champion was trained on.
    tried_to
        Newest partition the newest candidate was trained on, whatever became of it.
    newest_partition
        Newest partition that is complete and whose labels have matured, as of ``as_of``.
    as_of
        Day of the newest event in the inference log.
    last_request
        Day (of event time) this trigger last asked, None if never.
    """

    champion: str | None
    trained_to: str | None
    tried_to: str | None
    newest_partition: str | None
    as_of: date | None
    last_request: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingDecision:
    """Ask for a retraining, or why not.

    Attributes
    ----------
    run_key
        The same for the same cause, so that a request is made once; None when nothing is asked.
    """

    retrain: bool
    trigger: Trigger
    reason: str
    run_key: str | None = None


def decide_on_drift(
    verdict: Verdict | None, evidence: RetrainingEvidence, policy: RetrainingPolicy
) -> RetrainingDecision:
    """Ask for a retraining when a drift verdict fails."""
    if verdict is None:
        return _no("drift", "no drift report yet")
    if verdict.outcome is Outcome.PASS:
        return _no("drift", "the inputs are stable")
    drifted = drifted_features(verdict)
    if not drifted:
        worst = verdict.objections[0].sentence() if verdict.objections else "no finding"
        return _no("drift", f"the drift report is {verdict.outcome.value}: {worst}")
    return _decide("drift", f"inputs drifted: {', '.join(drifted)}", evidence, policy)


def decide_on_labels(
    new_labels: int, evidence: RetrainingEvidence, policy: RetrainingPolicy
) -> RetrainingDecision:
    """Ask for a retraining when enough new labels have come in."""
    if new_labels < policy.labels_needed:
        return _no("label_volume", f"{new_labels} of {policy.labels_needed} new labels")
    reason = f"{new_labels} new labels, limit {policy.labels_needed}"
    return _decide("label_volume", reason, evidence, policy)


def _decide(
    trigger: Trigger, reason: str, evidence: RetrainingEvidence, policy: RetrainingPolicy
) -> RetrainingDecision:
    if evidence.champion is None or evidence.as_of is None:
        return _no(trigger, f"{reason}; but nothing is serving yet")
    if evidence.newest_partition is None:
        return _no(trigger, f"{reason}; but no partition is complete with matured labels")
    if evidence.trained_to is not None and evidence.newest_partition <= evidence.trained_to:
        return _no(
            trigger,
            f"{reason}; but the champion has learned from {evidence.trained_to} already and no"
            " newer partition is complete with matured labels",
        )
    if evidence.tried_to is not None and evidence.newest_partition <= evidence.tried_to:
        # The same model again: its evidence would be recorded anew, and what people and servers
        # said of the present one would lapse while it is being released.
        return _no(
            trigger,
            f"{reason}; but the newest candidate has learned from {evidence.tried_to} already, and"
            " no newer partition is complete with matured labels",
        )
    if evidence.last_request is not None:
        waited = evidence.as_of - evidence.last_request
        if waited < timedelta(days=policy.cooldown_days):
            return _no(
                trigger,
                f"{reason}; but a retraining was asked for {waited.days} days ago, cooldown"
                f" {policy.cooldown_days} days",
            )
    return RetrainingDecision(
        retrain=True,
        trigger=trigger,
        reason=reason,
        run_key=f"{trigger}:{evidence.champion[7:19]}:{evidence.newest_partition}:{evidence.as_of}",
    )


def _no(trigger: Trigger, reason: str) -> RetrainingDecision:
    return RetrainingDecision(retrain=False, trigger=trigger, reason=reason)
