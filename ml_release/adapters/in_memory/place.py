"""Where the engine runs: a clock that is moved by hand, records, and who is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ml_release.domain.build_record import BuildRecord
from ml_release.domain.identity import check_line_name, digest_of_bytes, digest_of_json
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.notices import Notice


class InMemoryClock:
    """`Clock` that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        """The present moment."""
        return self._now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by


class InMemoryWorkplace:
    """`Workplace` of given sources, in a checkout without changes until it is moved elsewhere.

    Parameters
    ----------
    sources
        Content per path.
    """

    def __init__(self, sources: Mapping[str, bytes] | None = None) -> None:
        content = {"ml_release/__init__.py": b""} if sources is None else sources
        files = {path: digest_of_bytes(text) for path, text in content.items()}
        self._build = BuildRecord(
            code_commit="0" * 40,
            code_dirty=False,
            code_digest=digest_of_json(files),
            code_files=files,
            lock_digest=digest_of_bytes(b"numpy==2.4.6"),
            python="3.11.7",
            implementation="CPython",
            platform="Linux glibc2.36",
            machine="x86_64",
            packages={"numpy": "2.4.6"},
        )

    def build(self, modules: Sequence[str]) -> BuildRecord:  # noqa: ARG002 (all sources are given)
        """What is here at this moment."""
        return self._build

    def move(self, **changes: object) -> None:
        """Let fields of the record be others from now on."""
        self._build = BuildRecord.model_validate({**self._build.model_dump(), **changes})


class InMemoryEvidence:
    """`EvidenceStore` in two dictionaries."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str, str], bytes] = {}
        self._newest: dict[tuple[str, str], str] = {}

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""
        key = (check_line_name(line), check_line_name(kind))
        self._documents[(*key, subject)] = document
        self._newest[key] = subject
        return digest_of_bytes(document)

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none."""
        return self._documents.get((line, kind, subject))

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none."""
        return self._newest.get((line, kind))


class InMemoryNotifier:
    """Keeps what it was to send; ``problem`` makes it one that cannot."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.problem = ""

    def send(self, notice: Notice) -> None:
        """Keep a notice."""
        if self.problem:
            raise UnavailableError(self.problem)
        self.sent.append(notice)
