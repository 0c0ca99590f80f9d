"""Status: what a line serves, what it has, and what the newest version waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.status import LineStatus, line_status
from ml_release.workflows.training import CANDIDATE
from ml_release_tests.full_rollout import judged, let_through, with_rollout
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_kill_switch import PULLED, RELEASED, adopt
from ml_release_tests.workflows.test_monitoring import drift, observe
from ml_release_tests.workflows.test_promotion import candidate_version
from ml_release_tests.workflows.traffic import a_label, serve_month, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House


def status(house: House) -> LineStatus:
    return line_status(
        house.line,
        environment="production",
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        switches=house.switches,
        workplace=house.workplace,
        now=house.clock.now(),
    )


def test_a_new_line_waits_for_a_candidate(house: House) -> None:
    """All else is unknown, and says so."""
    found = status(house)
    assert found.waits_for == "a candidate: nothing was trained yet"
    assert (found.versions, found.withdrawn, found.objections) == ((), (), ())
    unknown = found.model_dump(exclude={"line", "environment", "versions", "withdrawn"})
    told = {name for name, value in unknown.items() if value is not None and value != ()}
    assert told == {"waits_for"}


def test_a_trained_candidate_waits_for_its_evaluation(prepared: House) -> None:
    """It has no verdict yet."""
    digest = steps.train(prepared).model_digest
    found = status(prepared)
    assert found.waits_for == "an evaluation of the newest candidate"
    assert (found.candidate, found.candidate_verdict) == (digest, None)


def test_a_candidate_that_failed_waits_for_a_better_one(house: House) -> None:
    """The objections are there to be read."""
    steps.untrained(house)
    steps.evaluate(house)
    found = status(house)
    assert found.waits_for == "a better candidate: the newest one is judged fail"
    assert found.candidate_verdict is Outcome.FAIL
    assert any(
        "score_is_above_floor [auc_score on the holdout] fail" in text for text in found.objections
    )


def test_a_candidate_that_cannot_be_judged_waits_for_a_better_one_too(prepared: House) -> None:
    """Inconclusive holds it as a failure does."""
    digest = steps.train(prepared).model_digest
    steps.forget(prepared, "estimator_answers", digest)
    steps.evaluate(prepared)
    assert status(prepared).waits_for.endswith("judged inconclusive")


def test_a_good_candidate_waits_for_registration_then_for_promotion(evaluated: House) -> None:
    """Step by step, until nothing is left to wait for."""
    assert status(evaluated).waits_for == "registration of the newest candidate"
    steps.register(evaluated)
    found = status(evaluated)
    assert found.waits_for == "promotion of version 1"
    assert (found.versions, found.serving) == ((1,), None)
    steps.declare(evaluated)
    assert status(evaluated).waits_for == ""


def test_what_serves_is_told_with_who_declared_it_and_why(serving: House) -> None:
    """As the deployments repository has it."""
    declaration = serving.deployments.read(steps.LINE, "production")
    assert declaration is not None
    found = status(serving)
    assert (found.line, found.environment) == ("small_line", "production")
    assert (found.serving, found.share_percent) == (1, 100.0)
    assert (found.by, found.reason) == ("Ada", "passed its gates")
    assert (found.since, found.commit) == (declaration.committed_at, declaration.commit)


def test_another_environment_than_that_of_the_serving_version_is_told(serving: House) -> None:
    """As a remark: it is waited for by nobody."""
    assert status(serving).environment_drift == ()
    serving.workplace.move(packages={"numpy": "2.5.0"})
    found = status(serving)
    assert found.environment_drift == ("package numpy: recorded 2.4.6, found 2.5.0",)
    assert found.waits_for == ""


def test_without_the_record_of_what_serves_no_environment_is_compared(serving: House) -> None:
    """Unknown is not the same as none."""
    (version,) = serving.registry.versions(steps.LINE)
    steps.forget(serving, CANDIDATE, version.model_digest)
    assert status(serving).environment_drift is None


def test_a_newer_version_waits_for_promotion_beside_what_serves(serving: House) -> None:
    """Registered is not serving."""
    candidate_version(serving)
    found = status(serving)
    assert (found.versions, found.serving) == ((1, 2), 1)
    assert found.waits_for == "promotion of version 2"


def test_a_newer_candidate_waits_for_registration_beside_older_versions(serving: House) -> None:
    """That versions exist does not make it one of them."""
    steps.train(serving)
    steps.evaluate(serving)
    assert status(serving).waits_for == "registration of the newest candidate"


def test_after_a_rollback_a_new_candidate_is_waited_for(serving: House) -> None:
    """The newest version was withdrawn, and promoting it would be refused."""
    candidate_version(serving)
    steps.declare(serving)
    steps.go_back(serving)
    found = status(serving)
    assert (found.serving, found.withdrawn) == (1, (2,))
    assert found.waits_for == "a new candidate: version 2 was withdrawn"


@pytest.mark.parametrize(
    ("shift", "outcome", "objections"),
    [
        pytest.param(0.0, Outcome.PASS, 0, id="stable"),
        pytest.param(900.0, Outcome.FAIL, 1, id="drift"),
    ],
)
def test_the_newest_window_is_told_with_its_drift(
    serving: House, shift: float, outcome: Outcome, objections: int
) -> None:
    """Rows, labels and the findings that object."""
    serve_month(serving, "2013-04", shift=shift)
    write(serving, [], [a_label("r1", 1), a_label("r2", 0)])
    window = observe(serving)
    drift(serving)
    steps.gather(serving)
    found = status(serving)
    assert (found.window_rows, found.labels) == (window.rows, 2)
    assert found.drift is outcome
    assert len(found.drift_objections) == objections


def test_drift_that_was_judged_on_an_older_window_is_not_told(serving: House) -> None:
    """The window is newer than the report."""
    serve_month(serving, "2013-04")
    observe(serving, days=1)
    drift(serving)
    window = observe(serving)
    found = status(serving)
    assert (found.drift, found.drift_objections) == (None, ())
    assert found.window_rows == window.rows


def test_a_verdict_that_was_lost_is_waited_for_again(evaluated: House) -> None:
    """Without the record nothing was judged."""
    digest = status(evaluated).candidate
    assert digest is not None
    steps.forget(evaluated, EVALUATION_VERDICT, digest)
    assert status(evaluated).waits_for == "an evaluation of the newest candidate"


def test_a_pulled_switch_is_told_until_git_knows_that_it_is_released(serving: House) -> None:
    """In words: who, why, what is answered, and where it stands."""
    assert status(serving).kill_switch is None
    serving.switches.pull(steps.LINE, "production", PULLED)
    said = status(serving).kill_switch
    assert said == (
        "pulled by ada at 2013-05-01 00:00: nonsense; every row is answered with 0.2; not in Git"
        " yet"
    )
    adopt(serving, serving.switches)
    assert status(serving).kill_switch == "engaged in Git: every row is answered with 0.2"
    serving.switches.pull(steps.LINE, "production", RELEASED)
    said = status(serving).kill_switch or ""
    assert said.endswith("mended; every row is answered with 0.2; in Git it is still engaged")
    adopt(serving, serving.switches)
    assert status(serving).kill_switch is None


def test_a_switch_that_cannot_be_read_is_told(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cannot tell is not off."""

    def read(*_: object) -> None:
        message = "expected a recorded pull"
        raise IntegrityError(message)

    monkeypatch.setattr(serving.switches, "read", read)
    assert status(serving).kill_switch == "nobody can tell: expected a recorded pull"


@pytest.mark.parametrize(
    ("place", "where", "shares", "waits"),
    [
        pytest.param(
            "shadow",
            ("shadow", None, None),
            ("champion version 1: 100 %", "shadow version 2: asked 100 %"),
            "the first verdict of its shadow",
            id="shadow",
        ),
        pytest.param(
            "canary 2",
            ("canary", 2, 3),
            ("champion version 1: 75 %", "canary version 2: 25 %"),
            "the first verdict of its canary",
            id="canary",
        ),
        pytest.param(
            "watch",
            ("watch", None, None),
            ("champion version 2: 100 %",),
            "the first verdict of its watch",
            id="watch",
        ),
    ],
)
def test_a_release_under_way_is_told(
    at: Callable[[str], House],
    place: str,
    where: tuple[str, int | None, int | None],
    shares: tuple[str, ...],
    waits: str,
) -> None:
    """Version, leg, step, since when, who answers what, who let it through."""
    found = status(at(place))
    told = found.under_way
    assert told is not None
    assert (told.version, (told.leg, told.step, told.steps)) == (2, where)
    assert told.shares == shares
    assert told.since == told.begun == "2026-11-21T09:00:00+00:00"
    assert told.verdict == "nothing was judged yet"
    assert "approvals_suffice [version 2] pass" in told.approvals
    assert "Bea at 2026-11-21 09:00: read the report" in told.approvals
    assert found.waits_for == f"version 2 in {where[0]}: {waits}"


def under_policy(house: House, **changes: Any) -> House:
    house.line = with_rollout(house.line, **changes)
    return house


def switched_off(house: House) -> None:
    house.switches.pull(steps.LINE, "production", PULLED)
    adopt(house, house.switches)


@pytest.mark.parametrize(
    ("arrange", "verdict", "waits"),
    [
        pytest.param(lambda house: judged(house, 2), "pass: every rule", "", id="goes on"),
        pytest.param(
            lambda house: judged(house, 2, Outcome.INCONCLUSIVE, answer="undecided"),
            "undecided, inconclusive: planted [the test] inconclusive",
            "its canary: planted [the test] inconclusive",
            id="undecided",
        ),
        pytest.param(
            lambda house: judged(house, 2, declared_commit="before"),
            "nothing was judged yet",
            "the first verdict of its canary",
            id="of another step",
        ),
        pytest.param(
            lambda house: (
                under_policy(house, automatic=False),
                judged(house, 2),
                let_through(house, 2),
            ),
            "pass: ",
            "a person to promote it",
            id="driven by a person",
        ),
        pytest.param(
            lambda house: (judged(house, 2), house.clock.move(timedelta(days=15))),
            "pass: ",
            "more than 14 days ago",
            id="the word expired",
        ),
        pytest.param(
            lambda house: (
                under_policy(house, stages=("staging",)),
                judged(house, 2),
            ),
            "pass: ",
            "a person to roll it back: the policy no longer declares",
            id="lost its stage",
        ),
        pytest.param(
            switched_off, "nothing was", "a person to release the kill switch", id="switched off"
        ),
        pytest.param(
            lambda house: steps.edit(
                house,
                "candidate",
                house.registry.versions(steps.LINE)[-1].model_digest,
                lambda document: document.pop("run_id"),
            ),
            "nothing was judged yet",
            "CandidateRecord: expected a recorded one",
            id="a record was edited",
        ),
    ],
)
def test_what_a_release_waits_for_is_told(
    at: Callable[[str], House], arrange: Callable[[House], object], verdict: str, waits: str
) -> None:
    """In words, from what is recorded; whatever is broken."""
    house = at("canary 1")
    arrange(house)
    told = status(house).under_way
    assert told is not None
    assert told.verdict.startswith(verdict)
    assert waits in told.waits_for
    assert bool(told.waits_for) is bool(waits)


@pytest.mark.parametrize("place", ["staged", "settled"])
def test_with_no_release_under_way_none_is_told(at: Callable[[str], House], place: str) -> None:
    """Staging is not beside production yet, and what is settled is through."""
    assert status(at(place)).under_way is None
