"""Whether two models lean on the same features, by the order of their importances.

A retrained model that is as good as its champion for other reasons deserves a look. What counts as
too different, and how importance is measured, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MINIMUM_NAMES = 3
"""With two features a rank correlation can only be 1 or -1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankStability:
    """The order of importances in two models.

    Attributes
    ----------
    correlation
        Spearman's, over the names both have, ties at their mean rank. Range -1 to 1; NaN with
        fewer than three such names, or where one model gives all of them the same importance.
    top_k_kept
        Share of the first model's ``k`` most important features among the second's. Range 0 to 1;
        NaN where ``k`` is not below the number of features of either: then there is no choice.
    k
        How many were compared.
    n
        Names in both.
    only_first, only_second
        Names the other model lacks, sorted. One among the first's top counts as not kept.
    """

    correlation: float
    top_k_kept: float
    k: int
    n: int
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def rank_stability(
    first: Mapping[str, float], second: Mapping[str, float], *, k: int
) -> RankStability:
    """Compare two importance vectors by name; Spearman (1904), American J. of Psychology 15(1).

    Parameters
    ----------
    first, second
        Feature name to importance, greater is more; signed effects are given as absolute values.
        NaN stands for an importance that is not known, and makes both numbers NaN.
    k
        Size of the top to compare, at least 1. Equal importances are taken by name.

    Raises
    ------
    InputError
        If ``k`` is below 1.

    >>> champion = {"distance": 0.5, "hour": 0.3, "carrier": 0.2, "month": 0.1}
    >>> found = rank_stability(champion, champion | {"hour": 0.05}, k=2)
    >>> round(found.correlation, 3), found.top_k_kept
    (0.4, 0.5)
    """
    if k < 1:
        message = f"rank stability: expected a top of at least 1 feature, found k = {k}"
        raise InputError(message)
    names = sorted(first.keys() & second.keys())
    known = bool(np.isfinite([*first.values(), *second.values()]).all())
    chosen = known and k < min(len(first), len(second))
    kept = len(_top(first, k) & _top(second, k)) / k if chosen else float("nan")
    return RankStability(
        correlation=_spearman(first, second, names) if known else float("nan"),
        top_k_kept=kept,
        k=k,
        n=len(names),
        only_first=tuple(sorted(first.keys() - second.keys())),
        only_second=tuple(sorted(second.keys() - first.keys())),
    )


def _top(importances: Mapping[str, float], k: int) -> set[str]:
    return set(sorted(importances, key=lambda name: (-importances[name], name))[:k])


def _spearman(first: Mapping[str, float], second: Mapping[str, float], names: list[str]) -> float:
    from scipy.stats import rankdata

    if len(names) < MINIMUM_NAMES:
        return float("nan")
    ranks = np.array([rankdata([of[name] for name in names]) for of in (first, second)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])
