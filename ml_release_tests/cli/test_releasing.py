"""The commands that move a release, down to the declaration: what is done, printed, refused."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ml_release import cli
from ml_release.cli import releasing, running
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.resources import TRACKING
from ml_release.settings import read_settings
from ml_release_tests.full_rollout import judged, state_of
from ml_release_tests.orchestration.house import tracking_of, wiring_of
from ml_release_tests.workflows.test_forbidden_moves import trace
from ml_release_tests.workflows.test_status import status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release_tests.small_line import House


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Run a command on a house; gives exit code, the object it printed and what went to errors."""
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path / "home")})

    def typed(house: House, *words: str) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(releasing, "opened", lambda _: (house.line, settings, wiring_of(house)))
        monkeypatch.setattr(
            running,
            "local_definitions",
            lambda *_, loggers, **__: build_definitions(
                [house.line],
                wiring=wiring_of(house),
                resources={TRACKING: tracking_of(house)},
                loggers=loggers,
            ),
        )
        name, *rest = words
        monkeypatch.setattr(sys, "argv", ["ml-release", name, "small_line", *rest, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        printed = capsys.readouterr()
        found = json.loads(printed.out) if printed.out else {}
        return code if isinstance(code, int) else 0, found, printed.err

    return typed


BY = ("--by", "ada", "--reason", "it is time")


def test_a_release_from_staging_to_the_canary_and_back(
    at: Callable[[str], House], command: Callable[..., tuple[int, dict[str, Any], str]]
) -> None:
    """Each command says what it did; the next stage is the one that is meant."""
    house = at("registered")
    code, staged, _ = command(house, "promote", "2", *BY)
    assert (code, staged["endpoint"], staged["version"]) == (0, "staging_endpoint", 2)
    assert (staged["changed"], staged["outcome"]) == (True, "pass")
    code, word, _ = command(house, "approve", "2", "--by", "bea", "--reason", "read it")
    assert (code, word["outcome"], word["approved_by"]) == (0, "pass", "bea")
    code, moved, _ = command(house, "promote", "2", *BY)
    assert (code, moved["endpoint"]) == (0, "shadow_endpoint")
    assert moved["release_under_way"].startswith("version 2, shadow, since ")
    judged(house, 2)
    code, moved, _ = command(house, "promote", "2", "--to", "canary", *BY)
    assert (code, moved["endpoint"]) == (0, "canary_endpoint")
    assert moved["shares"] == "champion version 1: 95 %, canary version 2: 5 %"
    code, moved, _ = command(house, "rollback", *BY)
    assert (code, moved["endpoint"], moved["withdrawn"]) == (0, "canary_endpoint", "2")
    code, moved, _ = command(house, "rollback", *BY)
    assert (code, moved["changed"]) == (0, False)
    assert state_of(house).champion.version == 1


def test_a_watch_is_settled_and_a_champion_rejected(
    at: Callable[[str], House], command: Callable[..., tuple[int, dict[str, Any], str]]
) -> None:
    """The predecessor answers again."""
    house = at("watch")
    code, moved, _ = command(house, "settle", *BY)
    assert (code, moved["release_under_way"]) == (0, "none")
    code, word, _ = command(house, "reject", "2", *BY)
    assert (code, word["rolled_back"], word["problem"]) == (0, True, "none")
    assert state_of(house).champion.version == 1


@pytest.mark.parametrize(
    ("place", "words", "said"),
    [
        ("registered", ("promote", "2", "--to", "shadow", *BY), "next place is staging"),
        ("approved", ("promote", "2", "--to", "canary", *BY), "next place is shadow"),
        ("approved", ("promote", "2", "--to", "production", *BY), "next place is shadow"),
        ("shadow", ("promote", "2", *BY), "shadow_was_passed [version 2] inconclusive"),
        ("canary 1", ("promote", "2", "--to", "production", *BY), "next place is canary step 2"),
        ("registered", ("approve", "2", *BY), "expected a verdict of staging"),
        ("staged", ("approve", "2", "--by", "Carl", "--reason", "mine"), "trained the version"),
        ("canary 1", ("settle", *BY), "expected a release under watch to settle"),
        ("canary 1", ("rollback", "--to", "2", *BY), "expected version 2 that has served"),
        ("approved", ("rollback", *BY), "expected an earlier version that has served"),
    ],
)
def test_a_forbidden_move_ends_with_1(
    at: Callable[[str], House],
    command: Callable[..., tuple[int, dict[str, Any], str]],
    *,
    place: str,
    words: tuple[str, ...],
    said: str,
) -> None:
    """With its reason, nothing on standard output, and nothing changed."""
    house = at(place)
    before = trace(house)
    code, printed, error = command(house, *words)
    assert (code, printed) == (1, {})
    assert said in " ".join(error.split())
    assert trace(house) == before


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("approve", "2", "--by", "bea"), id="no reason"),
        pytest.param(("approve", "2", "--by", "bea", "--reason", "x" * 501), id="too long"),
        pytest.param(("reject", "2", "--by", "bea"), id="no reason to reject"),
        pytest.param(("settle", "--by", "bea"), id="no reason to settle"),
        pytest.param(("promote", "9", *BY), id="no such version"),
        pytest.param(("promote", "2", "--to", "everywhere", *BY), id="no such stage"),
        pytest.param(("rollback", "--to", "two", *BY), id="no number"),
    ],
)
def test_bad_input_ends_with_2(
    at: Callable[[str], House],
    command: Callable[..., tuple[int, dict[str, Any], str]],
    words: tuple[str, ...],
) -> None:
    """And changes nothing."""
    house = at("staged")
    before = trace(house)
    code, printed, error = command(house, *words)
    assert (code, printed) == (2, {})
    assert error
    assert trace(house) == before


def test_a_rejection_that_cannot_take_out_ends_with_1(
    at: Callable[[str], House], command: Callable[..., tuple[int, dict[str, Any], str]]
) -> None:
    """It is recorded, and said that the version serves on."""
    house = at("approved")
    code, word, error = command(house, "reject", "1", *BY)
    assert (code, word["rolled_back"]) == (1, False)
    assert "is rejected, but serves" in " ".join(error.split())


@pytest.mark.parametrize(
    ("place", "code", "stands_at", "left", "gate"),
    [
        ("approved", 0, "staging", 5, "staging_was_passed [version 2] pass"),
        ("registered", 0, "registered", 6, "evidence_lets_it_go_on [version 2] pass"),
        ("shadow", 1, "shadow", 4, "shadow_was_passed [version 2] inconclusive"),
        ("watch", 1, "production", 0, None),
    ],
)
def test_a_plan_shows_the_way_and_moves_nothing(
    at: Callable[[str], House],
    command: Callable[..., tuple[int, dict[str, Any], str]],
    *,
    place: str,
    code: int,
    stands_at: str,
    left: int,
    gate: str | None,
) -> None:
    """Exit code 1 where the next move would be refused; the shadow's minima are its policy's."""
    house = at(place)
    before = trace(house)
    found, plan, _ = command(house, "promote", "2", "--plan")
    assert (found, plan["stands_at"], len(plan["places"])) == (code, stands_at, left)
    assert bool(plan["would_be_refused"]) is (code == 1)
    assert gate is None or any(said.startswith(gate) for said in plan["gates"])
    shadows = [one for one in plan["places"] if one["place"] == "shadow"]
    for one in shadows:
        assert (one["minimum_requests"], one["minimum_minutes"]) == (50, 6.0)
    assert plan["rollback_target"] == 1
    assert trace(house) == before


def test_the_release_under_way_is_among_the_facts_of_a_line(at: Callable[[str], House]) -> None:
    """Where it stands, who answers what, what was seen, who agreed."""
    house = at("canary 2")
    judged(house, 2)
    facts = releasing.under_way_facts(status(house).under_way)
    assert facts[0] == (
        "releasing",
        "version 2, canary step 2 of 3, since 2026-11-21T09:00:00+00:00",
    )
    assert [value for name, value in facts if not name] == [
        "champion version 1: 75 %",
        "canary version 2: 25 %",
    ]
    assert dict(facts)["judged"] == "pass: every rule that votes passes"
    assert "Bea" in dict(facts)["approvals"]
    assert releasing.under_way_facts(None) == []
