"""What the rules of the judges of monitoring say, whichever judge gave a finding."""

from __future__ import annotations

from ml_release.domain import (
    decision_record,
    drift,
    fairness_watch,
    history_health,
    performance_judge,
    release_kpi_judge,
    skew,
    slo,
    text_drift,
)
from ml_release.domain.release_report import claim_of

_CLAIMS = {
    **drift.DESCRIPTIONS,
    **history_health.DESCRIPTIONS,
    **skew.DESCRIPTIONS,
    **performance_judge.DESCRIPTIONS,
    **fairness_watch.DESCRIPTIONS,
    **text_drift.DESCRIPTIONS,
    **slo.DESCRIPTIONS,
    **release_kpi_judge.DESCRIPTIONS,
    **decision_record.DESCRIPTIONS,
}


def watched_claim_of(rule: str) -> str:
    """What a rule says in a sentence.

    >>> watched_claim_of("missing_rate_is_stable")
    'No feature misses more values than the reference shows of itself.'
    >>> watched_claim_of("not_a_rule")
    'not a rule.'
    """
    return _CLAIMS.get(rule) or claim_of(rule)
