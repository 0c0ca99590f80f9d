"""Releases of real flights from registration to the end of their watch, on real processes.

Real adapters on a home folder, a real endpoint server, real flights; jobs run on a real instance,
and the rollout sensor is evaluated and its run requests are carried out as the daemon does it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.domain.assignment import assign
from ml_release.domain.good_watches import good_watches
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.domain.verdict import verdict_from_json
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release_tests.end_to_end.installation import Installation, said

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg
    import pandas as pd

    from ml_release.domain.deployment import Declaration
    from ml_release.spec.release_line import ReleaseLine

LOOSENED = ("probabilities_are_calibrated", "no_worse_than_champion", "behaves_as_declared")
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
        # Another month of training moves one carrier's decisions more than the shipped limits let.
        "slice_agreement_floor": 0.6,
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
                # Other tests share the machine; a canary's process yields to them.
                "allowance_ms": 150.0,
                "tolerance": 0.05,
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

    Three of its evaluation gates find that out and never let it be registered. They are loosened
    here: shown, and blocking nothing.
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
    waited_for: list[str] = field(default_factory=list)

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
        # What it waits for after a move is said of the next place.
        is_moved = self.here.state.rollout != rollout
        self.waited_for.append("" if is_moved else self.here.status().waits_for)
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


@pytest.fixture(scope="module")
def stopped(good: Story) -> Story:
    """After it a worse candidate was let go by loosened gates, and met real flights."""
    here = good.here
    here.use(worse(here.line))
    assert here.train("2013-01", "2013-03", fresh_from="2013-03", by=AUTHOR) == 3
    good.release(3, reason="late flights count more")
    good.drive(days=10)
    return good


def trailers(story: Story, commit: str) -> dict[str, str]:
    """Of a commit, as `git log` shows them."""
    folder = story.here.settings.deployments
    shown = ["git", "-C", str(folder), "log", "-1", "--format=%(trailers)", commit]
    text = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    return dict(row.split(": ", 1) for row in text.splitlines() if row)


def records(story: Story) -> pd.DataFrame:
    """Everything the server has logged."""
    found, _ = story.here.wiring.inference_log.records(LINE.name, after={})
    return found


def answered(story: Story) -> pd.DataFrame:
    """What clients were answered, without what was asked in secret."""
    found = records(story)
    return found[~found["shadow"]]


def unit_of(request_id: str) -> str:
    """Who asked: airline and flight number, of the keys that make the name of a request."""
    _, carrier, flight, _ = request_id.split("/")
    return f"{carrier}/{flight}"


def verdict_digest(story: Story, number: int) -> str:
    """Of the evaluation of a version."""
    here = story.here
    (version,) = [v for v in here.wiring.registry.versions(LINE.name) if v.number == number]
    content = here.wiring.evidence.find(LINE.name, EVALUATION_VERDICT, version.model_digest)
    assert content is not None
    return verdict_from_json(content).digest


def places(story: Story) -> list[str]:
    """What each declaration says, in a word."""
    return [places_of(one) for one in story.here.history]


def places_of(declaration: Declaration) -> str:
    """Champion and its share, and where the release under way stands."""
    rollout, champion = declaration.state.rollout, declaration.state.champion
    under_way = "" if rollout is None else f", {rollout.version} {rollout.leg} {rollout.step}"
    return f"{champion.version} {champion.weight_percent:g}{under_way}"


GOOD_WAY = [
    "1 100",
    "1 100, 2 shadow 0",
    "1 95, 2 canary 0",
    "1 75, 2 canary 1",
    "1 50, 2 canary 2",
    "2 100, 2 watch 0",
    "2 100",
]


def test_a_good_candidate_goes_all_the_way_and_no_stage_is_skipped(good: Story) -> None:
    """From the first release on: shadow, canary by its steps, production under watch."""
    assert places(good)[: len(GOOD_WAY)] == GOOD_WAY
    assert good_watches([one.state for one in good.here.history[: len(GOOD_WAY)]]) == {2}


def test_every_move_is_in_git_with_who_why_and_on_which_evidence(good: Story) -> None:
    """People begin, automation goes on; whoever approved is named wherever a version gets on."""
    moves = [trailers(good, one.commit) for one in good.here.history[: len(GOOD_WAY)]]
    assert [one["Actor"] for one in moves] == [AUTHOR] * 2 + ["rollout"] * 5
    assert [one["Approved-By"] for one in moves] == [REVIEWER] * 6 + ["none"]
    assert [one["Reason"].partition(": ")[0] for one in moves] == [
        "first release",
        "another month",
        "version 2, shadow",
        "version 2, canary step 1",
        "version 2, canary step 2",
        "version 2, canary step 3",
        "version 2, watch",
    ]
    assert [one["Evidence-Digest"] for one in moves] == [
        verdict_digest(good, 1),
        *[verdict_digest(good, 2)] * 6,
    ]
    assert len({one["Release"] for one in moves[1:]}) == 1
    assert len({one["Run-Id"] for one in moves}) == len(moves)


def test_every_request_was_answered_by_whom_the_declaration_of_its_commit_assigns(
    good: Story,
) -> None:
    """No request failed, and anybody can recompute who had to answer each."""
    assert good.failed == []
    states = {one.commit: one.state for one in good.here.history}
    found = answered(good)
    assert len(found) == good.sent
    assert set(found["outcome"]) == {"ok"}
    for request_id, commit, version in zip(
        found["request_id"], found["route_commit"], found["version"], strict=True
    ):
        due = assign(states[commit], unit=unit_of(request_id), request_id=request_id)
        assert due.version == version


def test_shares_of_units_are_those_declared_and_nobody_who_met_the_canary_leaves_it(
    good: Story,
) -> None:
    """Step by step; a share of so many units errs by chance only."""
    found = answered(good)
    found = found.assign(unit=[unit_of(name) for name in found["request_id"]])
    met: set[str] = set()
    for declaration in good.here.history:
        rollout = declaration.state.rollout
        if rollout is None or rollout.leg != "canary" or rollout.version != 2:
            continue
        step = found[found["route_commit"] == declaration.commit]
        versions = step.groupby("unit")["version"].agg(["min", "max"])
        assert (versions["min"] == versions["max"]).all()
        share = SHARES[rollout.step] / 100
        error = (share * (1 - share) / len(versions)) ** 0.5
        assert (versions["min"] == 2).mean() == pytest.approx(share, abs=4 * error)
        canary = set(versions.index[versions["min"] == 2])
        assert canary >= met & set(versions.index)
        met |= canary
    assert met


def test_the_shadow_answered_in_secret_what_the_champion_was_asked(good: Story) -> None:
    """Every request of its days, and nobody got its answers."""
    (commit,) = [one.commit for one in good.here.history if places_of(one) == GOOD_WAY[1]]
    found = records(good)
    step = found[found["route_commit"] == commit]
    secret, public = step[step["shadow"]], step[~step["shadow"]]
    assert set(secret["version"]) == {2}
    assert set(public["version"]) == {1}
    assert set(secret["request_id"]) <= set(public["request_id"])
    assert len(secret) >= 0.9 * len(public)


@pytest.mark.parametrize(
    ("leg", "asset", "endpoint", "pictures"),
    [
        ("shadow", "shadow_verdict", "canary_endpoint", {"scores.png", "agreement.png"}),
        ("canary", "canary_verdict", "production_endpoint", set()),
        ("watch", "watch_verdict", "production_endpoint", set()),
    ],
)
def test_dagster_shows_each_verdict_and_the_endpoint_it_moved(
    good: Story, leg: str, asset: str, endpoint: str, pictures: set[str]
) -> None:
    """With what was decided and why, every finding, and the shares over time as a picture."""
    look = [one for one in good.looks if one.leg == leg][-1]
    verdict, moved = look.shown[asset], look.shown[endpoint]
    assert verdict["version"] == 2
    assert verdict["outcome"] == "pass"
    assert verdict["decision"].endswith(look.said)
    assert len(verdict["findings"].records) > 3
    for name in pictures:
        assert verdict[name].startswith("![](data:image/png;base64,")
    assert moved["reason"] == look.said
    assert moved["by"] == "rollout"
    assert moved["changed"]
    assert moved["traffic over time"].startswith("![](data:image/png;base64,")


def test_status_says_what_a_release_waits_for(good: Story) -> None:
    """On every leg that was looked at before it could go on."""
    waited = {
        one.leg: waits for one, waits in zip(good.looks, good.waited_for, strict=True) if waits
    }
    assert "shadow_saw_enough [pairs]" in waited["shadow"]
    assert "canary_is_shown_no_worse [error_rate]" in waited["canary"]
    assert waited["watch"].startswith("version 2: ")
    assert good.here.status().under_way is None


def test_a_worse_candidate_is_withdrawn_and_the_champion_never_left(stopped: Story) -> None:
    """By automation, before it answered anybody; no request failed."""
    assert places(stopped)[len(GOOD_WAY) :] == ["2 100, 3 shadow 0", "2 100"]
    assert stopped.here.state.withdrawn == (3,)
    assert stopped.failed == []
    assert 3 not in set(answered(stopped)["version"])


def test_why_it_was_withdrawn_is_in_git_and_in_dagster(stopped: Story) -> None:
    """The finding with what was observed and what was allowed."""
    last = trailers(stopped, stopped.here.history[-1].commit)
    look = stopped.looks[-1]
    assert last["Actor"] == "rollout"
    for text in (last["Reason"], look.said, look.shown["shadow_verdict"]["decision"]):
        assert "version 3, shadow: decisions_agree [requests] fail; observed 0." in text
        assert "limit at most 0.2 of decisions differ" in text
    assert look.shown["shadow_verdict"]["answer"] == "roll_back"
    assert look.shown["shadow_endpoint"]["withdrawn"] == "3"
    assert stopped.here.status().waits_for == "a new candidate: version 3 was withdrawn"


def test_what_was_withdrawn_is_not_promoted_again(stopped: Story) -> None:
    """The run fails with the reason, and nothing is declared."""
    before = stopped.here.history
    refused = stopped.here.act(
        "promote", "promote_version", version=3, by=AUTHOR, reason="once more"
    )
    assert not refused.success
    assert "version 3 was withdrawn" in said(refused)
    assert stopped.here.history == before
