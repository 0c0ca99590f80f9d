"""What is known of an answer or a moment, fact by fact, and what of it checks out.

Nothing is left out because it is missing: a fact that could not be found says so, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

_T = TypeVar("_T")
Check = Literal["verified", "does not check out", "as recorded"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Model):
    """One thing that is known, or is not.

    Attributes
    ----------
    value
        In words; None where it is not known.
    why_not
        Why it is not known; "" where it is.
    check
        ``verified`` where a digest or a seal was computed again and is the declared one; ``as
        recorded`` where there is nothing to compare with.
    said
        What was checked, or what does not check out.
    """

    name: str
    value: str | None
    why_not: str = ""
    check: Check = "as recorded"
    said: str = ""

    def sentence(self) -> str:
        """The fact in words for a reader."""
        if self.value is None:
            return f"not known: {self.why_not}"
        if self.check == "as recorded":
            return self.value
        mark = "verified" if self.check == "verified" else "DOES NOT CHECK OUT"
        return f"{self.value} [{mark}{': ' + self.said if self.said else ''}]"


class Section(_Model):
    """Facts on one question."""

    title: str
    facts: tuple[Fact, ...]


class Explanation(_Model):
    """Everything that is known of one answer or one moment."""

    line: str
    environment: str
    asked: str
    sections: tuple[Section, ...]

    @property
    def problems(self) -> tuple[Fact, ...]:
        """Facts that do not check out."""
        return tuple(
            fact
            for section in self.sections
            for fact in section.facts
            if fact.check == "does not check out"
        )

    @property
    def unknown(self) -> tuple[Fact, ...]:
        """Facts that could not be found."""
        return tuple(
            fact for section in self.sections for fact in section.facts if fact.value is None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought(Generic[_T]):
    """What was looked for: found, or why it was not."""

    found: _T | None = None
    why_not: str = ""


def fact(name: str, value: object) -> Fact:
    """A fact as it is recorded."""
    return Fact(name=name, value=str(value))


def unknown(name: str, why_not: str) -> Fact:
    """A fact that could not be found."""
    return Fact(name=name, value=None, why_not=why_not or "it was not recorded")


def recorded(name: str, value: object | None, why_not: str) -> Fact:
    """A fact as it is recorded, or that it was not."""
    return unknown(name, why_not) if value is None else fact(name, value)


def compared(name: str, value: object, *, declared: str | None, found: str, against: str) -> Fact:
    """A fact whose digest was computed again and held against the declared one.

    >>> compared("d", "x", declared="sha256:a", found="sha256:b", against="Git").check
    'does not check out'
    """
    if declared is None:
        return Fact(name=name, value=str(value), said=f"{against} names none to compare with")
    same = declared == found
    said = f"as {against} says" if same else f"{against} says {declared}, found {found}"
    return Fact(
        name=name,
        value=str(value),
        check="verified" if same else "does not check out",
        said=said,
    )
