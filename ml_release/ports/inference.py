"""The inference log, and what was counted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    import pandas as pd

    from ml_release.domain.answers import AnswerProgress, AnswerTable, DayCount, NewLabels
    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.log_archive import Archived, Deleted


class InferenceLog(Protocol):
    """What was asked and answered, and the labels that came later."""

    def size(self, line: str) -> int:
        """Bytes of all records, labels and rewards, to see cheaply whether anything came in."""

    def records(
        self,
        line: str,
        *,
        after: Mapping[str, int],
        enough_bytes: int | None = None,
        since: datetime | None = None,
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Records after a cursor (bytes read per segment) with the cursor behind them.

        What came in before ``since`` may be passed over, so that the first look at something young
        costs no more on a long log: whoever gives it needs nothing older, and may get some of it.

        A record that is still being written is left for the next read. No further segment is begun
        when ``enough_bytes`` were read: what is left comes with the next read, so that a long log
        needs not be held at once.
        """

    def asked(self, line: str) -> pd.DataFrame:
        """Every request that was answered or failed, once: ``request_id`` and ``event_time``.

        The rows of a batch are one request, and what was only asked in secret is none.
        """

    def between(
        self, line: str, since: datetime, until: datetime, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """Records that came in from ``since`` on and before ``until``, in batches.

        What does not fit between them is not held: memory does not grow with the log.
        """

    def labels(self, line: str) -> pd.DataFrame:
        """Every label as it was told, one column per field of `Label`, in the order of arrival."""

    def rewards(self, line: str) -> pd.DataFrame:
        """Every reward as it was posted, one column per field of `Reward`, in order of arrival."""


class InferenceArchive(Protocol):
    """Keeps the inference log small, and forgets what may be forgotten."""

    def finished(self, line: str) -> int:
        """How many segments could be archived now."""

    def archive(self, line: str) -> Archived:
        """Replace every finished segment by its archive; readers notice nothing.

        Raises `IntegrityError` if an archive does not read back as its segment, which then stays.
        """

    def delete_before(self, line: str, moment: datetime) -> Deleted:
        """Delete archived records and labels that came in before a moment."""


class ProfileStore(Protocol):
    """What was counted of the inference log, by hour of the event, variant and model.

    The log is what is true: what is kept here only saves reading it, and can be counted again. All
    methods raise `IntegrityError` if what is kept was edited, or is of another version of this
    code, until it is cleared; `UnavailableError` if it cannot be reached.
    """

    def cursor(self, line: str, environment: str) -> dict[str, int]:
        """Everything of the log before this is counted; empty if nothing is."""

    def add(
        self,
        line: str,
        environment: str,
        *,
        profiles: Sequence[BucketProfile],
        cursor: Mapping[str, int],
        expected: Mapping[str, int],
    ) -> None:
        """Add profiles to what is kept of their buckets, and move the cursor, both or neither.

        Raises `StaleWriteError` if the cursor is not the ``expected`` one any more: somebody else
        has counted the same records. `InputError` for a profile of another line.
        """

    def newest(self, line: str, environment: str, *, model_digest: str | None) -> datetime | None:
        """When the newest bucket begins that is no shadow's, None if there is none.

        ``model_digest`` None asks of all models.
        """

    def between(
        self,
        line: str,
        environment: str,
        *,
        model_digest: str | None,
        since: datetime,
        until: datetime,
        shadows: bool = False,
    ) -> tuple[BucketProfile, ...]:
        """Buckets that begin from ``since`` on and before ``until``, in order of time.

        ``model_digest`` None gives those of all models; ``shadows`` adds answers nobody got.
        """

    def clear(self, line: str, environment: str) -> None:
        """Forget everything of a line, the cursor too.

        Where what is kept cannot be read, everything of every line is forgotten.
        """


class AnswerStore(Protocol):
    """Answers waiting for their label, and labelled ones, so that only what is new is read.

    What is kept here can be had again from the log and the labels table. Every method but `clear`
    raises `IntegrityError` if what is kept cannot be read, and `UnavailableError` if it cannot be
    reached.
    """

    def progress(self, line: str, environment: str) -> AnswerProgress:
        """How far the log and the labels table were read; at first nowhere."""

    def add(
        self,
        line: str,
        environment: str,
        *,
        answers: AnswerTable,
        labels: NewLabels,
        progress: AnswerProgress,
        expected: AnswerProgress,
        keep_from: date,
        received_from_us: int = 0,
    ) -> None:
        """Keep answers, then labels, and forget what is too old; all or nothing.

        Too old are events of days before ``keep_from``, and what came in before
        ``received_from_us``. The first answer to a request id stands, and so does its first label;
        a label of a request that is not kept is left out. Raises `StaleWriteError` if ``expected``
        is not how far it was read when this is written: somebody else counted the same.
        """

    def waiting(self, line: str, environment: str) -> frozenset[str]:
        """Request ids of the answers that have no label."""

    def days(self, line: str, environment: str, *, model_digest: str) -> tuple[DayCount, ...]:
        """Days with answers of one model, in order; costs as much as there are days."""

    def between(
        self, line: str, environment: str, *, model_digest: str, since: date, until: date
    ) -> AnswerTable:
        """Answers of one model with an event day from ``since`` on and before ``until``.

        In the order of their events, then of their request ids.
        """

    def clear(self, line: str, environment: str) -> None:
        """Forget a line; what cannot be read at all is put aside, so that it is counted anew."""
