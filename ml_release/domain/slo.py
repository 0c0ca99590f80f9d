"""Whether a line keeps what it promises now, and whether its error budgets are left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.error_budget import exceeds
from ml_release.domain.slo_record import DAYS
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from ml_release.domain.slo_policy import SloName, SloPolicy
    from ml_release.domain.slo_record import BurnSeen, SloRecord, SloStanding

JUDGE = "slo/1"
AVAILABLE = "answers_are_available"
FAST = "answers_are_fast"
RIGHT = "answers_are_right"
FRESH = "model_is_fresh"
FAIR = "fairness_is_kept"
BUDGET = "error_budget_is_left"
DESCRIPTIONS = {
    AVAILABLE: "Requests do not fail so often that the budget would soon be spent.",
    FAST: "Answers are not so often late that the budget would soon be spent.",
    RIGHT: "The champion's matured answers score as well as promised.",
    FRESH: "The data the champion has learned from are not older than promised.",
    FAIR: "No fairness rule is seen broken in the newest window.",
    BUDGET: "Of every promise there is budget left; where there is none, nothing is promoted.",
}
RULES = tuple(DESCRIPTIONS)
_RULE_OF: dict[SloName, str] = {
    "availability": AVAILABLE,
    "latency": FAST,
    "correctness": RIGHT,
    "freshness": FRESH,
    "fairness": FAIR,
}
_HOURS_PER_DAY = 24.0


def judge_slo(record: SloRecord, policy: SloPolicy, *, subject_digest: str) -> Verdict:
    """Hold a record against the policy it was made under.

    Nothing asked, too little asked and nothing asked lately are inconclusive: they are no proof of
    an endpoint that works. What is not promised is shown without a vote.
    """
    findings = [
        _now(name, rule, record, policy)
        if record.standing(name) is not None
        else _not_promised(rule, record.line)
        for name, rule in _RULE_OF.items()
    ]
    budgets = [_budget(one, record, policy) for one in record.standings]
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=subject_digest,
        evidence={
            "policy_digest": record.policy_digest,
            "champion_digest": record.model_digest or "none",
            "judged_at": record.judged_at.isoformat(),
        },
        findings=(*findings, *(budgets or [_not_promised(BUDGET, record.line)])),
    )


def exhausted(verdict: Verdict | None) -> tuple[Finding, ...]:
    """The budgets that a verdict shows to be exceeded; none for no verdict.

    As of the workbook's example policy: a budget that is exceeded halts releases.
    """
    if verdict is None:
        return ()
    return tuple(f for f in verdict.findings if f.rule == BUDGET and f.outcome is Outcome.FAIL)


def budgets_in_words(verdict: Verdict | None) -> tuple[str, ...]:
    """Of every promise what is left of its budget, spent ones first; none for no verdict."""
    found = [] if verdict is None else [f for f in verdict.findings if f.rule == BUDGET and f.votes]
    spent = [f for f in found if f.outcome is Outcome.FAIL]
    return tuple(
        f"{'SPENT, promotions are frozen: ' if f in spent else ''}{f.subject}"
        f" {'not known' if f.observed is None else f'{100 * f.observed:.1f} % left'}: {f.detail}"
        for f in (*spent, *(one for one in found if one not in spent))
    )


def _not_promised(rule: str, line: str) -> Finding:
    return Finding(
        rule=rule,
        subject=line,
        outcome=Outcome.INCONCLUSIVE,
        votes=False,
        detail="the policy promises nothing of it",
    )


def _now(name: SloName, rule: str, record: SloRecord, policy: SloPolicy) -> Finding:
    """The present state of one promise."""
    standing = record.standing(name)
    idle = _idle(record, policy.idle_hours)
    if idle:
        return _unknown(rule, record.line, idle)
    if name == "correctness" and policy.correctness is not None:
        promised = policy.correctness
        return compare(
            rule=rule,
            subject=record.line,
            observed=record.score,
            limit=promised.limit,
            bound="at least" if promised.score == "auc_score" else "at most",
            unit=promised.score,
            n=record.score_rows,
            minimum_n=promised.minimum_rows,
        )
    if name == "freshness" and policy.freshness is not None:
        return compare(
            rule=rule,
            subject=record.line,
            observed=record.model_age_days,
            limit=policy.freshness.maximum_age_days,
            bound="at most",
            unit="days",
        )
    if name == "fairness":
        if record.fairness is None:
            return _unknown(rule, record.line, "no fairness verdict is recorded")
        return Finding(
            rule=rule, subject=record.line, outcome=record.fairness, detail=record.fairness_said
        )
    return _burning(rule, record.line, standing)


def _burning(rule: str, line: str, standing: SloStanding | None) -> Finding:
    """Of all alerts the one that is nearest to its limit, or furthest above it."""
    seen = () if standing is None else standing.burns
    if standing is None or not seen:
        return _unknown(rule, line, "nothing was asked")
    fired = [one for one in seen if one.fires]
    unknown = [one for one in seen if one.fires is None]
    outcome = Outcome.FAIL if fired else Outcome.INCONCLUSIVE if unknown else Outcome.PASS
    nearest = max(fired or unknown or seen, key=_nearness)
    known = nearest.long_rate is not None and nearest.short_rate is not None
    said = [f"{nearest.level} over {nearest.long_hours} h and {nearest.short_hours} h"]
    if outcome is Outcome.INCONCLUSIVE:
        said.append("too few requests to tell that nothing is wrong")
    if standing.left is not None:
        said.append(
            f"{standing.bad} of {standing.events} {standing.unit} of the window were bad,"
            f" {100 * (1 - standing.objective):g} % may be"
        )
    return Finding(
        rule=rule,
        subject=line,
        outcome=outcome,
        observed=min(nearest.long_rate or 0.0, nearest.short_rate or 0.0) if known else None,
        limit=nearest.limit_rate,
        unit="times the rate that spends the budget",
        n=nearest.long_events,
        detail="; ".join(said),
    )


def _nearness(burn: BurnSeen) -> float:
    return min(burn.long_rate or 0.0, burn.short_rate or 0.0) / burn.limit_rate


def _budget(standing: SloStanding, record: SloRecord, policy: SloPolicy) -> Finding:
    """Whether one budget is left: exceeded is a failure, also of an endpoint that is idle now."""
    gone = _idle(record, policy.window_days * _HOURS_PER_DAY)
    if gone:
        return _unknown(BUDGET, standing.name, gone)
    is_days = standing.unit == DAYS
    above = exceeds(
        standing.bad,
        standing.events,
        objective=standing.objective,
        limit_rate=1.0,
        minimum_events=policy.minimum_days if is_days else policy.minimum_requests,
    )
    said = (
        f"{standing.bad} of {standing.events} {standing.unit} of {record.window_days} days were"
        f" bad, {100 * (1 - standing.objective):g} % may be"
    )
    if above is None:
        least = policy.minimum_days if is_days else policy.minimum_requests
        said += f"; expected at least {least} {standing.unit}"
    outcomes = {True: Outcome.FAIL, False: Outcome.PASS, None: Outcome.INCONCLUSIVE}
    return Finding(
        rule=BUDGET,
        subject=standing.name,
        outcome=outcomes[above],
        observed=standing.left,
        limit=0.0,
        bound="at least",
        unit="of the budget",
        n=standing.events,
        detail=said,
    )


def _idle(record: SloRecord, longest_hours: float) -> str:
    """Why nothing can be said of the present; "" if something can."""
    if record.as_of is None or record.idle_hours is None:
        return "nothing was asked"
    if record.idle_hours > longest_hours:
        return f"nothing came in for {record.idle_hours:.0f} hours"
    return ""


def _unknown(rule: str, subject: str, detail: str) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail)
