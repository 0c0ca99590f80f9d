"""The rollout in Dagster: the sensor's branches, the jobs' forms, and where what is done shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.verdict import Outcome
from ml_release.orchestration import rollout_assets
from ml_release.orchestration.rollout_assets import rollout_sensor
from ml_release.workflows import rollout_tick
from ml_release.workflows.rollout_judging import LegJudgement
from ml_release_tests.full_rollout import judged, let_through, stage, state_of, verdict_on
from ml_release_tests.orchestration.house import (
    definitions_of,
    failure,
    promotion_config,
    run,
    wiring_of,
)
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House

FORMS = {
    "promote": ("promote_version", {"by": "ada", "reason": "go on"}),
    "approve": ("approve_version", {"by": "bea", "reason": "read it"}),
    "reject": ("reject_version", {"by": "dan", "reason": "odd"}),
    "rollback": ("roll_back", {"by": "ada", "reason": "odd"}),
    "settle": ("settle_watch", {"by": "ada", "reason": "seen enough"}),
}


def form(job: str, **changes: Any) -> dict[str, Any]:
    """The form of a job, filled in; None leaves a field out."""
    op, filled = FORMS[job]
    config = {name: value for name, value in {**filled, **changes}.items() if value is not None}
    return {"ops": {f"small_line_{op}": {"config": config}}}


def made(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """By asset what its materialization says."""
    return {
        event.asset_key.path[-1]: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }


def planted(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: Any, outcome: Outcome = Outcome.PASS
) -> None:
    """A judge that says this of the release under way."""

    def judge(*_: object, **__: object) -> LegJudgement | None:
        rollout = state_of(house).rollout
        if rollout is None:
            return None
        leg = "canary" if rollout.leg == "watch" else rollout.leg
        return LegJudgement(
            leg=rollout.leg,
            version=rollout.version,
            answer=answer,
            said="planted",
            verdict=verdict_on(house, leg, rollout.version, outcome),
            numbers={"pairs": 3.0, "reason": "planted", "coverage": None},
            plots={"scores.png": b"png"},
        )

    monkeypatch.setattr(rollout_tick, "judge_rollout", judge)


def tick(
    house: House, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    found = rollout_sensor(house.line, wiring_of(house))(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def skipped(found: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(found, dg.SkipReason)
    return found.skip_message or ""


def asked(found: dg.SensorResult | dg.SkipReason) -> tuple[dg.RunRequest, str]:
    assert isinstance(found, dg.SensorResult)
    (request,) = found.run_requests or []
    return request, found.cursor or ""


@pytest.mark.parametrize("place", ["approved", "settled"])
def test_with_nothing_under_way_the_sensor_skips(
    at: Callable[[str], House], instance: dg.DagsterInstance, place: str
) -> None:
    """A release is begun by a person."""
    assert skipped(tick(at(place), instance)) == "no release is under way"


def test_what_is_new_is_asked_for_once_and_what_is_not_is_skipped(
    at: Callable[[str], House], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first verdict of a leg is shown on its page; the same one again changes nothing."""
    house = at("shadow")
    planted(house, monkeypatch, "undecided")
    request, cursor = asked(tick(house, instance))
    assert cursor == "1:shadow 2 undecided"
    assert request.tags["ml_release/reason"] == "version 2, shadow: undecided: planted"
    assert "undecided: planted" in skipped(tick(house, instance, cursor))
    planted(house, monkeypatch, "hold")
    assert asked(tick(house, instance, cursor))[1] == "2:shadow 2 hold"


@pytest.mark.parametrize(
    ("answer", "act"), [("advance", "goes on"), ("roll_back", "taken back and withdrawn")]
)
def test_what_is_to_be_done_is_asked_for_until_it_is(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    act: str,
) -> None:
    """A run that failed is asked for again, by another key."""
    house = at("canary 1")
    judged(house, 2)
    planted(house, monkeypatch, answer)
    first, cursor = asked(tick(house, instance))
    second, cursor = asked(tick(house, instance, cursor))
    assert first.run_key != second.run_key
    result = run(house, "rollout", instance)
    assert result.success, failure(result)
    assert made(result)["canary_verdict"]["decision"].startswith(f"{act}: version 2, canary step 1")
    planted(house, monkeypatch, "undecided")
    if answer == "roll_back":
        assert skipped(tick(house, instance, cursor)) == "no release is under way"
    else:
        assert skipped(tick(house, instance, cursor.replace("advance", "undecided")))


@pytest.mark.parametrize("cursor", [None, "", "rubbish", "x:canary 2 hold"])
def test_a_cursor_that_was_reset_holds_nothing_back(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    cursor: str | None,
) -> None:
    """The key names the declaration: that of an earlier release is another one."""
    house = at("canary 1")
    planted(house, monkeypatch, "roll_back")
    request, _ = asked(tick(house, instance, cursor))
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    assert request.run_key == f"rollout:{standing.commit}:1"


def test_the_sensor_waits_for_a_run_that_looks_already(
    at: Callable[[str], House], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once would refuse one another's writes."""
    house = at("canary 1")
    planted(house, monkeypatch, "roll_back")
    job = definitions_of(house).resolve_job_def("small_line_rollout")
    running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert skipped(tick(house, instance)) == f"run {running.run_id} is looking at it already"
    instance.delete_run(running.run_id)
    asked(tick(house, instance))


def test_the_sensor_says_what_was_edited_by_hand(
    at: Callable[[str], House], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for nothing then."""
    house = at("canary 1")
    standing = house.deployments.read(steps.LINE, "production")
    assert standing is not None
    edited = replace(standing, seal_problem="it is not what was sealed")
    monkeypatch.setattr(house.deployments, "read", lambda *_: edited)
    assert skipped(tick(house, instance)) == "held: it is not what was sealed"


@pytest.mark.parametrize(
    ("place", "answer", "verdict", "endpoint"),
    [
        ("shadow", "advance", "shadow_verdict", "canary_endpoint"),
        ("canary 1", "advance", "canary_verdict", "canary_endpoint"),
        ("canary 3", "advance", "canary_verdict", "production_endpoint"),
        ("watch", "advance", "watch_verdict", "production_endpoint"),
        ("shadow", "roll_back", "shadow_verdict", "shadow_endpoint"),
        ("canary 2", "roll_back", "canary_verdict", "canary_endpoint"),
        ("watch", "roll_back", "watch_verdict", "production_endpoint"),
        ("canary 2", "hold", "canary_verdict", None),
    ],
)
def test_what_automation_does_shows_on_the_right_pages(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    *,
    place: str,
    answer: str,
    verdict: str,
    endpoint: str | None,
) -> None:
    """The verdict on that of its leg, the move on that of the endpoint it changed."""
    house = at(place)
    if place != "watch":
        judged(house, 2)
    planted(house, monkeypatch, answer)
    result = run(house, "rollout", instance)
    assert result.success, failure(result)
    found = made(result)
    incident = {"incident"} if answer == "roll_back" else set()
    assert set(found) == {verdict} | ({endpoint} if endpoint else set()) | incident
    shown = found[verdict]
    assert (shown["version"], shown["answer"]) == (2, answer)
    assert shown["decision"].endswith("planted")
    assert (shown["pairs"], shown["coverage"]) == (3.0, "not known")
    assert shown["scores.png"].startswith("![](data:image/png")
    if endpoint:
        assert found[endpoint]["by"] == "rollout"
        champion = state_of(house).champion.version
        assert house.registry.aliases[(steps.LINE, "champion")] == champion


@pytest.mark.parametrize(
    ("place", "job", "changes", "endpoint"),
    [
        ("staged", "promote", {}, "shadow_endpoint"),
        ("staged", "promote", {"to": "SHADOW", "version": 2}, "shadow_endpoint"),
        ("shadow", "promote", {"to": "CANARY"}, "canary_endpoint"),
        ("canary 3", "promote", {"to": "PRODUCTION"}, "production_endpoint"),
        ("shadow", "rollback", {}, "shadow_endpoint"),
        ("canary 1", "rollback", {"version": 1}, "canary_endpoint"),
        ("watch", "rollback", {}, "production_endpoint"),
        ("watch", "settle", {}, "production_endpoint"),
        ("approved", "reject", {}, None),
        ("canary 1", "reject", {"version": 2}, "canary_endpoint"),
        ("staged", "approve", {}, None),
    ],
)
def test_what_people_do_shows_on_the_right_pages(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    *,
    place: str,
    job: str,
    changes: dict[str, Any],
    endpoint: str | None,
) -> None:
    """With who asked, and the commit."""
    house = at(place)
    if place.startswith(("shadow", "canary")):
        judged(house, 2)
    result = run(house, job, instance, run_config=form(job, **changes))
    assert result.success, failure(result)
    found = made(result)
    words = {"approval"} if job in {"approve", "reject"} else set()
    took_back = job == "rollback" or (job == "reject" and endpoint)
    incident = {"incident"} if took_back else set()
    assert set(found) == words | ({endpoint} if endpoint else set()) | incident
    if endpoint:
        standing = house.deployments.read(steps.LINE, "production")
        assert standing is not None
        assert (found[endpoint]["commit"], found[endpoint]["by"]) == (
            standing.commit,
            FORMS[job][1]["by"],
        )
    if words:
        by = FORMS[job][1]["by"]
        assert found["approval"]["said"].startswith(
            f"approved by {by}" if job == "approve" else f"rejected by {by}"
        )


@pytest.mark.parametrize("job", FORMS)
@pytest.mark.parametrize("field", ["by", "reason"])
def test_a_form_without_a_name_or_a_reason_begins_no_run(
    at: Callable[[str], House], instance: dg.DagsterInstance, job: str, field: str
) -> None:
    """Dagster names the missing field."""
    house = at("canary 1")
    with pytest.raises(
        dg.DagsterInvalidConfigError, match=f'Missing required config entry "{field}"'
    ):
        run(house, job, instance, run_config=form(job, **{field: None}))
    assert instance.get_runs() == []


@pytest.mark.parametrize("to", ["staging", "everywhere", "canary step 2", 3])
def test_an_unknown_stage_begins_no_run(
    at: Callable[[str], House], instance: dg.DagsterInstance, to: object
) -> None:
    """Only those a move can lead to."""
    with pytest.raises(dg.DagsterInvalidConfigError, match="to"):
        run(at("shadow"), "promote", instance, run_config=promotion_config(to=to))
    assert instance.get_runs() == []


@pytest.mark.parametrize(
    ("place", "job", "changes", "said"),
    [
        ("registered", "promote", {"to": "CANARY"}, "next place is staging"),
        ("approved", "promote", {"to": "PRODUCTION"}, "next place is shadow"),
        ("shadow", "promote", {}, "nothing is recorded"),
        ("shadow", "promote", {"by": " "}, "empty 'by'"),
        ("staged", "approve", {"by": "Carl"}, "trained the version"),
        ("registered", "approve", {}, "expected a verdict of staging"),
        ("canary 1", "settle", {}, "expected a release under watch"),
        ("canary 1", "rollback", {"version": 2}, "expected version 2 that has served"),
        ("staged", "promote", {"version": 9}, "expected version 9 in the registry"),
    ],
)
def test_a_refused_run_says_why_and_shows_nothing(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    *,
    place: str,
    job: str,
    changes: dict[str, Any],
    said: str,
) -> None:
    """No page is changed."""
    house = at(place)
    before = house.deployments.history(steps.LINE, "production")
    result = run(house, job, instance, run_config=form(job, **changes))
    assert not result.success
    assert said in failure(result)
    assert made(result) == {}
    assert house.deployments.history(steps.LINE, "production") == before


def test_materializing_an_endpoint_is_the_move_to_it(
    at: Callable[[str], House], instance: dg.DagsterInstance
) -> None:
    """The graph is no way round a gate: without its verdict the canary is refused."""
    house = at("shadow")
    definitions = definitions_of(house)
    key = dg.AssetKey(["small_line", "canary_endpoint"])
    job = definitions.resolve_implicit_global_asset_job_def()
    refused = job.execute_in_process(instance=instance, asset_selection=[key], raise_on_error=False)
    assert not refused.success
    assert state_of(house).rollout is not None
    judged(house, 2)
    done = job.execute_in_process(instance=instance, asset_selection=[key], raise_on_error=False)
    assert done.success, failure(done)
    assert made(done)["canary_endpoint"]["release under way"].startswith(
        "version 2, canary step 1, since "
    )


def test_a_rejection_that_cannot_take_out_says_so(
    at: Callable[[str], House], instance: dg.DagsterInstance
) -> None:
    """The first version serves on; its page says why."""
    house = at("approved")
    result = run(house, "reject", instance, run_config=form("reject", version=1))
    assert result.success
    assert "expected an earlier version" in made(result)["approval"]["problem"]
    assert set(made(result)) == {"approval"}


def test_every_leg_has_a_page_for_its_verdict(at: Callable[[str], House]) -> None:
    """Behind the endpoint it is about."""
    house = at("registered")
    specs = {spec.key.path[-1]: spec for spec in rollout_assets.verdict_specs(house.line)}
    assert {
        name: [dep.asset_key.path[-1] for dep in spec.deps] for name, spec in specs.items()
    } == {
        "shadow_verdict": ["shadow_endpoint"],
        "canary_verdict": ["canary_endpoint"],
        "watch_verdict": ["production_endpoint"],
    }
    stage(house, 2)
    assert let_through(house, 2).finding.outcome is Outcome.PASS
