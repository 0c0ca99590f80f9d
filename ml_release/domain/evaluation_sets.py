"""What a line declares beside its holdout: days that no model is fitted on, and files of cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ml_release.domain.day_spans import DaySpan

SetName = Annotated[str, StringConstraints(pattern=r"^[^\s\[\]](.{0,58}[^\s\[\]])?$")]
"""A short name for people, as ``snowstorm of February``: it becomes part of findings."""

Margin = Annotated[float, Field(ge=0)]


class SpanSet(DaySpan):
    """Days that no model of the line is fitted on, so that any two can meet there.

    Training leaves their rows out of fitting, of the search's folds and of the calibration. The
    holdout keeps those of its own days.

    Attributes
    ----------
    limit
        Floor of a primary score, ceiling of a loss or error: held against the worse end of its
        interval, as on the holdout.
    champion_margin
        How much worse than the champion is acceptable, in the unit of the primary score.
    minimum_rows
        Labelled rows below which the set says nothing; None for those of the evaluation.
    """

    limit: Annotated[float, Field(gt=0)]
    champion_margin: Margin
    minimum_rows: Annotated[int, Field(ge=2)] | None = None


class FileSet(BaseModel):
    """A file of cases in the landing zone that every candidate has to answer well enough.

    The cases were picked, not drawn: the set is all there is of it. So the number itself is held
    against the limit, not the end of an interval, which would speak of cases that nobody named.

    Attributes
    ----------
    path
        Below the landing zone, CSV or Parquet. One column per request column, one per history
        feature under its name, and the target, which is known in every row.
    digest
        Of its bytes, as ``sha256:`` and what ``sha256sum`` prints: a set that changes quietly
        judges something else.
    score
        ``right_decisions_share``: rows that the threshold decides rightly, from 0 to 1.
        ``primary``: the primary score of the line.
    limit
        Floor of a share or score, ceiling of a loss or error.
    champion_margin
        How much worse than the champion is acceptable, in the unit of the score.
    minimum_rows
        Rows below which the set says nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: Annotated[str, StringConstraints(pattern=r"^[^/\s].*\.(csv|parquet)$")]
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    score: Literal["right_decisions_share", "primary"] = "right_decisions_share"
    limit: Annotated[float, Field(gt=0)]
    champion_margin: Margin
    minimum_rows: Annotated[int, Field(ge=2)]


class SetsPolicy(BaseModel):
    """Sets beside the holdout, by name; each name once.

    Attributes
    ----------
    spans
        Days that no model of the line is fitted on.
    files
        Cases in the landing zone, such as those an earlier model got wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spans: Mapping[SetName, SpanSet] = Field(default_factory=dict)
    files: Mapping[SetName, FileSet] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = []
        if not (self.spans or self.files):
            problems.append("expected at least one span or file, found none; leave sets out")
        twice = sorted(set(self.spans) & set(self.files))
        if twice:
            problems.append(f"expected names of spans or files, not of both, found {twice}")
        climbing = sorted(name for name, one in self.files.items() if ".." in one.path.split("/"))
        if climbing:
            problems.append(
                f"files: expected paths below the landing zone, found others {climbing}"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self
