"""What a partition's columns hold beside the partitions that passed, one row per column.

Nothing is judged and no distance is computed here: the distance of a column is the finding of the
gate that judged it. Where a profile has no number the row has none. Values of a column with
personal data are left out, since a quantile or a word of it is the data of one person.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.personal_data import KINDS, kinds_of_name, masked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.column_profile import ColumnProfile, PartitionProfile
    from ml_release.domain.verdict import Finding

QUANTILES = (0.1, 0.5, 0.9)
WORDS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of one column in a few numbers.

    Attributes
    ----------
    missing_share
        Share of all rows, 0 to 1; None where it was not counted.
    quantiles
        Of a number column, at `QUANTILES` of its known values (inverted CDF); else empty.
    words
        The most frequent words with their share of the known values, masked; of the label the
        share of 1; else empty.
    distinct
        How many different words; None of a number column, whose profile may hold quantiles only,
        and where the profile does not hold all words.
    """

    missing_share: float | None = None
    quantiles: tuple[float, ...] = ()
    words: tuple[tuple[str, float], ...] = ()
    distinct: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One column of a partition.

    Attributes
    ----------
    reference
        The same column in the partitions that passed, together.
    distance
        What the distribution gate found; None where it did not judge the column.
    personal
        Whether the column holds personal data, by its name or by what was found in it.
    """

    column: str
    here: Spread
    reference: Spread
    distance: Finding | None
    personal: bool


def profile_rows(
    profile: PartitionProfile | None,
    references: Sequence[PartitionProfile],
    findings: Sequence[Finding],
    *,
    columns: Sequence[str],
    target: str,
) -> tuple[ProfileRow, ...]:
    """One row per column of the table, and per column that was derived from one for its profile.

    Parameters
    ----------
    profile
        None: only what the findings say is known.
    findings
        Of the data gates on the partition: distances, missing shares of columns without a
        profile, and where personal data was found.
    columns
        In the order in which they are shown. A derived column follows the one whose name it
        begins with.
    target
        Column with the label.
    """
    profiled = {} if profile is None else profile.columns
    distances = {f.subject: f for f in findings if f.rule == "distributions_are_expected"}
    missing = {f.subject: f.observed for f in findings if f.rule == "nulls_are_within_limits"}
    personal = {f.subject for f in findings if f.rule == "no_personal_data"}
    rows = []
    for name in _in_order(columns, profiled):
        private = bool(kinds_of_name(name)) or any(f"{name}: {kind}" in personal for kind in KINDS)
        if name == target:
            here = _label_spread(() if profile is None else (profile,))
            reference = _label_spread(references)
        else:
            here = _spread([profiled[name]] if name in profiled else [], private=private)
            others = [other.columns[name] for other in references if name in other.columns]
            reference = _spread(others, private=private)
        if here.missing_share is None:
            here = replace(here, missing_share=missing.get(name))
        rows.append(
            ProfileRow(
                column=name,
                here=here,
                reference=reference,
                distance=distances.get(name),
                personal=private,
            )
        )
    return tuple(rows)


def _in_order(columns: Sequence[str], profiled: Mapping[str, ColumnProfile]) -> tuple[str, ...]:
    derived = [name for name in profiled if name not in columns]
    ordered: list[str] = []
    for column in columns:
        ordered += [column, *(name for name in derived if name.startswith(f"{column} "))]
    return tuple(dict.fromkeys((*ordered, *derived)))


def _label_spread(profiles: Sequence[PartitionProfile]) -> Spread:
    labelled = sum(profile.labelled for profile in profiles)
    if not labelled:
        return Spread()
    return Spread(words=(("label 1", sum(profile.positives for profile in profiles) / labelled),))


def _spread(profiles: Sequence[ColumnProfile], *, private: bool) -> Spread:
    """The spread of one column in several partitions together."""
    known = sum(profile.known for profile in profiles)
    missing = sum(profile.missing for profile in profiles)
    share = missing / (known + missing) if known + missing else None
    if not known or private:
        return Spread(missing_share=share)
    if any(profile.words is not None for profile in profiles):
        total: Counter[str] = Counter()
        for profile in profiles:
            total.update(profile.words or {})
        top = sorted(total, key=lambda word: (-total[word], word))[:WORDS_SHOWN]
        return Spread(
            missing_share=share,
            words=tuple((masked(word), total[word] / known) for word in top),
            distinct=None if any(profile.other for profile in profiles) else len(total),
        )
    values = np.concatenate([np.array(profile.values) for profile in profiles])
    weights = np.concatenate([np.array(profile.weights) for profile in profiles])
    found = np.quantile(values, QUANTILES, weights=weights, method="inverted_cdf")
    return Spread(missing_share=share, quantiles=tuple(float(value) for value in found))
