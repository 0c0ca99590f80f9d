"""Rollback or retrain: every branch of the tree, and what has to hold of any evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.decision_evidence import (
    BURN_LEVELS,
    DecisionEvidence,
    FeatureShift,
    Worsening,
    worsening,
)
from ml_release.domain.decision_policy import DecisionPolicy
from ml_release.domain.decision_record import (
    MOST_KEPT,
    DecisionHistory,
    DecisionRecord,
    decision_from_json,
    history_from_json,
    judge_decision,
)
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.monitoring_decision import ACTIONS, decide
from ml_release.domain.verdict import BEST_TO_WORST, Outcome
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = DecisionPolicy(retrain_cost_rise=5.0, roll_back_cost_rise=20.0, drift_loss_change=0.001)


def worse(estimate: float, spread: float = 0.005) -> Worsening:
    return Worsening(estimate=estimate, low=estimate - spread, high=estimate + spread, n=5000)


def shift(standing: DriftStanding, **facts: Any) -> FeatureShift:
    return FeatureShift(feature="distance", standing=standing, **facts)


FINE = DecisionEvidence(
    is_serving=True,
    data_problems=(),
    shifts=(shift(DriftStanding.STABLE),),
    performance=Outcome.PASS,
    auc_drop=worse(0.0),
    loss_rise=worse(0.0),
    error_rate=worse(0.0, 0.001),
    burn="none",
    age_days=30.0,
    target=1,
)
HURT: dict[str, Any] = {"shifts": (shift(DriftStanding.HURTING, psi_nats=0.4, loss_change=0.02),)}
NO_LABELS: dict[str, Any] = {"performance": None, "auc_drop": None, "loss_rise": None}


@pytest.mark.parametrize(
    ("changes", "action", "said"),
    [
        pytest.param({}, "nothing", "within its limits", id="all is well"),
        pytest.param({"is_serving": False}, "nothing", "nothing is served", id="nothing serves"),
        pytest.param({"is_serving": None}, "watch", "whether anything is served", id="who knows"),
        pytest.param({"data_problems": ("units",)}, "fix_data", "units", id="broken data"),
        pytest.param({"data_problems": None}, "watch", "quality of the served", id="data unknown"),
        pytest.param(
            {"data_problems": ("units",), "auc_drop": worse(0.3), "age_days": 1.0, **HURT},
            "fix_data",
            "units",
            id="broken data explain the rest",
        ),
        pytest.param({"label_problems": ("torn",)}, "fix_data", "torn", id="broken labels"),
        pytest.param(
            {"label_problems": ("torn",), "performance": Outcome.FAIL, "auc_drop": worse(0.05)},
            "fix_data",
            "torn",
            id="nothing is learned from broken labels",
        ),
        pytest.param(
            {"label_problems": ("torn",), "auc_drop": worse(0.2), "age_days": 3.0},
            "fix_data",
            "torn",
            id="broken labels show no worse version",
        ),
        pytest.param(
            {"label_problems": ("torn",), "error_rate": worse(0.05)},
            "roll_back",
            "answers fail",
            id="answers fail, whatever the labels",
        ),
        pytest.param(
            {"label_problems": ("torn",), "error_rate": worse(0.05), "target": None},
            "fix_data",
            "a person decides",
            id="answers fail, nowhere to go, broken labels",
        ),
        pytest.param(
            {"label_problems": ("torn",), "burn": "page", "age_days": 2.0},
            "roll_back",
            "budget",
            id="a budget burns, whatever the labels",
        ),
        pytest.param(
            {"data_problems": ("units",), "canary": Outcome.FAIL, "canary_version": 3},
            "reduce_canary",
            "version 3",
            id="both arms get the same rows",
        ),
        pytest.param(
            {"canary": Outcome.FAIL, "canary_version": 3}, "reduce_canary", "version 3", id="canary"
        ),
        pytest.param(
            {"canary": Outcome.INCONCLUSIVE, "canary_version": 3}, "watch", "canary", id="undecided"
        ),
        pytest.param({"canary": Outcome.PASS, "canary_version": 3}, "nothing", "", id="good one"),
        pytest.param({"error_rate": worse(0.05)}, "roll_back", "answers fail", id="it fails"),
        pytest.param({"error_rate": worse(0.022)}, "watch", "may fail", id="it may fail"),
        pytest.param({"error_rate": None}, "watch", "failed answers", id="no count of errors"),
        pytest.param(
            {"error_rate": worse(0.05), "target": None}, "watch", "a person decides", id="no target"
        ),
        pytest.param(
            {"error_rate": worse(0.05), "target": None, "auc_drop": worse(0.05)},
            "retrain",
            "AUC lost",
            id="no target, and less skill",
        ),
        pytest.param(
            {"auc_drop": worse(0.2), "age_days": 3.0}, "roll_back", "AUC lost", id="bad and young"
        ),
        pytest.param({"auc_drop": worse(0.2)}, "retrain", "AUC lost", id="bad and old"),
        pytest.param(
            {"auc_drop": worse(0.2), "age_days": None}, "retrain", "AUC lost", id="of unknown age"
        ),
        pytest.param(
            {"auc_drop": worse(0.2), "age_days": 3.0, "target": None},
            "retrain",
            "AUC lost",
            id="bad and young, and nowhere to go",
        ),
        pytest.param(
            {"auc_drop": worse(0.2), "age_days": 3.0, **HURT}, "roll_back", "AUC", id="and drift"
        ),
        pytest.param({"auc_drop": worse(0.05)}, "retrain", "AUC lost", id="less skill"),
        pytest.param({"loss_rise": worse(0.1)}, "retrain", "log loss", id="more loss"),
        pytest.param({"cost_rise": worse(9.0)}, "retrain", "cost", id="more cost"),
        pytest.param(
            {"cost_rise": worse(30.0), "age_days": 3.0}, "roll_back", "cost", id="much more cost"
        ),
        pytest.param({"performance": Outcome.FAIL}, "retrain", "realised", id="its judge says so"),
        pytest.param({"calibration": Outcome.FAIL}, "retrain", "calibrated", id="calibration"),
        pytest.param({"fairness": Outcome.FAIL}, "retrain", "fairness", id="fairness, old"),
        pytest.param(
            {"fairness": Outcome.FAIL, "age_days": 2.0}, "roll_back", "fairness", id="and young"
        ),
        pytest.param({"burn": "page", "age_days": 2.0}, "roll_back", "budget", id="paged, young"),
        pytest.param({"burn": "page"}, "watch", "budget", id="paged, old"),
        pytest.param({"burn": "ticket"}, "watch", "spent too fast", id="ticket"),
        pytest.param({"burn": None}, "nothing", "", id="no budgets"),
        pytest.param(HURT, "watch", "inputs moved: distance", id="labels overrule drift"),
        pytest.param({**NO_LABELS, **HURT}, "retrain", "distance", id="drift, no labels"),
        pytest.param(
            {
                "performance": Outcome.INCONCLUSIVE,
                "auc_drop": worse(0.019, 0.01),
                "shifts": (shift(DriftStanding.HURTING),),
            },
            "retrain",
            "distance",
            id="drift, labels in doubt, impact unknown",
        ),
        pytest.param(
            {**NO_LABELS, "shifts": (shift(DriftStanding.HURTING, loss_change=0.0001),)},
            "watch",
            "inputs moved",
            id="drift that hardly hurts",
        ),
        pytest.param(
            {"shifts": (shift(DriftStanding.HARMLESS, psi_nats=9.0),)},
            "nothing",
            "",
            id="harmless",
        ),
        pytest.param(
            {"shifts": (shift(DriftStanding.UNKNOWN),)}, "watch", "distance", id="unknown"
        ),
        pytest.param({"shifts": None}, "watch", "drift of the inputs", id="no drift report"),
        pytest.param({"shifts": ()}, "watch", "any feature", id="an empty drift report"),
        pytest.param(NO_LABELS, "watch", "realised performance", id="no labels"),
        pytest.param(
            {"performance": None, "auc_drop": worse(0.0)}, "nothing", "", id="numbers without judge"
        ),
        pytest.param({"estimated_drop": 0.05}, "watch", "estimated", id="an estimate alone"),
        pytest.param({"errors_change": Outcome.FAIL}, "watch", "errors have changed", id="alarm"),
        pytest.param(
            {"calibration": Outcome.INCONCLUSIVE}, "watch", "calibration cannot", id="calibration ?"
        ),
        pytest.param({"fairness": Outcome.ERROR}, "watch", "fairness cannot", id="fairness broke"),
        pytest.param({"unknown": ("slo_record was edited",)}, "watch", "edited", id="not readable"),
    ],
)
def test_every_branch_ends_in_its_action(changes: dict[str, Any], action: str, said: str) -> None:
    """Everything else being well, with a reason and a path that ends where it was decided."""
    decision = decide(replace(FINE, **changes), POLICY)
    assert decision.action == action
    assert said in decision.reason
    assert decision.path
    assert bool(decision.causes) is (action == "retrain")


def test_the_path_names_question_answer_and_numbers() -> None:
    """So that a reader can follow it without the code."""
    decision = decide(replace(FINE, auc_drop=worse(0.05)), POLICY)
    steps = {step.question: step for step in decision.path}
    lost = steps["Has it lost skill since its release?"]
    assert lost.answer == "yes"
    assert "+0.0500 (+0.0450 to +0.0550, n = 5000), limit 0.02" in lost.numbers
    assert steps["Is the canary worse than its control?"].answer == "does not apply"


def test_both_causes_of_a_retraining_are_named() -> None:
    """Less skill and drift that hurts ask together."""
    evidence = replace(FINE, performance=Outcome.FAIL, **HURT)
    assert decide(evidence, POLICY).causes == ("performance", "drift")


@pytest.mark.parametrize("needed", [1, 2])
def test_drift_asks_from_the_declared_number_of_features_on(needed: int) -> None:
    """Fewer are watched."""
    policy = POLICY.model_copy(update={"hurting_features": needed})
    decision = decide(replace(FINE, **NO_LABELS, **HURT), policy)
    assert decision.action == ("retrain" if needed == 1 else "watch")


outcomes = st.none() | st.sampled_from(Outcome)
changes_of_a_number = st.none() | st.builds(
    lambda estimate, spread: Worsening(
        estimate=estimate,
        low=None if spread is None else estimate - spread,
        high=None if spread is None else estimate + spread,
        n=1000,
    ),
    st.floats(-0.3, 0.3),
    st.none() | st.floats(0.0, 0.1),
)
shifts = st.lists(
    st.builds(
        FeatureShift,
        feature=st.sampled_from(["a", "b", "c"]),
        standing=st.sampled_from(DriftStanding),
        loss_change=st.none() | st.floats(-0.1, 0.1),
    ),
    max_size=3,
).map(tuple)
any_evidence = st.builds(
    DecisionEvidence,
    is_serving=st.sampled_from([None, True]),
    data_problems=st.none() | st.lists(st.sampled_from(["units", "nulls"]), max_size=2).map(tuple),
    shifts=st.none() | shifts,
    performance=outcomes,
    auc_drop=changes_of_a_number,
    loss_rise=changes_of_a_number,
    cost_rise=changes_of_a_number,
    estimated_drop=st.none() | st.floats(-0.1, 0.1),
    label_problems=st.sampled_from([(), ("torn",)]),
    errors_change=outcomes,
    calibration=outcomes,
    fairness=outcomes,
    error_rate=changes_of_a_number,
    burn=st.none() | st.sampled_from(BURN_LEVELS),
    canary=outcomes,
    age_days=st.none() | st.floats(0, 60),
    target=st.sampled_from([None, 1]),
    unknown=st.sampled_from([(), ("something",)]),
)


@given(any_evidence)
def test_broken_data_never_lead_to_a_retraining_or_a_rollback(evidence: DecisionEvidence) -> None:
    """A model would learn from them, and the version before is given the same rows."""
    action = decide(replace(evidence, data_problems=("units",)), POLICY).action
    assert action in {"fix_data", "reduce_canary"}


@given(any_evidence)
def test_broken_labels_never_lead_to_a_retraining(evidence: DecisionEvidence) -> None:
    """And stand in the way of no other action that needs none."""
    whole, broken = (
        decide(replace(evidence, label_problems=problems), POLICY) for problems in ((), ("torn",))
    )
    assert broken.action in {"nothing", "fix_data", "reduce_canary", "roll_back"}
    if broken.action in {"nothing", "reduce_canary", "roll_back"}:
        assert broken.action == whole.action


UNKNOWN: dict[str, Any] = {
    "is_serving": None,
    "data_problems": None,
    "shifts": None,
    "error_rate": None,
    "unknown": ("something",),
    "calibration": Outcome.INCONCLUSIVE,
    "fairness": Outcome.ERROR,
    "errors_change": Outcome.INCONCLUSIVE,
    "canary": Outcome.INCONCLUSIVE,
}


@given(any_evidence, st.sampled_from(sorted(UNKNOWN)))
def test_what_is_not_known_never_leads_to_nothing(evidence: DecisionEvidence, name: str) -> None:
    """Whatever else is known."""
    assert decide(replace(evidence, **{name: UNKNOWN[name]}), POLICY).action != "nothing"


@given(any_evidence)
def test_without_labels_nothing_is_never_the_answer(evidence: DecisionEvidence) -> None:
    """Inputs that stand still do not show that the world does."""
    assert decide(replace(evidence, **NO_LABELS), POLICY).action != "nothing"


def _worse_number(name: str) -> Callable[[DecisionEvidence, float], DecisionEvidence]:
    def change(evidence: DecisionEvidence, by: float) -> DecisionEvidence:
        found = getattr(evidence, name)
        if found is None:
            return evidence
        ends = [None if end is None else end + by for end in (found.low, found.high)]
        moved = Worsening(estimate=found.estimate + by, low=ends[0], high=ends[1], n=found.n)
        fields: dict[str, Any] = {name: moved}
        return replace(evidence, **fields)

    return change


def _worse_outcome(name: str) -> Callable[[DecisionEvidence, float], DecisionEvidence]:
    fields: dict[str, Any] = {name: BEST_TO_WORST[-1]}
    return lambda evidence, _: (
        evidence if getattr(evidence, name) is None else replace(evidence, **fields)
    )


WORSENED: dict[str, Callable[[DecisionEvidence, float], DecisionEvidence]] = {
    **{n: _worse_number(n) for n in ("auc_drop", "loss_rise", "cost_rise", "error_rate")},
    **{
        n: _worse_outcome(n)
        for n in ("performance", "calibration", "fairness", "errors_change", "canary")
    },
    "shifts": lambda e, _: replace(e, shifts=(*(e.shifts or ()), *HURT["shifts"])),
    "burn": lambda e, _: replace(e, burn="page"),
    "estimated_drop": lambda e, by: (
        e if e.estimated_drop is None else replace(e, estimated_drop=e.estimated_drop + by)
    ),
    "unknown": lambda e, _: replace(e, unknown=(*e.unknown, "another")),
}


@given(any_evidence, st.sampled_from(sorted(WORSENED)), st.floats(0, 0.5))
def test_worse_evidence_never_leads_to_a_milder_action(
    evidence: DecisionEvidence, name: str, by: float
) -> None:
    """One fact worse, all others as they were."""
    before = decide(evidence, POLICY).action
    after = decide(WORSENED[name](evidence, by), POLICY).action
    if name == "canary" and before == "roll_back":
        # First the canary is taken back: a champion is judged by what it does alone.
        assert after in {"roll_back", "reduce_canary"}
        return
    assert ACTIONS.index(after) >= ACTIONS.index(before), (before, after)


@given(any_evidence)
def test_a_rollback_has_a_target_and_a_cause_beside_drift(evidence: DecisionEvidence) -> None:
    """Drift of inputs meets every version alike: it alone takes none back."""
    decision = decide(evidence, POLICY)
    if decision.action == "roll_back":
        assert evidence.target is not None
        stable = decide(replace(evidence, shifts=()), POLICY)
        assert stable.action == "roll_back"


@pytest.mark.parametrize(
    ("ends", "known"),
    [((0.1, 0.3), True), ((float("nan"), 0.3), False), ((None, 0.3), False), ((0.1, None), False)],
)
def test_half_an_interval_is_none(ends: tuple[float | None, float | None], *, known: bool) -> None:
    """Neither end then decides."""
    found = worsening(0.2, *ends, n=10)
    assert found is not None
    assert found.is_shown_above(0.05) is known
    assert found.is_shown_below(0.5) is known
    assert worsening(float("nan"), 0.1, 0.2, n=10) is None


@pytest.mark.parametrize(
    "bands",
    [
        {"retrain_drop": 0.2, "roll_back_drop": 0.1},
        {"retrain_loss_rise": 0.5, "roll_back_loss_rise": 0.2},
        {"retrain_cost_rise": 2.0, "roll_back_cost_rise": 1.0},
        {"retrain_drop": 0},
        {"error_rate_limit": 1.0},
        {"hurting_features": 0},
        {"drops": 1},
    ],
)
def test_bands_that_make_no_sense_cannot_be_declared(bands: dict[str, float]) -> None:
    """A rollback for less than a retraining is for would leave no band for one."""
    with pytest.raises(ValidationError):
        DecisionPolicy.model_validate(bands)


def a_record(evidence: DecisionEvidence = FINE, **changes: Any) -> DecisionRecord:
    decision = decide(evidence, POLICY)
    return DecisionRecord(
        **{
            "line": "line",
            "environment": "production",
            "version": 2,
            "model_digest": "sha256:" + "ab" * 32,
            "commit": "c1",
            "as_of": date(2013, 5, 2),
            "decided_at": datetime(2013, 5, 3, tzinfo=UTC),
            "action": decision.action,
            "reason": decision.reason,
            "causes": decision.causes,
            "path": decision.path,
            **changes,
        }
    )


def test_a_record_is_read_back_as_it_was_written() -> None:
    """Path and causes included; something else is refused."""
    record = a_record(replace(FINE, performance=Outcome.FAIL))
    assert decision_from_json(record.to_json()) == record
    for read in (decision_from_json, history_from_json):
        with pytest.raises(IntegrityError, match="expected a recorded one"):
            read(b'{"action": "nothing at all"}')


@pytest.mark.parametrize(
    ("changes", "due", "tells"),
    [
        ({}, Outcome.PASS, Outcome.PASS),
        ({"shifts": None}, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        ({"performance": Outcome.FAIL}, Outcome.FAIL, Outcome.PASS),
        ({"data_problems": ("units",)}, Outcome.FAIL, Outcome.PASS),
    ],
)
def test_what_is_due_fails_and_doubt_is_inconclusive(
    changes: dict[str, Any], due: Outcome, tells: Outcome
) -> None:
    """The checks of the asset."""
    verdict = judge_decision(a_record(replace(FINE, **changes)))
    assert tuple(f.outcome for f in verdict.findings) == (due, tells)


def test_the_history_keeps_changes_only_and_not_for_ever() -> None:
    """The same decision again is no news."""
    history = DecisionHistory()
    for number in range(MOST_KEPT + 5):
        for _ in range(2):
            history = history.with_newest(a_record(version=number))
    assert len(history.decisions) == MOST_KEPT
    assert history.decisions[-1].version == MOST_KEPT + 4
    assert history_from_json(history.to_json()) == history
