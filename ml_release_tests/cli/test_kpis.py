"""``ml-release kpis``: what it prints in words and as one object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ml_release_tests.cli.test_explaining import home, ml_release

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["home"]  # a fixture


@pytest.mark.parametrize("days", [(), ("--days", "30")])
def test_an_empty_home_knows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], days: Sequence[str]
) -> None:
    """Not known, and never 0."""
    assert ml_release(monkeypatch, "kpis", "flight_delay", *days) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("flight_delay (production), 20")
    assert printed.count("not known (from 0)") == 7
    assert "change failure rate" in printed


def test_one_object_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else."""
    assert ml_release(monkeypatch, "kpis", "flight_delay", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["line"] == "flight_delay"
    assert {one["value"] for one in document["kpis"]} == {None}


def test_a_time_of_no_days_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2."""
    assert ml_release(monkeypatch, "kpis", "flight_delay", "--days", "0") == 2
