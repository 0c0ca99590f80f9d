"""What a retraining trigger looks at, and the window a retraining would use."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.errors import RefusedError
from ml_release.workflows.retraining import (
    end_request,
    governor_memory,
    look_at_triggers,
    require_request,
    retraining_evidence,
    retraining_window,
)
from ml_release_tests.orchestration.monitored import decided
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_monitoring import observe
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.governor_memory import GovernorMemory, Kind
    from ml_release.domain.retraining import Governed, RetrainingEvidence
    from ml_release_tests.small_line import House


def gather(house: House) -> RetrainingEvidence:
    return retraining_evidence(
        house.line,
        environment="production",
        evidence=house.evidence,
        deployments=house.deployments,
        landing=house.landing,
        now=house.clock.now(),
    )


def see(house: House, day: str) -> None:
    """Let the newest event of the log be on a day, and observe the window."""
    write(house, [a_record(house, day, f"{day}T12:00:00-04:00")])
    observe(house)


def test_an_endpoint_that_serves_nothing_has_nothing_to_retrain(house: House) -> None:
    """What has landed matters only once something was asked."""
    found = gather(house)
    assert (found.champion, found.trained_to) == (None, None)
    assert (found.newest_partition, found.as_of) == (None, None)
    assert (found.running, found.hours_since_rollback, found.veto) == ("", None, "")


def test_the_champion_is_known_with_what_it_was_trained_to(serving: House) -> None:
    """No request has come yet, so no month can have matured."""
    found = gather(serving)
    declaration = serving.deployments.read(steps.LINE, "production")
    assert declaration is not None
    assert found.champion == declaration.state.champion.model_digest
    assert (found.trained_to, found.as_of, found.newest_partition) == ("2013-03", None, None)


def test_a_champion_without_record_was_trained_to_nobody_knows_when(serving: House) -> None:
    """A lost record is no crash of a sensor; the champion is still known."""
    digest = gather(serving).champion
    assert digest is not None
    steps.forget(serving, "candidate", digest)
    found = gather(serving)
    assert (found.champion, found.trained_to) == (digest, None)


def test_what_the_newest_candidate_has_learned_from_is_known_beside_the_champion(
    serving: House,
) -> None:
    """Also while it is being released, or was not let through."""
    steps.prepare(serving, "2013-04")
    steps.train(serving, last="2013-04")
    found = gather(serving)
    assert (found.trained_to, found.tried_to) == ("2013-03", "2013-04")


@pytest.mark.parametrize(
    ("day", "delay", "newest"),
    [
        pytest.param("2013-04-30", timedelta(0), "2013-03", id="a month that is not over"),
        pytest.param("2013-05-01", timedelta(0), "2013-04", id="over, labels at once"),
        pytest.param("2013-05-01", timedelta(days=1), "2013-03", id="a day too early"),
        pytest.param("2013-05-02", timedelta(days=1), "2013-04", id="a day after the month"),
        pytest.param("2013-05-01", timedelta(hours=12), "2013-03", id="half a day too early"),
        pytest.param("2013-05-02", timedelta(hours=12), "2013-04", id="half a day matured"),
        pytest.param("2013-05-02", timedelta(hours=36), "2013-03", id="a day and a half, early"),
        pytest.param("2013-05-03", timedelta(hours=36), "2013-04", id="a day and a half"),
        pytest.param("2013-05-01", timedelta(days=28), "2013-03", id="a long delay"),
        pytest.param("2013-01-31", timedelta(days=1), None, id="no month is over"),
        pytest.param("2014-01-31", timedelta(days=1), "2013-04", id="long after the last landed"),
    ],
)
def test_a_month_counts_once_the_label_of_its_last_event_was_known(
    serving: House, day: str, delay: timedelta, newest: str | None
) -> None:
    """As of the beginning of the newest day that was seen, hours of the delay included."""
    serving.line = serving.line.model_copy(update={"label_delay": delay})
    see(serving, day)
    found = gather(serving)
    assert found.as_of == date.fromisoformat(day)
    assert found.newest_partition == newest


def test_a_retraining_takes_all_months_and_makes_the_features_that_are_missing(
    house: House,
) -> None:
    """From the first declared month; fresh from the first without features."""
    assert retraining_window(house.line, "2013-03", tables=house.tables) == ("2013-01", "2013-01")
    steps.prepare(house, "2013-01", "2013-02")
    assert retraining_window(house.line, "2013-04", tables=house.tables) == ("2013-01", "2013-03")
    assert retraining_window(house.line, "2013-02", tables=house.tables) == ("2013-01", "2013-02")


def at_once(house: House, *kinds: Kind, **facts: Any) -> Governed:
    """One look at some triggers."""
    return look_at_triggers(
        house.line,
        kinds,
        environment="production",
        evidence=house.evidence,
        deployments=house.deployments,
        landing=house.landing,
        now=house.clock.now(),
        **facts,
    )


def remembered(house: House) -> GovernorMemory:
    return governor_memory(house.line, environment="production", evidence=house.evidence)


def test_all_triggers_share_one_memory_that_is_recorded(serving: House) -> None:
    """A loss of skill is listened to; the same look again finds it in flight."""
    decided(serving, "retrain", labels=500)
    found = at_once(serving, "label_volume", "drift", "performance")
    assert found.request is not None
    assert found.request.kind == "performance"
    assert remembered(serving) == found.memory
    assert at_once(serving, "drift").request is None
    end_request(
        serving.line,
        found.request.key,
        "trained",
        environment="production",
        evidence=serving.evidence,
    )
    assert [one.ending for one in remembered(serving).asked] == ["trained"]
    assert "was retrained on 2013-04 already" in at_once(serving, "drift").reason


def test_a_request_is_stood_by_or_refused(serving: House) -> None:
    """Only the newest, and only while it has not ended."""
    decided(serving, "retrain")
    found = at_once(serving, "drift").request
    assert found is not None
    for key, is_good in ((found.key, True), ("another", False)):
        with nullcontext() if is_good else pytest.raises(RefusedError, match="took its place"):
            require_request(serving.line, key, environment="production", evidence=serving.evidence)
    end_request(
        serving.line, found.key, "broken", environment="production", evidence=serving.evidence
    )
    with pytest.raises(RefusedError, match="found none"):
        require_request(
            serving.line, found.key, environment="production", evidence=serving.evidence
        )


def test_what_is_running_is_waited_for(serving: House) -> None:
    """Whatever the caller knows of."""
    decided(serving, "retrain")
    assert "run 7 trains" in at_once(serving, "drift", running="run 7 trains").reason


def test_a_version_on_its_way_is_waited_for_but_not_for_ever(
    at: Callable[[str], House],
) -> None:
    """It may be what is needed; a shadow that nobody ends must not keep skill from coming back."""
    house = at("shadow")
    assert "version 2, shadow" in gather(house).running
    house.clock.move(timedelta(days=15))
    assert gather(house).running == ""
    assert gather(at("watch")).running == ""


def test_after_a_rollback_the_hours_are_counted(at: Callable[[str], House]) -> None:
    """From the commit that withdrew, as long as it keeps the triggers quiet."""
    house = at("watch")
    assert gather(house).hours_since_rollback is None
    steps.go_back(house)
    house.clock.move(timedelta(hours=5))
    assert gather(house).hours_since_rollback == pytest.approx(5.0, abs=0.1)
    house.clock.move(timedelta(hours=house.line.policies.retraining.quiet_hours))
    assert gather(house).hours_since_rollback is None


@pytest.mark.parametrize(("action", "is_held"), [("fix_data", True), ("roll_back", True)])
def test_nothing_is_learned_while_data_are_broken_or_a_rollback_is_due(
    serving: House, action: str, *, is_held: bool
) -> None:
    """Whatever else asks."""
    decided(serving, action, labels=500)
    found = at_once(serving, "label_volume", "schedule")
    assert (found.request is None) is is_held
    assert "the decision is to" in found.said["schedule"]
