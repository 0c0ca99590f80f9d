"""Whether a model behaves as its author declared: invariance, direction, minimum functionality.

Ribeiro et al. (2020), Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL. A test
changes readable feature values, as the model sees them, and says what the answer has to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.verdict import Finding, Outcome, compare
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns

RULE = "behaves_as_declared"
DESCRIPTIONS = {
    RULE: "Declared changes of the input leave the answer alone, or move it the declared way.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

Floats = npt.NDArray[np.float64]
Word = str | float | None

_UNKNOWN = "an answer is not finite"


class _Test(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str


class _Changed(_Test):
    """A test on real rows of which some feature values are changed.

    Attributes
    ----------
    set
        Feature to the value that it gets in every row; null is missing.
    add
        Feature to what is added to it, in its own unit; a missing value stays missing.
    rows_limit
        Share of the rows that may break the claim, below 1: otherwise it claims nothing.
    """

    set: Mapping[str, Word] = Field(default_factory=dict)
    add: Mapping[str, float] = Field(default_factory=dict)
    rows_limit: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        both = sorted(set(self.set) & set(self.add))
        if both or not (self.set or self.add):
            found = f"both for {both}" if both else "neither"
            message = f"behaviour {self.name!r}: expected set or add for a feature, found {found}"
            raise ValueError(message)
        return self

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features it changes."""
        return (*self.set, *self.add)


class Invariance(_Changed):
    """The change leaves the answer alone, up to ``tolerance`` in the unit of the answer."""

    kind: Literal["invariance"] = "invariance"
    tolerance: Annotated[float, Field(ge=0)]


class Directional(_Changed):
    """The change moves the answer one way.

    Attributes
    ----------
    tolerance
        How far a row may move against the direction before it breaks the claim.
    minimum_mean
        How far the rows have to move on average in the direction, above 0: a model that does not
        look at the feature breaks no claim row by row.
    """

    kind: Literal["directional"] = "directional"
    direction: Literal["up", "down"]
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    minimum_mean: Annotated[float, Field(gt=0)]


class Functionality(_Test):
    """Rows whose answer is known within limits; a feature that a row does not name is missing."""

    kind: Literal["functionality"] = "functionality"
    rows: Annotated[tuple[Mapping[str, Word], ...], Field(min_length=1)]
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        low, high = self.minimum, self.maximum
        found = ""
        if low is None and high is None:
            found = "neither"
        elif low is not None and high is not None and low > high:
            found = f"{low:g} above {high:g}"
        if found:
            message = (
                f"behaviour {self.name!r}: expected a minimum, a maximum, or the first up to the"
                f" second, found {found}"
            )
            raise ValueError(message)
        return self

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features its rows name."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))


BehaviourTest = Annotated[Invariance | Directional | Functionality, Field(discriminator="kind")]


class BehaviourPolicy(BaseModel):
    """Declared tests.

    Attributes
    ----------
    sample_rows
        Rows of the holdout, evenly spread over it, that are changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tests: tuple[BehaviourTest, ...] = ()
    sample_rows: Annotated[int, Field(ge=100)] = 2000

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [test.name for test in self.tests]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"behaviour: expected a name of its own per test, found twice {twice}"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model answered to one test.

    Attributes
    ----------
    before
        To the rows as they are, shape (n,); None for a test of minimum functionality.
    after
        To the changed or declared rows, shape (n,).
    problem
        Why there are no answers; empty if there are.
    """

    before: Floats | None
    after: Floats
    problem: str = ""


def changed(test: Invariance | Directional, values: Columns) -> dict[str, npt.NDArray[np.generic]]:
    """The rows with the declared change; what is not named stays as it is.

    Raises
    ------
    InputError
        If the test names a feature the model does not have, sets a number to a word or a word to a
        number, or adds to a feature that holds words.
    """
    _require_features(test.name, test.features, values)
    found = dict(values)
    for name, value in test.set.items():
        column = values[name]
        found[name] = _column(test.name, name, [value] * len(column), column)
    for name, amount in test.add.items():
        if values[name].dtype == object:
            message = f"behaviour {test.name!r}: expected numbers in {name!r} to add to, not words"
            raise InputError(message)
        found[name] = values[name].astype(np.float64) + amount
    return found


def declared_rows(test: Functionality, like: Columns) -> dict[str, npt.NDArray[np.generic]]:
    """The rows of a test of minimum functionality, with the features and types of ``like``.

    Raises
    ------
    InputError
        As `changed`.
    """
    _require_features(test.name, test.features, like)
    return {
        name: _column(test.name, name, [row.get(name) for row in test.rows], column)
        for name, column in like.items()
    }


def judge_behaviour(policy: BehaviourPolicy, answers: Mapping[str, Answers]) -> tuple[Finding, ...]:
    """Hold the answers against every declared test; none declared is said, and has no vote."""
    if not policy.tests:
        detail = "no behavioural test is declared"
        return (
            Finding(
                rule=RULE,
                subject="none",
                outcome=Outcome.INCONCLUSIVE,
                votes=False,
                detail=detail,
            ),
        )
    return tuple(
        finding for test in policy.tests for finding in _judge(test, answers.get(test.name))
    )


def _judge(
    test: Invariance | Directional | Functionality, answers: Answers | None
) -> tuple[Finding, ...]:
    subject = f"{test.kind}: {test.name}"
    problem = "it was not run" if answers is None else answers.problem
    if answers is None or problem or not len(answers.after):
        detail = problem or "there was no row to run it on"
        return (Finding(rule=RULE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail),)
    if isinstance(test, Functionality):
        return _judge_functionality(test, answers.after, subject)
    if answers.before is None or len(answers.before) != len(answers.after):
        detail = "the answers to the unchanged rows are missing"
        return (Finding(rule=RULE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail),)
    # One unknown answer makes the test unknown: left out, it would break nothing by comparison.
    known = np.isfinite([answers.before, answers.after]).all()
    shift = answers.after - answers.before if known else np.full(len(answers.after), np.nan)
    if isinstance(test, Directional):
        return _judge_direction(test, shift, subject)
    return (_share(test, np.abs(shift) > test.tolerance, shift, subject, "moved by more than"),)


def _judge_direction(test: Directional, shift: Floats, subject: str) -> tuple[Finding, ...]:
    along = shift if test.direction == "up" else -shift
    return (
        _share(test, along < -test.tolerance, along, subject, f"moved against {test.direction} by"),
        compare(
            rule=RULE,
            subject=f"{subject}, on average",
            observed=float(np.mean(along)),
            limit=test.minimum_mean,
            bound="at least",
            unit=f"mean move {test.direction}",
            n=len(shift),
            detail="" if np.isfinite(along).all() else _UNKNOWN,
        ),
    )


def _share(
    test: Invariance | Directional,
    breaks: npt.NDArray[np.bool_],
    shift: Floats,
    subject: str,
    how: str,
) -> Finding:
    known = bool(np.isfinite(shift).all())
    return compare(
        rule=RULE,
        subject=subject,
        observed=float(np.mean(breaks)) if known else None,
        limit=test.rows_limit,
        bound="at most",
        unit=f"share of rows that {how} {test.tolerance:g}",
        n=len(shift),
        detail=f"largest move {np.max(np.abs(shift)):.4g}" if known else _UNKNOWN,
    )


def _judge_functionality(test: Functionality, answers: Floats, subject: str) -> tuple[Finding, ...]:
    detail = "" if np.isfinite(answers).all() else _UNKNOWN
    if len(answers) != len(test.rows):
        detail = f"expected an answer to each of {len(test.rows)} rows, found {len(answers)}"
    found = []
    # One infinite answer is the worst at one end only, so the other end must not pass on its own.
    for limit, bound, worst in (
        (test.minimum, "at least", float(np.min(answers))),
        (test.maximum, "at most", float(np.max(answers))),
    ):
        if limit is not None:
            at_least = bound == "at least"
            found.append(
                compare(
                    rule=RULE,
                    subject=f"{subject}, {'least' if at_least else 'greatest'} answer",
                    observed=None if detail else worst,
                    limit=limit,
                    bound="at least" if at_least else "at most",
                    unit="answer",
                    n=len(answers),
                    detail=detail or _place(test, answers, worst),
                )
            )
    return tuple(found)


def _place(test: Functionality, answers: Floats, worst: float) -> str:
    return f"row {int(np.argmax(answers == worst)) + 1} of {len(test.rows)}"


def _require_features(test: str, named: tuple[str, ...], values: Columns) -> None:
    unknown = sorted(set(named) - set(values))
    if unknown:
        message = (
            f"behaviour {test!r}: expected features of {sorted(values)}, found {unknown}. Change"
            " the test in policy.yaml."
        )
        raise InputError(message)


def _column(
    test: str, feature: str, values: list[Word], like: npt.NDArray[np.generic]
) -> npt.NDArray[np.generic]:
    holds_words = like.dtype == object
    # A number read as a word, or the other way round, is a value that no model has ever seen.
    wrong = [
        value for value in values if value is not None and isinstance(value, str) != holds_words
    ]
    if wrong:
        message = (
            f"behaviour {test!r}: expected {'words' if holds_words else 'numbers'} for the feature"
            f" {feature!r}, found {wrong[0]!r}. Change the test in policy.yaml; a word that looks"
            " like a number needs quotes."
        )
        raise InputError(message)
    if holds_words:
        return np.array(values, dtype=np.object_)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
