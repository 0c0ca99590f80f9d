"""What is counted of a watched release, in a form that adds up.

The tally of some records added to the tally of others is that of all, in any order, so that only
new records are read. Latencies are kept as a sketch, and answers that wait for their label as a
sample by chance: those whose hashed request id is smallest (Cohen and Kaplan 2007, PODC, bottom-k),
which is the same sample however the records came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.watch_rates import WatchWindow
from ml_release.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ml_release.domain.deployment import DeclaredState

Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Control(_Record):
    """Who answered beside the version while it was a canary, and since when."""

    version: int
    model_digest: str
    since: AwareDatetime


class WatchSubject(_Record):
    """What is watched, and how it is counted; a tally of anything else begins anew.

    Attributes
    ----------
    control
        None for a version that was no canary.
    """

    line: str
    release: str
    version: int
    model_digest: str
    since: AwareDatetime
    window_minutes: Annotated[int, Field(ge=1)]
    sampled_answers: Annotated[int, Field(ge=1)]
    control: Control | None = None


class WindowCounts(_Record):
    """Counts of one window, see `WatchWindow`; ``latency`` is that of `LatencySketch`.

    Attributes
    ----------
    index
        0 for the window that begins with the watch.
    """

    index: Count
    requests: Count = 0
    errors: Count = 0
    rows: Count = 0
    missing: Count = 0
    latency: Mapping[int, Count] = Field(default_factory=dict)


class WaitingAnswer(NamedTuple):
    """One answer that waits for its label; times in microseconds since 1970, UTC."""

    request_id: str
    event_us: int
    received_us: int
    prediction: float


class WatchTally(_Record):
    """Everything counted since the watch began.

    Attributes
    ----------
    cursor
        Of the inference log: everything before it is counted.
    answers
        In the order of their hashes.
    of_classes
        Answers that are probabilities of several classes.
    control_requests, control_errors
        Of the control during the canary.
    """

    subject: WatchSubject
    cursor: Mapping[str, Count] = Field(default_factory=dict)
    windows: tuple[WindowCounts, ...] = ()
    answers: tuple[WaitingAnswer, ...] = ()
    of_classes: Count = 0
    control_requests: Count = 0
    control_errors: Count = 0

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    def __add__(self, later: WatchTally) -> WatchTally:
        """Both together, with the cursor of the later one.

        Raises
        ------
        InputError
            If they are not about the same watch, counted the same way.
        """
        if self.subject != later.subject:
            message = (
                f"watch tally of {self.subject.release}: expected one of the same watch to add,"
                f" found {later.subject.release}; begin anew"
            )
            raise InputError(message)
        return WatchTally(
            subject=self.subject,
            cursor=later.cursor,
            windows=_windows((*self.windows, *later.windows)),
            answers=sampled((*self.answers, *later.answers), subject=self.subject),
            of_classes=self.of_classes + later.of_classes,
            control_requests=self.control_requests + later.control_requests,
            control_errors=self.control_errors + later.control_errors,
        )

    def watch_windows(self) -> tuple[WatchWindow, ...]:
        """The windows as the judge sees them, in order of time."""
        length = timedelta(minutes=self.subject.window_minutes)
        return tuple(
            WatchWindow(
                start=self.subject.since + window.index * length,
                requests=window.requests,
                errors=window.errors,
                rows=window.rows,
                missing=window.missing,
                latency=LatencySketch(window.latency),
            )
            for window in self.windows
        )


def tally_from_json(content: bytes) -> WatchTally:
    """Read a recorded tally back; `IntegrityError` if it is none."""
    try:
        return WatchTally.model_validate_json(content)
    except ValidationError as error:
        message = f"watch tally: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error


def sampled(
    answers: Iterable[WaitingAnswer], *, subject: WatchSubject
) -> tuple[WaitingAnswer, ...]:
    """The answers of the smallest hashes; of one request id the answer that came in first."""
    by_id: dict[str, WaitingAnswer] = {}
    for answer in sorted(answers, key=lambda one: (one.received_us, one)):
        by_id.setdefault(answer.request_id, answer)
    ranked = sorted(by_id.values(), key=lambda one: (_hash(subject, one.request_id), one))
    return tuple(ranked[: subject.sampled_answers])


def watch_subject(
    history: Sequence[DeclaredState], *, window_minutes: int, sampled_answers: int
) -> WatchSubject | None:
    """What the newest declared state has under watch; None if nothing.

    The control is the champion of the canary that directly came before the watch.

    Parameters
    ----------
    history
        Declared states, oldest first.
    """
    rollout = history[-1].rollout if history else None
    if rollout is None or rollout.leg != "watch":
        return None
    present, control = history[-1], None
    for state in reversed(history):
        before = state.rollout
        if before is None or before.version != rollout.version or before.leg == "shadow":
            break
        if before.leg == "canary":
            control = Control(
                version=state.champion.version,
                model_digest=state.champion.model_digest,
                since=before.since,
            )
    return WatchSubject(
        line=present.line,
        release=present.release,
        version=rollout.version,
        model_digest=rollout.model_digest,
        since=rollout.since,
        window_minutes=window_minutes,
        sampled_answers=sampled_answers,
        control=control,
    )


def _windows(windows: Iterable[WindowCounts]) -> tuple[WindowCounts, ...]:
    found: dict[int, WindowCounts] = {}
    for window in windows:
        before = found.get(window.index)
        found[window.index] = window if before is None else _both(before, window)
    return tuple(found[index] for index in sorted(found))


def _both(first: WindowCounts, second: WindowCounts) -> WindowCounts:
    return WindowCounts(
        index=first.index,
        requests=first.requests + second.requests,
        errors=first.errors + second.errors,
        rows=first.rows + second.rows,
        missing=first.missing + second.missing,
        latency=(LatencySketch(first.latency) + LatencySketch(second.latency)).counts,
    )


def _hash(subject: WatchSubject, request_id: str) -> int:
    digest = hashlib.sha256(f"{subject.model_digest}:{request_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
