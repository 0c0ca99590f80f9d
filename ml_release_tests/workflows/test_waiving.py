"""A waiver lets an act go on without a finding; the finding stays what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import InputError, NotFoundError, RefusedError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.waiving import LONGEST, WaiverRequest, recorded_waivers, waive
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
