"""Where two models meet beside the holdout: what each was fitted on, and each asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.day_spans import unseen_days
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.holdout_answers import ask_again
from ml_release.workflows.quality_evidence import Judged
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout


def days_from(first: str, last: str) -> npt.NDArray[np.datetime64]:
    """Every day between two ISO days, both included."""
    return np.arange(first, np.datetime64(last) + np.timedelta64(1, "D"), dtype="datetime64[D]")


def record_of(
    line: ReleaseLine, other: Answered | None, *, evidence: EvidenceStore
) -> tuple[CandidateRecord | None, str]:
    """How another model was trained, and why that is not known; neither without a model."""
    if other is None:
        return None, ""
    if other.problem:
        return None, other.problem
    try:
        return find_candidate(line, other.model_digest, evidence=evidence), ""
    except (NotFoundError, IntegrityError) as error:
        return None, f"what version {other.version} was fitted on is not known: {error}"


def learned(record: CandidateRecord, first: str, last: str, *, who: str) -> str:
    """Why a model cannot be judged on days: it may have learned them; empty if it has not."""
    days = days_from(first, last)
    fitted = days[~unseen_days(record, days)]
    if not len(fitted):
        return ""
    return (
        f"the record of {who} does not show that {len(fitted)} of the {len(days)} days, from"
        f" {fitted.min()} on, were left out of its training. Train again with the set declared"
    )


def meet(line: ReleaseLine, judged: Judged, rows: Holdout, *, with_champion: bool = True) -> Judged:
    """What the models that answered the holdout answer to other rows; no anchor."""
    other = judged.champion if with_champion else None
    return Judged(
        holdout=rows,
        candidate=ask_again(judged.candidate, rows, line=line),
        champion=None if other is None else ask_again(other, rows, line=line),
        anchor=None,
    )
