"""The governor: which trigger is listened to, why the others wait, and what an adversary can do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.governor_memory import (
    KINDS,
    MOST_KEPT,
    Asked,
    GovernorMemory,
    memory_from_json,
)
from ml_release.domain.retraining import Governed, RetrainingEvidence, Trigger, govern
from ml_release.domain.retraining_policy import RetrainingPolicy
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_release.domain.governor_memory import Ending, Kind

AS_OF = date(2013, 6, 30)
NOW = datetime(2013, 7, 1, 9, tzinfo=UTC)
CHAMPION = "sha256:" + "ab" * 32
POLICY = RetrainingPolicy(labels_needed=100, cooldown_days=7)
EVIDENCE = RetrainingEvidence(
    champion=CHAMPION,
    trained_to="2013-04",
    tried_to="2013-04",
    newest_partition="2013-05",
    as_of=AS_OF,
    now=NOW,
)


def raised(kind: Kind, *, is_raised: bool | None = True) -> Trigger:
    return Trigger(kind=kind, is_raised=is_raised, reason=f"{kind} says so")


def asked(kind: Kind = "drift", **changes: Any) -> Asked:
    known: dict[str, Any] = {
        "key": f"{kind}:{changes.get('asked_on', AS_OF)}",
        "kind": kind,
        "reason": "said so",
        "champion": "sha256:" + "cd" * 32,
        "partition": "2013-04",
        "asked_on": AS_OF - timedelta(days=30),
        "asked_at": NOW - timedelta(days=30),
        "ending": "trained",
    }
    return Asked(**{**known, **changes})


def look(
    *triggers: Trigger,
    before: Sequence[Asked] = (),
    evidence: RetrainingEvidence = EVIDENCE,
    policy: RetrainingPolicy = POLICY,
    **memory: Any,
) -> Governed:
    return govern(
        triggers, GovernorMemory(asked=tuple(before), **memory), policy, evidence=evidence
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_raised_trigger_is_listened_to(kind: Kind) -> None:
    """With its reason, the cause and a key, and it is remembered."""
    found = look(raised(kind))
    assert found.request is not None
    assert (found.request.kind, found.request.reason) == (kind, f"{kind} says so")
    assert (found.request.champion, found.request.partition) == (CHAMPION, "2013-05")
    assert found.memory.in_flight() == found.request


@pytest.mark.parametrize("is_raised", [False, None])
def test_a_trigger_that_is_not_raised_asks_for_nothing(is_raised: bool | None) -> None:
    """Neither does one that cannot tell, and its reason is passed on."""
    found = look(raised("drift", is_raised=is_raised))
    assert found.request is None
    assert found.reason == "drift: drift says so"


@pytest.mark.parametrize("first", KINDS[:-1])
def test_of_several_the_most_important_is_listened_to(first: Kind) -> None:
    """A person before a loss of skill before all others; one retraining answers them all."""
    later = KINDS[KINDS.index(first) + 1 :]
    found = look(*(raised(kind) for kind in (*reversed(later), first)))
    assert found.request is not None
    assert found.request.kind == first
    assert all("has not ended" in found.said[kind] for kind in later if kind != "human")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"champion": None}, "nothing is serving yet", id="no champion"),
        pytest.param({"as_of": None}, "nothing is serving yet", id="no events"),
        pytest.param({"newest_partition": None}, "no partition is complete", id="no data"),
        pytest.param({"newest_partition": "2013-04"}, "learned from 2013-04 already", id="same"),
        pytest.param({"newest_partition": "2013-03"}, "already", id="older data"),
        pytest.param({"tried_to": "2013-05"}, "candidate has learned from 2013-05", id="tried"),
        pytest.param({"tried_to": None}, None, id="newest candidate unknown"),
        pytest.param({"trained_to": None}, None, id="training window unknown"),
        pytest.param({"trained_to": "2012-12"}, None, id="data of another year"),
        pytest.param({"veto": "the data are broken"}, "the data are broken", id="broken data"),
        pytest.param({"running": "run 1 is training"}, "run 1 is training", id="training"),
        pytest.param({"hours_since_rollback": 23.0}, "quiet 24 hours", id="after a rollback"),
        pytest.param({"hours_since_rollback": 24.0}, None, id="long after a rollback"),
        pytest.param({"hours_since_rollback": -5.0}, None, id="a clock that was set back"),
    ],
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "human"])
def test_a_cause_alone_does_not_retrain(
    kind: Kind, change: dict[str, Any], reason: str | None
) -> None:
    """Something has to serve, there has to be newer data, and nothing may speak against it."""
    found = look(raised(kind), evidence=replace(EVIDENCE, **change))
    assert (found.request is None) is (reason is not None)
    assert (reason or "") in found.said[kind]


@pytest.mark.parametrize(
    ("change", "is_held"),
    [
        ({"veto": "the data are broken"}, False),
        ({"tried_to": "2013-05"}, False),
        ({"hours_since_rollback": 0.1}, False),
        ({"champion": None, "as_of": None, "newest_partition": None}, False),
        ({"running": "run 1 is training"}, True),
    ],
)
def test_a_person_is_held_by_a_run_in_flight_alone(
    change: dict[str, Any], *, is_held: bool
) -> None:
    """Whoever asks answers for it."""
    found = look(
        raised("human"),
        before=[asked("human", asked_on=AS_OF) for _ in range(1)],
        evidence=replace(EVIDENCE, **change),
    )
    assert (found.request is None) is is_held


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        pytest.param([asked(asked_on=AS_OF - timedelta(days=6))], "cooldown 7", id="cooldown"),
        pytest.param([asked(asked_on=AS_OF - timedelta(days=7))], None, id="cooldown over"),
        pytest.param([asked(asked_on=AS_OF + timedelta(days=90))], None, id="log played again"),
        pytest.param(
            [asked(asked_on=AS_OF - timedelta(days=1), ending="broken")],
            "budget 2",
            id="a broken run",
        ),
        pytest.param(
            [asked("label_volume", asked_on=AS_OF - timedelta(days=1))], "budget 2", id="kept back"
        ),
        pytest.param(
            [asked("label_volume", asked_on=AS_OF - timedelta(days=7))], None, id="of last week"
        ),
        pytest.param(
            [asked("label_volume", asked_on=AS_OF - timedelta(days=1), ending="turned_down")],
            None,
            id="turned down costs nothing",
        ),
        pytest.param(
            [asked("staleness", ending=None, asked_at=NOW - timedelta(hours=1))],
            "has not ended",
            id="in flight",
        ),
        pytest.param(
            [asked("staleness", ending=None, asked_at=NOW - timedelta(hours=13))],
            None,
            id="given up",
        ),
        pytest.param(
            [asked("staleness", champion=CHAMPION, partition="2013-05")],
            "was retrained on 2013-05",
            id="another trigger had the same cause",
        ),
        pytest.param(
            [asked("performance", champion=CHAMPION, partition="2013-05", ending="turned_down")],
            "turned a retraining on 2013-05 down",
            id="turned down for a more important one",
        ),
        pytest.param(
            [asked("label_volume", champion=CHAMPION, partition="2013-05", ending="turned_down")],
            None,
            id="turned down for a less important one",
        ),
        pytest.param(
            [
                asked("staleness", champion=CHAMPION, partition="2013-05", ending="broken", key=key)
                for key in ("a", "b")
            ],
            "a person has to look",
            id="broken twice",
        ),
        pytest.param(
            [asked(champion=CHAMPION)], "has stood for 0 days", id="asked about this champion"
        ),
    ],
)
def test_what_was_asked_before_holds_back(before: list[Asked], reason: str | None) -> None:
    """Cooldown, budget, one in flight, and each cause once."""
    found = look(raised("drift"), before=before)
    assert (found.request is None) is (reason is not None), found.reason
    assert (reason or "") in found.said["drift"]


@pytest.mark.parametrize(("kind", "is_held"), [("performance", False), ("staleness", True)])
def test_the_last_of_the_budget_is_for_what_is_real(kind: Kind, *, is_held: bool) -> None:
    """A loss of skill is listened to after a trigger that may be none."""
    before = [asked("label_volume", asked_on=AS_OF - timedelta(days=1))]
    assert (look(raised(kind), before=before).request is None) is is_held


def test_a_run_that_broke_is_tried_again_at_once_where_skill_is_lost() -> None:
    """It has answered nothing, so no cooldown follows."""
    before = [asked("performance", asked_on=AS_OF, champion=CHAMPION, ending="broken")]
    assert look(raised("performance"), before=before).request is not None


def test_a_budget_of_one_keeps_nothing_back() -> None:
    """Otherwise nothing but a loss of skill would ever be listened to."""
    policy = POLICY.model_copy(update={"budget": 1, "kept_back": 1})
    assert look(raised("staleness"), policy=policy).request is not None


def test_an_edge_asks_once_until_it_has_stood() -> None:
    """The same level at every look is one request, also when nothing came of it."""
    memory, requests = GovernorMemory(), []
    for day in range(12):
        evidence = replace(
            EVIDENCE,
            as_of=AS_OF + timedelta(days=day),
            now=NOW + timedelta(days=day),
            newest_partition=f"2013-05-{day:02}",
        )
        for _ in range(5):
            found = govern([raised("drift")], memory, POLICY, evidence=evidence)
            memory = found.memory
            if found.request is not None:
                requests.append(day)
                memory = memory.ending(found.request.key, "trained")
    assert requests == [0, 7]


def test_labels_that_asked_are_counted_once() -> None:
    """Their number is remembered with the request."""
    trigger = Trigger(kind="label_volume", is_raised=True, reason="100 labels", labels=100)
    found = look(trigger)
    assert found.memory.labels_counted == 100
    held = look(trigger, evidence=replace(EVIDENCE, veto="broken"))
    assert held.memory.labels_counted == 0


# An adversary: drift that flaps around its limit, then a real shift.


def lived(
    days: int,
    stream: Callable[[int], Sequence[Trigger]],
    *,
    ending: Ending = "trained",
    replaces: bool = False,
    policy: RetrainingPolicy = POLICY,
    looks: int = 6,
) -> list[tuple[int, Kind]]:
    """Days and kinds of all requests while new data come in every day.

    With ``replaces`` every retraining gives a new champion, otherwise none is ever let through.
    """
    memory, requests, champion = GovernorMemory(), [], 0
    for hour in range(days * looks):
        day = hour // looks
        evidence = RetrainingEvidence(
            champion=f"sha256:{champion:064}",
            trained_to=None,
            tried_to=None,
            newest_partition=f"d{day:04}",
            as_of=AS_OF + timedelta(days=day),
            now=NOW + timedelta(hours=hour * 24 / looks),
        )
        found = govern(stream(hour), memory, policy, evidence=evidence)
        # Through its record, as after a restart.
        memory = memory_from_json(found.memory.to_json())
        if found.request is not None:
            requests.append((day, found.request.kind))
            memory = memory.ending(found.request.key, ending)
            champion += replaces
    return requests


def most_in_a_window(days: Sequence[int], length: int) -> int:
    return max((sum(first <= day < first + length for day in days) for first in days), default=0)


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_month_of_flapping_is_bounded_by_the_budget(seed: int, *, replaces: bool) -> None:
    """Whatever flaps, at every look anew; drift that never stands asks once a champion."""
    generator = np.random.default_rng(seed)
    flaps = generator.uniform(size=(60 * 6, len(KINDS))) < 0.5
    noisy = [kind for kind in KINDS if kind != "human"]

    def stream(hour: int) -> list[Trigger]:
        return [raised(kind, is_raised=bool(flaps[hour, n])) for n, kind in enumerate(noisy)]

    days = [day for day, _ in lived(60, stream, replaces=replaces)]
    assert days
    assert most_in_a_window(days, POLICY.budget_days) <= POLICY.budget
    drift_alone = lived(
        30, lambda hour: [raised("drift", is_raised=hour % 2 == 0)], replaces=replaces
    )
    assert len(drift_alone) <= (1 if not replaces else -(-30 // POLICY.cooldown_days))


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("kind", ["drift", "performance"])
@pytest.mark.parametrize("seed", range(8))
def test_a_real_shift_is_not_starved_by_what_flaps(
    seed: int, kind: Kind, *, replaces: bool
) -> None:
    """After a month of flapping of every trigger it is listened to within a week and a half."""
    generator = np.random.default_rng(seed)
    start = 30 * 6 + int(generator.integers(0, 42))
    noise = generator.uniform(size=(60 * 6, len(KINDS))) < 0.5
    noisy = [one for one in KINDS if one != "human"]

    def stream(hour: int) -> list[Trigger]:
        return [
            raised(one, is_raised=bool(noise[hour, n]) or (one == kind and hour >= start))
            for n, one in enumerate(noisy)
        ]

    asked_for = [day for day, who in lived(60, stream, replaces=replaces) if who == kind]
    begun = start // 6
    waited = min(day for day in asked_for if day >= begun) - begun
    assert waited <= POLICY.budget_days + POLICY.persistence_days


def test_a_shift_that_stands_is_asked_about_again_if_nothing_came_of_it() -> None:
    """A candidate that was not let through does not end the story."""
    days = [day for day, _ in lived(29, lambda _: [raised("performance")])]
    assert days == [0, 7, 14, 21, 28]


def test_a_flapping_backtest_is_bounded_by_the_cooldown() -> None:
    """What is turned down does not spend the budget, and yet is not asked at every look."""
    days = [
        day
        for day, _ in lived(
            28, lambda hour: [raised("drift", is_raised=hour % 3 > 0)], ending="turned_down"
        )
    ]
    assert len(days) <= 4


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([True, False, None]))),
        max_size=40,
    )
)
def test_no_stream_of_automatic_triggers_exceeds_the_budget(
    stream: list[list[tuple[Kind, bool | None]]],
) -> None:
    """One look a day, any triggers in any order."""
    found = lived(
        len(stream),
        lambda day: [
            raised(kind, is_raised=state) for kind, state in stream[day] if kind != "human"
        ],
        looks=1,
    )
    assert most_in_a_window([day for day, _ in found], POLICY.budget_days) <= POLICY.budget


def test_memory_is_read_back_bounded_and_refused_if_it_is_none() -> None:
    """The newest requests are kept."""
    memory = GovernorMemory()
    for number in range(MOST_KEPT + 3):
        memory = memory.asking(asked(key=str(number)), labels=number)
    assert len(memory.asked) == MOST_KEPT
    assert memory_from_json(memory.to_json()) == memory
    assert memory.ending("nobody knows it", "broken") is memory
    with pytest.raises(IntegrityError, match="expected a recorded one"):
        memory_from_json(b"[]")


def test_a_stretch_begins_anew_where_the_log_is_played_again() -> None:
    """A day before it began is of another story."""
    memory = GovernorMemory().seeing("drift", is_raised=True, today=AS_OF)
    assert memory.standing_days("drift", AS_OF + timedelta(days=2)) == 2
    again = memory.seeing("drift", is_raised=True, today=AS_OF - timedelta(days=60))
    assert again.standing_days("drift", AS_OF - timedelta(days=60)) == 0
    assert memory.seeing("drift", is_raised=None, today=AS_OF) is memory
    calm = memory.seeing("drift", is_raised=False, today=AS_OF)
    assert calm.standing_days("drift", AS_OF) is None


@pytest.mark.parametrize(
    "limits",
    [
        {"labels_needed": 0},
        {"cooldown_days": -1},
        {"labels": 5},
        {"labels_needed": 1.5},
        {"budget": 0},
        {"maximum_age_days": 0},
        {"longest_run_hours": 0},
        {"broken_runs": 0},
        {"backtest": {"confidence": 1.0}},
        {"backtest": {"maximum_rows": 1}},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(limits: dict[str, Any]) -> None:
    """No label is no trigger, and time does not run backwards."""
    with pytest.raises(ValidationError):
        RetrainingPolicy.model_validate(limits)
