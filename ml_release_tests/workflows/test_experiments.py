"""Experiments from the plan to the way back: begun, gathered from the log, judged, ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.assignment import assign
from ml_release.domain.deployment import Variant
from ml_release.domain.experiment_analysis import Answer
from ml_release.domain.experiment_design import Baseline
from ml_release.domain.experiment_moves import back_to_control, with_experiment
from ml_release.domain.experiment_policy import ExperimentPolicy
from ml_release.domain.inference import Reward
from ml_release.errors import InputError, NotFoundError, RefusedError
from ml_release.workflows.experiment_gathering import Gathered, gather_experiment
from ml_release.workflows.experiment_moves import (
    Begun,
    Draft,
    begin_experiment,
    end_experiment,
)
from ml_release.workflows.experiments import (
    ExperimentReport,
    newest_verdict,
    record_experiment,
    report_experiment,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.workflows.promotion import Moved
    from ml_release_tests.small_line import House

DRAFT = Draft(name="colours", versions=(2,))
POLICY = ExperimentPolicy(minimum_detectable_effect=0.1)


@pytest.fixture(scope="session")
def the_two(the_serving: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = the_serving.copied(tmp_path_factory.mktemp("two"))
    trees = house.line.parameters["max_iter"] + 1
    parameters = {**house.line.parameters, "max_iter": trees}
    house.line = house.line.model_copy(update={"parameters": parameters})
    steps.train(house)
    steps.evaluate(house)
    steps.register(house)
    return house


@pytest.fixture
def two(the_two: House, tmp_path: Path) -> House:
    """Version 1 answers, version 2 is registered."""
    return the_two.copied(tmp_path / "inference")


def begin(house: House, draft: Draft = DRAFT, policy: ExperimentPolicy = POLICY) -> Begun:
    return begin_experiment(
        house.line,
        draft,
        baseline=Baseline(mean=0.3, units_per_day=100),
        policy=policy,
        environment=house.environment,
        request=steps.REQUEST,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def end(house: House, name: str | None = None) -> Moved:
    return end_experiment(
        house.line,
        name,
        environment=house.environment,
        request=steps.REQUEST,
        deployments=house.deployments,
        clock=house.clock,
    )


def report(house: House, name: str | None = None) -> ExperimentReport:
    return report_experiment(
        house.line,
        name,
        environment=house.environment,
        inference_log=house.inference_log,
        deployments=house.deployments,
        evidence=house.evidence,
        plotter=house.plotter,
        now=house.clock.now(),
    )


def gather(house: House, begun: Begun) -> Gathered:
    return gather_experiment(
        house.line,
        begun.experiment,
        begun.plan,
        inference_log=house.inference_log,
        now=house.clock.now(),
    )


def a_reward(request_id: str, value: float, **changes: Any) -> Reward:
    moment = "2026-11-21T09:30:00+00:00"
    known: dict[str, Any] = {
        "request_id": request_id,
        "reward": value,
        "experiment": "colours",
        "version": 1,
        "propensity": 0.5,
        "event_time": moment,
        "received_time": moment,
    }
    return Reward(**{**known, **changes})


def answered(house: House, request_id: str, **changes: Any) -> Any:
    """An answer of an experiment that began at nine, at ten past."""
    known = {
        "received_time": "2026-11-21T09:10:00+00:00",
        "experiment": "colours",
        "propensity": 0.5,
        "bucket": 17,
    }
    return a_record(house, request_id, "2026-11-21T09:10:00+00:00", **{**known, **changes})


def post(house: House, *rewards: Reward) -> None:
    house.clock.move(timedelta(seconds=1))
    writer = house.log_writer
    writer.append_rewards(steps.LINE, list(rewards))
    writer.close()


def serve(house: House, means: dict[int, float], *, units: int = 1500, **changes: Any) -> None:
    """Answers as the endpoint server assigns them, with rewards at those rates."""
    declaration = house.deployments.read(steps.LINE, "production")
    assert declaration is not None
    generator = np.random.default_rng(1)
    records, rewards = [], []
    for number in range(units):
        assigned = assign(declaration.state, unit=f"u{number}", request_id=f"r{number}")
        arm = {"version": assigned.version, "propensity": assigned.propensity}
        records.append(
            answered(
                house,
                f"r{number}",
                bucket=assigned.bucket,
                experiment=assigned.experiment,
                **{**arm, **changes},
            )
        )
        if assigned.experiment is not None:
            value = float(generator.random() < means[assigned.version])
            rewards.append(a_reward(f"r{number}", value, **arm))
    write(house, records)
    post(house, *rewards)
    house.clock.move(timedelta(hours=1))


def test_an_experiment_begins_by_one_commit_with_a_recorded_plan(two: House) -> None:
    """Others meet what they met before: the release stays, the treatment has no weight outside."""
    before = two.deployments.history(steps.LINE, "production")[-1].state
    begun = begin(two)
    state = begun.declaration.state
    assert begun.changed
    assert state.release == before.release
    assert state.experiment == begun.experiment
    assert [(v.role, v.version, v.weight_percent) for v in state.variants] == [
        ("champion", 1, 100.0),
        ("treatment", 2, 0.0),
    ]
    assert begun.plan.expected_days == pytest.approx(begun.plan.total_units / 100, abs=0.1)
    assert begun.declaration.reason == "begin experiment colours: passed its gates"


def test_asking_again_changes_nothing_the_plan_included(two: House) -> None:
    """A retried run does not move the goalposts."""
    first = begin(two)
    two.clock.move(timedelta(days=1))
    again = begin(two, policy=ExperimentPolicy(minimum_detectable_effect=0.2))
    assert (again.changed, again.plan, again.declaration) == (
        False,
        first.plan,
        first.declaration,
    )


@pytest.mark.parametrize(
    ("draft", "error", "message"),
    [
        pytest.param(replace(DRAFT, versions=(9,)), NotFoundError, r"version 9", id="unknown"),
        pytest.param(replace(DRAFT, versions=()), InputError, "at least 2", id="one arm"),
        pytest.param(replace(DRAFT, versions=(1,)), InputError, "in one arm", id="the control"),
        pytest.param(replace(DRAFT, name="two words"), InputError, "name", id="name"),
        pytest.param(replace(DRAFT, share_percent=0), InputError, "share_percent", id="nobody"),
        pytest.param(
            replace(DRAFT, weights_percent=(50.0,)), InputError, "found 1", id="a weight is missing"
        ),
        pytest.param(
            replace(DRAFT, weights_percent=(60.0, 60.0)), InputError, "found 120", id="over 100"
        ),
        pytest.param(
            replace(DRAFT, weights_percent=(100.0, 0.0)), InputError, "above 0", id="no share"
        ),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(
    two: House, draft: Draft, error: type[Exception], message: str
) -> None:
    """Nothing is declared, no plan is recorded."""
    before = two.deployments.history(steps.LINE, "production")
    with pytest.raises(error, match=message):
        begin(two, draft)
    assert two.deployments.history(steps.LINE, "production") == before
    assert two.evidence.newest_subject(steps.LINE, "experiment_plan") is None


def redeclare(house: House, **changes: Any) -> None:
    present = house.deployments.history(steps.LINE, "production")[-1]
    house.deployments.declare(
        present.state.model_copy(update=changes),
        expected_commit=present.commit,
        trailers={"Actor": "Bob", "Reason": "by hand"},
        at=house.clock.now(),
    )


def test_beside_a_canary_it_is_refused(two: House) -> None:
    """A comparison with a moving control says nothing."""
    state = two.deployments.history(steps.LINE, "production")[-1].state
    canary = Variant(role="canary", version=2, model_digest="d", weight_percent=5.0)
    champion = state.champion.model_copy(update={"weight_percent": 95.0})
    redeclare(two, variants=(champion, canary))
    with pytest.raises(RefusedError, match="a rollout is under way"):
        begin(two)


def test_a_withdrawn_version_is_no_arm(two: House) -> None:
    """Whatever else lets it."""
    redeclare(two, withdrawn=(2,))
    with pytest.raises(RefusedError, match=r"versions \[2\] were withdrawn"):
        begin(two)


def test_another_experiment_is_refused(two: House) -> None:
    """One at a time: each would answer for the other's units."""
    begin(two)
    with pytest.raises(RefusedError, match="experiment colours is under way"):
        begin(two, replace(DRAFT, name="shapes"))


def test_a_version_whose_evidence_is_lost_is_refused(two: House) -> None:
    """As a promotion would be."""
    digest = two.registry.versions(steps.LINE)[-1].model_digest
    steps.forget(two, "evaluation_verdict", digest)
    with pytest.raises(RefusedError, match="experiment colours with version 2"):
        begin(two)


def test_with_nothing_declared_there_is_no_control(evaluated: House) -> None:
    """Nor anything to end."""
    with pytest.raises(NotFoundError, match="nothing is declared"):
        begin(evaluated)
    with pytest.raises(NotFoundError, match="nothing"):
        end(evaluated)


def test_the_end_is_back_at_the_control_and_done_once(two: House) -> None:
    """Without registry or evidence; the name is used up."""
    before = two.deployments.history(steps.LINE, "production")[-1].state
    begin(two)
    with pytest.raises(RefusedError, match="expected it to be declared, found colours"):
        end(two, "shapes")
    registry, two.registry = two.registry, None  # type: ignore[assignment]
    first, again = end(two, "colours"), end(two)
    assert (first.changed, again.changed) == (True, False)
    assert again.declaration == first.declaration
    assert first.declaration.state == before
    two.registry = registry
    with pytest.raises(RefusedError, match="its name was used before"):
        begin(two)


def test_weight_outside_of_the_experiment_goes_back_to_the_champion(two: House) -> None:
    """Whatever somebody declared by hand."""
    state = begin(two).declaration.state
    champion, treatment = state.variants
    shared = state.model_copy(
        update={
            "variants": (
                champion.model_copy(update={"weight_percent": 70.0}),
                treatment.model_copy(update={"weight_percent": 30.0}),
            )
        }
    )
    assert back_to_control(shared).champion.weight_percent == 100
    assert with_experiment(back_to_control(shared), begin(two).experiment, [treatment]) == state


def test_answers_are_gathered_for_the_arm_that_was_assigned(two: House) -> None:
    """Also where another version had to answer; the first row and the first reward stand."""
    begun = begin(two)
    write(
        two,
        [
            answered(two, "a"),
            answered(two, "a", row=1),
            answered(two, "b", assigned_version=2, outcome="fallback", error="it broke"),
            answered(two, "a", bucket=18),
            answered(two, "old", received_time="2026-11-21T08:00:00+00:00"),
            answered(two, "pinned", bucket=None, propensity=None),
            answered(two, "stranger", version=7),
            answered(two, "elsewhere", experiment="shapes"),
            answered(two, "outside", experiment=None),
            answered(two, "secret", shadow=True),
        ],
    )
    post(
        two,
        a_reward("b", 1.0, experiment=None, version=None, propensity=None),
        a_reward("a", 0.25),
        a_reward("a", 1.0),
        a_reward("lost", 1.0),
    )
    two.clock.move(timedelta(hours=1))
    found = gather(two, begun)
    assert found.observed.version.tolist() == [1, 2]
    assert found.observed.is_error.tolist() == [False, True]
    assert found.observed.reward.tolist() == [0.25, 1.0]
    assert {reason: n for reason, n in found.left_out.items() if n} == {
        "answers of before it was begun": 1,
        "answers without bucket or propensity": 1,
        "answers of versions that are no arm": 1,
        "rewards without a kept answer": 1,
    }


@pytest.mark.parametrize(
    ("limits", "rewards"),
    [
        pytest.param({}, [1.0, None, 0.5], id="as they are"),
        pytest.param({"unrewarded": "zero"}, [1.0, 0.0, 0.5], id="no reward is zero"),
        pytest.param(
            {"unrewarded": "zero", "reward_delay_hours": 0.5}, [1.0, 0.0, None], id="not yet due"
        ),
    ],
)
def test_rewards_that_are_missing_or_early(
    two: House, limits: dict[str, Any], rewards: list[float | None]
) -> None:
    """A young answer waits, with its reward or without."""
    begun = begin(two, policy=ExperimentPolicy(**limits))
    young = "2026-11-21T09:50:00+00:00"
    write(two, [answered(two, "a"), answered(two, "b"), answered(two, "c", received_time=young)])
    post(two, a_reward("a", 1.0), a_reward("c", 0.5))
    two.clock.move(timedelta(hours=1))
    found = gather(two, begun).observed.reward
    assert [None if np.isnan(one) else one for one in found] == rewards


def test_an_experiment_nobody_took_part_in_goes_on(two: House) -> None:
    """Nothing is known, and nothing is drawn."""
    begin(two)
    found = report(two)
    assert found.analysis.answer is Answer.CONTINUE
    assert found.verdict.outcome.value == "inconclusive"
    assert (found.plots, found.gathered.first) == ({}, None)


@pytest.mark.parametrize(
    ("means", "answer"),
    [
        pytest.param({1: 0.3, 2: 0.6}, Answer.NAME_WINNER, id="better"),
        pytest.param({1: 0.6, 2: 0.3}, Answer.HARM, id="worse"),
        pytest.param({1: 0.4, 2: 0.4}, Answer.PLANNED_END, id="the same"),
    ],
)
def test_what_was_served_is_judged_and_recorded(
    two: House, means: dict[int, float], answer: Answer
) -> None:
    """From answers in the log and rewards that were posted; recorded under the experiment."""
    begun = begin(two, policy=ExperimentPolicy(minimum_detectable_effect=0.1, guardrails=()))
    serve(two, means)
    found = report(two)
    assert found.analysis.answer is answer
    assert (
        found.verdict.evidence["version_2_digest"]
        == begun.declaration.state.variants[1].model_digest
    )
    assert found.verdict.evidence["route_commits"] == "c0"
    assert newest_verdict(two.line, begun.experiment, evidence=two.evidence) is None
    record_experiment(two.line, found, evidence=two.evidence)
    assert newest_verdict(two.line, begun.experiment, evidence=two.evidence) == found.verdict
    assert set(found.plots) == {"differences.png", "regret.png"}


def test_an_ended_experiment_can_be_read_by_its_name(two: House) -> None:
    """Without it the present one is meant, and there is none."""
    begin(two)
    end(two)
    assert not report(two, "colours").is_declared
    for name in (None, "shapes"):
        with pytest.raises(NotFoundError, match=r"found none in production \(ended: colours\)"):
            report(two, name)


def test_an_experiment_without_a_plan_is_not_judged(two: House) -> None:
    """Limits chosen after the fact prove nothing."""
    begun = begin(two)
    steps.forget(two, "experiment_plan", begun.plan.experiment_digest)
    with pytest.raises(NotFoundError, match="expected the plan it was begun with"):
        report(two)
