"""Every violation of a history under its name, and no violation in a history as it should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.approvals import Approval, ApprovalPolicy, approvals_digest
from ml_release.domain.audit import Audit, audit_history
from ml_release.domain.audited_evidence import KeptEvidence, counted_words
from ml_release.domain.audited_moves import AuditRules
from ml_release.domain.declared_rollout import Evidence, Rollout
from ml_release.domain.deployment import Declaration, DeclaredState, KillSwitch, Shadow
from ml_release.domain.moves_in_words import move_in_words, shares_in_words
from ml_release.domain.rollout import Path
from ml_release_tests.domain.test_deployment import an_experiment, state, variant

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = datetime(2013, 10, 1, tzinfo=UTC)
PATH = Path(has_staging=True, has_shadow=True, weights_percent=(5.0, 50.0))


def digest(number: int) -> str:
    return f"sha256:{number:064d}"


def word(by: str = "bob", number: int = 2, **changes: Any) -> Approval:
    known = {
        "decision": "approved",
        "model_digest": digest(number),
        "by": by,
        "reason": "good",
        "at": AT,
        "evidence": {"verdict": f"v{number}"},
    }
    return Approval.model_validate({**known, **changes})


def kept(number: int, **changes: Any) -> KeptEvidence:
    known: dict[str, Any] = {
        "verdict_digest": f"v{number}",
        "data_digest": f"d{number}",
        "staging_digest": f"s{number}",
        "trained_by": "ada",
        "approvals": (word(number=number),),
    }
    return KeptEvidence(**{**known, **changes})


def evidence(number: int, **changes: Any) -> Evidence:
    known = {
        "verdict_digest": f"v{number}",
        "policy_digest": "p",
        "feature_version": "f",
        "data_digest": f"d{number}",
        "staging_digest": f"s{number}",
        "approval_digest": approvals_digest((word(number=number),)),
    }
    return Evidence.model_validate({**known, **changes})


def rollout(leg: str, step: int = 0) -> Rollout:
    return Rollout.model_validate(
        {
            "version": 2,
            "model_digest": digest(2),
            "evidence": evidence(2),
            "leg": leg,
            "step": step,
            "begun": AT,
            "since": AT,
        }
    )


def shared(step: int, percent: float) -> DeclaredState:
    return state(
        variant(1, weight_percent=100 - percent),
        variant(2, role="canary", weight_percent=percent),
        evidence=evidence(1),
        rollout=rollout("canary", step),
    )


FIRST = state(variant(1), evidence=evidence(1))
ASKED = state(
    variant(1),
    evidence=evidence(1),
    shadows=(Shadow(version=2, model_digest=digest(2), sample_percent=50.0),),
    rollout=rollout("shadow"),
)
WATCHED = state(variant(2), evidence=evidence(2), rollout=rollout("watch"))
SETTLED = state(variant(2), evidence=evidence(2), rollback_target=variant(1))
BACK = state(variant(1), evidence=evidence(1), withdrawn=(2,))
WHOLE = (FIRST, ASKED, shared(0, 5.0), shared(1, 50.0), WATCHED, SETTLED)
KEPT = {digest(1): kept(1), digest(2): kept(2)}


def history(states: Sequence[DeclaredState], **changes: Any) -> tuple[Declaration, ...]:
    """One declaration a day; ``changes`` are those of the last one."""
    found = []
    for n, one in enumerate(states):
        known: dict[str, Any] = {
            "actor": "carol",
            "reason": "its gates",
            "seal_problem": "",
            "trailers": {"Approved-By": "bob"},
        }
        last = changes if n == len(states) - 1 else {}
        at = (AT + timedelta(days=n)).isoformat()
        found.append(Declaration(state=one, commit=f"c{n}", committed_at=at, **{**known, **last}))
    return tuple(found)


def audited(
    declared: Sequence[Declaration],
    *,
    on_record: dict[str, KeptEvidence] = KEPT,
    seen: Sequence[str] = (),
    path: Path | None = PATH,
    **approval: Any,
) -> Audit:
    return audit_history(
        declared,
        line="flight_delay",
        environment="production",
        kept=on_record,
        seen=seen,
        rules=AuditRules(path=path, approval=ApprovalPolicy(**approval)),
    )


def rules(audit: Audit) -> set[str]:
    return {one.rule for one in audit.violations}


def test_a_history_as_it_should_be_is_clean() -> None:
    """From the first version to a settled second one, and back."""
    found = audited(history((*WHOLE, BACK)), seen=("c0", "c3"))
    assert found.violations == ()
    assert found.is_clean
    assert [row.move for row in found.rows] == [
        "version 1 declared, the first one",
        "version 2 asked in secret",
        "version 2 as canary, step 1",
        "version 2 as canary, step 2",
        "promoted version 2; version 2 under watch",
        "watch of version 2 ended",
        "version 2 withdrawn; back to version 1",
    ]
    assert found.rows[2].shares_before == "version 1: 100 %, version 2: asked for 50 %"
    assert found.rows[2].shares_after == "version 1: 95 %, version 2: 5 %"
    assert all(row.is_sealed and row.evidence_checks_out for row in found.rows)


def test_nothing_declared_is_not_clean() -> None:
    """Nothing was shown."""
    assert not audited(()).is_clean


@pytest.mark.parametrize(
    ("states", "rule"),
    [
        pytest.param((FIRST, shared(0, 5.0)), "no_stage_was_skipped", id="no shadow"),
        pytest.param((FIRST, ASKED, WATCHED), "no_stage_was_skipped", id="no canary"),
        pytest.param(
            (FIRST, ASKED, shared(1, 50.0), WATCHED), "no_stage_was_skipped", id="one step"
        ),
        pytest.param(
            (state(variant(1), evidence=evidence(1, staging_digest=None)),),
            "no_stage_was_skipped",
            id="the first without staging",
        ),
        pytest.param(
            (*WHOLE, BACK, state(variant(2), evidence=evidence(2))),
            "withdrawn_versions_stay_away",
            id="lifted and declared at once",
        ),
        pytest.param(
            (state(variant(1), evidence=evidence(1, verdict_digest="other")),),
            "evidence_checks_out",
            id="another verdict",
        ),
        pytest.param(
            (state(variant(1), evidence=evidence(1, data_digest="other")),),
            "evidence_checks_out",
            id="other data",
        ),
        pytest.param(
            (state(variant(1), evidence=evidence(1, approval_digest="other")),),
            "evidence_checks_out",
            id="other words",
        ),
        pytest.param(
            (state(variant(1), evidence=evidence(1, approval_digest=None)),),
            "approvals_are_by_others",
            id="no approval",
        ),
        pytest.param(
            (state(variant(7), evidence=evidence(7)),), "evidence_checks_out", id="nothing kept"
        ),
    ],
)
def test_each_violation_of_a_move_has_its_name(states: Sequence[DeclaredState], rule: str) -> None:
    """It names the commit where it shows first."""
    found = audited(history(states))
    assert rule in rules(found)
    assert not found.is_clean
    assert all(one.commit.startswith("c") for one in found.violations)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"seal_problem": "nobody sealed it"}, "commits_are_sealed"),
        ({"actor": "unknown"}, "commits_say_who_and_why"),
        ({"reason": " "}, "commits_say_who_and_why"),
    ],
)
def test_each_violation_of_a_commit_has_its_name(changes: dict[str, Any], rule: str) -> None:
    """Whatever it declares."""
    assert rules(audited(history(WHOLE, **changes))) == {rule}


@pytest.mark.parametrize(
    ("on_record", "names", "policy", "found"),
    [
        pytest.param(kept(1, trained_by="Bob "), "bob", {}, True, id="the author"),
        pytest.param(kept(1, trained_by="bob"), "none", {}, True, id="by the words on record"),
        pytest.param(kept(1, trained_by=None), "bob", {}, True, id="nobody knows"),
        pytest.param(
            kept(1, trained_by="bob"), "bob", {"author_may_approve": True}, False, id="may"
        ),
        pytest.param(kept(1), "bob", {}, False, id="another person"),
    ],
)
def test_nobody_approves_their_own_version(
    on_record: KeptEvidence, names: str, policy: dict[str, Any], found: bool
) -> None:
    """However the name was typed."""
    declared = history((FIRST,), trailers={"Approved-By": names})
    audit = audited(declared, on_record={digest(1): on_record}, **policy)
    approvers = names != "none"
    assert ("approvals_are_by_others" in rules(audit)) is (found and approvers)


def test_a_lift_is_for_a_named_person() -> None:
    """And after it the version may be declared again."""
    lifted = state(variant(1), evidence=evidence(1))
    by_person = history((*WHOLE, BACK, lifted))
    assert audited(by_person).is_clean
    again = history((*WHOLE, BACK, lifted, SETTLED))
    assert audited(again).is_clean
    by_nobody = history((*WHOLE, BACK, lifted), actor="rollout")
    assert rules(audited(by_nobody)) == {"withdrawn_versions_stay_away"}


def test_a_commit_that_is_gone_is_a_rewritten_history() -> None:
    """One that was seen and is no ancestor of the present."""
    found = audited(history(WHOLE), seen=("c0", "gone"))
    assert [(one.rule, one.commit) for one in found.violations] == [
        ("history_is_not_rewritten", "gone")
    ]
    assert rules(audited((), seen=("gone",))) == {"history_is_not_rewritten"}


def test_what_was_edited_by_hand_is_followed_by_nobody() -> None:
    """The next move is told from the last sealed state."""
    declared = list(history(WHOLE))
    declared[1] = Declaration(
        state=state(variant(9), evidence=evidence(9)),
        commit="c1",
        committed_at=declared[1].committed_at,
        actor="unknown",
        reason="unknown",
        seal_problem="by hand",
    )
    found = audited(declared)
    assert found.rows[1].move == "edited by hand, not followed: promoted version 9"
    assert found.rows[2].shares_before == "version 1: 100 %"


def test_what_cannot_be_read_is_a_violation() -> None:
    """With the reason, said once for all declarations that rest on it."""
    on_record = {digest(1): kept(1, problems=("verdict: was changed",)), digest(2): kept(2)}
    found = audited(history(WHOLE), on_record=on_record)
    assert [one.said for one in found.violations] == ["version 1: verdict: was changed"]
    assert not found.rows[0].evidence_checks_out


def test_the_words_of_a_declaration_are_found_among_later_ones() -> None:
    """Given again on other evidence, by others, or rejected since."""
    first, second = word("bob"), word("eve", at=AT + timedelta(hours=1))
    others = (
        word("bob", at=AT + timedelta(days=3), evidence={"verdict": "later"}),
        word("mallory", at=AT + timedelta(hours=2)),
        word("bob", decision="rejected", at=AT + timedelta(days=4)),
    )
    declared = evidence(2, approval_digest=approvals_digest((first, second)))
    assert counted_words(declared, (first, second, *others)) == (first, second)
    assert counted_words(declared, (first, *others)) is None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (FIRST, FIRST, "declared again"),
        (
            FIRST,
            FIRST.model_copy(update={"kill_switch": KillSwitch(answer=0.1, engaged=True)}),
            "kill switch pulled",
        ),
        (
            FIRST.model_copy(update={"kill_switch": KillSwitch(answer=0.1, engaged=True)}),
            FIRST,
            "kill switch released",
        ),
        (
            shared(0, 5.0),
            shared(0, 5.0).model_copy(update={"experiment": an_experiment(1, 2)}),
            "experiment e begun",
        ),
        (ASKED, BACK, "version 2 withdrawn; release of version 2 ended"),
        (FIRST, FIRST.model_copy(update={"threshold": 0.3}), "threshold changed"),
    ],
)
def test_moves_are_told_in_words(before: DeclaredState, after: DeclaredState, words: str) -> None:
    """What changed, and nothing else."""
    assert move_in_words(before, after) == words


def test_nothing_has_no_shares() -> None:
    """Before the first declaration."""
    assert shares_in_words(None) == "nothing"
