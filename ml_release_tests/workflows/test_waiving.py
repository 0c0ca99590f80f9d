"""A waiver lets an act go on without a finding; the finding stays what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.domain.waivers import waivers_digest
from ml_release.errors import InputError, IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.waiver_trail import USED_WAIVERS
from ml_release.workflows.waiving import LONGEST, WAIVERS, WaiverRequest, recorded_waivers, waive
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.domain.waivers import Waived
    from ml_release_tests.small_line import House

RULE = "score_is_above_floor"


@pytest.fixture
def failed(prepared: House) -> House:
    """A candidate that misses one floor and nothing else."""
    quality = prepared.line.policies.evaluation.quality
    prepared.line = steps.with_policy(
        prepared.line,
        "evaluation",
        quality=quality.model_copy(update={"floors": {"auc_score": 0.99}}),
    )
    steps.train(prepared)
    found = steps.evaluate(prepared)
    assert {f.rule for f in found.verdict.objections} == {RULE}
    return prepared


class Declared:
    """The trailers ``Waivers-Digest`` of what a house declares from now on."""

    def __init__(self, house: House) -> None:
        self.trailers: list[str | None] = []
        self._declare = house.deployments.declare
        house.deployments.declare = self.declare  # type: ignore[method-assign]

    def declare(self, state: Any, **told: Any) -> Any:
        self.trailers.append(told["trailers"].get("Waivers-Digest"))
        return self._declare(state, **told)


def let_go(house: House, **changes: Any) -> tuple[Waived, ...]:
    asked: dict[str, Any] = {
        "rule": RULE,
        "subject": None,
        "by": "Ada",
        "reason": "the floor is being revised",
        "lasts": timedelta(days=7),
    }
    return waive(
        house.line,
        WaiverRequest(**(asked | changes)),
        model_digest=None,
        evidence=house.evidence,
        clock=house.clock,
    )


def test_without_a_waiver_a_failed_candidate_is_not_registered(failed: House) -> None:
    """That is what the waiver is for."""
    with pytest.raises(RefusedError, match=RULE):
        steps.register(failed)


def test_a_waived_candidate_is_registered_and_stays_failed(failed: House) -> None:
    """The verdict is what it was; the version carries the waiver for everybody to see."""
    (waived,) = let_go(failed)
    version = steps.register(failed)
    content = failed.evidence.find(steps.LINE, EVALUATION_VERDICT, version.model_digest)
    assert content is not None
    assert verdict_from_json(content).outcome is Outcome.FAIL
    assert waived.sentence().startswith("WAIVED by Ada until 2026-11-28")
    found = steps.gate(failed)
    assert [w.finding.rule for w in found.waived] == [RULE]
    assert found.verdict.outcome is Outcome.FAIL
    assert steps.declare(failed).declaration.state.champion.version == 1


def test_version_and_commit_name_the_waivers_they_went_on(failed: House) -> None:
    """By one digest, of exactly those that are used: an older one that has expired is not."""
    let_go(failed, lasts=timedelta(days=1))
    failed.clock.move(timedelta(days=2))
    (waived,) = let_go(failed)
    version = steps.register(failed)
    digest = waivers_digest([waived.waiver])
    assert version.tags["waivers_digest"] == digest
    assert version.tags["waived"] == waived.sentence()
    declared = Declared(failed)
    assert steps.declare(failed).waiver_changes == ()
    assert declared.trailers == [digest]


def test_a_version_without_waivers_names_none(evaluated: House) -> None:
    """Neither in its tags nor in its commit."""
    assert "waivers_digest" not in steps.register(evaluated).tags
    declared = Declared(evaluated)
    assert steps.declare(evaluated).waiver_changes == ()
    assert declared.trailers == [None]


def test_a_waiver_given_again_after_registration_is_named(failed: House) -> None:
    """Promotion goes on the new word, and says that it is another one."""
    let_go(failed, lasts=timedelta(days=1))
    version = steps.register(failed)
    failed.clock.move(timedelta(days=1))
    (again,) = let_go(failed, by="Bob")
    declared = Declared(failed)
    assert steps.declare(failed).waiver_changes == (
        f"no longer used: {RULE} [auc_score on the holdout] by Ada until 2026-11-22 09:00 UTC",
        f"new: {RULE} [auc_score on the holdout] by Bob until 2026-11-29 09:00 UTC",
    )
    assert declared.trailers == [waivers_digest([again.waiver])]
    assert declared.trailers != [version.tags["waivers_digest"]]


def test_a_waiver_that_was_edited_after_registration_stops_the_promotion(failed: House) -> None:
    """Its end was moved: it would hold, and it is not what somebody answers for."""
    let_go(failed, lasts=timedelta(days=1))
    version = steps.register(failed)
    steps.edit(
        failed,
        WAIVERS,
        version.model_digest,
        lambda waivers: waivers[0].update(expires_at="2027-01-01T00:00:00Z"),
    )
    failed.clock.move(timedelta(days=3))
    message = rf"version 1: .* edited or removed\.\n  - {RULE} \[.*\] by Ada until 2026-11-22"
    with pytest.raises(IntegrityError, match=message):
        steps.declare(failed)
    assert failed.deployments.read(steps.LINE, "production") is None


@pytest.mark.parametrize("harm", ["lost", "edited"])
def test_without_the_waivers_of_its_registration_a_version_is_not_promoted(
    failed: House, harm: str
) -> None:
    """What cannot be compared is not taken for unchanged."""
    let_go(failed)
    digest = steps.register(failed).tags["waivers_digest"]
    if harm == "lost":
        steps.forget(failed, USED_WAIVERS, digest)
    else:
        steps.edit(failed, USED_WAIVERS, digest, lambda waivers: waivers.clear())
    with pytest.raises(IntegrityError, match="waivers that small_line version 1 was registered on"):
        steps.declare(failed)
    assert failed.deployments.read(steps.LINE, "production") is None


def test_an_expired_waiver_lets_nothing_go(failed: House) -> None:
    """Also between registration and promotion: each act reads it at its own time."""
    let_go(failed, lasts=timedelta(days=1))
    assert steps.register(failed).number == 1
    failed.clock.move(timedelta(days=1))
    with pytest.raises(RefusedError, match=r"fail; .* 0\.99"):
        steps.declare(failed)


def test_a_waiver_is_for_one_verdict(failed: House) -> None:
    """Judged again with another outcome, the finding has to be waived again."""
    let_go(failed)
    failed.line = steps.with_policy(failed.line, "evaluation", minimum_rows=101)
    steps.evaluate(failed)
    with pytest.raises(RefusedError, match=RULE):
        steps.register(failed)
    assert len(let_go(failed)) == 1
    assert steps.register(failed).number == 1
    digest = steps.gate(failed).candidate.model_digest
    assert len(recorded_waivers(failed.line, digest, evidence=failed.evidence)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"by": "  "}, "by: expected a text, found none"),
        ({"reason": ""}, "reason: expected a text, found none"),
        ({"lasts": timedelta(0)}, "time: expected up to 90 days"),
        ({"lasts": LONGEST + timedelta(seconds=1)}, "time: expected up to 90 days"),
    ],
)
def test_a_waiver_names_somebody_a_reason_and_an_end(
    failed: House, changes: dict[str, Any], message: str
) -> None:
    """Nobody's exception, for ever, is a policy nobody reviewed."""
    with pytest.raises(InputError, match=message):
        let_go(failed, **changes)
    with pytest.raises(RefusedError):
        steps.register(failed)


def test_what_does_not_hold_the_candidate_cannot_be_waived(failed: House) -> None:
    """A misspelt rule would leave somebody thinking that it had been."""
    with pytest.raises(RefusedError, match=r"expected a finding that keeps the candidate"):
        let_go(failed, rule="no_worse_than_champion")
    with pytest.raises(RefusedError, match=r"score_is_above_floor \[elsewhere\] refused"):
        let_go(failed, subject="elsewhere")


def test_a_candidate_nobody_judged_has_nothing_to_waive(prepared: House) -> None:
    """Neither one that is not there."""
    with pytest.raises(NotFoundError):
        let_go(prepared)
    steps.train(prepared)
    with pytest.raises(NotFoundError, match="expected a recorded verdict, found none"):
        let_go(prepared)
