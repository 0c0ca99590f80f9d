"""Outcome, Finding, Verdict: the form of every answer a judge gives.

Text is rendered from the fields at the edge; nothing here decides what is good enough.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.errors import IntegrityError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Outcome(StrEnum):
    """What a judge can say. Only `PASS` lets a release go on."""

    PASS = "pass"  # noqa: S105 (an outcome, not a password)
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAIL = "fail"


BEST_TO_WORST = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.ERROR, Outcome.FAIL)
"""The one order of badness; "worse" and "worst" derive from it."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of ``outcomes``; of none it is inconclusive, since nothing was shown.

    >>> worst([Outcome.PASS, Outcome.FAIL, Outcome.ERROR])
    <Outcome.FAIL: 'fail'>
    >>> worst([])
    <Outcome.INCONCLUSIVE: 'inconclusive'>
    """
    return max(outcomes, key=BEST_TO_WORST.index, default=Outcome.INCONCLUSIVE)


Bound = Literal["at least", "at most", "equal to", "within"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule applied to one subject.

    Attributes
    ----------
    rule
        The claim that was tested, as in an asset check: ``score_is_above_floor``.
    subject
        What it was tested on: a column, a slice, a version.
    outcome
        What the judge says of it.
    observed, limit
        The value seen and the bound of the policy, both in ``unit``; None where unknown or
        where the claim is not about a number.
    bound
        How ``observed`` has to stand to ``limit``.
    n
        How many rows (or requests) stand behind ``observed``.
    votes
        Whether the finding counts in the verdict; a muted one is shown only.
    detail
        What a reader needs beside the numbers: an example, a reason, what to do.
    """

    rule: str
    subject: str
    outcome: Outcome
    observed: float | None = None
    limit: float | None = None
    bound: Bound = "at most"
    unit: str = ""
    n: int | None = None
    votes: bool = True
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse numbers that no reader and no digest could keep."""
        for name in ("observed", "limit"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                message = f"finding {self.rule}: {name} must be finite or None, not {value}"
                raise ValueError(message)

    def sentence(self) -> str:
        """The finding in one line, the observed value beside the limit."""
        parts = [f"{self.rule} [{self.subject}] {self.outcome.value}"]
        unit = f" {self.unit}" if self.unit else ""
        if self.observed is not None or self.limit is not None:
            observed = "unknown" if self.observed is None else f"{self.observed:.6g}{unit}"
            limit = "" if self.limit is None else f", limit {self.bound} {self.limit:.6g}{unit}"
            parts.append(f"observed {observed}{limit}")
        if self.n is not None:
            parts.append(f"n = {self.n}")
        if self.detail:
            parts.append(self.detail)
        return "; ".join(parts)


def compare(
    *,
    rule: str,
    subject: str,
    observed: float | None,
    limit: float,
    bound: Literal["at least", "at most"],
    unit: str = "",
    n: int | None = None,
    minimum_n: int = 1,
    votes: bool = True,
    detail: str = "",
) -> Finding:
    """Hold one number against one limit.

    A value that is missing, NaN or infinite, or that rests on fewer than ``minimum_n`` rows, is
    inconclusive: it never passes and never fails.

    >>> compare(rule="r", subject="s", observed=float("nan"), limit=1, bound="at most").outcome
    <Outcome.INCONCLUSIVE: 'inconclusive'>
    """
    known = observed is not None and math.isfinite(observed)
    if not known:
        outcome = Outcome.INCONCLUSIVE
        detail = detail or "the value could not be computed"
    elif n is not None and n < minimum_n:
        outcome = Outcome.INCONCLUSIVE
        detail = detail or f"expected at least {minimum_n} rows, found {n}"
    else:
        assert observed is not None  # noqa: S101 (for the type checker: `known` says so)
        met = observed >= limit if bound == "at least" else observed <= limit
        outcome = Outcome.PASS if met else Outcome.FAIL
    return Finding(
        rule=rule,
        subject=subject,
        outcome=outcome,
        observed=observed if known else None,
        limit=limit,
        bound=bound,
        unit=unit,
        n=n,
        votes=votes,
        detail=detail,
    )


def without_vote(findings: Iterable[Finding], rules: Collection[str]) -> tuple[Finding, ...]:
    """The findings, those of some rules shown only."""
    return tuple(replace(f, votes=False) if f.rule in rules else f for f in findings)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All findings of one judge on one subject, with what was judged.

    Attributes
    ----------
    judge
        Name and version of the rules, as ``data_gates/1``.
    subject_digest
        Digest of what was judged.
    evidence
        Digests and names of everything the judge saw besides (data, policy, features, champion),
        so that an act can compare them with what it is about to use.
    findings
        In the order in which the rules were applied.
    """

    judge: str
    line: str
    subject_digest: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the findings that vote."""
        return worst(finding.outcome for finding in self.findings if finding.votes)

    @property
    def objections(self) -> tuple[Finding, ...]:
        """The voting findings that do not pass, worst first."""
        held = [f for f in self.findings if f.votes and f.outcome is not Outcome.PASS]
        return tuple(sorted(held, key=lambda f: -BEST_TO_WORST.index(f.outcome)))

    def to_json(self) -> bytes:
        """The canonical byte form, whose digest is the verdict's digest."""
        document = _VERDICT.dump_python(self, mode="json")
        document["outcome"] = self.outcome.value
        return canonical_json(document)

    @cached_property
    def digest(self) -> str:
        """Digest of the canonical byte form."""
        return digest_of_bytes(self.to_json())


_VERDICT = TypeAdapter(Verdict)


def verdict_from_json(content: bytes) -> Verdict:
    """Read a recorded verdict back.

    Raises
    ------
    IntegrityError
        If it is not a verdict, or if its recorded outcome is not the one its findings give:
        the record was edited.
    """
    try:
        document = json.loads(content)
        recorded = document.pop("outcome")
        verdict = _VERDICT.validate_python(document)
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        message = f"verdict: expected a recorded verdict, found something else ({error})"
        raise IntegrityError(message) from error
    if recorded != verdict.outcome.value:
        message = (
            f"verdict of {verdict.judge} on {verdict.subject_digest}: its findings give"
            f" {verdict.outcome.value}, the record says {recorded!r}. The record was edited;"
            " judge again."
        )
        raise IntegrityError(message)
    return verdict


def require_pass(verdict: Verdict | None, *, act: str, subject: str) -> Verdict:
    """Return the verdict if it lets ``act`` go on.

    Raises
    ------
    RefusedError
        If there is no verdict or it does not pass, with every objection in the message.
    """
    if verdict is None:
        message = (
            f"{act} of {subject} refused: expected a recorded passing verdict, found none."
            " Run the gate first."
        )
        raise RefusedError(message)
    if verdict.outcome is not Outcome.PASS:
        reasons = "\n".join(f"  - {finding.sentence()}" for finding in verdict.objections)
        message = (
            f"{act} of {subject} refused: the verdict of {verdict.judge} is"
            f" {verdict.outcome.value}.\n{reasons or '  - it holds no finding that votes'}"
        )
        raise RefusedError(message)
    return verdict


def require_evidence(verdict: Verdict, *, act: str, **expected: str) -> None:
    """Compare what the verdict judged with what is about to be used.

    Raises
    ------
    RefusedError
        Naming every piece of evidence that differs.
    """
    differing = [
        f"  - {name}: the verdict judged {verdict.evidence.get(name, 'nothing')}, found {value}"
        for name, value in sorted(expected.items())
        if verdict.evidence.get(name) != value
    ]
    if differing:
        rows = "\n".join(differing)
        message = (
            f"{act} refused: the verdict of {verdict.judge} was given on other evidence.\n{rows}\n"
            "Judge again."
        )
        raise RefusedError(message)
