"""A feature plan for one row: the same values as the vectorised path, without its arrays.

`ml_release.domain.features` says what a feature is, for columns; training, evaluation and batches
use it. This is the same for one row of a request, compiled once per loaded version. A property test
holds both to the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ml_release.domain.answering import MatrixModel
from ml_release.domain.features import Calendar, Category, Number
from ml_release.domain.history_table import KEY_SEPARATOR, escaped_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import Feature, FeaturePlan
    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.single_row import Cell, SingleRow


class PreparedRow(NamedTuple):
    """What a model is asked about one row.

    Attributes
    ----------
    readable
        Per feature the value the model sees; missing is None.
    encoded
        One row of the matrix the model was fitted on.
    misses
        Look-ups of history features that met no key.
    """

    readable: dict[str, float | str | None]
    encoded: list[float]
    misses: int


class _Step(NamedTuple):
    kind: Literal["number", "category", "weekday", "minute_of_day", "history"]
    name: str
    column: str
    keys: tuple[str, ...] = ()
    codes: Mapping[str, float] = {}
    other: float = 0.0


class RowPlan:
    """A feature plan, compiled for rows of one signature."""

    def __init__(self, plan: FeaturePlan) -> None:
        self._steps = tuple(_step(plan, feature) for feature in plan.features)

    def prepare(self, row: SingleRow, history: HistoryTable | None) -> PreparedRow:
        """Readable values, their codes, and look-ups that met no key."""
        cells = row.cells
        readable: dict[str, float | str | None] = {}
        encoded: list[float] = []
        misses = 0
        for kind, name, column, keys, codes, other in self._steps:
            cell: Cell
            if kind == "number":
                number: float = cells[column]  # type: ignore[assignment]  # as the signature says
            elif kind == "category":
                cell = cells[column]
                readable[name] = cell  # type: ignore[assignment]  # as above
                encoded.append(math.nan if cell is None else codes.get(cell, other))  # type: ignore[arg-type]
                continue
            elif kind == "history":
                number, is_known = _looked_up(name, keys, cells, history)
                misses += not is_known
            else:
                cell = cells[column]
                if cell is None:
                    number = math.nan
                elif kind == "weekday":
                    number = float(cell.weekday())  # type: ignore[union-attr]  # as above
                else:
                    number = float(cell.hour * 60 + cell.minute)  # type: ignore[union-attr]  # as above
            # Only NaN differs from itself; JSON has none.
            readable[name] = number if number == number else None  # noqa: PLR0124
            encoded.append(number)
        return PreparedRow(readable, encoded, misses)


class RowModel:
    """A model that is asked row by row."""

    def __init__(self, model: MatrixModel) -> None:
        self._plan = RowPlan(model.plan)
        self._model = model

    def predict(
        self, row: SingleRow, history: HistoryTable | None
    ) -> tuple[PreparedRow, npt.NDArray[np.float64]]:
        """What the model was asked, and its answer of shape (1,)."""
        prepared = self._plan.prepare(row, history)
        return prepared, self._model.predict_matrix(np.array([prepared.encoded]))


def row_model_of(model: LoadedModel, signature: Signature) -> RowModel | None:
    """The model for single rows.

    None if it answers columns only, as one in a process of its own, or if the signature is not the
    one that its plan needs: such an artefact answers, or fails, by the vectorised path.
    """
    if not isinstance(model, MatrixModel):
        return None
    needed = {field.name: field.type for field in model.plan.request_fields()}
    found = {field.name: field.type for field in signature.inputs}
    return RowModel(model) if needed == found else None


def _step(plan: FeaturePlan, feature: Feature) -> _Step:
    if isinstance(feature, Number):
        return _Step("number", feature.name, feature.column)
    if isinstance(feature, Category):
        words = plan.vocabularies[feature.name]
        codes = {word: float(code) for code, word in enumerate(words)}
        return _Step("category", feature.name, feature.column, (), codes, float(len(words)))
    if isinstance(feature, Calendar):
        return _Step(feature.part, feature.name, feature.column)
    return _Step("history", feature.name, "", feature.keys)


def _looked_up(
    name: str, keys: tuple[str, ...], cells: Mapping[str, Cell], history: HistoryTable | None
) -> tuple[float, bool]:
    """The value of a history feature, and whether its key is known."""
    if history is None:
        return math.nan, False
    key = KEY_SEPARATOR.join(
        escaped_part(cell) if isinstance(cell := cells[key], str) else "" for key in keys
    )
    value = history.values.get(name, {}).get(key)
    if value is not None:
        return float(value), True
    default = history.defaults.get(name)
    return math.nan if default is None else float(default), False
