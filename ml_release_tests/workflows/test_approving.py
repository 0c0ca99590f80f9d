"""Approving: on evidence that lets a version go on, by somebody who may, until it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.approvals import ApprovalPolicy
from ml_release.domain.canary_policy import CanaryStep
from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError, IntegrityError, RefusedError
from ml_release.workflows.approving import APPROVALS, recorded_approvals
from ml_release.workflows.promotion import Request, find_version
from ml_release.workflows.rejecting import reject
from ml_release.workflows.waiving import WaiverRequest, waive
from ml_release_tests.full_rollout import (
    APPROVER,
    AUTHOR,
    FULL,
    judged,
    let_through,
    move,
    next_version,
    stage,
    state_of,
    with_rollout,
)
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.approvals import Approval
    from ml_release.workflows.rejecting import Rejected
    from ml_release_tests.small_line import House


def by(name: str, reason: str = "read the report") -> Request:
    return replace(APPROVER, by=name, reason=reason)


def words(house: House, number: int = 2) -> tuple[Approval, ...]:
    version = find_version(house.line, number, registry=house.registry)
    return recorded_approvals(house.line, version.model_digest, evidence=house.evidence)


def digest(house: House, number: int = 2) -> str:
    return find_version(house.line, number, registry=house.registry).model_digest


def rejected(house: House, number: int = 2, name: str = "Dan") -> Rejected:
    return reject(
        house.line,
        find_version(house.line, number, registry=house.registry),
        by(name, "odd answers"),
        environment=house.environment,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        online=house.online,
        deployments=house.deployments,
        clock=house.clock,
    )


def with_approval(house: House, **fields: Any) -> None:
    """Another policy, which another approval has to rest on."""
    house.line = with_rollout(house.line, approval=ApprovalPolicy(**fields))


def refused_to_move(house: House) -> str:
    """Why the next move is refused; nothing is changed by asking."""
    before = house.deployments.history(steps.LINE, "production")
    with pytest.raises(RefusedError) as caught:
        move(house, 2)
    assert house.deployments.history(steps.LINE, "production") == before
    return str(caught.value)


def test_an_approval_is_recorded_with_all_it_rests_on(at: Callable[[str], House]) -> None:
    """Digests by name; nothing is moved."""
    house = at("staged")
    before = state_of(house)
    found = let_through(house, 2)
    assert found.finding.outcome is Outcome.PASS
    (word,) = words(house)
    assert (word.by, word.reason, word.decision) == ("Bea", "read the report", "approved")
    assert word.at == house.clock.now()
    assert set(word.evidence) == {
        "verdict",
        "candidate",
        "data",
        "policy",
        "rollout policy",
        "staging",
    }
    assert state_of(house) == before


@pytest.mark.parametrize(
    ("place", "who", "policy", "message"),
    [
        pytest.param("registered", "Bea", {}, "expected a verdict of staging", id="not staged"),
        pytest.param("staged", AUTHOR, {}, f"{AUTHOR}: trained the version", id="author"),
        pytest.param("staged", " carl ", {}, "trained the version", id="author typed otherwise"),
        pytest.param(
            "staged", "Bea", {"approvers": ("Dan",)}, "is none of the approvers Dan", id="approver"
        ),
    ],
)
def test_a_word_that_would_not_count_is_refused(
    at: Callable[[str], House], place: str, who: str, policy: dict[str, Any], message: str
) -> None:
    """And nothing is recorded."""
    house = at(place)
    with_approval(house, **policy)
    with pytest.raises(RefusedError, match=message):
        let_through(house, 2, request=by(who))
    assert words(house) == ()


def test_a_version_of_nobody_knows_whom_cannot_be_approved(at: Callable[[str], House]) -> None:
    """Anybody could be its author."""
    house = at("registered")
    number = next_version(house, by=None)
    stage(house, number)
    with pytest.raises(RefusedError, match="nobody knows who trained the version"):
        let_through(house, number)


def test_evidence_that_holds_cannot_be_approved_away(at: Callable[[str], House]) -> None:
    """An approval is no waiver."""
    house = at("staged")
    steps.forget(house, "evaluation_verdict", digest(house))
    with pytest.raises(RefusedError, match="approval of version 2 of small_line"):
        let_through(house, 2)
    assert words(house) == ()


@pytest.mark.parametrize("field", ["by", "reason"])
def test_a_word_that_is_too_long_is_bad_input(at: Callable[[str], House], field: str) -> None:
    """Which field, how long it is, how long it may be; for a rejection as well."""
    house = at("staged")
    request = replace(APPROVER, **{field: "x" * 501})
    with pytest.raises(InputError, match=f"'{field}' of at most 500 characters, found 501"):
        let_through(house, 2, request=request)
    version = find_version(house.line, 2, registry=house.registry)
    with pytest.raises(InputError, match="of at most 500 characters, found 501"):
        reject(
            house.line,
            version,
            request,
            environment=house.environment,
            evidence=house.evidence,
            models=house.models,
            loader=house.loader,
            online=house.online,
            deployments=house.deployments,
            clock=house.clock,
        )
    assert words(house) == ()


def test_two_people_are_needed_where_the_policy_says_so(at: Callable[[str], House]) -> None:
    """One person twice is one."""
    house = at("staged")
    with_approval(house, needed=2)
    for name in ("Bea", "bea"):
        assert let_through(house, 2, request=by(name)).finding.outcome is Outcome.INCONCLUSIVE
    found = let_through(house, 2, request=by("Dan"))
    assert found.finding.outcome is Outcome.PASS
    assert [word.by for word in found.counted] == ["Dan", "bea"]


def evaluated_again(house: House) -> None:
    """Under another limit of the evaluation."""
    house.line = steps.with_policy(house.line, "evaluation", minimum_rows=99)
    steps.evaluate(house, digest(house))


def staged_again(house: House) -> None:
    """Under another policy of staging."""
    policy = FULL.staging.model_copy(update={"smoke_rows": 41})
    house.line = with_rollout(house.line, staging=policy)
    stage(house, 2)


def waived(house: House) -> None:
    """The floor is raised above it, and somebody lets that go."""
    floors = {"auc_score": 0.99}
    quality = house.line.policies.evaluation.quality.model_copy(update={"floors": floors})
    house.line = steps.with_policy(house.line, "evaluation", quality=quality)
    for finding in steps.evaluate(house, digest(house)).verdict.objections:
        waive(
            house.line,
            WaiverRequest(
                rule=finding.rule,
                subject=finding.subject,
                by="Eve",
                reason="a holiday",
                lasts=timedelta(days=7),
            ),
            model_digest=digest(house),
            evidence=house.evidence,
            clock=house.clock,
        )
    steps.card(house, digest(house))
    stage(house, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(evaluated_again, "staging: ", id="evaluated again"),
        pytest.param(staged_again, "rollout policy, staging changed since", id="staged again"),
        pytest.param(
            lambda house: with_approval(house, valid_days=15),
            "rollout policy changed since",
            id="another policy",
        ),
        pytest.param(
            lambda house: setattr(
                house,
                "line",
                with_rollout(house.line, canary_steps=(CanaryStep(weight_percent=90.0),)),
            ),
            "rollout policy changed since",
            id="other steps",
        ),
        pytest.param(
            lambda house: house.clock.move(timedelta(days=14, seconds=1)),
            "more than 14 days ago",
            id="expired",
        ),
        pytest.param(
            lambda house: house.clock.move(timedelta(hours=-1)),
            "still to come",
            id="clock set back",
        ),
    ],
)
def test_an_approval_lapses(
    at: Callable[[str], House], change: Callable[[House], Any], message: str
) -> None:
    """With what it rested on, and with time; the next move says which."""
    house = at("shadow")
    change(house)
    judged(house, 2)
    assert message in refused_to_move(house)


def test_an_approval_after_the_change_counts(at: Callable[[str], House]) -> None:
    """The same person, on the evidence as it is now."""
    house = at("shadow")
    staged_again(house)
    judged(house, 2)
    refused_to_move(house)
    let_through(house, 2)
    assert move(house, 2).changed
    assert len(words(house)) == 2


def test_an_approval_without_a_waiver_does_not_count_with_one(at: Callable[[str], House]) -> None:
    """Whoever approves has to have seen what was waived."""
    house = at("approved")
    waived(house)
    move(house, 2)
    judged(house, 2)
    said = refused_to_move(house)
    assert "waivers" in said.split("approved on other evidence (")[1].split(" changed")[0]
    let_through(house, 2)
    assert "waivers" in words(house)[-1].evidence
    assert move(house, 2).changed


def test_a_rejection_holds_until_its_own_author_takes_it_back(at: Callable[[str], House]) -> None:
    """However many others approve."""
    house = at("staged")
    assert rejected(house).moved is None
    for name in ("Bea", "Eve", "Fay"):
        assert let_through(house, 2, request=by(name)).finding.outcome is Outcome.FAIL
    move(house, 2)
    judged(house, 2)
    assert "rejected by Dan: odd answers" in refused_to_move(house)
    assert let_through(house, 2, request=by("Dan")).finding.outcome is Outcome.PASS
    assert move(house, 2).changed


def test_a_rejection_needs_no_evidence(at: Callable[[str], House]) -> None:
    """Somebody saw something; that the records are lost is no reason to let it on."""
    house = at("shadow")
    steps.forget(house, "evaluation_verdict", digest(house))
    found = rejected(house)
    assert found.moved is not None
    assert state_of(house).withdrawn == (2,)


def test_an_edited_record_is_an_integrity_error(at: Callable[[str], House]) -> None:
    """For every reader of it."""
    house = at("shadow")
    judged(house, 2)
    steps.edit(house, APPROVALS, digest(house), lambda document: document[0].pop("reason"))
    for act in (lambda: move(house, 2), lambda: let_through(house, 2), lambda: rejected(house)):
        with pytest.raises(IntegrityError, match="expected a record of approvals"):
            act()
    assert state_of(house).rollout is not None
    assert state_of(house).champion.weight_percent == 100.0


def test_where_none_is_needed_any_word_is_recorded(at: Callable[[str], House]) -> None:
    """Even the author's, which counts for nothing."""
    house = at("staged")
    with_approval(house, needed=0)
    found = let_through(house, 2, request=by(AUTHOR))
    assert (found.finding.outcome, found.counted) == (Outcome.PASS, ())
    assert len(words(house)) == 1
