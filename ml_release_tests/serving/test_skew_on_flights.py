"""Ten thousand real flights, served one by one, against the offline path: no bit differs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.exact_shapley import ExactShapley
from ml_release.adapters.in_memory import (
    InMemoryEvidence,
    InMemoryExperiments,
    InMemoryProfiles,
    InMemoryTables,
    InMemoryWorkplace,
)
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.landing_files import LandingFiles
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.random_search import RandomSearch
from ml_release.domain.verdict import Outcome
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.feature_building import build_features, publish_online_history
from ml_release.workflows.history_health import check_history
from ml_release.workflows.monitoring import observe_window
from ml_release.workflows.replay import replay
from ml_release.workflows.skew import check_skew
from ml_release.workflows.snapshots import take_snapshot
from ml_release.workflows.training import train_candidate
from ml_release_tests.serving.world import World
from ml_release_tests.small_line import NoPictures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.verdict import Verdict
    from ml_release.serving.endpoint import Endpoint
    from ml_release.workflows.replay import Replayed

DATA = Path(__file__).parents[2] / "data"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FIRST, LAST = date(2013, 3, 1), date(2013, 3, 11)
"""With the night in which the clocks change."""
AT_LEAST = 10_000
FEATURE, KEY = "route_late_rate", "JFK|LAX"


@dataclass
class WithoutNetwork:
    """`EndpointClient` of an endpoint in this process."""

    endpoint: Endpoint

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        assert unit is None
        headers = {"x-request-id": request_id, "x-event-time": event_time}
        reply = self.endpoint.handle("POST", f"/models/{line}/invocations", headers, body)
        return reply.status, reply.body.decode()

    def is_ready(self, line: str) -> bool:
        raise NotImplementedError

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        body = json.dumps({"labels": labels}).encode()
        reply = self.endpoint.handle("POST", f"/models/{line}/labels", {}, body)
        return reply.status, reply.body.decode()

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        body = json.dumps(dict(pull)).encode()
        reply = self.endpoint.handle("POST", f"/models/{line}/kill-switch", {}, body)
        return reply.status, reply.body.decode()


class Flights:
    """January and February through the gates, and a small model of them that serves March."""

    def __init__(self, home: Path) -> None:
        self.world = World.at(home, line=LINE.name)
        self.landing, self.evidence = LandingFiles(DATA), InMemoryEvidence()
        self.models = self.world.models
        tables = InMemoryTables()
        for month in ("2013-01", "2013-02"):
            take_snapshot(
                LINE, month, landing=self.landing, tables=tables, evidence=self.evidence, now=NOW
            )
            build_features(LINE, month, tables=tables, evidence=self.evidence)
        table = publish_online_history(
            LINE,
            tables=tables,
            evidence=self.evidence,
            online=OnlineFiles(self.world.settings.online),
        )
        assert table is not None
        self.table = table
        candidate = train_candidate(
            LINE.model_copy(update={"parameters": {"max_iter": 5}}),
            first=None,
            last=None,
            tables=tables,
            evidence=self.evidence,
            models=self.models,
            compiler=OnnxCompiler(),
            search=RandomSearch(),
            plotter=NoPictures(),
            attributor=ExactShapley(),
            workplace=InMemoryWorkplace(),
            run=InMemoryExperiments().start(),
            now=NOW,
        )
        self.world.digests[1] = candidate.record.model_digest
        self.world.declare(1)

    def serve(self) -> Replayed:
        """Ask a new server for every flight, each in a request of its own, from an empty log on."""
        for segment in (self.world.settings.inference / LINE.name).glob("*.jsonl"):
            segment.unlink()
        parts = self.world.parts()
        sent = replay(
            LINE,
            first=FIRST,
            last=LAST,
            landing=self.landing,
            endpoint=WithoutNetwork(parts.endpoint),
            concurrency=1,
        )
        parts.log.close()
        return sent

    def skew(self) -> Verdict:
        verdict = check_skew(
            LINE,
            environment="production",
            inference_log=InferenceTables(self.world.settings.inference),
            landing=self.landing,
            evidence=self.evidence,
            models=self.models,
            deployments=self.world.deployments,
        )
        assert verdict is not None
        return verdict

    def history(self) -> Verdict:
        observe_window(
            LINE,
            environment="production",
            inference_log=InferenceTables(self.world.settings.inference),
            deployments=self.world.deployments,
            models=self.models,
            evidence=self.evidence,
            profiles=InMemoryProfiles(),
        )
        verdict = check_history(LINE, environment="production", evidence=self.evidence)
        assert verdict is not None
        return verdict


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Flights:
    return Flights(tmp_path_factory.mktemp("flights"))


def rounded(table: HistoryTable) -> HistoryTable:
    """The recorded table as a path would read it that rounds one value the other way."""
    known = table.values[FEATURE]
    moved = {**known, KEY: float(np.nextafter(known[KEY], np.inf))}
    other = replace(table, values={**table.values, FEATURE: moved})
    # It is still the recorded one, so that the offline path looks up what was recorded.
    other.__dict__["digest"] = table.digest
    return other


def test_ten_thousand_served_flights_equal_the_offline_path(flights: Flights) -> None:
    """No row of them differs in any feature, and the check says of how many.

    Their look-ups are recorded row by row, and are within the limits of the line.
    """
    sent = flights.serve()
    assert sent.requests >= AT_LEAST
    assert sent.failed == 0
    (finding,) = flights.skew().findings
    assert (finding.outcome, finding.observed, finding.n) == (Outcome.PASS, 0.0, sent.requests)
    assert finding.sentence() == (
        "served_features_equal_offline [all features] pass; observed 0 rows, limit at most 0 rows;"
        f" n = {sent.requests}; 0 served rows have no offline row"
    )
    logged = flights.world.logged()
    days = logged["event_time"].dt.tz_convert(LINE.time_zone).dt.day
    # The table is as of the first of the month, so the day of the month tells its age.
    assert logged["history_age_days"].tolist() == (days - 1).tolist()
    keys = [f"{features['origin']}|{features['dest']}" for features in logged["features"]]
    known = flights.table.values[FEATURE]
    unmet = [int(key not in known) for key in keys]
    assert sum(unmet) > 0
    assert logged["history_misses"].tolist() == unmet
    history = flights.history()
    assert history.outcome is Outcome.PASS
    assert history.findings[0].observed == LAST.day - 1


def test_one_value_rounded_otherwise_online_is_found_in_every_row_that_met_it(
    flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One float of the table, in its last bit: as many rows differ as looked that key up."""
    other = rounded(flights.table)
    monkeypatch.setattr(OnlineFiles, "read", lambda *_: other)
    sent = flights.serve()
    logged = flights.world.logged()
    met = sum(f"{row['origin']}|{row['dest']}" == KEY for row in logged["features"])
    assert 0 < met < sent.requests
    verdict = flights.skew()
    assert verdict.outcome is Outcome.FAIL
    assert [(f.subject, f.observed, f.n) for f in verdict.findings] == [
        ("all features", met, sent.requests),
        (FEATURE, met, sent.requests),
    ]
