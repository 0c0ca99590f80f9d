"""A feature plan for one row: the same values as the vectorised path, without its arrays.

`ml_release.domain.features` says what a feature is, for columns; training, evaluation and batches
use it. This is the same for one row of a request, compiled once per loaded version. A property test
holds both to the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_release.domain.answering import RowByRow
from ml_release.domain.features import Calendar, Category, History
from ml_release.domain.history_table import KEY_SEPARATOR, escaped_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import FeaturePlan
    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.single_row import Cell, SingleRow

_NAN = math.nan


class PreparedRow(NamedTuple):
    """What a model is asked about one row.

    Attributes
    ----------
    readable
        Per feature the value the model sees; missing is None.
    encoded
        One row of the matrix the model was fitted on; missing is NaN.
    misses
        Look-ups of history features that met no key.
    """

    readable: dict[str, float | str | None]
    encoded: list[float]
    misses: int


class RowPlan:
    """A feature plan, compiled for rows of one signature.

    Most features are a value as it came, so those are taken all at once; what is computed is put
    into its place afterwards.
    """

    def __init__(self, plan: FeaturePlan) -> None:
        numbered = list(enumerate(plan.features))
        self._names = plan.names
        # A history feature has no column: `None` is its place until it is looked up.
        self._columns = ["" if isinstance(f, History) else f.column for f in plan.features]
        self._calendar = [
            (position, feature.column, feature.part == "weekday")
            for position, feature in numbered
            if isinstance(feature, Calendar)
        ]
        self._histories = [
            (position, feature.name, feature.keys)
            for position, feature in numbered
            if isinstance(feature, History)
        ]
        self._categories = [
            (position, *_codes(plan.vocabularies[feature.name]))
            for position, feature in numbered
            if isinstance(feature, Category)
        ]

    def prepare(self, row: SingleRow, history: HistoryTable | None) -> PreparedRow:
        """Readable values, their codes, and look-ups that met no key."""
        cells = row.cells
        # The signature says which type a cell has, and it is the one that the plan needs.
        values: list[Any] = list(map(cells.get, self._columns))
        misses = 0
        for position, _, is_weekday in self._calendar:
            moment: datetime | None = values[position]
            if moment is not None:
                values[position] = float(
                    moment.weekday() if is_weekday else moment.hour * 60 + moment.minute
                )
        for position, name, keys in self._histories:
            values[position], is_known = _looked_up(name, keys, cells, history)
            misses += not is_known
        readable = dict(zip(self._names, values, strict=True))
        for position, codes, other in self._categories:
            word = values[position]
            values[position] = None if word is None else codes.get(word, other)
        if None in values:
            values = [_NAN if value is None else value for value in values]
        return PreparedRow(readable, values, misses)


class RowModel:
    """A model that is asked row by row: `plan` prepares, `model` answers."""

    def __init__(self, model: RowByRow) -> None:
        self.plan = RowPlan(model.plan)
        self.model = model

    def predict(self, row: SingleRow, history: HistoryTable | None) -> tuple[PreparedRow, float]:
        """What the model was asked, and its answer."""
        prepared = self.plan.prepare(row, history)
        return prepared, self.model.predict_row(prepared.encoded)


def row_model_of(model: LoadedModel, signature: Signature) -> RowModel | None:
    """The model for single rows.

    None if it answers columns only, as one in a process of its own or one of several classes, or if
    the signature is not the one that its plan needs: such an artefact answers, or fails, by the
    vectorised path.
    """
    if not isinstance(model, RowByRow) or signature.classes:
        return None
    needed = {field.name: field.type for field in model.plan.request_fields()}
    found = {field.name: field.type for field in signature.inputs}
    return RowModel(model) if needed == found else None


def _codes(words: tuple[str, ...]) -> tuple[dict[str, float], float]:
    """Code per word, and the code of all others."""
    return {word: float(code) for code, word in enumerate(words)}, float(len(words))


def _looked_up(
    name: str, keys: tuple[str, ...], cells: Mapping[str, Cell], history: HistoryTable | None
) -> tuple[float | None, bool]:
    """The value of a history feature, None if it is missing, and whether its key is known."""
    if history is None:
        return None, False
    key = KEY_SEPARATOR.join(
        [escaped_part(cell) if isinstance(cell := cells[key], str) else "" for key in keys]
    )
    value = history.values.get(name, _NOTHING).get(key)
    is_known = value is not None
    if value is None:
        value = history.defaults.get(name)
    # Only NaN differs from itself.
    return (None if value is None or value != value else float(value)), is_known  # noqa: PLR0124


_NOTHING: Mapping[str, float] = {}
