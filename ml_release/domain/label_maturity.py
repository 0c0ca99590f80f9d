"""Do labels arrive in time, do they agree, can they be used: late labels held against a policy.

The label of a request that is younger than the longest delay may still come: it is censored, not
missing. The share known after so many days is therefore the product-limit estimate (Kaplan and
Meier 1958, JASA 53), in which a request counts for as long as it has been watched.

What is not done here: whether the labels are right. Only that sources tell the same.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.label_counts import LabelCounts, LabelsRecord

JUDGE = "labels/2"
DESCRIPTIONS = {
    "labels_arrive_on_time": "The labels of enough requests are known by the declared delay.",
    "labels_agree": "No request is labelled 0 by one source and 1 by another, or both by one.",
    "labels_are_usable": "What each source tells is a label of a request that was served.",
}
FILES_DESCRIPTIONS = {
    "label_files_can_be_read": "Every label file that has landed can be read, with its columns.",
}
"""The rules of this judge, with what they say: claims, each a check of the asset. The second for
lines that declare label files only."""

Moments = npt.NDArray[np.datetime64]
_DAY = np.timedelta64(1, "D")


class LabelPolicy(BaseModel):
    """What is asked of late labels.

    Attributes
    ----------
    grace_days
        A label is in time until so many days after the declared label delay.
    on_time_share_floor
        Smallest share of requests whose label has to be known in time. Some never have one.
    window_days
        Requests of so many days are looked at, back from the newest one whose label is due; younger
        ones are watched beside them.
    minimum_matured
        Fewer requests whose label is due are inconclusive.
    contradicted_share_limit
        Allowed share of labelled requests of which some source tells the other label.
    unusable_share_limit
        Allowed share of a source's rows that are no label or older than their event, among those
        that are about a served request or say of none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    grace_days: Annotated[float, Field(ge=0)] = 1.0
    on_time_share_floor: Annotated[float, Field(gt=0, le=1)] = 0.9
    window_days: Annotated[int, Field(ge=1)] = 28
    minimum_matured: Annotated[int, Field(ge=1)] = 100
    contradicted_share_limit: Annotated[float, Field(ge=0, le=1)] = 0.0
    unusable_share_limit: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturity:
    """How the labels of the newest requests became known.

    Attributes
    ----------
    days, shares
        Steps of the curve, both of shape (k,): ``days[i]`` days after the event, in order, the
        label of a share ``shares[i]`` (0 to 1) of the requests is known. Flat in between.
    requests, known, matured
        Requests in the window; those whose label is known; those whose label is due.
    delay_days, due_days
        The declared label delay, and with the grace.
    """

    days: tuple[float, ...]
    shares: tuple[float, ...]
    requests: int
    known: int
    matured: int
    delay_days: float
    due_days: float

    @property
    def immature(self) -> int:
        """Requests in the window whose label is not due yet."""
        return self.requests - self.matured

    @property
    def due_share(self) -> float | None:
        """Share of requests whose label is known when it is due; None if none was due yet."""
        return self.share_known(self.due_days) if self.matured else None

    def share_known(self, days: float) -> float:
        """The curve so many days after the event: a share from 0 to 1."""
        step = bisect_right(self.days, days)
        return self.shares[step - 1] if step else 0.0


def label_maturity(
    event: Moments,
    known: Moments,
    *,
    now: datetime,
    delay_days: float,
    policy: LabelPolicy,
) -> Maturity:
    """The maturity curve of the newest requests.

    Parameters
    ----------
    event
        Moment of each request's event, UTC, shape (n,), in any order; those still to come are left
        out.
    known
        Moment at which its label was known, NaT if it is not, shape (n,). One after ``now`` is not
        known.
    now
        With a time zone.
    """
    from scipy import stats

    moment = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
    due_days = delay_days + policy.grace_days
    age = (moment - event) / _DAY
    due = age >= due_days
    chosen = age >= 0
    if due.any():
        start = event[due].max() - policy.window_days * _DAY
        chosen &= event > start
    is_known = chosen & ~np.isnat(known)
    is_known[is_known] = known[is_known] <= moment
    curve = stats.ecdf(
        stats.CensoredData(
            uncensored=(known[is_known] - event[is_known]) / _DAY,
            right=age[chosen & ~is_known],
        )
    ).cdf
    rises = np.diff(curve.probabilities, prepend=0.0) > 0
    return Maturity(
        days=tuple(curve.quantiles[rises].tolist()),
        shares=tuple(curve.probabilities[rises].tolist()),
        requests=int(chosen.sum()),
        known=int(is_known.sum()),
        matured=int((chosen & due).sum()),
        delay_days=delay_days,
        due_days=due_days,
    )


def judge_labels(
    record: LabelsRecord,
    maturity: Maturity,
    policy: LabelPolicy,
    *,
    files: Mapping[str, str] | None,
    example: str,
    subject_digest: str,
) -> Verdict:
    """Hold the gathered labels against the policy.

    Parameters
    ----------
    files
        Why a label file told nothing, by the path of each that has landed, empty for one that was
        read; None if the line declares none.
    example
        One contradiction in words, empty without any.
    subject_digest
        Of the record.
    """
    on_time = compare(
        rule="labels_arrive_on_time",
        subject=f"known {maturity.due_days:g} days after the event",
        observed=maturity.due_share,
        limit=policy.on_time_share_floor,
        bound="at least",
        n=maturity.matured,
        minimum_n=policy.minimum_matured,
        detail="" if maturity.matured else "the label of no request is due yet",
    )
    labels = record.labels
    agree = compare(
        rule="labels_agree",
        subject="requests with both labels",
        observed=record.contradicted / labels if labels else None,
        limit=policy.contradicted_share_limit,
        bound="at most",
        n=labels,
        detail=example if labels else "no request has a label yet",
    )
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=subject_digest,
        evidence={"policy_digest": digest_of_json(policy.model_dump(mode="json"))},
        findings=(on_time, agree, *_usable(record.sources, policy), *_readable(files)),
    )


def _readable(files: Mapping[str, str] | None) -> tuple[Finding, ...]:
    if files is None:
        return ()
    problems = [reason for reason in files.values() if reason]
    return (
        compare(
            rule="label_files_can_be_read",
            subject="files that cannot be read",
            observed=float(len(problems)),
            limit=0,
            bound="at most",
            n=len(files),
            detail="; ".join(problems) if files else "no label file has landed yet",
        ),
    )


def _usable(sources: Mapping[str, LabelCounts], policy: LabelPolicy) -> tuple[Finding, ...]:
    """One finding per source that told of a served request; one in doubt if none did."""
    about = {name: counts.told - counts.unknown for name, counts in sources.items()}
    told = {name: n for name, n in about.items() if n} or {"all sources": 0}
    findings = []
    for name, n in told.items():
        counts = sources.get(name)
        observed, detail = None, "no source has told a label of a served request"
        if counts is not None:
            observed = (counts.unusable + counts.early) / n
            detail = f"{counts.unusable} are no label, {counts.early} older than their event"
        findings.append(
            compare(
                rule="labels_are_usable",
                subject=name,
                observed=observed,
                limit=policy.unusable_share_limit,
                bound="at most",
                n=n,
                detail=detail,
            )
        )
    return tuple(findings)
