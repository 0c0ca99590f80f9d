"""What is told of a request and of a moment: everything, checked again, or why it is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.assignment import bucket_of
from ml_release.domain.masking import HASH_PREFIX
from ml_release.errors import InputError, NotFoundError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.explaining import explain_moment, explain_request
from ml_release.workflows.training import CANDIDATE
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_three_truths import answered, serve, standing
from ml_release_tests.workflows.traffic import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.explanation import Explanation, Fact
    from ml_release_tests.small_line import House


def parts(house: House) -> dict[str, Any]:
    return {
        "environment": "production",
        "inference_log": house.inference_log,
        "tables": house.tables,
        "evidence": house.evidence,
        "models": house.models,
        "registry": house.registry,
        "deployments": house.deployments,
    }


def of_request(house: House, name: str = "r", *, unit: str | None = None) -> Explanation:
    return explain_request(house.line, name, unit=unit, **parts(house))


def of_moment(house: House, at: datetime) -> Explanation:
    return explain_moment(house.line, at, **parts(house))


def found(told: Explanation, section: str, name: str) -> Fact:
    (one,) = [
        fact
        for part in told.sections
        if part.title.startswith(section)
        for fact in part.facts
        if fact.name == name
    ]
    return one


def ask(house: House, **changes: Any) -> None:
    write(house, [answered(house, "r", **changes)])


def test_a_request_is_explained_down_to_its_data(serving: House) -> None:
    """Every link that can be is verified; only the label and the unit's bucket are not known."""
    ask(serving)
    told = of_request(serving)
    assert told.problems == ()
    assert {fact.name for fact in told.unknown} == {"label", "bucket", "trained by"} - (
        set() if found(told, "training", "trained by").value is None else {"trained by"}
    )
    assert found(told, "answer", "prediction").value == "0.25"
    assert found(told, "answer", "feature carrier").value == "AA"
    assert found(told, "why", "rule").check == "verified"
    assert found(told, "declared", "by").value == "Ada"
    for section, name in (
        ("declared", "commit"),
        ("evidence", "verdict"),
        ("evidence", "policy"),
        ("training", "data"),
        ("training", "artefact"),
        ("training", "registered"),
        ("training", "snapshot 2013-02"),
    ):
        assert found(told, section, name).check == "verified", name
    assert found(told, "since", "withdrawn").value == "not since"


def test_a_request_nobody_answered_is_not_found(serving: House) -> None:
    """Nor is a shadow's answer an answer."""
    ask(serving, shadow=True, variant="shadow")
    with pytest.raises(NotFoundError, match="expected the request 'r'"):
        of_request(serving)


@pytest.mark.parametrize(
    ("logged", "given", "check"),
    [
        ("passenger-1", "passenger-1", "verified"),
        ("passenger-1", None, "verified"),
        ("passenger-1", "passenger-2", "does not check out"),
    ],
)
def test_the_bucket_of_a_unit_is_computed_again(
    serving: House, logged: str, given: str | None, check: str
) -> None:
    """Another unit's does not lead to what was logged."""
    ask(serving, bucket=bucket_of(logged, standing(serving).state.release))
    assert found(of_request(serving, unit=given), "why", "rule").check == check


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variant": "pinned"}, "the client named"),
        ({"variant": "kill_switch", "version": 0, "model_digest": "none"}, "kill switch"),
    ],
)
def test_who_met_no_assignment_is_told_so(
    serving: House, changes: dict[str, Any], said: str
) -> None:
    """Nothing is made up for it."""
    ask(serving, **changes)
    assert said in (found(of_request(serving), "why", "rule").value or "")


def test_a_fallback_names_who_was_to_answer(serving: House) -> None:
    """And that the rule leads to another version than the one that should have."""
    ask(serving, assigned_version=2, outcome="fallback", error="version 2 failed")
    told = of_request(serving)
    assert "version 2 was to answer" in (found(told, "why", "fallback").value or "")
    assert found(told, "why", "rule").check == "does not check out"


def test_masked_values_stay_masked(serving: House) -> None:
    """A hash is shown as what it is."""
    ask(serving, features={"carrier": f"{HASH_PREFIX}00ff", "distance": None})
    told = of_request(serving)
    assert found(told, "answer", "feature carrier").value == f"masked: {HASH_PREFIX}00ff"
    assert found(told, "answer", "feature distance").value == "missing"


def test_a_commit_that_is_gone_is_not_known(serving: House) -> None:
    """With the reason, and everything else is still told."""
    ask(serving, route_commit="c9")
    told = of_request(serving)
    for section, name in (("why", "rule"), ("declared", "commit"), ("since", "withdrawn")):
        fact = found(told, section, name)
        assert fact.value is None
        assert "repository" in fact.why_not
    assert found(told, "training", "trained at").value is not None


@pytest.mark.parametrize(
    ("break_it", "section", "name", "known"),
    [
        (lambda h, d: steps.forget(h, EVALUATION_VERDICT, d), "evidence", "verdict", False),
        (lambda h, d: steps.forget(h, CANDIDATE, d), "training", "candidate", False),
        (steps.tamper, "training", "artefact", False),
    ],
)
def test_what_cannot_be_read_says_why(
    serving: House,
    break_it: Callable[[House, str], None],
    section: str,
    name: str,
    known: bool,
) -> None:
    """It is never left out."""
    ask(serving)
    break_it(serving, standing(serving).state.champion.model_digest)
    fact = found(of_request(serving), section, name)
    assert (fact.value is not None) is known
    assert fact.why_not


def test_a_verdict_that_was_given_again_does_not_check_out(serving: House) -> None:
    """Git names the one the version went on."""
    ask(serving)
    digest = standing(serving).state.champion.model_digest
    steps.edit(
        serving,
        EVALUATION_VERDICT,
        digest,
        lambda verdict: verdict["evidence"].update(champion_digest="another"),
    )
    assert found(of_request(serving), "evidence", "verdict").check == "does not check out"


def test_a_snapshot_that_was_replaced_is_not_known(serving: House) -> None:
    """The rows it was trained on are not there to be read."""
    ask(serving)
    serving.land("2013-02", steps.with_shuffled_labels("2013-02"))
    steps.snapshot(serving, "2013-02")
    told = of_request(serving)
    assert "was replaced" in found(told, "training", "snapshot 2013-02").why_not
    assert found(told, "training", "snapshot 2013-01").check == "verified"


def test_a_moment_is_explained_by_what_stood_then(serving: House) -> None:
    """What was served around it, and not what came later."""
    at = serving.clock.now() + timedelta(minutes=5)
    serve(serving, "a")
    told = of_moment(serving, at)
    assert found(told, "served", "version 1 as champion").value
    assert found(told, "declared", "commit").value == standing(serving).commit
    assert told.problems == ()
    before = of_moment(serving, datetime(2013, 1, 1, tzinfo=UTC))
    assert found(before, "declared", "commit").value is None
    assert found(before, "served", "served").value is None


def test_a_moment_needs_its_zone(serving: House) -> None:
    """Noon is not one moment."""
    with pytest.raises(InputError, match="time zone"):
        of_moment(serving, datetime(2013, 1, 1))  # noqa: DTZ001


def test_a_version_that_was_withdrawn_since_names_the_incident(serving: House) -> None:
    """By whom, when and why."""
    ask(serving)
    first = standing(serving)
    steps.train(serving, last="2013-04")
    serving.clock.move(timedelta(minutes=1))
    state = first.state.model_copy(
        update={
            "variants": (
                first.state.champion.model_copy(
                    update={"version": 2, "model_digest": steps.NOWHERE}
                ),
            ),
            "withdrawn": (1,),
        }
    )
    serving.deployments.declare(
        state,
        expected_commit=first.commit,
        trailers={"Actor": "Bob", "Reason": "it answered nonsense"},
        at=serving.clock.now(),
    )
    told = of_request(serving)
    said = found(told, "since", "withdrawn").value or ""
    assert "by Bob" in said
    assert "it answered nonsense" in said
    assert found(told, "since", "now").value == "not declared to answer"
