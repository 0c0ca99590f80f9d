"""A release line: what a user writes to get a model from data to production and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from ml_release.domain.features import Category, Feature, History, Number, request_fields
from ml_release.domain.gates_quality import ERRORS
from ml_release.domain.identity import check_line_name
from ml_release.domain.search_objectives import Task, objectives_of
from ml_release.domain.training_plan import whole_days
from ml_release.errors import DeclarationError, InputError
from ml_release.spec.label_source import LabelSource
from ml_release.spec.policies import Policies, error_rows
from ml_release.spec.search_space import SearchRange

if TYPE_CHECKING:
    import pandas as pd

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class LandingSource(BaseModel):
    """Where raw rows arrive, relative to the landing zone.

    Attributes
    ----------
    rows
        Path of one partition's rows with ``{partition}`` in it once, as
        ``flights/{partition}.parquet``.
    companions
        Tables the rows are joined with: name to path.
    first_partition, last_partition
        Months, as ``2013-01``; ``last_partition`` None means that they go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str
    companions: Mapping[str, str] = Field(default_factory=dict)
    first_partition: str
    last_partition: str | None = None

    @model_validator(mode="after")
    def _names_partitions(self) -> Self:
        problems = []
        if self.rows.count("{partition}") != 1:
            problems.append(f"rows: expected {{partition}} once in the path, found {self.rows!r}")
        problems += [
            f"partition {month!r}: expected a month as 2013-01"
            for month in (self.first_partition, self.last_partition)
            if month is not None and not _MONTH.fullmatch(month)
        ]
        if not problems and (self.last_partition or self.first_partition) < self.first_partition:
            problems.append(
                f"last_partition: expected {self.first_partition} or later, found"
                f" {self.last_partition}"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def with_earlier(self, partition: str, *, count: int) -> tuple[str, ...]:
        """A partition, last, with up to ``count`` declared ones before it.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.with_earlier("2013-03", count=1)
        ('2013-02', '2013-03')
        >>> source.with_earlier("2013-01", count=1)
        ('2013-01',)
        """
        last = _number(partition)
        names = [_month(number) for number in range(last - count, last + 1)]
        return tuple(name for name in names if name >= self.first_partition)

    def between(self, first: str, last: str) -> tuple[str, ...]:
        """Every month from ``first`` to ``last``, both included.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.between("2013-11", "2014-01")
        ('2013-11', '2013-12', '2014-01')
        """
        return tuple(_month(number) for number in range(_number(first), _number(last) + 1))

    def following(self, partition: str) -> str:
        """The month after a partition.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.following("2013-12")
        '2014-01'
        """
        return _month(_number(partition) + 1)


def _number(partition: str) -> int:
    if not _MONTH.fullmatch(partition):
        message = f"partition {partition!r}: expected a month as 2013-01"
        raise InputError(message)
    year, month = partition.split("-")
    return int(year) * 12 + int(month) - 1


def _month(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


class ReleaseLine(BaseModel):
    """One product of models: its data, features, training, gates and monitors.

    The functions are called only when needed and import their heavy libraries inside, so that
    loading a line costs nothing.

    Attributes
    ----------
    assemble
        Raw tables (``rows`` and the companions) to one table with the keys, times, target and
        every column the features need.
    column_sources
        Column of the snapshot to the landed columns whose values it is made of, each as
        ``table.column`` with ``rows`` or a companion for the table. Columns that rows are only
        joined by do not count. It is shown, not checked; the sources of a column that is not
        named are unknown.
    schema_of
        Makes the pandera schema that a snapshot has to keep.
    keys
        Columns that together name one row.
    event_time
        Column with the moment of the event, UTC.
    event_day
        Column with the local time whose date is the day of the event.
    time_zone
        Where that local time is, by its IANA name, as ``America/New_York``: days of served events
        are counted in it too.
    task
        What the estimator answers: ``classification`` with the probability of label 1,
        ``regression`` with a value in the unit of the label.
    target
        Column with the label: 1, 0 or missing for a classifier, a finite number or missing for a
        regressor.
    label_delay
        Time from the event until its label is known.
    labels
        Where labels of served requests come from besides the labels route; None for nowhere else.
    favourable
        Which label is good for the person or thing concerned; of a classifier only.
    build_estimator
        Parameters and seed to an unfitted estimator.
    parameters, search_space
        Parameters of the estimator, and what a search may try instead of some of them. It begins
        with the declared ones, so each of those lies inside its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    objective: str
    owner: str
    landing: LandingSource
    assemble: Callable[[Mapping[str, Any]], Any]
    column_sources: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    schema_of: Callable[[], Any]
    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    event_time: str
    event_day: str
    time_zone: str = "UTC"
    task: Task = "classification"
    target: str
    label_delay: timedelta
    labels: LabelSource | None = None
    favourable: Annotated[int, Field(ge=0, le=1)] | None = None
    slices: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    build_estimator: Callable[[Mapping[str, Any], int], Any]
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    search_space: Mapping[str, SearchRange] = Field(default_factory=dict)
    seed: int = 0
    output: str = "probability"
    policies: Policies

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        problems: list[str] = []
        fields: set[str] = set()
        try:
            check_line_name(self.name)
        except DeclarationError as error:
            problems.append(str(error))
        try:
            fields = {field.name for field in request_fields(self.features)}
        except DeclarationError as error:
            problems.append(str(error))
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, ZoneInfoNotFoundError):
            problems.append(f"time zone {self.time_zone!r}: expected one as America/New_York")
        if self.target in fields:
            problems.append(f"the target {self.target!r} is used as a feature")
        if self.labels is not None:
            columns = self.labels.columns(self.keys)
            twice = sorted({name for name in columns if columns.count(name) > 1})
            if twice:
                problems.append(f"labels: columns of the files are keys as well: {twice}")
        names = {feature.name for feature in self.features}
        unknown = sorted(set(self.policies.drift.muted) - names)
        if unknown:
            problems.append(
                f"policy drift.muted names no feature: {unknown}; known: {sorted(names)}"
            )
        missing = sorted(set(self.slices) - fields) if fields else []
        if missing:
            problems.append(f"slices are no request columns: {missing}; known: {sorted(fields)}")
        problems += [
            *self._source_problems(),
            *self._task_problems(),
            *self._search_problems(),
            *self._evaluation_problems(),
        ]
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def _source_problems(self) -> list[str]:
        """What is wrong with the declared sources of columns."""
        tables = ["rows", *sorted(self.landing.companions)]
        problems = []
        for column, sources in self.column_sources.items():
            for source in sources:
                table, _, name = source.partition(".")
                if table not in tables or not name:
                    problems.append(
                        f"column_sources.{column}: expected table.column with a table of {tables},"
                        f" found {source!r}"
                    )
            if not sources or len(set(sources)) < len(sources):
                problems.append(
                    f"column_sources.{column}: expected one source or more, each once, found"
                    f" {list(sources)}. Leave out a column whose sources are not known"
                )
        return problems

    def _task_problems(self) -> list[str]:
        """What does not fit what the estimator answers."""
        problems = []
        training = self.policies.training
        if self.task == "classification" and self.favourable is None:
            problems.append("favourable: expected 0 or 1 for a classifier, found none")
        if self.task == "regression" and self.favourable is not None:
            problems.append(f"favourable: expected none for a regressor, found {self.favourable}")
        if training.search_objective not in objectives_of(self.task):
            problems.append(
                f"policy training.search_objective: expected one of {self.task},"
                f" {list(objectives_of(self.task))}, found {training.search_objective!r}"
            )
        if training.calibration != "none" and self.task != "classification":
            problems.append(
                f"policy training.calibration: expected none for a regressor, found"
                f" {training.calibration!r}"
            )
        return problems

    def _evaluation_problems(self) -> list[str]:
        """What the evaluation gates are asked for that fits neither task nor features."""
        problems = []
        evaluation = self.policies.evaluation
        quality, is_regressor = evaluation.quality, self.task == "regression"
        of_regressors = {quality.primary, *quality.ceilings} & set(ERRORS)
        of_classifiers = {quality.primary, *quality.floors, *quality.ceilings} - set(ERRORS)
        if is_regressor and of_classifiers:
            problems.append(
                f"policy evaluation.quality: expected errors of {list(ERRORS)} for a regressor,"
                f" found {sorted(of_classifiers)}"
            )
        if not is_regressor and of_regressors:
            problems.append(
                "policy evaluation.quality: expected scores and losses of a classifier, found"
                f" {sorted(of_regressors)}"
            )
        if is_regressor and (evaluation.fairness or quality.calibration_error_limit is not None):
            problems.append(
                "policy evaluation: expected neither fairness nor calibration_error_limit for a"
                " regressor, which decides nothing and answers no probabilities"
            )
        if evaluation.fairness and not self.sensitive:
            problems.append("policy evaluation.fairness: expected sensitive columns, found none")
        if evaluation.slices and not self.slices:
            problems.append("policy evaluation.slices: expected columns to slice by, found none")
        carried = {f.column for f in self.features if isinstance(f, Category | Number)}
        lacking = sorted({*self.slices, *self.sensitive} - carried)
        if lacking:
            problems.append(
                f"slices and sensitive: expected columns of a Number or Category feature, found"
                f" {lacking}"
            )
        names = {feature.name for feature in self.features}
        for test in evaluation.behaviour.tests:
            unknown = sorted(set(test.features) - names)
            if unknown:
                problems.append(
                    f"policy evaluation.behaviour {test.name!r} names no feature: {unknown};"
                    f" known: {sorted(names)}"
                )
        core = sorted(set(evaluation.attribution.core_features) - names)
        if core:
            problems.append(
                f"policy evaluation.attribution.core_features names no feature: {core}; known:"
                f" {sorted(names)}"
            )
        return problems

    def _search_problems(self) -> list[str]:
        """What is wrong with the search space and the folds it is tried on."""
        problems = []
        unknown = sorted(set(self.search_space) - set(self.parameters))
        if unknown:
            problems.append(
                f"search_space names no parameter: {unknown}; known: {sorted(self.parameters)}"
            )
        problems += [
            f"search_space.{name}: expected the declared value inside it, found"
            f" {self.parameters[name]!r}"
            for name, range_ in self.search_space.items()
            if name in self.parameters and not range_.holds(self.parameters[name])
        ]
        training = self.policies.training
        if training.search_trials and not self.search_space:
            problems.append(
                f"policy training.search_trials: expected a search_space for"
                f" {training.search_trials} trials, found none"
            )
        delay = whole_days(self.label_delay)
        if training.embargo_days is not None and training.embargo_days < delay:
            problems.append(
                f"policy training.embargo_days: expected the label delay of {delay} days or more,"
                f" found {training.embargo_days}"
            )
        return problems

    # Below the other validator, so that it is around it.
    @model_validator(mode="wrap")
    @classmethod
    def _report_together(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 (pydantic)
        try:
            return validate(values)
        except ValidationError as error:
            message = f"release line: the declaration is not valid.\n{error_rows(error)}"
            raise DeclarationError(message) from error

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the category features."""
        return tuple(feature.name for feature in self.features if isinstance(feature, Category))

    @property
    def embargo_days(self) -> int:
        """Days between the training and the validation rows of a fold."""
        declared = self.policies.training.embargo_days
        return whole_days(self.label_delay) if declared is None else declared

    @property
    def lookback_partitions(self) -> int:
        """How many months before a partition its history features look back into."""
        longest = max((f.window_days for f in self.features if isinstance(f, History)), default=0)
        # The shortest month has 28 days.
        return -(-longest // 28)

    def assemble_rows(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """`assemble`, typed."""
        rows: pd.DataFrame = self.assemble(tables)
        return rows
