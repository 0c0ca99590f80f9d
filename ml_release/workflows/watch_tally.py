"""Count what the inference log holds of a watched release, reading only what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.watch_tally import (
    WaitingAnswer,
    WatchTally,
    WindowCounts,
    sampled,
    tally_from_json,
)
from ml_release.errors import IntegrityError
from ml_release.workflows.columns import floats_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.watch_tally import WatchSubject
    from ml_release.ports import EvidenceStore, InferenceLog

WATCH_TALLY = "watch_tally"
_PINNED = "pinned"


def recorded_tally(subject: WatchSubject, *, evidence: EvidenceStore) -> WatchTally:
    """What was counted so far; an empty tally if that was counted otherwise, or edited.

    The log is what is true. A tally only saves reading it, and one that cannot be trusted is left.
    """
    nothing = WatchTally(subject=subject)
    try:
        content = evidence.find(subject.line, WATCH_TALLY, subject.release)
        found = nothing if content is None else tally_from_json(content)
    except IntegrityError:
        return nothing
    return found if found.subject == subject else nothing


def advance_tally(
    so_far: WatchTally, *, inference_log: InferenceLog, evidence: EvidenceStore
) -> WatchTally:
    """Count what came in since, and record the whole: the same as counting everything at once.

    One exception: a request id that a client repeats after it was counted is counted as the further
    request it is, as `InferenceLog.records` gives it.
    """
    subject = so_far.subject
    control = subject.control
    since = subject.since if control is None else min(subject.since, control.since)
    records, cursor = inference_log.records(subject.line, after=so_far.cursor, since=since)
    tally = so_far + tally_of(records, subject, cursor=cursor)
    evidence.record(subject.line, WATCH_TALLY, subject.release, tally.to_json())
    return tally


def tally_of(
    records: pd.DataFrame, subject: WatchSubject, *, cursor: Mapping[str, int]
) -> WatchTally:
    """The tally of some records of the inference log, with its columns."""
    answered = records[~records["shadow"]]
    fell_back = _fell_back(answered, subject)
    is_own = answered["model_digest"] == subject.model_digest
    watched = answered["received_time"] >= subject.since
    own, failed_over = answered[is_own & watched], answered[fell_back & watched]
    good = own[own["outcome"] != "error"]
    first = good[good["row"] == 0]
    has_classes = first["probabilities"].notna()
    prediction = floats_of(first["prediction"])
    control_requests, control_errors = _control(answered, subject)
    return WatchTally(
        subject=subject,
        cursor=dict(cursor),
        windows=_windows(own, failed_over, subject),
        # An answer that is no number is judged as missing, and waits for no label.
        answers=_waiting(first[np.isfinite(prediction)], subject),
        of_classes=int(has_classes.sum()),
        control_requests=control_requests,
        control_errors=control_errors,
    )


def _fell_back(answered: pd.DataFrame, subject: WatchSubject) -> pd.Series:
    """Requests the version was to answer and another one answered in its place."""
    assigned = answered["assigned_version"].astype("Int64").fillna(0) == subject.version
    other = answered["model_digest"] != subject.model_digest
    is_one: pd.Series = assigned & other & (answered["outcome"] == "fallback")
    return is_one


def _windows(
    own: pd.DataFrame, failed_over: pd.DataFrame, subject: WatchSubject
) -> tuple[WindowCounts, ...]:
    import pandas as pd

    good = own[own["outcome"] != "error"]
    requests = pd.concat([own[own["row"] == 0], failed_over[failed_over["row"] == 0]])
    errors = requests[
        requests["outcome"].eq("error") | requests["model_digest"].ne(subject.model_digest)
    ]
    missing = good[~_is_answered(good)]
    counts = {
        name: _per_window(rows, subject)
        for name, rows in (
            ("requests", requests),
            ("errors", errors),
            ("rows", good),
            ("missing", missing),
        )
    }
    first = good[good["row"] == 0]
    latency = {
        int(str(index)): LatencySketch.of(floats_of(values)).counts
        for index, values in first["latency_ms"].groupby(_index(first, subject))
    }
    found = sorted({index for of in counts.values() for index in of} | set(latency))
    return tuple(
        WindowCounts(
            index=index,
            latency=latency.get(index, {}),
            **{name: of.get(index, 0) for name, of in counts.items()},
        )
        for index in found
    )


def _per_window(rows: pd.DataFrame, subject: WatchSubject) -> dict[int, int]:
    found, counts = np.unique(_index(rows, subject), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _index(rows: pd.DataFrame, subject: WatchSubject) -> npt.NDArray[np.int64]:
    """Number of the window each row came in, 0 for the first."""
    import pandas as pd

    length = pd.Timedelta(minutes=subject.window_minutes)
    since = (rows["received_time"] - pd.Timestamp(subject.since)).to_numpy()
    index: npt.NDArray[np.int64] = since // length.to_timedelta64()
    return index


def _is_answered(good: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a row was answered with a number, or with one for every class."""
    classes = np.array(
        [
            isinstance(found, tuple | list) and bool(found) and bool(np.isfinite(found).all())
            for found in good["probabilities"]
        ],
        dtype=np.bool_,
    )
    return np.isfinite(floats_of(good["prediction"])) | classes


def _waiting(rows: pd.DataFrame, subject: WatchSubject) -> tuple[WaitingAnswer, ...]:
    columns = (
        rows["request_id"].tolist(),
        rows["event_time"].astype("datetime64[us, UTC]").astype("int64").tolist(),
        rows["received_time"].astype("datetime64[us, UTC]").astype("int64").tolist(),
        rows["prediction"].tolist(),
    )
    return sampled((WaitingAnswer(*one) for one in zip(*columns, strict=True)), subject=subject)


def _control(answered: pd.DataFrame, subject: WatchSubject) -> tuple[int, int]:
    """Requests and errors of the control during the canary; it did not answer for others."""
    control = subject.control
    if control is None:
        return 0, 0
    meanwhile = (answered["received_time"] >= control.since) & (
        answered["received_time"] < subject.since
    )
    own = (answered["model_digest"] == control.model_digest) & (answered["variant"] != _PINNED)
    of_others = answered["assigned_version"].notna()
    chosen = answered[meanwhile & own & ~of_others & (answered["row"] == 0)]
    return len(chosen), int((chosen["outcome"] == "error").sum())
