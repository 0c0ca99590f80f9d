"""Inference records of a house: real rows of its features, answered by what it serves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.inference import InferenceRecord, Label
from ml_release.workflows.columns import values_of
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ml_release_tests.small_line import House


def a_record(house: House, request_id: str, event_time: str, **changes: Any) -> InferenceRecord:
    """An answered request to what serves."""
    declaration = house.deployments.read(steps.LINE, "production")
    known: dict[str, Any] = {
        "request_id": request_id,
        "row": 0,
        "event_time": event_time,
        "received_time": "2026-11-21T09:00:00+00:00",
        "line": steps.LINE,
        "variant": "champion",
        "version": 1 if declaration is None else declaration.state.champion.version,
        "model_digest": steps.NOWHERE
        if declaration is None
        else declaration.state.champion.model_digest,
        "route_commit": "c0",
        "bucket": None,
        "features": {"distance": 700.0, "carrier": "AA", "minute": 600.0, "carrier_rate": 0.3},
        "history_digest": None,
        "prediction": 0.25,
        "latency_ms": 1.5,
        "outcome": "ok",
        "error": None,
        "shadow": False,
    }
    return InferenceRecord(**{**known, **changes})


def write(house: House, records: Sequence[InferenceRecord], labels: Sequence[Label] = ()) -> None:
    """Append to the inference log, as the endpoint server does."""
    house.clock.move(timedelta(seconds=1))  # a segment is named by the time it is begun
    writer = house.log_writer
    if records:
        writer.append_records(steps.LINE, records)
    if labels:
        writer.append_labels(steps.LINE, labels)
    writer.close()


def a_label(request_id: str, label: int) -> Label:
    moment = "2013-05-02T00:00:00+00:00"
    return Label(request_id=request_id, label=label, event_time=moment, received_time=moment)


def serve_month(
    house: House, month: str, *, shift: float = 0.0, minute: float | None = None
) -> pd.DataFrame:
    """Answer every row of a month and return the rows with their predictions.

    ``shift`` makes the routes longer, ``minute`` puts all trips at the same time of the day.
    """
    rows = house.tables.read(steps.current(house, "features")[month], "features")
    values = values_of(rows, house.line.features)
    values["distance"] = np.asarray(values["distance"], dtype=np.float64) + shift
    if minute is not None:
        values["minute"] = np.full(len(rows), minute)
    declaration = house.deployments.read(steps.LINE, "production")
    assert declaration is not None
    model = house.loader.load(house.models.read(declaration.state.champion.model_digest))
    rows = rows.assign(prediction=model.predict(values), request_id=[f"r{n}" for n in rows["trip"]])
    plain = [
        {
            name: column[n] if column.dtype == object else float(column[n])
            for name, column in values.items()
        }
        for n in range(len(rows))
    ]
    moments = [moment.isoformat() for moment in rows["departure_utc"]]
    write(
        house,
        [
            a_record(house, request_id, moment, features=features, prediction=prediction)
            for request_id, moment, features, prediction in zip(
                rows["request_id"], moments, plain, rows["prediction"].tolist(), strict=True
            )
        ],
    )
    return rows
