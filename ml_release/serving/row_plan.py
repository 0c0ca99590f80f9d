"""A feature plan for one row: the same values as the vectorised path, without its arrays.

`ml_release.domain.features` says what a feature is, for columns; training, evaluation and batches
use it. This is the same for one row of a request, compiled once per loaded version. A property test
holds both to the same bits.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ml_release.domain.answering import RowByRow, RowsTogether
from ml_release.domain.features import Calendar, Category, History
from ml_release.domain.history_table import KEY_SEPARATOR, escaped_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import FeaturePlan
    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.single_row import Cell, SingleRow

    Key = Cell | tuple[Cell, ...]
    _LookUp = tuple[
        int,
        Callable[[Mapping[str, Cell]], Key],
        Callable[[Key], tuple[float | None, bool]],
    ]

_NAN = math.nan
_KEPT = 4096
"""Look-ups per history feature that are kept: joining and escaping a key takes longer."""


class PreparedRow(msgspec.Struct, frozen=True, gc=False):
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


class _LookingUp(NamedTuple):
    """How history features are looked up in one table."""

    history: HistoryTable | None
    look_ups: tuple[_LookUp, ...]


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
            (position, feature.name, itemgetter(*feature.keys))
            for position, feature in numbered
            if isinstance(feature, History)
        ]
        self._categories = [
            (position, *_codes(plan.vocabularies[feature.name]))
            for position, feature in numbered
            if isinstance(feature, Category)
        ]
        self._looking_up: _LookingUp | None = None

    def prepare(self, row: SingleRow, history: HistoryTable | None) -> PreparedRow:
        """Readable values, their codes, and look-ups that met no key."""
        cells = row.cells
        # The signature says which type a cell has, and it is the one that the plan needs.
        values: list[Any] = list(map(cells.get, self._columns))
        for position, _, is_weekday in self._calendar:
            moment: datetime | None = values[position]
            if moment is not None:
                values[position] = float(
                    moment.weekday() if is_weekday else moment.hour * 60 + moment.minute
                )
        misses = 0
        for position, key_of, look_up in self._look_ups(history):
            values[position], is_known = look_up(key_of(cells))
            misses += not is_known
        readable = dict(zip(self._names, values, strict=True))
        for position, codes, other in self._categories:
            values[position] = codes.get(values[position], other)
        if None in values:
            values = [_NAN if value is None else value for value in values]
        return PreparedRow(readable, values, misses)

    def _look_ups(self, history: HistoryTable | None) -> tuple[_LookUp, ...]:
        """Per history feature its place, what it is looked up by, and how, in this table."""
        known = self._looking_up
        if known is None or known.history is not history:
            known = _LookingUp(
                history,
                tuple(
                    (position, key_of, lru_cache(_KEPT)(partial(_looked_up, name, history)))
                    for position, name, key_of in self._histories
                ),
            )
            self._looking_up = known
        return known.look_ups


class RowModel:
    """A model that is asked row by row: `plan` prepares, `model` answers.

    Attributes
    ----------
    together
        The same model if it may be asked several rows at a time, otherwise None.
    """

    def __init__(self, model: RowByRow) -> None:
        self.plan = RowPlan(model.plan)
        self.model = model
        self.together = model if isinstance(model, RowsTogether) else None

    def predict(self, row: SingleRow, history: HistoryTable | None) -> tuple[PreparedRow, float]:
        """What the model was asked, and its answer."""
        prepared = self.plan.prepare(row, history)
        return prepared, self.model.predict_row(prepared.encoded)

    def predict_rows(
        self, rows: Sequence[SingleRow], history: HistoryTable | None
    ) -> list[tuple[PreparedRow, float]]:
        """As `predict` of each row; with one question to the model if it may be asked so."""
        if self.together is None:
            return [self.predict(row, history) for row in rows]
        prepared = [self.plan.prepare(row, history) for row in rows]
        answers = self.together.predict_rows([one.encoded for one in prepared])
        return list(zip(prepared, answers, strict=True))


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


def _codes(words: tuple[str, ...]) -> tuple[dict[str | None, float | None], float]:
    """Code per word, missing for a missing one, and the code of all others."""
    return {None: None, **{word: float(code) for code, word in enumerate(words)}}, float(len(words))


def _looked_up(name: str, history: HistoryTable | None, key: Key) -> tuple[float | None, bool]:
    """The value of a history feature, None if it is missing, and whether its key is known.

    Parameters
    ----------
    key
        One cell, or as many as the feature has keys.
    """
    if history is None:
        return None, False
    parts = key if isinstance(key, tuple) else (key,)
    joined = KEY_SEPARATOR.join(
        [escaped_part(part) if isinstance(part, str) else "" for part in parts]
    )
    value = history.values.get(name, _NOTHING).get(joined)
    is_known = value is not None
    if value is None:
        value = history.defaults.get(name)
    # Only NaN differs from itself.
    return (None if value is None or value != value else float(value)), is_known  # noqa: PLR0124


_NOTHING: Mapping[str, float] = {}
