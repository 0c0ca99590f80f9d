"""Releases of real flights from registration to the end of their watch, on real processes.

Real adapters on a home folder, a real endpoint server, real flights; jobs run on a real instance,
and the rollout sensor is evaluated and its run requests are carried out as the daemon does it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.domain.evaluation_gates import GROUPS
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.lines.flight_delay.line import LINE
from ml_release_tests.end_to_end.installation import Installation, said

LOOSENED = tuple(rule for rules in GROUPS.values() for rule in rules)
AUTHOR, REVIEWER = "grace", "ada"
FIRST_DAY = date(2013, 4, 1)
SHARES = (5.0, 25.0, 50.0)

# The shipped policy with its time compressed, so that some thousand flights decide what takes weeks
# at 900 flights a day. Judges, error probabilities and consequences are the shipped ones.
COMPRESSED = {
    # Fewer rows and a shorter load: staging has an end-to-end test of its own.
    "staging": {"smoke_rows": 60, "load_requests": 400},
    # 1,500 pairs instead of 2,000, and no 24 hours between the first and the last of them.
    "shadow": {
        "minimum_pairs": 1500,
        "minimum_hours": 0.0,
        "slice_shift_limit": 0.25,
    },
    # A step lasts seconds instead of an hour, and 40 requests of the canary instead of 300.
    "canary_steps": [
        {"weight_percent": share, "minimum_minutes": 0.05, "minimum_requests": 40}
        for share in SHARES
    ],
    "canary": {
        # To show that errors are less than 0.01 more takes 471 requests of a canary without any:
        # at 5 percent 9,420 flights. Less than 0.05 more takes 81, which are 1,620 flights.
        "metrics": [
            {"name": "error_rate", "kind": "error_rate", "tolerance": 0.05},
            {
                "name": "latency_p95",
                "kind": "latency_exceedance",
                "tolerance": 0.1,
                "minimum_effect": 0.01,
            },
            {
                "name": "score_mean",
                "kind": "score_mean",
                "tolerance": 0.05,
                "minimum_effect": 0.05,
                "vote": "voting",
            },
        ],
        "reference_requests": 500,
    },
    # Seconds instead of 48 hours. Labels are due at once: the flights are of 2013.
    "watch": {"minimum_hours": 0.001, "minimum_requests": 1000},
}


def compressed(line: ReleaseLine) -> ReleaseLine:
    """The line with the same code, and a rollout that takes minutes."""
    shipped = line.policies.rollout.model_dump(mode="json")
    changed = {
        name: {**shipped[name], **value} if isinstance(value, dict) else value
        for name, value in COMPRESSED.items()
    }
    rollout = RolloutPolicy.model_validate({**shipped, **changed})
    policies = line.policies.model_copy(update={"rollout": rollout})
    return line.model_copy(update={"policies": policies})


def worse(line: ReleaseLine) -> ReleaseLine:
    """The line with an estimator whose scores are no probabilities: it weighs late flights more.

    Its evaluation gates never let it be registered. They are loosened here, all of them: shown, and
    blocking nothing.
    """
    evaluation = line.policies.evaluation
    loosened = evaluation.model_copy(
        update={"blocking": {**evaluation.blocking, **dict.fromkeys(LOOSENED, False)}}
    )
    policies = line.policies.model_copy(update={"evaluation": loosened})
    parameters = {**line.parameters, "class_weight": "balanced"}
    return line.model_copy(update={"policies": policies, "parameters": parameters})


@dataclass(kw_only=True)
class Look:
    """One tick of the sensor: what was declared before, what it said, what its run has shown."""

    leg: str
    step: int
    said: str
    shown: dict[str, dict[str, Any]]


@dataclass(kw_only=True)
class Story:
    """What has happened so far."""

    here: Installation
    server: str
    next_day: date = FIRST_DAY
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    waited_for: dict[str, str] = field(default_factory=dict)

    def release(self, version: int, *, reason: str) -> None:
        """Stage, approve and promote to the next place, each by its job."""
        here = self.here
        for result in (
            here.stage(version, by=AUTHOR, reason=reason),
            here.act("approve", "approve_version", version=version, by=REVIEWER, reason="read it"),
            here.act("promote", "promote_version", version=version, by=AUTHOR, reason=reason),
        ):
            assert result.success, said(result)

    def replay(self, *, monitored: bool) -> None:
        """One more day of flights, with their labels."""
        self.here.await_server(self.server)
        sent = self.here.replay(self.next_day, server=self.server)
        self.next_day += timedelta(days=1)
        self.sent += sent.requests
        if sent.failed:
            self.failed.append(f"{sent.failed} on {self.next_day}: {sent.first_failure}")
        if monitored:
            result = self.here.run("monitor")
            assert result.success, said(result)

    def look(self) -> Look:
        """One tick."""
        rollout = self.here.state.rollout
        words, result = self.here.tick()
        found = Look(
            leg="none" if rollout is None else rollout.leg,
            step=0 if rollout is None else rollout.step,
            said=words,
            shown={} if result is None else materialized(result),
        )
        self.looks.append(found)
        self.waited_for[f"{found.leg} {found.step}"] = self.here.status().waits_for
        return found

    def drive(self, *, days: int) -> None:
        """Replay day after day, with a tick after each, until no release is under way."""
        for _ in range(days):
            if (rollout := self.here.state.rollout) is None:
                return
            self.replay(monitored=rollout.leg == "watch")
            self.look()
        assert self.here.state.rollout is None, self.looks[-1].said


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """By asset, what a run has shown of it."""
    return {
        event.asset_key.path[-1]: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Version 1 in production as the first release, and a server that answers for it."""
    here = Installation(tmp_path_factory.mktemp("rollout"), compressed(LINE))
    assert here.train("2013-01", "2013-02", by=AUTHOR) == 1
    service = endpoint_service(free_port())
    story = Story(here=here, server=service.url)
    story.release(1, reason="first release")
    with running([service], settings=here.settings):
        yield story


@pytest.fixture(scope="module")
def good(begun: Story) -> Story:
    """A good candidate has gone all the way."""
    here = begun.here
    assert here.train("2013-01", "2013-03", fresh_from="2013-03", by=AUTHOR) == 2
    begun.release(2, reason="another month")
    begun.drive(days=20)
    return begun
