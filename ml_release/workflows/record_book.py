"""Read the records of a line one by one, and keep what could not be read: it stops nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.recorded_numbers import document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

_Part = TypeVar("_Part")


@dataclass(kw_only=True)
class RecordBook:
    """Records of one line and environment.

    Attributes
    ----------
    problems
        What could not be read, in words.
    digests
        Of what was found, by kind.
    """

    line: ReleaseLine
    environment: str
    evidence: EvidenceStore
    problems: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)

    def content(self, kind: str, subject: str | None = None) -> bytes | None:
        """The newest document of a subject, the environment for None; None if it was edited."""
        try:
            found = self.evidence.find(self.line.name, kind, subject or self.environment)
        except IntegrityError:
            self.problems.append(f"the record {kind} was edited")
            return None
        if found is not None:
            self.digests[kind] = digest_of_bytes(found)
        return found

    def part(
        self,
        kind: str,
        read: Callable[[bytes], _Part],
        *,
        subject: str | None = None,
        problem: str = "",
    ) -> _Part | None:
        """What a document says; None if there is none, or it is of another form."""
        content = self.content(kind, subject)
        try:
            return None if content is None else read(content)
        except IntegrityError:
            self.problems.append(problem or f"the record {kind} cannot be read")
            return None

    def verdict(self, kind: str, subject: str | None = None) -> Verdict | None:
        """A verdict; None if there is none that can be read."""
        problem = f"the record {kind} is no verdict"
        return self.part(kind, verdict_from_json, subject=subject, problem=problem)

    def document(self, kind: str) -> Mapping[str, object]:
        """A JSON object as it is written; an empty one if there is none that can be read."""
        content = self.content(kind)
        found = {} if content is None else document_of(content)
        if content is not None and not found:
            self.problems.append(f"the record {kind} cannot be read")
        return found
