"""Behavioural tests as an author declares them, and the rows they ask a model about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns

Word = str | float | None


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
