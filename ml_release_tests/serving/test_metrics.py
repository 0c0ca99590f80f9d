"""Metrics: what Prometheus reads is what was counted, under labels that nobody outside chooses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml_release.errors import UnavailableError
from ml_release.serving.variant_counts import PREDICTION_BOUNDS, VariantCounts
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from ml_release.serving.server import Parts

INFER = f"/v2/models/{LINE}/infer"
CHAMPION = {"line": LINE, "variant": "champion", "version": "1"}


class Scraped:
    def __init__(self, parts: Parts) -> None:
        reply = parts.endpoint.handle("GET", "/metrics", {}, b"")
        assert reply.status == 200
        assert dict(reply.headers)["content-type"].startswith("text/plain; version=0.0.4")
        self.samples = [
            sample
            for family in text_string_to_metric_families(reply.body.decode())
            for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        (found,) = (
            sample.value
            for sample in self.samples
            if sample.name == f"ml_release_{name}" and labels.items() <= sample.labels.items()
        )
        return found


def ask(parts: Parts, *rows: dict[str, Any], unit: str = "u") -> int:
    body = json.dumps(v2_body(list(rows))).encode()
    return parts.endpoint.handle("POST", INFER, {"x-unit-id": unit}, body).status


def test_a_scrape_gives_what_was_counted(parts: Parts) -> None:
    """Requests, rows, missing values, predictions and latencies of one version."""
    assert ask(parts, ROW) == 200
    assert ask(parts, {**ROW, "distance": None}, {**ROW, "carrier": None}) == 200
    scraped = Scraped(parts)
    assert scraped.value("requests_total", **CHAMPION, outcome="answered") == 2
    assert scraped.value("requests_total", **CHAMPION, outcome="failed") == 0
    assert scraped.value("rows_total", **CHAMPION) == 3
    assert scraped.value("missing_features_total", **CHAMPION, feature="distance") == 1
    assert scraped.value("missing_features_total", **CHAMPION, feature="weekday") == 0
    assert scraped.value("predictions_bucket", **CHAMPION, le="+Inf") == 3
    assert scraped.value("predictions_count", **CHAMPION) == 3
    assert scraped.value("request_duration_seconds_count", **CHAMPION) == 2
    assert 0 < scraped.value("request_duration_seconds_sum", **CHAMPION) < 5
    assert scraped.value("history_look_ups_total", line=LINE) == 3
    assert scraped.value("swaps_total", line=LINE) == 1
    assert scraped.value("inference_log_bytes", line=LINE) > 0
    assert scraped.value("ready") == 1
    assert 0 <= scraped.value("reconciliation_age_seconds") < 60


def test_what_the_server_fails_on_is_counted_by_kind(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that takes nothing is not a model that fails."""

    def refuse(*_: object) -> None:
        message = "disk full"
        raise UnavailableError(message)

    monkeypatch.setattr(parts.log, "append_records", refuse)
    assert ask(parts, ROW) == 503
    scraped = Scraped(parts)
    assert scraped.value("requests_total", **CHAMPION, outcome="unlogged") == 1
    assert scraped.value("errors_total", line=LINE, kind="log") == 1
    assert scraped.value("errors_total", line=LINE, kind="model") == 0


def test_the_champion_in_place_of_another_is_a_fallback(world: World) -> None:
    """Counted for requests of the canary's units alone."""
    world.declare(world.variant(1, weight=50), world.variant(9, role="canary", weight=50))
    parts = world.parts()
    for unit in range(40):
        assert ask(parts, ROW, unit=str(unit)) == 200
    scraped = Scraped(parts)
    assert 5 < scraped.value("fallbacks_total", **CHAMPION) < 35
    assert scraped.value("line_problems", line=LINE) == 1
    assert scraped.value("traffic_share", line=LINE, variant="canary", version="9") == 0.5


def test_loaded_versions_have_their_digests(world: World) -> None:
    """The rollback target too, and a swap is counted."""
    parts = world.parts()
    world.declare(2, rollback_target=1)
    parts.reconciler.reconcile()
    scraped = Scraped(parts)
    for role, number in (("champion", 2), ("rollback_target", 1)):
        labels = {"variant": role, "version": str(number), "digest": world.digests[number]}
        assert scraped.value("loaded_version_info", line=LINE, **labels) == 1
    assert scraped.value("swaps_total", line=LINE) == 2


def test_nothing_that_a_client_sends_becomes_a_label(parts: Parts) -> None:
    """Unknown lines, units and words leave the number of series as it was."""
    ask(parts, ROW)
    before = {(s.name, tuple(sorted(s.labels.items()))) for s in Scraped(parts).samples}
    parts.endpoint.handle("POST", "/v2/models/evil/infer", {}, b"{}")
    parts.endpoint.handle("POST", "/models/evil/labels", {}, b"{}")
    for unit in range(30):
        ask(parts, {**ROW, "carrier": f"evil {unit}"}, unit=f"evil {unit}")
    after = {(s.name, tuple(sorted(s.labels.items()))) for s in Scraped(parts).samples}
    assert after == before


@pytest.mark.parametrize(
    ("probability", "bucket"), [(0.0, 0), (0.1, 0), (0.1000001, 1), (0.3, 2), (0.95, 9), (1.0, 9)]
)
def test_a_probability_is_in_the_bucket_whose_end_it_does_not_exceed(
    probability: float, bucket: int
) -> None:
    """As Prometheus has it: upper ends are included."""
    counts = VariantCounts()
    counts.add_answered(at=0.0, features=[{}], probabilities=[probability], latency_ms=1.0)
    assert counts.prediction_buckets.index(1) == bucket
    assert len(counts.prediction_buckets) == len(PREDICTION_BOUNDS)
