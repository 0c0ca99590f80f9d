"""Features as data: what a line declares, fitted once, then applied alike in training and serving.

A `FeaturePlan` holds no code, so it travels inside the model artefact and the endpoint server
applies it without the line's package. Two steps, both vectorised and without side effects:

1. `feature_values`: raw columns to one readable value per feature (what is logged, monitored and
   compared between training and serving);
2. `encode`: those values to the float64 matrix the model was fitted on.

History features are looked up outside (point-in-time in training, by key when serving) and come
in as columns named like the feature; see `ml_release.domain.history`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ml_release.domain.identity import digest_of_json
from ml_release.errors import DeclarationError, IntegrityError

SEMANTICS = 1
"""Raised whenever the meaning of a feature kind changes: it is part of every feature version."""

Columns = Mapping[str, npt.NDArray[np.generic]]
FieldType = Literal["number", "string", "timestamp"]


class _Feature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    description: str = ""


class Number(_Feature):
    """A number as it came; missing stays missing (NaN), the model decides what it means."""

    kind: Literal["number"] = "number"
    column: str


class Category(_Feature):
    """A word, encoded as its rank in the training window's vocabulary.

    The ``limit`` most frequent words get a code of their own, 0 the most frequent; every other
    word shares the next code; missing is NaN.
    """

    kind: Literal["category"] = "category"
    column: str
    limit: Annotated[int, Field(ge=1, le=10_000)] = 200


class Calendar(_Feature):
    """A part of a local timestamp: ``weekday`` (Monday 0), ``minute_of_day`` (0 to 1439)."""

    kind: Literal["calendar"] = "calendar"
    column: str
    part: Literal["weekday", "minute_of_day"]


class History(_Feature):
    """Smoothed mean of the target per key over the ``window_days`` before the day of the event.

    The day of the event itself is never included, so a value is known when the day begins.
    """

    kind: Literal["history"] = "history"
    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    window_days: Annotated[int, Field(ge=1, le=366)] = 28
    prior_rows: Annotated[float, Field(ge=0)] = 20.0


Feature = Annotated[Number | Category | Calendar | History, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestField:
    """One column a request has to carry."""

    name: str
    type: FieldType
    nullable: bool


class FeaturePlan(BaseModel):
    """Declared features with everything that was learned from the training window.

    Attributes
    ----------
    features
        In the order of the matrix columns.
    vocabularies
        Per category feature its words, most frequent first, ties in alphabetical order.
    semantics
        `SEMANTICS` of the code that fitted it; other code refuses it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[Feature, ...]
    vocabularies: dict[str, tuple[str, ...]]
    semantics: int = SEMANTICS

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in the order of the matrix columns."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def history_features(self) -> tuple[History, ...]:
        """The features that have to be looked up by key."""
        return tuple(feature for feature in self.features if isinstance(feature, History))

    @property
    def version(self) -> str:
        """Digest of the whole plan: the feature version pinned to a model version."""
        return digest_of_json(self.model_dump(mode="json"))

    def request_fields(self) -> tuple[RequestField, ...]:
        """The columns a request has to carry, in the order of first use."""
        return request_fields(self.features)


def request_fields(features: Sequence[Feature]) -> tuple[RequestField, ...]:
    """The raw columns that ``features`` are computed from.

    Raises
    ------
    DeclarationError
        If one column is used as two types, two features have one name, or a history feature has
        the name of a column, whose values it would replace.
    """
    fields: dict[str, RequestField] = {}
    problems = []
    names = [feature.name for feature in features]
    problems += [
        f"two features are named {name!r}" for name in sorted(set(names)) if names.count(name) > 1
    ]
    for feature in features:
        for column, type_, nullable in _uses(feature):
            known = fields.get(column)
            if known is None:
                fields[column] = RequestField(name=column, type=type_, nullable=nullable)
            elif known.type != type_:
                problems.append(f"column {column!r} is used as {known.type} and as {type_}")
            elif known.nullable and not nullable:
                fields[column] = RequestField(name=column, type=type_, nullable=False)
    problems += [
        f"history feature {feature.name!r} has the name of a request column"
        for feature in features
        if isinstance(feature, History) and feature.name in fields
    ]
    if problems:
        message = "features: " + "; ".join(problems)
        raise DeclarationError(message)
    return tuple(fields.values())


def _uses(feature: Feature) -> list[tuple[str, FieldType, bool]]:
    if isinstance(feature, Number):
        return [(feature.column, "number", True)]
    if isinstance(feature, Category):
        return [(feature.column, "string", True)]
    if isinstance(feature, Calendar):
        return [(feature.column, "timestamp", False)]
    return [(key, "string", True) for key in feature.keys]


def fit_plan(features: Sequence[Feature], values: Columns) -> FeaturePlan:
    """Learn the vocabularies from the readable values of the training window.

    Parameters
    ----------
    features
        As the line declares them.
    values
        Per feature an array of shape (n,), from `feature_values`.
    """
    request_fields(features)
    vocabularies = {}
    for feature in features:
        if isinstance(feature, Category):
            vocabularies[feature.name] = frequent_words(values[feature.name], limit=feature.limit)
    return FeaturePlan(features=tuple(features), vocabularies=vocabularies)


def frequent_words(words: npt.NDArray[np.generic], *, limit: int) -> tuple[str, ...]:
    """At most ``limit`` words, the most frequent first, ties in alphabetical order.

    >>> frequent_words(np.array(["b", None, "c", "a", "c"], dtype=object), limit=2)
    ('c', 'a')
    """
    # Counted before they are looked at: that runs over the rows in C.
    met = Counter(words.tolist())
    counts = {word: count for word, count in met.items() if isinstance(word, str)}
    # No numpy strings here: they lose NUL at the end of a word.
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:limit])


def feature_values(
    features: Sequence[Feature], columns: Columns
) -> dict[str, npt.NDArray[np.generic]]:
    """Readable values of every feature.

    Parameters
    ----------
    columns
        Arrays of shape (n,): float64 for numbers (NaN is missing), object of str or None for
        strings, datetime64 in local time for timestamps, and float64 under the feature's name
        for every history feature.

    Returns
    -------
    dict
        Feature name to an array of shape (n,): float64, or object of str or None for a category.
    """
    values: dict[str, npt.NDArray[np.generic]] = {}
    for feature in features:
        if isinstance(feature, Number):
            values[feature.name] = columns[feature.column].astype(np.float64, copy=False)
        elif isinstance(feature, Category):
            values[feature.name] = columns[feature.column]
        elif isinstance(feature, Calendar):
            values[feature.name] = _calendar(columns[feature.column], feature.part)
        else:
            values[feature.name] = columns[feature.name].astype(np.float64, copy=False)
    return values


def encode(plan: FeaturePlan, values: Columns) -> npt.NDArray[np.float64]:
    """The matrix the model was fitted on, shape (n, features), C-contiguous float64."""
    n = len(next(iter(values.values())))
    matrix = np.empty((n, len(plan.features)), dtype=np.float64)
    for position, feature in enumerate(plan.features):
        column = values[feature.name]
        if isinstance(feature, Category):
            matrix[:, position] = _codes(column, plan.vocabularies[feature.name])
        else:
            matrix[:, position] = column
    return matrix


def _calendar(timestamps: npt.NDArray[np.generic], part: str) -> npt.NDArray[np.float64]:
    days = timestamps.astype("datetime64[D]")
    if part == "weekday":
        # 1970-01-01 was a Thursday, day 3 of a week that starts on Monday.
        result = (days.astype(np.int64) + 3) % 7
    else:
        result = (timestamps.astype("datetime64[m]") - days).astype(np.int64)
    return np.where(np.isnat(timestamps), np.nan, result.astype(np.float64))


def _codes(words: npt.NDArray[np.generic], vocabulary: Sequence[str]) -> npt.NDArray[np.float64]:
    code_of = {word: float(code) for code, word in enumerate(vocabulary)}
    other = float(len(vocabulary))
    return np.fromiter(
        (code_of.get(word, other) if isinstance(word, str) else np.nan for word in words),
        dtype=np.float64,
        count=len(words),
    )


_PLAN = TypeAdapter(FeaturePlan)


def plan_from_json(content: bytes) -> FeaturePlan:
    """Read a plan back from a model artefact.

    Raises
    ------
    IntegrityError
        If it is not a plan, or one whose meaning this code does not know.
    """
    try:
        plan = _PLAN.validate_json(content)
    except ValidationError as error:
        message = f"feature plan: expected a recorded plan, found something else ({error})"
        raise IntegrityError(message) from error
    categories = {feature.name for feature in plan.features if isinstance(feature, Category)}
    if categories != set(plan.vocabularies):
        message = (
            f"feature plan: expected vocabularies of {sorted(categories)}, found those of"
            f" {sorted(plan.vocabularies)}"
        )
        raise IntegrityError(message)
    if plan.semantics != SEMANTICS:
        message = (
            f"feature plan: this code computes features of semantics {SEMANTICS}, the plan needs"
            f" {plan.semantics}. Serve it with the ml_release that trained it, or retrain."
        )
        raise IntegrityError(message)
    return plan
