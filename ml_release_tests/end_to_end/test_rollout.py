"""Releases of real flights from registration to the end of their watch, on real processes.

Real adapters on a home folder, a real endpoint server, real flights; jobs run on a real instance,
and the rollout sensor is evaluated and its run requests are carried out as the daemon does it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.domain.assignment import assign
from ml_release.domain.good_watches import good_watches
from ml_release.lines.flight_delay.line import LINE
from ml_release_tests.end_to_end.installation import Installation, said
from ml_release_tests.end_to_end.story import (
    AUTHOR,
    REVIEWER,
    SHARES,
    Story,
    answered,
    compressed,
    places,
    places_of,
    records,
    trailers,
    unit_of,
    verdict_digest,
    worse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    begun.drive(days=30)
    monitored = here.run("monitor")
    assert monitored.success, said(monitored)
    return begun


@pytest.fixture(scope="module")
def stopped(good: Story) -> Story:
    """After it a worse candidate was let go by loosened gates, and met real flights."""
    here = good.here
    here.use(worse(here.line))
    assert here.train("2013-01", "2013-03", fresh_from="2013-03", by=AUTHOR) == 3
    good.release(3, reason="a third of the features")
    good.drive(days=15)
    return good


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
        ("canary", "canary_verdict", "production_endpoint", {"harm.png"}),
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
    assert "expected 20 blocks of 300 labelled pairs, found " in waited["shadow"]
    assert "canary_is_shown_no_worse [error_rate] inconclusive" in waited["canary"]
    assert waited["watch"].startswith("version 2 in watch: ")
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
        assert "version 3, shadow: shadow_is_no_worse [auc_score, shadow less champion]" in text
        assert " fail; observed -0." in text
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


def test_a_rollback_while_requests_run_loses_none(stopped: Story) -> None:
    """Version 2 before and version 1 after, each as the commit it answered under says."""
    before = stopped.here.history[-1].commit
    replaying = threading.Thread(target=stopped.replay, kwargs={"monitored": False})
    replaying.start()
    done = stopped.here.act("rollback", "roll_back", version=1, by=AUTHOR, reason="drill")
    replaying.join()
    assert done.success, said(done)
    assert places(stopped)[-1] == "1 100"
    assert stopped.here.state.withdrawn == (2, 3)
    stopped.replay(monitored=False)
    assert stopped.failed == []
    found = answered(stopped)
    assert len(found) == stopped.sent
    assert set(found["outcome"]) == {"ok"}
    for commit, version in ((before, 2), (stopped.here.history[-1].commit, 1)):
        assert set(found.loc[found["route_commit"] == commit, "version"]) == {version}
