"""Whom a bad version met: requests by where it stood, failures, fallbacks, missing answers."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field

SHADOW = "shadow"
"""The stage in which nobody got an answer of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCounts:
    """What happened while a version stood at one place.

    Attributes
    ----------
    requests, rows
        That it was asked.
    errors
        Requests that it failed.
    fallbacks
        Requests that it was to answer and another version answered in its place.
    missing
        Rows that it answered with no number.
    """

    requests: int = 0
    rows: int = 0
    errors: int = 0
    fallbacks: int = 0
    missing: int = 0

    def __add__(self, other: StageCounts) -> StageCounts:
        return StageCounts(
            requests=self.requests + other.requests,
            rows=self.rows + other.rows,
            errors=self.errors + other.errors,
            fallbacks=self.fallbacks + other.fallbacks,
            missing=self.missing + other.missing,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What the inference log shows of a version.

    Attributes
    ----------
    stages
        Role of the version (``champion``, ``canary``, ``treatment``, ``pinned``, ``shadow``) to
        what was counted there.
    first_request, last_request
        ISO times of the answers it gave to clients; None without any.
    first_shadow
        Of those it gave in secret.
    first_sign
        When the first answer failed, was missing, or was given by another version instead.
    first_restored
        Of the first request that was routed by the declaration that took it back, or a later one.
    """

    stages: Mapping[str, StageCounts] = field(default_factory=dict)
    first_request: str | None = None
    last_request: str | None = None
    first_shadow: str | None = None
    first_sign: str | None = None
    first_restored: str | None = None

    @property
    def served(self) -> StageCounts:
        """Everything but what was asked in secret."""
        parts = (counts for stage, counts in self.stages.items() if stage != SHADOW)
        return sum(parts, StageCounts())

    @property
    def shadowed(self) -> StageCounts:
        """What was asked in secret."""
        return self.stages.get(SHADOW, StageCounts())

    def __add__(self, other: Impact) -> Impact:
        return Impact(
            stages={
                stage: self.stages.get(stage, StageCounts())
                + other.stages.get(stage, StageCounts())
                for stage in sorted({*self.stages, *other.stages})
            },
            first_request=_earlier(self.first_request, other.first_request),
            last_request=_later(self.last_request, other.last_request),
            first_shadow=_earlier(self.first_shadow, other.first_shadow),
            first_sign=_earlier(self.first_sign, other.first_sign),
            first_restored=_earlier(self.first_restored, other.first_restored),
        )


def _earlier(first: str | None, second: str | None) -> str | None:
    # ISO times of one zone and one precision sort as words.
    return min((one for one in (first, second) if one is not None), default=None)


def _later(first: str | None, second: str | None) -> str | None:
    return max((one for one in (first, second) if one is not None), default=None)
