"""Flights as a monitor would have met them: references, held-out windows, random windows.

Every row is scored by a model that was not fitted on the days around it: gradient boosting with
the line's own parameters, fitted on the other fortnights of the same three months. A reference is
made as training makes it, of the days that are not held out, the last 18 of them as its holdout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_release.adapters.in_memory import InMemoryEvidence, InMemoryTables
from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.drift_departure import WindowCounts
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.holdout_profile import with_holdout
from ml_release.domain.reference_profile import SCORE, NumberFacts, fit_profile, number_facts
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.columns import days_of, floats_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE, build_features
from ml_release.workflows.snapshots import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.domain.reference_profile import ReferenceProfile

    Floats = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

DATA = Path(__file__).parents[1] / "data"
HOLDOUT_DAYS = LINE.policies.evaluation.holdout_days


@dataclass(frozen=True, kw_only=True)
class Period:
    """Three months of flights, each row scored by a model that does not know its days.

    Attributes
    ----------
    day
        Of each row, counted from the first day of the period.
    scores
        Out-of-fold probability of each row.
    fold
        Which of ``models`` that was, one per row.
    """

    name: str
    values: Columns
    dates: npt.NDArray[np.datetime64]
    day: Rows
    target: Floats
    scores: Floats
    fold: Rows
    models: Sequence[tuple[FeaturePlan, Any]] = field(repr=False)

    @property
    def days(self) -> int:
        """How many days."""
        return int(self.day.max()) + 1

    def rows(self, first: int, last: int) -> Rows:
        """Rows from one day on and before another."""
        return np.flatnonzero((self.day >= first) & (self.day < last))

    def answers(self, rows: Rows, changed: Mapping[str, npt.NDArray[np.generic]]) -> Floats:
        """What the models say of rows some of whose values are changed; of shape ``rows``."""
        if not changed:
            return self.scores[rows]
        found = np.empty(len(rows))
        for number, (plan, model) in enumerate(self.models):
            own = np.flatnonzero(self.fold[rows] == number)
            if len(own):
                values = {
                    name: changed[name][own] if name in changed else column[rows[own]]
                    for name, column in self.values.items()
                }
                found[own] = model.predict_proba(encode(plan, values))[:, 1]
        return found

    def reference(self, held_out: Rows) -> ReferenceProfile:
        """The profile of all days but those held out."""
        kept = np.setdiff1d(np.arange(len(self.day)), held_out, assume_unique=True)
        holdout = kept[self.day[kept] >= np.unique(self.day[kept])[-HOLDOUT_DAYS]]
        return with_holdout(
            fit_profile({k: v[kept] for k, v in self.values.items()}, self.dates[kept]),
            values={k: v[holdout] for k, v in self.values.items()},
            days=self.dates[holdout],
            target=self.target[holdout],
            scores=self.scores[holdout],
            is_probability=True,
        )

    def window(
        self,
        rows: Rows,
        profile: ReferenceProfile,
        *,
        changed: Mapping[str, npt.NDArray[np.generic]] | None = None,
    ) -> WindowCounts:
        """Rows as the monitor counts them, some of their values changed."""
        changed = changed or {}
        values = {
            name: changed[name] if name in changed else column[rows]
            for name, column in self.values.items()
        }
        assert profile.score is not None  # noqa: S101 (made with a holdout)
        counts = {name: bins.count(values[name]) for name, bins in profile.bins.items()}
        counts[SCORE] = profile.score.bins.count(self.answers(rows, changed))
        return WindowCounts(
            days=len(np.unique(self.day[rows])),
            counts=counts,
            numbers={
                name: _facts(values[name].astype(np.float64), known)
                for name, known in profile.numbers.items()
            },
        )

    def drawn_windows(self, profile: ReferenceProfile) -> Callable[[Rows], WindowCounts]:
        """The same for any rows of the reference itself, which are sorted into bins once."""
        assert profile.score is not None  # noqa: S101 (made with a holdout)
        bins = {**profile.bins, SCORE: profile.score.bins}
        places = {
            name: own.positions(self.scores if name == SCORE else self.values[name])
            for name, own in bins.items()
        }

        def window(rows: Rows) -> WindowCounts:
            return WindowCounts(
                days=len(np.unique(self.day[rows])),
                counts={
                    name: np.bincount(places[name][rows], minlength=own.size)
                    for name, own in bins.items()
                },
                # Nothing of the reference is outside of it, and random rows are not stuck.
                numbers=profile.numbers,
            )

        return window

    def loss(self, rows: Rows, scores: Floats) -> float:
        """Mean log loss of the labelled ones of some rows, in nats."""
        target = self.target[rows]
        known = np.isfinite(target)
        target, chance = target[known], np.clip(scores[known], 1e-15, 1 - 1e-15)
        return float(-np.mean(target * np.log(chance) + (1 - target) * np.log1p(-chance)))


def _facts(values: Floats, reference: NumberFacts) -> NumberFacts:
    outside = 0
    if reference.minimum is not None and reference.maximum is not None:
        outside = int(((values < reference.minimum) | (values > reference.maximum)).sum())
    return number_facts(values).model_copy(update={"outside": outside})


def periods(
    months: Sequence[Sequence[str]], *, fold_days: int, parameters: Mapping[str, Any]
) -> Iterator[Period]:
    """Each sequence of months as a period, through the line's own snapshots and features."""
    tables, evidence, landing = InMemoryTables(), InMemoryEvidence(), LandingFiles(DATA)
    frames: dict[str, pd.DataFrame] = {}
    # History features look back, so the months before are built too, in order.
    wanted = sorted({month for group in months for month in group})
    for month in landing.partitions(LINE.landing):
        if month > wanted[-1]:
            break
        take_snapshot(
            LINE,
            month,
            landing=landing,
            tables=tables,
            evidence=evidence,
            now=datetime(2014, 2, 1, tzinfo=UTC),
        )
        built = build_features(LINE, month, tables=tables, evidence=evidence)
        frames[month] = tables.read(built.features, FEATURES_TABLE)
    for group in months:
        frame = pd.concat([frames[month] for month in group], ignore_index=True)
        yield _period(group, frame, fold_days=fold_days, parameters=parameters)


def _period(
    group: Sequence[str], frame: pd.DataFrame, *, fold_days: int, parameters: Mapping[str, Any]
) -> Period:
    values, target = values_of(frame, LINE.features), floats_of(frame[LINE.target])
    dates = days_of(frame[LINE.event_day])
    day = (dates - dates.min()).astype(np.int64)
    fold = day // fold_days
    models, scores = [], np.empty(len(day))
    for number in range(int(fold.max()) + 1):
        fitted = np.flatnonzero((fold != number) & np.isfinite(target))
        known = {name: column[fitted] for name, column in values.items()}
        plan = fit_plan(LINE.features, known)
        model = LINE.build_estimator({**LINE.parameters, **parameters}, LINE.seed)
        model.fit(encode(plan, known), target[fitted].astype(np.int64))
        own = np.flatnonzero(fold == number)
        asked = {name: column[own] for name, column in values.items()}
        scores[own] = model.predict_proba(encode(plan, asked))[:, 1]
        models.append((plan, model))
    return Period(
        name=f"{group[0]} to {group[-1]}",
        values=values,
        dates=dates,
        day=day,
        target=target,
        scores=scores,
        fold=fold,
        models=models,
    )
