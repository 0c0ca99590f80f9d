"""Whether a candidate is good enough on declared sets, and no worse there than the champion.

Days judge a model only if its record shows that it was not fitted on them: a model looks good on
rows that it has learned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ml_release.domain.gates_comparison import judge_comparison, judge_limit, no_other, unknown
from ml_release.domain.verdict import compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.evaluation_sets import FileSet, SetsPolicy, SpanSet
    from ml_release.domain.gates_comparison import Comparison
    from ml_release.domain.intervals import Interval
    from ml_release.domain.paired_tests import McNemarTest
    from ml_release.domain.verdict import Finding

LIMIT = "sets_are_good_enough"
CHAMPION = "no_worse_on_sets"
DESCRIPTIONS = {
    LIMIT: "On each declared set of days or cases the candidate keeps the limit.",
    CHAMPION: "On no declared set worse than the champion by more than the margin, same rows.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanMeasure:
    """Candidate and champion on the rows of declared days.

    Attributes
    ----------
    score
        The candidate's primary score; None with a ``problem``.
    champion
        None if there is none.
    problem
        Why nothing can be said of the candidate there; empty if something can.
    """

    score: Interval | None
    champion: Comparison | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileComparison:
    """The champion on the cases of a file.

    Attributes
    ----------
    gain
        How much better the candidate is, in the unit of the score; NaN where it is undefined.
    decisions
        McNemar's counts at the declared threshold, shown beside it; None for a regression.
    """

    version: int
    gain: float
    decisions: McNemarTest | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeasure:
    """Candidate and champion on the cases of a file.

    Attributes
    ----------
    score
        Name of what was measured.
    value
        The candidate's; NaN where it is undefined.
    champion
        None if there is none.
    problem
        Why the file, or the candidate, cannot be judged; empty if they can.
    """

    score: str
    rows: int
    value: float
    champion: FileComparison | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetsEvidence:
    """What was measured on declared sets, by their names."""

    spans: Mapping[str, SpanMeasure] = field(default_factory=dict)
    files: Mapping[str, FileMeasure] = field(default_factory=dict)


def judge_sets(
    evidence: SetsEvidence,
    policy: SetsPolicy | None,
    *,
    primary: str,
    minimum_rows: int,
    confidence: float,
    has_champion: bool,
) -> tuple[Finding, ...]:
    """Hold every declared set against its limits; without a declaration there is no finding.

    A declared set that was not measured is inconclusive, and so is a comparison that is missing
    although there is a champion.

    Parameters
    ----------
    primary
        The score of the line: a name in ``_score`` grows with quality.
    minimum_rows
        Of a span that declares none.
    """
    if policy is None:
        return ()
    found: list[Finding] = []
    for name, span in policy.spans.items():
        found += _span(
            f"{name}, {span}",
            evidence.spans.get(name),
            span,
            primary=primary,
            minimum_rows=minimum_rows if span.minimum_rows is None else span.minimum_rows,
            confidence=confidence,
            has_champion=has_champion,
        )
    for name, file in policy.files.items():
        found += _file(
            name, evidence.files.get(name), file, primary=primary, has_champion=has_champion
        )
    # Rule by rule, as the other judges do.
    return tuple(sorted(found, key=lambda finding: finding.rule == CHAMPION))


def _span(
    subject: str,
    measure: SpanMeasure | None,
    span: SpanSet,
    *,
    primary: str,
    minimum_rows: int,
    confidence: float,
    has_champion: bool,
) -> tuple[Finding, ...]:
    problem = "it was not measured" if measure is None else measure.problem
    score = None if measure is None or problem else measure.score
    champion = None if measure is None else measure.champion
    limit = judge_limit(
        LIMIT,
        subject,
        score,
        name=primary,
        limit=span.limit,
        minimum_rows=minimum_rows,
        confidence=confidence,
    )
    comparison = judge_comparison(
        CHAMPION,
        "champion",
        None if problem else champion,
        primary=primary,
        margin=span.champion_margin,
        minimum_rows=minimum_rows,
        confidence=confidence,
    )
    comparison = replace(comparison, subject=f"{subject}: {comparison.subject}")
    if has_champion and (problem or champion is None):
        comparison = unknown(comparison, problem or "the champion was not asked", subject=subject)
    return (replace(limit, detail=problem or limit.detail), comparison)


def _file(
    subject: str,
    measure: FileMeasure | None,
    file: FileSet,
    *,
    primary: str,
    has_champion: bool,
) -> tuple[Finding, ...]:
    problem = "it was not measured" if measure is None else measure.problem
    score = primary if file.score == "primary" else file.score
    if measure is not None and not problem and measure.score != score:
        problem = f"expected {score}, found {measure.score}"
    known = measure if not problem else None
    rises = score.endswith(("_score", "_share"))
    limit = compare(
        rule=LIMIT,
        subject=subject,
        observed=None if known is None else known.value,
        limit=file.limit,
        bound="at least" if rises else "at most",
        unit=score,
        n=None if known is None else known.rows,
        minimum_n=file.minimum_rows,
        detail=problem,
    )
    other = None if known is None else known.champion
    few = known is not None and known.rows < file.minimum_rows
    if not has_champion and other is None:
        first = no_other(CHAMPION, "champion")
        return (limit, replace(first, subject=f"{subject}: {first.subject}"))
    comparison = compare(
        rule=CHAMPION,
        subject=subject if other is None else f"{subject}: champion version {other.version}",
        observed=None if other is None or other.problem else other.gain,
        limit=0.0 - file.champion_margin,
        bound="at least",
        unit=f"{score} gained",
        n=None if known is None else known.rows,
        minimum_n=file.minimum_rows,
        # Of too few rows `compare` says so itself.
        detail=problem or ("" if other and few else _of_champion(other)),
    )
    return (limit, comparison)


def _of_champion(other: FileComparison | None) -> str:
    if other is None:
        return "the champion was not asked"
    if other.problem or other.decisions is None or not other.decisions.n:
        return other.problem
    return (
        f"decides {other.decisions.challenger_only} rows rightly that the other gets wrong,"
        f" {other.decisions.champion_only} the other way round"
    )
