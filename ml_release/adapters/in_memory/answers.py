"""`AnswerStore` in dictionaries, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.answers import Answer, AnswerProgress, AnswerTable, DayCount
from ml_release.domain.identity import check_line_name
from ml_release.errors import StaleWriteError

if TYPE_CHECKING:
    from datetime import date

    from ml_release.domain.answers import NewLabels


class InMemoryAnswers:
    """`AnswerStore` that forgets everything with the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, Answer]] = {}
        self._progress: dict[tuple[str, str], AnswerProgress] = {}

    def progress(self, line: str, environment: str) -> AnswerProgress:
        """How far the log and the labels table were read; at first nowhere."""
        return self._progress.get((check_line_name(line), environment), AnswerProgress())

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
        """Keep answers, then labels, and forget what is too old."""
        if self.progress(line, environment) != expected:
            message = f"answers of {line} in {environment}: somebody else has counted them; again"
            raise StaleWriteError(message)
        kept = dict(self._kept.get((line, environment), {}))
        for one in answers.answers():
            kept.setdefault(one.request_id, one)
        for request_id, label, received_us in zip(
            labels.request_id.tolist(),
            labels.label.tolist(),
            labels.received_us.tolist(),
            strict=True,
        ):
            found = kept.get(request_id)
            if found is not None and found.label is None:
                kept[request_id] = replace(found, label=label, label_received_us=received_us)
        self._kept[line, environment] = {
            name: one
            for name, one in kept.items()
            if one.day >= keep_from and one.received_us >= received_from_us
        }
        self._progress[line, environment] = progress

    def waiting(self, line: str, environment: str) -> frozenset[str]:
        """Request ids of the answers that have no label."""
        return frozenset(one.request_id for one in self._of(line, environment) if one.label is None)

    def days(self, line: str, environment: str, *, model_digest: str) -> tuple[DayCount, ...]:
        """Days with answers of one model, in order."""
        own = [one for one in self._of(line, environment) if one.model_digest == model_digest]
        return tuple(
            DayCount(
                day=day,
                answers=sum(one.day == day for one in own),
                labelled=sum(one.day == day and one.label is not None for one in own),
            )
            for day in sorted({one.day for one in own})
        )

    def between(
        self, line: str, environment: str, *, model_digest: str, since: date, until: date
    ) -> AnswerTable:
        """Answers of one model with an event day from ``since`` on and before ``until``."""
        found = [
            one
            for one in self._of(line, environment)
            if one.model_digest == model_digest and since <= one.day < until
        ]
        return AnswerTable.of(sorted(found, key=lambda one: (one.event_us, one.request_id)))

    def clear(self, line: str, environment: str) -> None:
        """Forget a line."""
        self._kept.pop((line, environment), None)
        self._progress.pop((line, environment), None)

    def _of(self, line: str, environment: str) -> tuple[Answer, ...]:
        return tuple(self._kept.get((check_line_name(line), environment), {}).values())
