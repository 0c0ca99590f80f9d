"""A month scored in batches against the endpoint, asked for the same rows: no bit differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.features import History, request_fields
from ml_release.domain.history import latest_table
from ml_release.workflows.batch_scoring import PREDICTIONS_TABLE, score_partition
from ml_release.workflows.columns import columns_of, days_of, floats_of
from ml_release.workflows.model_artefact import plain_records
from ml_release.workflows.scoring_version import ScoringVersion
from ml_release.workflows.snapshots import SNAPSHOT_TABLE
from ml_release_tests.serving.world import World
from ml_release_tests.small_line import MONTHS, ROWS_PER_MONTH, House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ml_release.domain.history_table import HistoryTable

MONTH, THRESHOLD = "2013-04", 0.3


def as_of(house: House, rows: pd.DataFrame, day: np.datetime64) -> HistoryTable:
    """What the endpoint would look up on the morning of a day."""
    return latest_table(
        tuple(f for f in house.line.features if isinstance(f, History)),
        columns=columns_of(rows, request_fields(house.line.features), subject="test"),
        days=days_of(rows["departure"]),
        target=floats_of(rows["is_late"]),
        as_of=day,
        time_zone=house.line.time_zone,
    )


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "a day at once"])
def test_a_batch_answers_every_row_as_the_endpoint_does(tmp_path: Path, one_by_one: bool) -> None:
    """Each row with the history of the morning of its day, with the decision that is logged."""
    import pandas as pd

    house = House(tmp_path / "log")
    steps.prepare(house, *MONTHS)
    steps.train(house, last="2013-03")
    digest = house.evidence.newest_subject(steps.LINE, "candidate") or ""
    scored = score_partition(
        house.line,
        MONTH,
        ScoringVersion(version=1, model_digest=digest, threshold=THRESHOLD, route_commit=None),
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        rows_per_batch=77,
    )
    world = World.at(tmp_path / "home")
    world.publish(1, house.models.artefacts[digest])
    world.declare(1, threshold=THRESHOLD)
    snapshots = steps.current(house, SNAPSHOT_TABLE)
    before, own = (house.tables.read(snapshots[m], SNAPSHOT_TABLE) for m in ("2013-03", MONTH))
    both = pd.concat([before, own], ignore_index=True)
    days = days_of(own["departure"])
    records = plain_records(
        columns_of(own, request_fields(house.line.features), subject=steps.LINE)
    )
    world.publish_history(as_of(house, both, days[0]))
    parts = world.parts()
    answered: list[float] = []
    for day in np.unique(days):
        world.publish_history(as_of(house, both, day))
        parts.reconciler.reconcile()
        of_day = [record for record, its in zip(records, days, strict=True) if its == day]
        for rows in [[record] for record in of_day] if one_by_one else [of_day]:
            reply = parts.endpoint.handle(
                "POST",
                f"/models/{steps.LINE}/invocations",
                {"x-event-time": f"{day}T12:00:00-05:00"},
                json.dumps({"dataframe_records": rows}).encode(),
            )
            assert reply.status == 200, reply.body
            answered += json.loads(reply.body)["predictions"]
    parts.log.close()
    found = house.tables.read(scored.predictions, PREDICTIONS_TABLE)
    assert len(answered) == len(found) == ROWS_PER_MONTH
    assert np.array(answered).tobytes() == found["prediction"].to_numpy().tobytes()
    assert world.logged()["decision"].tolist() == found["decision"].tolist()
    assert 0 < found["decision"].sum() < ROWS_PER_MONTH
