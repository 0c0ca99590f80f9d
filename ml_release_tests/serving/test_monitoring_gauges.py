"""Gauges of monitoring at /metrics: exposed as they were left, and never the end of a scrape."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml_release.adapters.gauge_files import GaugeFiles
from ml_release.domain.monitoring_gauges import gauges_of
from ml_release.serving import monitoring_gauges
from ml_release_tests.monitoring_pages import full_page
from ml_release_tests.serving.world import LINE

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.serving.server import Parts
    from ml_release_tests.serving.world import World

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(parts: Parts) -> Series:
    reply = parts.endpoint.handle("GET", "/metrics", {}, b"")
    assert reply.status == 200
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(reply.body.decode())
        for one in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((f"ml_release_{name}", frozenset({"line": LINE, **labels}.items())))


def left(world: World, **changes: object) -> Path:
    """The monitor job has run, an hour ago."""
    at = datetime.now(tz=UTC) - timedelta(hours=1)
    GaugeFiles(world.settings.gauges).show(
        gauges_of(full_page(line=LINE, **changes), written_at=at)
    )
    return world.settings.gauges / "production" / f"{LINE}.json"


def test_a_line_that_was_never_monitored_has_no_sample(parts: Parts) -> None:
    """Neither a value nor an age; and that is no problem."""
    series = scrape(parts)
    assert value(series, "auc") is None
    assert value(series, "monitoring_age_seconds") is None
    assert value(series, "monitoring_problems") == 0


def test_what_the_job_left_is_exposed(world: World) -> None:
    """Under the line, with its age."""
    parts = world.parts()
    left(world)
    series = scrape(parts)
    assert value(series, "drift_psi", feature="visibility") == 0.84
    assert value(series, "drift_standing", feature="(score)", standing="shifted but harmless") == 1
    assert value(series, "error_budget_left", slo="latency") == -0.4666
    assert value(series, "burn_alert", slo="latency", level="page") == 1
    assert value(series, "decision", action="retrain") == 1
    assert value(series, "monitoring_age_seconds") == pytest.approx(3600, abs=60)


def test_new_values_take_the_place_of_old_ones(world: World) -> None:
    """Also what is not known any more."""
    parts = world.parts()
    left(world)
    assert value(scrape(parts), "auc") is not None
    left(world, performance=None)
    series = scrape(parts)
    assert value(series, "auc") is None
    assert value(series, "drift_psi", feature="visibility") == 0.84


def test_a_file_that_did_not_change_is_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape costs one look at its time."""
    parts = world.parts()
    left(world)
    first = scrape(parts)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("it was decoded again")

    monkeypatch.setattr(monitoring_gauges, "gauges_from_json", refuse)
    assert value(scrape(parts), "auc") == value(first, "auc")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"line": "small_line"}', b"x" * 2**21])
def test_a_broken_file_fails_no_scrape(world: World, content: bytes) -> None:
    """It is told as a problem, and everything else is exposed; mended, it is read."""
    parts = world.parts()
    path = left(world)
    path.write_bytes(content)
    series = scrape(parts)
    assert value(series, "monitoring_problems") == 1
    assert value(series, "auc") is None
    assert value(series, "monitoring_age_seconds") is None
    assert value(series, "line_ready") == 1
    left(world)
    assert value(scrape(parts), "monitoring_problems") == 0


def test_a_folder_in_the_place_of_a_file_fails_no_scrape(world: World) -> None:
    """Whatever the disk holds."""
    parts = world.parts()
    path = left(world)
    path.unlink()
    path.mkdir()
    assert value(scrape(parts), "monitoring_problems") == 1


def test_gauges_of_another_environment_are_not_exposed(world: World) -> None:
    """Staging is monitored too, and is not production."""
    parts = world.parts()
    path = left(world)
    other = path.parent.parent / "staging" / path.name
    other.parent.mkdir()
    os.replace(path, other)  # noqa: PTH105 (as the adapter)
    assert value(scrape(parts), "auc") is None
