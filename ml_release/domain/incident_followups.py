"""What is left to do after a rollback, made from what is known of it; people own it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.blast_radius import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml_release.domain.blast_radius import BlastRadius
    from ml_release.domain.incident_causes import VersionDifference
    from ml_release.domain.incident_impact import Impact
    from ml_release.domain.verdict import Finding

UNASSIGNED = "unassigned"

# Rule of a judge of live traffic: the earlier gate that could have shown the same.
_EARLIER = {
    "errors_are_rare": "staging: its load of real rows, with the limit on failed requests",
    "errors_have_not_increased": "the canary: more requests, or a smaller tolerance of errors",
    "answers_are_fast": "servability of the evaluation: the limit of the 99th percentile",
    "answers_are_complete": "staging: rows with missing values among those it is asked",
    "served_as_well_as_evaluated": "evaluation: the floor of its score, and sets of later days",
    "canary_is_not_harmful": "the shadow: the same comparison before any client gets an answer",
    "slices_are_not_harmed": "slices of the evaluation: the limit and the champion's margin there",
    "shadow_fails_no_more_often": "staging: its load of real rows, with the limit on failures",
    "decisions_agree": "evaluation: the champion's margin, and the share of equal decisions",
    "decisions_lean_little": "evaluation: the threshold that decisions are judged by",
    "scores_shift_little": "calibration of the evaluation: its limit and the champion's margin",
    "slices_agree": "slices of the evaluation: the limit and the champion's margin there",
    "shadow_is_no_worse": "evaluation: the champion's margin on newer days",
}
_STAGES = ("shadow", "canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """One thing to do.

    Attributes
    ----------
    key
        Names it over all revisions of an incident.
    why
        What it follows from.
    owner
        Whoever has taken it; `UNASSIGNED` until then.
    """

    key: str
    what: str
    why: str
    owner: str = UNASSIGNED


def follow_ups(
    *,
    version: int,
    legs: Sequence[str],
    impact: Impact,
    blast: BlastRadius | None,
    findings: Sequence[Finding],
    differences: Sequence[VersionDifference] | None,
    waived: Sequence[str],
    is_answered: bool,
) -> tuple[FollowUp, ...]:
    """What follows from an incident, in the order of urgency.

    Parameters
    ----------
    findings
        That took the version back.
    waived
        Findings of its evaluation that were let go.
    is_answered
        Whether somebody has written what the root cause was.
    """
    return (
        *_affected(version, impact, blast),
        *_cause(version, findings, differences, is_answered=is_answered),
        *_gates(version, legs, findings, waived),
        FollowUp(
            key="withdrawn",
            what=f"Leave version {version} withdrawn; lift it by name only if it was not at fault",
            why="no automation declares it again",
        ),
    )


def _affected(version: int, impact: Impact, blast: BlastRadius | None) -> Iterator[FollowUp]:
    requests = impact.served.requests
    if not requests:
        return
    yield FollowUp(
        key="consumers",
        what=f"Tell the consumers that version {version} was asked {requests} requests",
        why=f"they may have acted on its answers; {impact.served.errors} got an error",
    )
    lost = (
        impact.served.rows
        if blast is None
        else sum(count for reason, count in blast.not_rescored.items() if reason != FAILED)
    )
    if lost:
        yield FollowUp(
            key="not-rescored",
            what=f"Judge by other means the {lost} answers that could not be compared",
            why="their inputs are not in the log, or the restored version cannot read them",
        )
    if blast is not None and blast.total.differing:
        yield FollowUp(
            key="label",
            what=f"Label the {blast.total.differing} rows that would have been decided otherwise",
            why="their outcome says what the incident cost",
        )
        yield FollowUp(
            key="correct",
            what="Correct the decisions that can still be corrected",
            why=f"{blast.total.to_no} would be no instead of yes, {blast.total.to_yes} yes instead"
            " of no",
        )


def _cause(
    version: int,
    findings: Sequence[Finding],
    differences: Sequence[VersionDifference] | None,
    *,
    is_answered: bool,
) -> Iterator[FollowUp]:
    if not is_answered:
        yield FollowUp(
            key="root-cause",
            what="Write down the root cause",
            why="what differs between two versions is where to look, not what was wrong",
        )
    data = [one.what for one in differences or () if one.about == "data"]
    code = [one.what for one in differences or () if one.about != "data"]
    named = ", ".join(dict.fromkeys(f"{one.rule} [{one.subject}]" for one in findings))
    if data:
        shown = ", ".join(data[:3]) + (f" and {len(data) - 3} more" if data[3:] else "")
        yield FollowUp(
            key="retrain-data",
            what=f"Train again only after the data was looked at: {shown}",
            why=f"version {version} was trained on other data than the restored one",
        )
    elif code or differences is None or named:
        shown = ", ".join(code[:3]) + (f" and {len(code) - 3} more" if code[3:] else "")
        yield FollowUp(
            key="retrain-cause",
            what="Train again only after it is understood: "
            + (shown or named or "the records of the two versions cannot be read"),
            why="the same inputs give the same model",
        )


def _gates(
    version: int, legs: Sequence[str], findings: Sequence[Finding], waived: Sequence[str]
) -> Iterator[FollowUp]:
    for rule in dict.fromkeys(finding.rule for finding in findings):
        values = "; ".join(one.sentence() for one in findings if one.rule == rule)
        if rule in _EARLIER:
            yield FollowUp(
                key=f"gate-{rule}",
                what=f"Raise the gate that could have shown it sooner: {_EARLIER[rule]}",
                why=values,
            )
    skipped = [stage for stage in _STAGES if stage not in legs]
    if "champion" in legs and skipped:
        yield FollowUp(
            key="stages",
            what=f"Declare {' and '.join(skipped)} in the rollout, which would have met it first",
            why=f"version {version} answered everybody without",
        )
    if waived:
        yield FollowUp(
            key="waivers",
            what="Look again at what was waived before it is waived again",
            why="; ".join(waived),
        )
