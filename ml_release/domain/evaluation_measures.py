"""What an evaluation measured, as it is kept: the numbers that its report and model card show.

A verdict holds what was judged. This record holds what was seen besides, with the digest of the
verdict that was given on it. What is not known is None, never a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.gates_servability import Servability
from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.evaluation_gates import EvaluationEvidence
    from ml_release.domain.gates_comparison import Comparison
    from ml_release.domain.gates_fairness import GroupMeasure
    from ml_release.domain.gates_slices import SliceEvidence
    from ml_release.domain.intervals import Interval
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.verdict import Verdict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(_Record):
    """An `Interval` whose unknown numbers are None."""

    estimate: float | None
    low: float | None
    high: float | None
    confidence: float
    n: int
    units: int

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """The interval as it is kept."""
        return cls(
            estimate=_known(interval.estimate),
            low=_known(interval.low),
            high=_known(interval.high),
            confidence=interval.confidence,
            n=interval.n,
            units=interval.units,
        )


class DecidedCost(_Record):
    """What the candidate's decisions cost on the holdout, at the declared threshold and prices."""

    false_positive: float
    false_negative: float
    threshold: float
    per_1000: Measured


class SliceMeasure(_Record):
    """The primary score on one slice.

    Attributes
    ----------
    value
        None for the rows in which the column is missing.
    judged
        Whether there were rows enough.
    difference
        Candidate minus champion on the same rows; None without a champion.
    """

    column: str
    value: str | None
    score: str
    n: int
    positives: int | None
    judged: bool
    interval: Measured
    difference: Measured | None = None

    @property
    def name(self) -> str:
        """As the findings name it."""
        return f"{self.column} {'missing' if self.value is None else self.value}"


class FairnessOfColumn(_Record):
    """One fairness measure over the groups of one column; None as a group: the value is missing.

    Attributes
    ----------
    compared, left_out
        Groups with rows enough, and those without.
    least, greatest
        Groups of the smallest and the largest rate.
    """

    column: str
    measure: str
    interval: Measured
    compared: tuple[str | None, ...]
    left_out: tuple[str | None, ...]
    least: tuple[str | None, ...]
    greatest: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """As the findings name it."""
        return f"{self.column}: {self.measure.replace('_', ' ')}"


class OtherVersion(_Record):
    """The champion or the anchor on the same rows.

    Attributes
    ----------
    difference
        Candidate minus the other in the primary score; None with a ``problem``.
    further
        The same in other scores, by name.
    """

    version: int
    model_digest: str
    difference: Measured | None
    further: Mapping[str, Measured] = Field(default_factory=dict)
    calibration_error: float | None = None
    problem: str = ""


class EvaluationMeasures(_Record):
    """The numbers of one evaluation.

    Attributes
    ----------
    verdict_digest
        Of the verdict that was given on them.
    evaluated_at
        ISO moment.
    rows
        Labelled rows of the holdout.
    label_mean
        Mean label of those rows: the base rate of a classifier; None without a row.
    primary
        Name of the score that candidates are compared by.
    scores
        Name to score.
    slices_confidence
        Of each slice's interval, so that all hold at once; None without slices.
    parity
        Largest absolute difference between the answers of artefact and estimator.
    measured, problem
        What loading and asking the artefact took; None with a ``problem`` if it could not be.
    holdout_candidates
        How many candidates this holdout has judged, this one included.
    cheapest_threshold, cost_per_row
        The threshold of least cost on these rows; None where no costs are declared.
    decided_cost
        At the threshold that is served; None where no costs are declared, and in older records.
    """

    line: str
    model_digest: str
    candidate_digest: str
    verdict_digest: str
    evaluated_at: str
    rows: int
    label_mean: float | None
    primary: str
    scores: Mapping[str, Measured]
    calibration_error: float | None
    champion: OtherVersion | None
    anchor: OtherVersion | None
    slices: tuple[SliceMeasure, ...]
    slices_confidence: float | None
    fairness: tuple[FairnessOfColumn, ...]
    parity: float | None
    repeats: bool
    measured: Servability | None
    problem: str
    holdout_candidates: int
    cheapest_threshold: float | None = None
    cost_per_row: float | None = None
    decided_cost: DecidedCost | None = None

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))


def measures_of(
    evidence: EvaluationEvidence,
    verdict: Verdict,
    *,
    candidate_digest: str,
    primary: str,
    label_mean: float,
    cheapest: ThresholdPoint | None,
    decided_cost: DecidedCost | None,
    at: datetime,
) -> EvaluationMeasures:
    """The numbers behind a verdict; ``label_mean`` is NaN where there is no row."""
    quality, servability, slices = evidence.quality, evidence.servability, evidence.slices
    return EvaluationMeasures(
        line=evidence.line,
        model_digest=evidence.model_digest,
        candidate_digest=candidate_digest,
        verdict_digest=verdict.digest,
        evaluated_at=at.isoformat(),
        rows=quality.rows,
        label_mean=_known(label_mean),
        primary=primary,
        scores={name: Measured.of(interval) for name, interval in quality.scores.items()},
        calibration_error=_known(quality.calibration_error),
        champion=_other(quality.champion),
        anchor=_other(quality.anchor),
        slices=_slices(slices),
        slices_confidence=None if slices.candidate is None else slices.candidate.confidence_each,
        fairness=tuple(_fairness(found) for found in evidence.fairness),
        parity=_known(servability.parity),
        repeats=servability.repeats,
        measured=servability.measured,
        problem=servability.problem,
        holdout_candidates=len(evidence.holdout_use.candidates),
        cheapest_threshold=None if cheapest is None else _known(cheapest.threshold),
        cost_per_row=None if cheapest is None else _known(cheapest.cost_per_row),
        decided_cost=decided_cost,
    )


def measures_from_json(content: bytes) -> EvaluationMeasures:
    """Read recorded measures back; `IntegrityError` if they are none."""
    try:
        return EvaluationMeasures.model_validate_json(content)
    except ValidationError as error:
        message = f"measures of an evaluation: expected recorded ones, found other ({error})"
        raise IntegrityError(message) from error


def _known(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)


def _other(other: Comparison | None) -> OtherVersion | None:
    if other is None:
        return None
    return OtherVersion(
        version=other.version,
        model_digest=other.model_digest,
        difference=None if other.difference is None else Measured.of(other.difference),
        further={name: Measured.of(interval) for name, interval in other.further.items()},
        calibration_error=_known(other.calibration_error),
        problem=other.problem,
    )


def _slices(found: SliceEvidence) -> tuple[SliceMeasure, ...]:
    if found.candidate is None:
        return ()
    against = found.against_champion.rows if found.against_champion else ()
    differences = {(row.column, row.value): Measured.of(row.interval) for row in against}
    return tuple(
        SliceMeasure(
            column=row.column,
            value=row.value,
            score=row.score,
            n=row.n,
            positives=row.positives,
            judged=row.judged,
            interval=Measured.of(row.interval),
            difference=differences.get((row.column, row.value)),
        )
        for row in found.candidate.rows
    )


def _fairness(found: GroupMeasure) -> FairnessOfColumn:
    measure = found.measure
    return FairnessOfColumn(
        column=found.column,
        measure=measure.name,
        interval=Measured.of(found.interval),
        compared=measure.compared,
        left_out=measure.left_out,
        least=measure.least,
        greatest=measure.greatest,
    )
