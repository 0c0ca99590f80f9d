"""Whether to ask for a retraining now, and why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.retraining import (
    RetrainingDecision,
    RetrainingEvidence,
    RetrainingPolicy,
    decide_on_drift,
    decide_on_labels,
)
from ml_release.domain.verdict import Finding, Outcome, Verdict

AS_OF = date(2013, 6, 30)
POLICY = RetrainingPolicy(labels_needed=100, cooldown_days=7)
EVIDENCE = RetrainingEvidence(
    champion="sha256:" + "ab" * 32,
    trained_to="2013-04",
    tried_to="2013-04",
    newest_partition="2013-05",
    as_of=AS_OF,
    last_request=None,
)


def drift(*outcomes: Outcome, votes: bool = True) -> Verdict:
    findings = tuple(
        Finding(rule="drift_is_harmless", subject=f"f{n}", outcome=outcome, votes=votes)
        for n, outcome in enumerate(outcomes)
    )
    return Verdict(judge="drift/2", line="line", subject_digest="d", findings=findings)


@pytest.mark.parametrize(
    ("verdict", "retrain", "reason"),
    [
        pytest.param(None, False, "no drift report yet", id="no report"),
        pytest.param(drift(Outcome.PASS), False, "the inputs are stable", id="stable"),
        pytest.param(drift(), False, "inconclusive: no finding", id="an empty report"),
        pytest.param(drift(Outcome.INCONCLUSIVE), False, "is inconclusive", id="too few rows"),
        pytest.param(drift(Outcome.ERROR), False, "is error", id="the report broke"),
        pytest.param(drift(Outcome.FAIL, votes=False), False, "inconclusive", id="only muted"),
        pytest.param(drift(Outcome.FAIL), True, "inputs drifted: f0", id="drift"),
        pytest.param(
            drift(Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.FAIL),
            True,
            "inputs drifted: f0, f2",
            id="drift beside doubt",
        ),
    ],
)
def test_drift_asks_for_a_retraining_only_when_a_feature_that_votes_failed(
    verdict: Verdict | None, reason: str, *, retrain: bool
) -> None:
    """Doubt and absence are no reason, and are said."""
    decision = decide_on_drift(verdict, EVIDENCE, POLICY)
    assert decision.retrain is retrain
    assert reason in decision.reason
    assert decision.trigger == "drift"


@pytest.mark.parametrize(
    ("new_labels", "retrain"),
    [
        pytest.param(0, False, id="none"),
        pytest.param(99, False, id="one too few"),
        pytest.param(100, True, id="exactly enough"),
    ],
)
def test_labels_ask_for_a_retraining_from_the_limit_on(new_labels: int, *, retrain: bool) -> None:
    """The count is beside the limit in the reason."""
    decision = decide_on_labels(new_labels, EVIDENCE, POLICY)
    assert decision.retrain is retrain
    assert str(new_labels) in decision.reason
    assert "100" in decision.reason
    assert decision.trigger == "label_volume"


@pytest.mark.parametrize(
    ("change", "retrain", "reason"),
    [
        pytest.param({"champion": None}, False, "nothing is serving yet", id="no champion"),
        pytest.param({"as_of": None}, False, "nothing is serving yet", id="no events"),
        pytest.param({"newest_partition": None}, False, "no partition is complete", id="no data"),
        pytest.param(
            {"newest_partition": "2013-04"}, False, "learned from 2013-04 already", id="same data"
        ),
        pytest.param({"newest_partition": "2013-03"}, False, "already", id="older data"),
        pytest.param(
            {"tried_to": "2013-05"}, False, "candidate has learned from 2013-05", id="tried already"
        ),
        pytest.param({"tried_to": None}, True, "", id="newest candidate unknown"),
        pytest.param({"trained_to": None}, True, "", id="training window unknown"),
        pytest.param({"trained_to": "2012-12"}, True, "", id="data of another year"),
        pytest.param(
            {"last_request": AS_OF - timedelta(days=6)}, False, "6 days ago", id="in the cooldown"
        ),
        pytest.param({"last_request": AS_OF - timedelta(days=7)}, True, "", id="cooldown over"),
        pytest.param({"last_request": AS_OF}, False, "0 days ago", id="asked today"),
    ],
)
@pytest.mark.parametrize("trigger", ["drift", "label_volume"])
def test_a_cause_alone_does_not_retrain(
    trigger: str, change: dict[str, Any], reason: str, *, retrain: bool
) -> None:
    """Something has to serve, there must be newer data, and the cooldown has to be over."""
    evidence = replace(EVIDENCE, **change)
    decision = ask(trigger, evidence)
    assert decision.retrain is retrain
    assert reason in decision.reason
    assert (decision.run_key is not None) is retrain


def test_a_cooldown_of_no_days_does_not_hold_back() -> None:
    """Then only newer data limits the requests."""
    policy = RetrainingPolicy(labels_needed=1, cooldown_days=0)
    assert decide_on_labels(1, replace(EVIDENCE, last_request=AS_OF), policy).retrain


def ask(trigger: str, evidence: RetrainingEvidence) -> RetrainingDecision:
    if trigger == "drift":
        return decide_on_drift(drift(Outcome.FAIL), evidence, POLICY)
    return decide_on_labels(100, evidence, POLICY)


def test_the_run_key_is_the_same_for_the_same_cause_only() -> None:
    """A sensor that looks again asks once; another trigger, model, month or day is another."""
    assert ask("drift", EVIDENCE).run_key == ask("drift", EVIDENCE).run_key
    keys = {
        ask("drift", EVIDENCE).run_key,
        ask("label_volume", EVIDENCE).run_key,
        ask("drift", replace(EVIDENCE, champion="sha256:" + "cd" * 32)).run_key,
        ask("drift", replace(EVIDENCE, newest_partition="2013-06")).run_key,
        ask("drift", replace(EVIDENCE, as_of=AS_OF + timedelta(days=1))).run_key,
    }
    assert len(keys) == 5
    assert None not in keys


@pytest.mark.parametrize(
    "limits", [{"labels_needed": 0}, {"cooldown_days": -1}, {"labels": 5}, {"labels_needed": 1.5}]
)
def test_limits_that_make_no_sense_cannot_be_declared(limits: dict[str, float]) -> None:
    """No label is no trigger, and time does not run backwards."""
    with pytest.raises(ValidationError):
        RetrainingPolicy.model_validate(limits)
