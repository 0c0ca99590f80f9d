"""Answers with the labels that came later, as columns, for performance and fairness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ml_release.domain.identity import canonical_json
from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]
NOT_KNOWN_US = -1
"""In the place of the moment of a label that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answered request, with its label if that was gathered.

    Attributes
    ----------
    day
        Of the event, in the line's time zone.
    event_us, received_us, label_received_us
        Microseconds since 1970, UTC: of the event, of when the request came in, and of when its
        label was known.
    prediction
        Probability from 0 to 1; NaN for probabilities of several classes, which are not scored.
    decision
        1 or 0; None without a declared threshold.
    slices
        Value of every slice and sensitive column that was logged; None for missing.
    label
        0 or 1; None for as long as it is waited for.
    """

    request_id: str
    model_digest: str
    day: date
    event_us: int
    received_us: int
    prediction: float
    decision: int | None = None
    slices: Mapping[str, str | float | None] = field(default_factory=dict)
    label: int | None = None
    label_received_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerTable:
    """Many answers, one array of shape (n,) per field of `Answer`.

    Attributes
    ----------
    day
        Proleptic ordinal of the day, as `datetime.date.toordinal` gives it.
    decision, label
        NaN for None.
    slices
        One JSON object per answer; `slice_values` reads a column of them.
    label_received_us
        `NOT_KNOWN_US` for None.
    """

    request_id: Objects
    model_digest: Objects
    day: Integers
    event_us: Integers
    received_us: Integers
    prediction: Floats
    decision: Floats
    slices: Objects
    label: Floats
    label_received_us: Integers

    def __post_init__(self) -> None:
        """Refuse columns of different rows."""
        sizes = {len(getattr(self, one.name)) for one in fields(self)}
        if len(sizes) > 1:
            message = f"answers: expected columns of the same rows, found {sorted(sizes)}"
            raise InputError(message)

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Self:
        """The table of some answers, in their order."""
        nan = float("nan")
        return cls(
            request_id=_objects([one.request_id for one in answers]),
            model_digest=_objects([one.model_digest for one in answers]),
            day=np.array([one.day.toordinal() for one in answers], dtype=np.int64),
            event_us=np.array([one.event_us for one in answers], dtype=np.int64),
            received_us=np.array([one.received_us for one in answers], dtype=np.int64),
            prediction=np.array([one.prediction for one in answers], dtype=np.float64),
            decision=np.array(
                [nan if one.decision is None else one.decision for one in answers], dtype=np.float64
            ),
            slices=_objects([canonical_json(dict(one.slices)).decode() for one in answers]),
            label=np.array(
                [nan if one.label is None else one.label for one in answers], dtype=np.float64
            ),
            label_received_us=np.array(
                [
                    NOT_KNOWN_US if one.label_received_us is None else one.label_received_us
                    for one in answers
                ],
                dtype=np.int64,
            ),
        )

    def __len__(self) -> int:
        """How many answers."""
        return len(self.request_id)

    def where(self, mask: Mask) -> AnswerTable:
        """Some of the rows; ``mask`` has the shape (n,)."""
        return AnswerTable(**{one.name: getattr(self, one.name)[mask] for one in fields(self)})

    @property
    def is_labelled(self) -> Mask:
        """Whether the label is known, shape (n,)."""
        known: Mask = ~np.isnan(self.label)
        return known

    @property
    def is_scored(self) -> Mask:
        """Whether the prediction is one number from 0 to 1, shape (n,)."""
        inside: Mask = (self.prediction >= 0) & (self.prediction <= 1)
        return inside

    def answers(self) -> tuple[Answer, ...]:
        """The rows one by one; for few of them."""
        return tuple(
            Answer(
                request_id=self.request_id[row],
                model_digest=self.model_digest[row],
                day=date.fromordinal(int(self.day[row])),
                event_us=int(self.event_us[row]),
                received_us=int(self.received_us[row]),
                prediction=float(self.prediction[row]),
                decision=None if np.isnan(self.decision[row]) else int(self.decision[row]),
                slices=json.loads(self.slices[row]),
                label=None if np.isnan(self.label[row]) else int(self.label[row]),
                label_received_us=None
                if self.label_received_us[row] == NOT_KNOWN_US
                else int(self.label_received_us[row]),
            )
            for row in range(len(self))
        )

    def slice_values(self, column: str) -> Objects:
        """Values of one slice column, shape (n,); None where it is missing or was not logged."""
        # Few rows differ in all of their slices, so each combination is read once.
        read = {text: json.loads(text).get(column) for text in set(self.slices.tolist())}
        return _objects([read[text] for text in self.slices.tolist()])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewLabels:
    """Labels by request id, columns of shape (n,): 0 or 1, and when known, in microseconds."""

    request_id: Objects
    label: Integers
    received_us: Integers

    @classmethod
    def none(cls) -> Self:
        """Not one label."""
        nothing = np.array([], dtype=np.int64)
        return cls(request_id=_objects([]), label=nothing, received_us=nothing)

    def __len__(self) -> int:
        """How many labels."""
        return len(self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """Answers of one model on one day, and how many of them are labelled."""

    day: date
    answers: int
    labelled: int


class AnswerProgress(Recorded):
    """How far the log and the labels table were read.

    Attributes
    ----------
    log
        The log's cursor: bytes read per segment.
    labels
        Digest of every partition of the labels table that was read.
    """

    log: Mapping[str, int] = {}
    labels: Mapping[str, str] = {}


def progress_from_json(content: str | bytes) -> AnswerProgress:
    """Read what `AnswerProgress.to_json` gave; `IntegrityError` if it is something else."""
    return read_recorded(AnswerProgress, content, "answers", expected="how far they were read")


def _objects(values: Sequence[Any]) -> Objects:
    column = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column
