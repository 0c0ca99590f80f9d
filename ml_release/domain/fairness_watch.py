"""Whether served answers treat groups, and serve slices, no worse than the approved version did.

What was approved is a gap, not its absence: the declared slices of a good model differ. So a
window is held against the gap of the recorded evaluation plus a margin. A gap is told to be wider
when some pair of groups shows it, adjusted for all pairs, in several disjoint windows one after
another.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from ml_release.domain.fairness import MEASURES
from ml_release.domain.fairness_record import HistoryRow, WatchedGap, WatchedSlice
from ml_release.domain.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.fairness_record import FairnessRecord, FairnessWindow, Standing
    from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy

JUDGE = "fairness/1"
GAPS = "fairness_holds"
SLICES = "slices_hold"
DESCRIPTIONS = {
    GAPS: "No gap between declared groups is shown to be wider than the approved one and a margin.",
    SLICES: "No declared slice is shown to score worse than at release, beyond a margin.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


def judge_fairness_watch(
    record: FairnessRecord,
    policy: FairnessWatchPolicy,
    *,
    rules: Sequence[str],
    evidence: Mapping[str, str],
    subject_digest: str,
) -> Verdict:
    """Hold the newest window against what was approved, the earlier ones for persistence.

    A subject fails if the newest ``policy.persistence_windows`` windows all show it to be worse.
    It passes if its estimate keeps the limit. Between the two (above the limit, but not shown, or
    not yet for long enough) it is inconclusive, and so is whatever cannot be told.

    Parameters
    ----------
    rules
        Those of `DESCRIPTIONS` that the line declares something for; each is found on at least
        once.
    """
    findings: list[Finding] = []
    if GAPS in rules:
        findings += _judged(GAPS, record, policy)
    if SLICES in rules:
        findings += _judged(SLICES, record, policy)
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=subject_digest,
        evidence=evidence,
        findings=tuple(findings),
    )


def standing_of(watched: WatchedGap | WatchedSlice, policy: FairnessWatchPolicy) -> Standing:
    """Where one subject stands in its window, earlier windows aside."""
    if watched.value is None or watched.limit is None or watched.p_adjusted is None:
        return "unknown"
    if watched.p_adjusted <= policy.alpha:
        return "wider than approved"
    return (
        "holds" if _keeps(watched, watched.value, watched.limit) else "above the limit, not shown"
    )


def history_rows(record: FairnessRecord, policy: FairnessWatchPolicy) -> tuple[HistoryRow, ...]:
    """The newest window as rows of the history; none without a window."""
    if not record.windows:
        return ()
    newest = record.windows[0]
    return tuple(
        HistoryRow(
            last_day=newest.last_day,
            version=record.version,
            rule=rule,
            subject=watched.name,
            column=watched.column,
            measure=_measure(watched),
            value=watched.value,
            low=watched.low,
            high=watched.high,
            baseline=watched.baseline,
            limit=watched.limit,
            standing=standing_of(watched, policy),
            n=watched.n,
        )
        for rule in (GAPS, SLICES)
        for watched in _of_rule(rule, newest)
    )


def _judged(rule: str, record: FairnessRecord, policy: FairnessWatchPolicy) -> list[Finding]:
    newest = record.windows[0] if record.windows else None
    problem = _problem(record, newest, policy)
    watched = () if newest is None else _of_rule(rule, newest)
    if problem or not watched:
        subject = "groups" if rule == GAPS else "slices"
        detail = problem or f"the evaluation of the served version measured no {subject}"
        return [Finding(rule=rule, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail)]
    return [_finding(rule, one, record, policy) for one in watched]


def _problem(
    record: FairnessRecord, newest: FairnessWindow | None, policy: FairnessWatchPolicy
) -> str:
    if record.baseline_problem:
        return record.baseline_problem
    if newest is None:
        return "no answer of the served version has a label that is due"
    if newest.labelled < policy.labelled_share_floor * newest.matured:
        return (
            f"expected labels of {policy.labelled_share_floor * 100:g}% of the answers from"
            f" {newest.first_day} to {newest.last_day}, found {newest.labelled} of"
            f" {newest.matured}"
        )
    return ""


def _finding(
    rule: str,
    watched: WatchedGap | WatchedSlice,
    record: FairnessRecord,
    policy: FairnessWatchPolicy,
) -> Finding:
    same = (_in(rule, watched.name, window) for window in record.windows)
    in_a_row = sum(
        1
        for _ in takewhile(
            lambda one: one is not None and standing_of(one, policy) == "wider than approved", same
        )
    )
    standing = standing_of(watched, policy)
    if standing == "unknown":
        outcome = Outcome.INCONCLUSIVE
    elif in_a_row >= policy.persistence_windows:
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.PASS if standing == "holds" else Outcome.INCONCLUSIVE
    return Finding(
        rule=rule,
        subject=watched.name,
        outcome=outcome,
        observed=watched.value,
        limit=watched.limit,
        bound="at least" if _is_floor(watched) else "at most",
        unit=_unit(watched),
        n=watched.n,
        detail="; ".join(_words(watched, in_a_row, policy)),
    )


def _words(
    watched: WatchedGap | WatchedSlice, in_a_row: int, policy: FairnessWatchPolicy
) -> list[str]:
    words = [watched.problem] if watched.problem else []
    if watched.baseline is not None:
        words.append(f"approved with {watched.baseline:.3g}")
    if watched.low is not None and watched.high is not None:
        words.append(f"interval {watched.low:.3g} to {watched.high:.3g}")
    if watched.p_adjusted is not None:
        words.append(f"adjusted p {watched.p_adjusted:.2g}")
    if in_a_row:
        words.append(f"shown in {in_a_row} of {policy.persistence_windows} windows in a row")
    if isinstance(watched, WatchedSlice):
        return words
    if watched.least and watched.greatest:
        words.append(f"from {_names(watched.least)} to {_names(watched.greatest)}")
        then = (watched.approved_least, watched.approved_greatest)
        if all(then) and not {*then[0]} & {*watched.least}:
            words.append(f"when approved from {_names(then[0])} to {_names(then[1])}")
    if watched.left_out:
        words.append(f"too few rows to judge: {_names(watched.left_out)}")
    return words


def _of_rule(
    rule: str, window: FairnessWindow
) -> tuple[WatchedGap, ...] | tuple[WatchedSlice, ...]:
    return window.gaps if rule == GAPS else window.slices


def _in(rule: str, name: str, window: FairnessWindow) -> WatchedGap | WatchedSlice | None:
    return next((one for one in _of_rule(rule, window) if one.name == name), None)


def _measure(watched: WatchedGap | WatchedSlice) -> str:
    return watched.measure if isinstance(watched, WatchedGap) else watched.score


def _is_floor(watched: WatchedGap | WatchedSlice) -> bool:
    measure = _measure(watched)
    if measure in MEASURES:
        return MEASURES[measure][0] == "ratio"
    return measure.endswith("_score")


def _keeps(watched: WatchedGap | WatchedSlice, value: float, limit: float) -> bool:
    return value >= limit if _is_floor(watched) else value <= limit


def _unit(watched: WatchedGap | WatchedSlice) -> str:
    measure = _measure(watched)
    if measure in MEASURES:
        return "ratio" if MEASURES[measure][0] == "ratio" else "difference of rates"
    return measure


def _names(names: tuple[str | None, ...]) -> str:
    return ", ".join("missing" if name is None else name for name in names)
