"""Measure how well each single column separates the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml_release.domain.column_auc import auc_of_groups, auc_of_samples
from ml_release.domain.gates_leakage import ColumnAuc
from ml_release.workflows.columns import numbers_of
from ml_release.workflows.row_examples import row_example
from ml_release.workflows.word_columns import coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.word_columns import Codes, WordColumn

    Floats = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.number]
    Mask = npt.NDArray[np.bool_]


def count_aucs(
    line: ReleaseLine, rows: pd.DataFrame, labels: Floats, words: Mapping[str, WordColumn]
) -> tuple[ColumnAuc, ...]:
    """The AUC of every column but target and event time, and of its being missing.

    A category is scored by the share of label 1 that its word has in the even rows, and judged on
    the odd rows: a word's own label never speaks for itself.
    """
    known = np.isfinite(labels)
    odd = np.zeros(len(rows), dtype=np.bool_)
    odd[1::2] = True
    counter = _Counter(
        line=line,
        rows=rows,
        positive=known & (labels > 0),
        negative=known & (labels <= 0),
        odd=odd,
    )
    return tuple(counter.aucs(words))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    """The rows of either label, shape (n,) each, and what is counted on them."""

    line: ReleaseLine
    rows: pd.DataFrame
    positive: Mask
    negative: Mask
    odd: Mask

    def aucs(self, words: Mapping[str, WordColumn]) -> Iterator[ColumnAuc]:
        left_out = {self.line.target, self.line.event_time, self.line.event_day}
        for name in map(str, self.rows.columns):
            if name in left_out:
                continue
            column = self.rows[name]
            numbers = None if name in words else _numbers(column)
            if numbers is not None:
                missing = column.isna().to_numpy()
                yield self._of_numbers(name, numbers)
            else:
                held = words[name] if name in words else coded(column.astype(object))
                missing = held.codes < 0
                yield self._of_words(name, held)
            if missing.any():
                yield self._of_missing(name, missing)

    def _of_numbers(self, name: str, numbers: Numbers) -> ColumnAuc:
        known = np.isfinite(numbers)
        positives = numbers[self.positive & known]
        negatives = numbers[self.negative & known]
        return self._auc(
            name,
            "value",
            auc_of_samples(positives, negatives),
            (len(positives), len(negatives)),
            lambda: np.where(known, numbers, np.nan),
        )

    def _of_words(self, name: str, held: WordColumn) -> ColumnAuc:
        positives, negatives = (
            (_per_word(held, label & ~self.odd), _per_word(held, label & self.odd))
            for label in (self.positive, self.negative)
        )
        learned = positives[0] + negatives[0]
        overall = positives[0].sum() / max(1, learned.sum())
        share = np.where(learned > 0, positives[0] / np.maximum(learned, 1), overall)
        return self._auc(
            name,
            "share of label 1 per word",
            auc_of_groups(share, positives[1], negatives[1]),
            (int(positives[1].sum()), int(negatives[1].sum())),
            lambda: np.where(self.odd, share[held.codes], np.nan),
        )

    def _of_missing(self, name: str, missing: Mask) -> ColumnAuc:
        positives, negatives = (
            np.array([np.count_nonzero(label & ~missing), np.count_nonzero(label & missing)])
            for label in (self.positive, self.negative)
        )
        return self._auc(
            name,
            "is missing",
            auc_of_groups(np.array([0.0, 1.0]), positives, negatives),
            (int(positives.sum()), int(negatives.sum())),
            lambda: missing.astype(np.float64),
        )

    def _auc(
        self,
        name: str,
        how: str,
        area: float,
        per_label: tuple[int, int],
        score: Callable[[], Floats],
    ) -> ColumnAuc:
        """``score``: of each row, shape (n,), NaN where it was not used."""
        larger = max(area, 1 - area) if np.isfinite(area) else None
        example = ""
        if (
            larger is not None
            and larger > self.line.policies.data_gates.leakage.single_auc_limit_score
        ):
            scores = np.where(self.positive | self.negative, score(), np.nan)
            extreme = np.nanmax(scores) if area > 1 - area else np.nanmin(scores)
            key = row_example(self.line, self.rows, scores == extreme)
            example = f"the end where label 1 is: for example {key}"
        return ColumnAuc(
            column=name,
            how=how,
            auc_score=larger,
            positives=per_label[0],
            negatives=per_label[1],
            example=example,
        )


def _per_word(held: WordColumn, chosen: Mask) -> npt.NDArray[np.int64]:
    """Chosen rows per value, shape (k + 1,); the last are those without a value."""
    codes: Codes = held.codes[chosen]
    counts = np.bincount(codes[codes >= 0], minlength=len(held.words))
    return np.append(counts, len(codes) - counts.sum())


def _numbers(column: pd.Series) -> Numbers | None:
    if column.dtype.kind == "M":
        moments = column.to_numpy(dtype="datetime64[us]")
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    return numbers_of(column) if pd.api.types.is_numeric_dtype(column) else None
