"""The release line ``flight_delay``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ml_release.lines.flight_delay.features import COLUMN_SOURCES, FEATURES, assemble
from ml_release.lines.flight_delay.model import PARAMETERS, SEARCH_SPACE, build_estimator
from ml_release.lines.flight_delay.schema import build_schema
from ml_release.spec.label_source import LabelSource
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.policies import policies_from_yaml
from ml_release.spec.release_line import ReleaseLine

_POLICY = Path(__file__).with_name("policy.yaml")

LINE = ReleaseLine(
    name="flight_delay",
    objective=(
        "Probability that a flight arrives more than 30 minutes late, from what is known before"
        " departure."
    ),
    owner="flight operations",
    landing=LandingSource(
        rows="flights/{partition}.parquet",
        companions={"weather": "weather.parquet"},
        first_partition="2013-01",
        last_partition="2013-12",
    ),
    assemble=assemble,
    column_sources=COLUMN_SOURCES,
    schema_of=build_schema,
    keys=("scheduled_departure_utc", "carrier", "flight", "origin"),
    event_time="scheduled_departure_utc",
    event_day="scheduled_departure",
    time_zone="America/New_York",
    target="is_late",
    label_delay=timedelta(days=1),
    # A month that lands later tells how its flights arrived; the airline's own list may come first.
    labels=LabelSource(files="labels/{partition}.csv", from_snapshots=True),
    favourable=0,
    slices=("carrier", "origin"),
    sensitive=("origin",),
    features=FEATURES,
    build_estimator=build_estimator,
    parameters=PARAMETERS,
    search_space=SEARCH_SPACE,
    seed=20130401,
    output="probability_late",
    policies=policies_from_yaml(_POLICY.read_text(encoding="utf-8"), subject=str(_POLICY)),
)
