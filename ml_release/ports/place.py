"""Where the engine runs: its clock, its records, and whom it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.build_record import BuildRecord
    from ml_release.domain.notices import Notice


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The present moment, with a time zone."""


class Workplace(Protocol):
    """Where this process runs: its sources, its interpreter, its packages."""

    def build(self, modules: Sequence[str]) -> BuildRecord:
        """What is here at this moment.

        ``modules`` are those that declare a line. Where they stand outside of the package, the
        files beside them count as sources too.
        """


class EvidenceStore(Protocol):
    """Records of what was judged and made, kept by kind and subject."""

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none."""

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none."""


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Tell a notice, within seconds whatever the other side does.

        Raises `UnavailableError` if nobody took it, naming no secret of an address.
        """
