"""A release line: what a user writes to get a model from data to production and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from ml_release.domain.features import Category, Feature, History
from ml_release.domain.masking import Mask
from ml_release.domain.model_card import CardNotes
from ml_release.domain.search_objectives import Task
from ml_release.domain.training_plan import whole_days
from ml_release.errors import DeclarationError
from ml_release.spec.label_source import LabelSource
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.line_problems import problems_of
from ml_release.spec.policies import Policies, error_rows
from ml_release.spec.search_space import SearchRange

if TYPE_CHECKING:
    import pandas as pd


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
    text_columns
        Columns of the snapshot that hold free text, to be watched for shifts; no features. A
        bounded sample of them travels inside each version's artefact, so they may hold nothing
        personal.
    personal
        Request column to how it is masked in the inference log, with every feature made of it:
        ``hash`` keeps equality, ``drop`` nothing. Skew and drift of what is masked cannot be told.
    build_estimator
        Parameters and seed to an unfitted estimator.
    parameters, search_space
        Parameters of the estimator, and what a search may try instead of some of them. It begins
        with the declared ones, so each of those lies inside its range.
    card
        What only the author can say in the model card; the rest of it is measured.
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
    text_columns: tuple[str, ...] = ()
    personal: Mapping[str, Mask] = Field(default_factory=dict)
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    build_estimator: Callable[[Mapping[str, Any], int], Any]
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    search_space: Mapping[str, SearchRange] = Field(default_factory=dict)
    seed: int = 0
    output: str = "probability"
    card: CardNotes = Field(default_factory=CardNotes)
    policies: Policies

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        problems = problems_of(self)
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

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
