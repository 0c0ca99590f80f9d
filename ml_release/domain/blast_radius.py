"""What a bad version has answered otherwise than the restored one would have.

Both answers to the same logged features are compared, row by row. Batches are measured one by one
and added up, so that the size of the log does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from ml_release.domain.decision_costs import DecisionCosts

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

FAILED = "the bad version failed"
"""Why a row without an answer is not compared: nothing was answered that could be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Rows that the bad version was asked, with what the restored one would have answered.

    Attributes
    ----------
    request_ids, positions
        Of each row: its request, and its place in it, counted from 0.
    days
        ISO day on which it came in, in the line's time zone.
    slices
        Column to its word in every row, None where missing.
    served, restored
        Shape (n,): both answers, NaN where there is none.
    problems
        Why a row has no answer to compare; "" where it has.
    served_yes, restored_yes
        Shape (n,): the decisions, 1 or 0, NaN where none is given.
    labels
        Shape (n,): 0 or 1, NaN where not known.
    """

    request_ids: Sequence[str]
    positions: npt.NDArray[np.int64]
    days: Sequence[str]
    slices: Mapping[str, Sequence[str | None]]
    served: Floats
    restored: Floats
    problems: Sequence[str]
    served_yes: Floats
    restored_yes: Floats
    labels: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How the answers to some rows differ; differences are restored minus served.

    Attributes
    ----------
    rows, rescored, decided
        Rows that the bad version was asked, failed ones included; of them those with both answers;
        of those those with both decisions.
    to_yes, to_no
        Rows on which the restored version decides yes instead of no, and the other way round.
    sum_of_differences, sum_of_absolutes
        Over the rows with both answers, in the unit of the answer.
    largest, largest_request
        The greatest absolute difference, and the request it was met in; None without a row.
    """

    rows: int = 0
    rescored: int = 0
    decided: int = 0
    to_yes: int = 0
    to_no: int = 0
    sum_of_differences: float = 0.0
    sum_of_absolutes: float = 0.0
    largest: float | None = None
    largest_request: str | None = None

    @property
    def differing(self) -> int:
        """Rows that are decided otherwise."""
        return self.to_yes + self.to_no

    @property
    def mean_difference(self) -> float | None:
        """None without a row to compare."""
        return self.sum_of_differences / self.rescored if self.rescored else None

    @property
    def mean_absolute(self) -> float | None:
        """None without a row to compare."""
        return self.sum_of_absolutes / self.rescored if self.rescored else None

    def __add__(self, other: Changes) -> Changes:
        first = self.largest is not None and (
            other.largest is None or self.largest >= other.largest
        )
        farther = self if first else other
        return Changes(
            rows=self.rows + other.rows,
            rescored=self.rescored + other.rescored,
            decided=self.decided + other.decided,
            to_yes=self.to_yes + other.to_yes,
            to_no=self.to_no + other.to_no,
            sum_of_differences=self.sum_of_differences + other.sum_of_differences,
            sum_of_absolutes=self.sum_of_absolutes + other.sum_of_absolutes,
            largest=farther.largest,
            largest_request=farther.largest_request,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the decisions cost, in the unit of the declared prices.

    Attributes
    ----------
    labelled, labelled_served, labelled_restored
        Decided rows whose label is known, and what both sets of decisions cost on them.
    expected, expected_served, expected_restored
        Decided rows without a label, and what is to be expected if the probabilities of the
        restored version hold.
    """

    labelled: int = 0
    labelled_served: float = 0.0
    labelled_restored: float = 0.0
    expected: int = 0
    expected_served: float = 0.0
    expected_restored: float = 0.0

    @property
    def excess(self) -> float:
        """How much more the bad version's decisions cost; below 0 if they cost less."""
        return (
            self.labelled_served
            - self.labelled_restored
            + self.expected_served
            - self.expected_restored
        )

    def __add__(self, other: Costs) -> Costs:
        return Costs(
            labelled=self.labelled + other.labelled,
            labelled_served=self.labelled_served + other.labelled_served,
            labelled_restored=self.labelled_restored + other.labelled_restored,
            expected=self.expected + other.expected,
            expected_served=self.expected_served + other.expected_served,
            expected_restored=self.expected_restored + other.expected_restored,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """Everything that was compared.

    Attributes
    ----------
    requests
        That the bad version was asked for an answer that counts: without those of its shadow.
    days, slices
        Day to its changes; column to word (``missing`` for none) to its changes.
    not_rescored
        Why rows could not be compared, to how many; all of them are in ``total.rows``.
    costs
        None if the policy declares no prices, or no row has two decisions to compare.
    """

    requests: int = 0
    total: Changes = field(default_factory=Changes)
    days: Mapping[str, Changes] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Changes]] = field(default_factory=dict)
    not_rescored: Mapping[str, int] = field(default_factory=dict)
    costs: Costs | None = None

    def __add__(self, other: BlastRadius) -> BlastRadius:
        columns = {**self.slices, **other.slices}
        costs = [one for one in (self.costs, other.costs) if one is not None]
        reasons = sorted({*self.not_rescored, *other.not_rescored})
        return BlastRadius(
            requests=self.requests + other.requests,
            total=self.total + other.total,
            days=_merged(self.days, other.days),
            slices={
                column: _merged(self.slices.get(column, {}), other.slices.get(column, {}))
                for column in columns
            },
            not_rescored={
                reason: self.not_rescored.get(reason, 0) + other.not_rescored.get(reason, 0)
                for reason in reasons
            },
            costs=sum(costs, Costs()) if costs else None,
        )


def measure(answers: Answers, prices: DecisionCosts | None) -> BlastRadius:
    """The blast radius of one batch of rows."""
    both = np.isfinite(answers.served) & np.isfinite(answers.restored)
    both &= np.array([not problem for problem in answers.problems], dtype=np.bool_)
    decided = both & np.isfinite(answers.served_yes) & np.isfinite(answers.restored_yes)
    reasons: dict[str, int] = {}
    for place in np.flatnonzero(~both).tolist():
        reason = answers.problems[place] or "an answer is no number"
        reasons[reason] = reasons.get(reason, 0) + 1
    return BlastRadius(
        requests=int((answers.positions == 0).sum()),
        total=_changes(answers, both, decided, np.ones(len(both), dtype=np.bool_)),
        days=_grouped(answers, both, decided, answers.days),
        slices={
            column: _grouped(
                answers, both, decided, ["missing" if word is None else word for word in words]
            )
            for column, words in answers.slices.items()
        },
        not_rescored=dict(sorted(reasons.items())),
        costs=None if prices is None or not decided.any() else _costs(answers, decided, prices),
    )


def _grouped(
    answers: Answers, both: Mask, decided: Mask, names: Sequence[str]
) -> dict[str, Changes]:
    column = np.array(names, dtype=object)
    return {
        name: _changes(answers, both, decided, np.asarray(column == name, dtype=np.bool_))
        for name in sorted(set(names))
    }


def _changes(answers: Answers, both: Mask, decided: Mask, chosen: Mask) -> Changes:
    rescored, compared = both & chosen, decided & chosen
    difference = answers.restored[rescored] - answers.served[rescored]
    moved = answers.restored_yes[compared] - answers.served_yes[compared]
    absolute = np.abs(difference)
    largest = int(absolute.argmax()) if len(absolute) else None
    return Changes(
        rows=int(chosen.sum()),
        rescored=len(difference),
        decided=len(moved),
        to_yes=int((moved > 0).sum()),
        to_no=int((moved < 0).sum()),
        sum_of_differences=float(difference.sum()),
        sum_of_absolutes=float(absolute.sum()),
        largest=None if largest is None else float(absolute[largest]),
        largest_request=None
        if largest is None
        else answers.request_ids[int(np.flatnonzero(rescored)[largest])],
    )


def _costs(answers: Answers, decided: Mask, prices: DecisionCosts) -> Costs:
    known = decided & np.isfinite(answers.labels)
    unknown = decided & ~known
    # The restored version is the one that is trusted: its probability stands for the label.
    chance = answers.restored[unknown]
    return Costs(
        labelled=int(known.sum()),
        labelled_served=_total(prices, answers.served_yes[known], answers.labels[known]),
        labelled_restored=_total(prices, answers.restored_yes[known], answers.labels[known]),
        expected=int(unknown.sum()),
        expected_served=_total(prices, answers.served_yes[unknown], chance),
        expected_restored=_total(prices, answers.restored_yes[unknown], chance),
    )


def _total(prices: DecisionCosts, yes: Floats, chance: Floats) -> float:
    return float(prices.of_rows(yes, chance).sum())


def _merged(first: Mapping[str, Changes], second: Mapping[str, Changes]) -> dict[str, Changes]:
    names: Iterable[str] = sorted({*first, *second})
    return {name: first.get(name, Changes()) + second.get(name, Changes()) for name in names}
