"""What automation does next, as a table."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import pytest

from ml_release.domain.rollout_decision import Answer, RolloutDecision, decide_rollout
from ml_release.domain.verdict import Finding, Outcome
from ml_release_tests.domain.test_rollout import rollout

if TYPE_CHECKING:
    from ml_release.domain.declared_rollout import Leg

REJECTED = Finding(
    rule="approvals_suffice", subject="v", outcome=Outcome.FAIL, detail="rejected by Dan: odd"
)
HELD = Finding(rule="approvals_suffice", subject="v", outcome=Outcome.INCONCLUSIVE)


def decide(leg: Leg = "canary", *, step: int = 1, **changes: Any) -> RolloutDecision:
    known = {
        "answer": "advance",
        "said": "what the judge says",
        "approval": None,
        "refusals": (),
        "automatic": True,
    }
    return decide_rollout(rollout(leg, step=step), **{**known, **changes})


@pytest.mark.parametrize(
    ("leg", "changes", "act", "reason"),
    [
        ("canary", {}, "advance", "version 2, canary step 2: what the judge says"),
        ("shadow", {}, "advance", "version 2, shadow: what the judge says"),
        ("watch", {}, "settle", "version 2, watch: what the judge says"),
        ("canary", {"answer": "hold"}, "nothing", "hold: what the judge says"),
        ("canary", {"answer": "undecided"}, "nothing", "undecided: what the judge says"),
        ("watch", {"answer": "hold"}, "nothing", "watch: hold"),
        ("canary", {"answer": None, "said": ""}, "nothing", "hold: nothing was judged yet"),
        ("canary", {"answer": "roll_back"}, "roll_back", "step 2: what the judge says"),
        ("watch", {"answer": "roll_back"}, "roll_back", "watch: what the judge says"),
        ("canary", {"approval": REJECTED}, "roll_back", "rejected by Dan: odd"),
        ("watch", {"approval": REJECTED, "answer": "hold"}, "roll_back", "rejected by Dan: odd"),
        ("canary", {"approval": HELD}, "advance", "what the judge says"),
        ("canary", {"refusals": ("a", "b")}, "nothing", "held: a; b"),
        ("watch", {"refusals": ("a",)}, "settle", "what the judge says"),
        ("canary", {"automatic": False}, "nothing", "waits for a person to promote it"),
        ("watch", {"automatic": False}, "settle", "what the judge says"),
        ("canary", {"automatic": False, "answer": "roll_back"}, "roll_back", "the judge"),
        ("canary", {"is_switched_off": True}, "nothing", "held: the kill switch is engaged"),
        ("watch", {"is_switched_off": True}, "nothing", "held: the kill switch is engaged"),
        ("canary", {"is_switched_off": True, "answer": "roll_back"}, "roll_back", "the judge"),
        ("canary", {"is_switched_off": True, "approval": REJECTED}, "roll_back", "Dan"),
    ],
)
def test_what_automation_does(leg: Leg, changes: dict[str, Any], act: str, reason: str) -> None:
    """Harm first, then what holds, then the person who drives, then the move."""
    found = decide(leg, **changes)
    assert found.act == act
    assert reason in found.reason


def test_with_nothing_under_way_nothing_is_done() -> None:
    """Whatever else is said."""
    found = decide_rollout(
        None, answer="roll_back", said="x", approval=REJECTED, refusals=(), automatic=True
    )
    assert found == RolloutDecision(act="nothing", reason="no release is under way")


def test_over_all_cases_nothing_goes_on_against_anybody() -> None:
    """Only a judge who lets it, with no refusal, moves a share; only harm or a word takes back."""
    legs: tuple[Leg, ...] = ("shadow", "canary", "watch")
    answers = (*get_args(Answer), None)
    for leg, answer, approval, held, automatic, off in product(
        legs, answers, (None, HELD, REJECTED), ((), ("no",)), (True, False), (True, False)
    ):
        act = decide(
            leg,
            answer=answer,
            approval=approval,
            refusals=held,
            automatic=automatic,
            is_switched_off=off,
        ).act
        is_harm = answer == "roll_back" or approval is REJECTED
        assert (act == "roll_back") is is_harm
        if act == "advance":
            assert (answer, held, automatic, off) == ("advance", (), True, False)
            assert leg != "watch"
        if act == "settle":
            assert (answer, leg, off) == ("advance", "watch", False)
