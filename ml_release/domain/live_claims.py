"""What the rules of the judges of live traffic say, whichever judge gave a finding."""

from __future__ import annotations

from ml_release.domain import canary_rules, shadow_policy, watch_findings
from ml_release.domain.release_report import claim_of

_CLAIMS = {
    **canary_rules.DESCRIPTIONS,
    **shadow_policy.DESCRIPTIONS,
    **watch_findings.DESCRIPTIONS,
}


def live_claim_of(rule: str) -> str:
    """What a rule says in a sentence, of a judge of live traffic or of the evaluation.

    >>> live_claim_of("errors_are_rare")
    'Few requests fail, in a row of windows and over the whole watch.'
    >>> live_claim_of("not_a_rule")
    'not a rule.'
    """
    return _CLAIMS.get(rule) or claim_of(rule)
