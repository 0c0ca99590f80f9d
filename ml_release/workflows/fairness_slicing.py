"""Served rows by the values of a column, told apart as the evaluation of their version did."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import Number
from ml_release.domain.slice_scores import MISSING, Slicing
from ml_release.workflows.quality_evidence import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ml_release.domain.evaluation_measures import FairnessOfColumn, SliceMeasure
    from ml_release.spec.release_line import ReleaseLine

    Objects = npt.NDArray[np.object_]

_BETWEEN = " to "


def group_slicing(
    line: ReleaseLine, column: str, values: Objects, baseline: Sequence[FairnessOfColumn]
) -> Slicing:
    """Groups of people: every word is one, of numbers the quarters of the evaluation.

    A hashed column keeps its groups, under other names.
    """
    known = [
        name
        for one in baseline
        if one.column == column
        for name in (*one.compared, *one.left_out)
        if name is not None
    ]
    if _holds_numbers(line, column):
        return _quarters(column, values, tuple(dict.fromkeys(known)))
    counts = Counter(word for word in values if isinstance(word, str))
    names = tuple(sorted(counts, key=lambda word: (-counts[word], word)))
    code_of = {name: code for code, name in enumerate(names)}
    return Slicing(
        column=column,
        codes=np.array([code_of.get(word, MISSING) for word in values], dtype=np.intp),
        names=names,
    )


def slice_slicing(
    line: ReleaseLine, column: str, values: Objects, baseline: Sequence[SliceMeasure]
) -> Slicing:
    """The slices of the evaluation; a word that had none of its own is any other."""
    names = tuple(one.value for one in baseline if one.column == column and one.value is not None)
    if _holds_numbers(line, column):
        return _quarters(column, values, names)
    code_of = {name: code for code, name in enumerate(names)}
    # A word the evaluation never saw is no slice of it, and no missing value either.
    other = code_of.setdefault(OTHER, len(names))
    codes = [code_of.get(word, other) if isinstance(word, str) else MISSING for word in values]
    return Slicing(column=column, codes=np.array(codes, dtype=np.intp), names=tuple(code_of))


def _holds_numbers(line: ReleaseLine, column: str) -> bool:
    return any(isinstance(one, Number) and one.column == column for one in line.features)


def _quarters(column: str, values: Objects, names: tuple[str, ...]) -> Slicing:
    """By the edges that the names of the evaluation's quarters tell, to four digits."""
    edges = sorted(
        {float(name.split(_BETWEEN)[1]) for name in names if not name.endswith("above")}
        | {float(name.split(_BETWEEN)[0]) for name in names if not name.startswith("below")}
    )
    ends = ["below", *(f"{edge:.4g}" for edge in edges), "above"]
    numbers = np.array(
        [np.nan if value is None else float(value) for value in values], dtype=np.float64
    )
    codes = np.searchsorted(np.array(edges), numbers, side="right").astype(np.intp)
    return Slicing(
        column=column,
        codes=np.where(np.isfinite(numbers), codes, MISSING),
        names=tuple(f"{low}{_BETWEEN}{high}" for low, high in pairwise(ends)),
    )
