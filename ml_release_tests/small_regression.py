"""A small line whose label is a number of minutes, and a window of its rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.evaluation_gates import EvaluationPolicy
from ml_release.domain.features import Category, Number
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.training_plan import TrainingPolicy
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.release_line import ReleaseLine
from ml_release.spec.search_space import Choice, IntRange
from ml_release.workflows.training import Window
from ml_release_tests.small_line import SMALL_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping


def build_estimator(parameters: Mapping[str, Any], seed: int) -> Any:
    """A few small trees."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**parameters, random_state=seed, early_stopping=False)


SMALL_REGRESSION = ReleaseLine(
    name="small_regression",
    objective="How many minutes late a trip is.",
    owner="tests",
    landing=LandingSource(rows="trips/{partition}.parquet", first_partition="2013-01"),
    assemble=lambda tables: tables["rows"],
    schema_of=lambda: None,
    keys=("trip",),
    event_time="departure_utc",
    event_day="departure",
    task="regression",
    target="minutes",
    label_delay=timedelta(hours=36),
    features=(
        Number(name="distance", column="distance"),
        Category(name="carrier", column="carrier"),
    ),
    build_estimator=build_estimator,
    parameters={"max_iter": 1, "max_leaf_nodes": 4, "min_samples_leaf": 10},
    search_space={
        "max_iter": IntRange(low=1, high=40),
        "max_leaf_nodes": Choice(options=(4, 8)),
    },
    seed=11,
    output="minutes_late",
    policies=SMALL_LINE.policies.model_copy(
        update={
            "training": TrainingPolicy(
                search_objective="root_mean_squared_error", validation_folds=2
            ),
            "evaluation": EvaluationPolicy(
                minimum_rows=100,
                holdout_days=14,
                quality=QualityPolicy(
                    primary="mean_absolute_error",
                    ceilings={"mean_absolute_error": 6.0},
                    champion_margin=0.5,
                ),
            ),
            "drift": SMALL_LINE.policies.drift.model_copy(update={"muted": ()}),
        }
    ),
)


def regression_window(*, days: int = 60, holdout_days: int = 14, per_day: int = 12) -> Window:
    """Trips whose delay grows with their distance, the last of them without a label."""
    generator = np.random.default_rng(4)
    rows = days * per_day
    distance = generator.uniform(100, 2500, rows)
    carrier = generator.choice(np.array(["AA", "BB"], dtype=object), rows)
    minutes = 0.02 * distance - 10.0 * (carrier == "AA") + generator.normal(0, 3, rows)
    minutes[-1] = np.nan
    day = np.datetime64("2013-01-01") + np.repeat(np.arange(days), per_day)
    return Window(
        features={"distance": distance, "carrier": carrier},
        days=day,
        target=minutes,
        holdout_from=day.max() - np.timedelta64(holdout_days - 1, "D"),
    )
