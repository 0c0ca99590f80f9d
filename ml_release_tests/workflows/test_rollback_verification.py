"""A rollback is verified by what was served since, and by nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.rollback_verification import (
    ANSWERS,
    ERRORS,
    FEATURES,
    LATENCY,
    MEAN,
    MONITORED,
    READY,
    SCORES,
    SILENT,
)
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import UnavailableError
from ml_release.workflows.monitoring import observe_window
from ml_release.workflows.rollback_verification import (
    ROLLBACK_VERIFICATION,
    VerifiedRollback,
    verify_rollback,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
N = 30


class Endpoint:
    """Ready, not ready, or out of reach."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    def is_ready(self, line: str) -> bool:
        assert line == steps.LINE
        if self.answer is None:
            message = "nothing answers"
            raise UnavailableError(message)
        return self.answer


def verified(house: House, *, ready: bool | None = True) -> VerifiedRollback:
    found = verify_rollback(
        house.line,
        environment="production",
        inference_log=house.inference_log,
        deployments=house.deployments,
        models=house.models,
        loader=house.loader,
        evidence=house.evidence,
        endpoint=Endpoint(ready),  # type: ignore[arg-type]
    )
    assert found is not None
    return found


def served(house: House, prefix: str, *, n: int = N, shift: float = 0.0, **changes: Any) -> None:
    """Requests answered by what is declared now, one a second from now on."""
    declaration = house.deployments.read(steps.LINE, "production")
    assert declaration is not None
    model = house.loader.load(house.models.read(declaration.state.champion.model_digest))
    records = []
    for place in range(n):
        features: dict[str, Any] = {
            "distance": 300.0 + place * 50,
            "carrier": "AA",
            "minute": 600.0,
            "carrier_rate": 0.3,
        }
        values = {
            name: np.array([features[name]], dtype=object if name == "carrier" else np.float64)
            for name in model.plan.names
        }
        moment = (house.clock.now() + timedelta(seconds=place)).isoformat()
        known = {
            "route_commit": declaration.commit,
            "received_time": moment,
            "features": {name: features[name] for name in model.plan.names},
            "prediction": float(model.predict(values)[0]) + shift,
        }
        records.append(a_record(house, f"{prefix}-{place}", moment, **{**known, **changes}))
    house.clock.move(timedelta(seconds=n + 1))
    write(house, records)


@pytest.fixture
def rolled(serving: House) -> House:
    """Version 1 answered, then version 2 did, and was rolled back."""
    served(serving, "before")
    candidate_version(serving)
    steps.declare(serving)
    served(serving, "bad")
    steps.go_back(serving)
    return serving


def observe(house: House) -> None:
    observe_window(
        house.line,
        environment="production",
        inference_log=house.inference_log,
        deployments=house.deployments,
        models=house.models,
        evidence=house.evidence,
        profiles=house.profiles,
    )


def outcomes(found: VerifiedRollback) -> dict[str, Outcome]:
    return {finding.rule: finding.outcome for finding in found.verdict.findings}


def test_a_rollback_that_works_is_verified_by_its_answers(rolled: House) -> None:
    """Every claim passes, the seconds are measured, and the verdict is on record."""
    served(rolled, "since")
    observe(rolled)
    found = verified(rolled)
    assert set(outcomes(found).values()) == {PASS}
    assert found.verdict.outcome is PASS
    assert found.seen.seconds_to_restored is not None
    assert 0 <= found.seen.seconds_to_restored < 5
    assert found.seen.seconds_to_silence is not None
    assert found.seen.seconds_to_silence < 0
    commit = found.rolled_back.restored.commit
    content = rolled.evidence.find(steps.LINE, ROLLBACK_VERIFICATION, commit)
    assert content is not None
    assert verdict_from_json(content) == found.verdict


def test_without_traffic_nobody_can_tell(rolled: House) -> None:
    """It is not verified yet, and says so; nothing fails."""
    found = verified(rolled, ready=None)
    assert found.verdict.outcome is UNKNOWN
    assert set(outcomes(found).values()) == {UNKNOWN}
    said = [finding.sentence() for finding in found.verdict.findings]
    assert any("not verified yet: no requests since" in one for one in said)


@pytest.mark.parametrize(
    ("changes", "rule", "outcome"),
    [
        pytest.param({"n": 5}, ANSWERS, UNKNOWN, id="few requests"),
        pytest.param({"outcome": "error", "prediction": None}, ERRORS, FAIL, id="errors"),
        pytest.param({"latency_ms": 40.0}, LATENCY, FAIL, id="slow"),
        pytest.param({"shift": 1e-12}, SCORES, FAIL, id="another answer in the last bits"),
        pytest.param({"model_digest": "sha256:" + "1" * 64}, FEATURES, FAIL, id="artefact"),
        pytest.param({"features": {"distance": 1.0}}, FEATURES, FAIL, id="features"),
        pytest.param({"features": {"distance": 1.0}}, SCORES, UNKNOWN, id="not to be asked again"),
        pytest.param({"route_commit": "another"}, ANSWERS, UNKNOWN, id="another declaration"),
        pytest.param({}, MONITORED, UNKNOWN, id="no window of it"),
        pytest.param({}, SILENT, PASS, id="silent"),
        pytest.param({}, MEAN, PASS, id="mean"),
    ],
)
def test_what_was_served_decides(
    rolled: House, changes: dict[str, Any], rule: str, outcome: Outcome
) -> None:
    """One claim at a time, each from the log."""
    served(rolled, "since", **changes)
    found = verified(rolled)
    assert outcomes(found)[rule] is outcome
    if rule != MEAN and outcome is not PASS:
        assert found.verdict.outcome is not PASS


def test_a_withdrawn_version_that_answers_on_fails(rolled: House) -> None:
    """Somewhere a server does not follow; within the grace it may."""
    bad = rolled.deployments.history(steps.LINE, "production")[1].state.champion
    changes: dict[str, Any] = {
        "version": 2,
        "model_digest": bad.model_digest,
        "route_commit": "old",
    }
    served(rolled, "since")
    assert outcomes(verified(rolled))[SILENT] is PASS
    served(rolled, "late", **changes)
    found = verified(rolled)
    assert outcomes(found)[SILENT] is FAIL
    assert found.seen.late == N


def test_an_endpoint_that_says_it_is_not_ready_fails(rolled: House) -> None:
    """One that cannot be asked has no vote: the log decides."""
    served(rolled, "since")
    observe(rolled)
    assert outcomes(verified(rolled, ready=False))[READY] is FAIL
    assert verified(rolled, ready=None).verdict.outcome is PASS


def test_without_a_rollback_there_is_nothing_to_verify(serving: House) -> None:
    """A release is judged elsewhere."""
    candidate_version(serving)
    steps.declare(serving)
    assert (
        verify_rollback(
            serving.line,
            environment="production",
            inference_log=serving.inference_log,
            deployments=serving.deployments,
            models=serving.models,
            loader=serving.loader,
            evidence=serving.evidence,
        )
        is None
    )
