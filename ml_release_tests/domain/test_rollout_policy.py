"""The way a line declares for its releases."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.canary_policy import CanaryStep
from ml_release.domain.rollout import Path
from ml_release.domain.rollout_policy import RolloutPolicy


def steps(*weights: float) -> tuple[CanaryStep, ...]:
    return tuple(CanaryStep(weight_percent=weight) for weight in weights)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, Path(weights_percent=(5.0, 25.0, 50.0)), id="default"),
        pytest.param({"stages": ()}, Path(has_staging=False, has_shadow=False), id="none"),
        pytest.param({"stages": ("staging", "shadow")}, Path(), id="no canary"),
        pytest.param(
            {"stages": ("canary",), "canary_steps": steps(10)},
            Path(has_staging=False, has_shadow=False, weights_percent=(10.0,)),
            id="canary alone",
        ),
        pytest.param(
            {"stages": ("staging",), "canary_steps": ()}, Path(has_shadow=False), id="no steps"
        ),
    ],
)
def test_the_path_is_what_the_policy_declares(fields: dict[str, Any], expected: Path) -> None:
    """Steps of a canary that is no stage are none."""
    assert RolloutPolicy(**fields).path == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"stages": ("shadow", "staging")}, "in the order staging", id="order"),
        pytest.param({"stages": ("staging", "staging")}, "expected each once", id="twice"),
        pytest.param({"stages": ("production",)}, "literal_error", id="no stage"),
        pytest.param({"canary_steps": steps(25, 5)}, "expected rising weights", id="falling"),
        pytest.param({"canary_steps": steps(5, 5)}, "expected rising weights", id="equal"),
        pytest.param({"canary_steps": ()}, "at least one step", id="canary without steps"),
        pytest.param({"canary_steps": [{"weight_percent": 100}]}, "less than 100", id="all"),
        pytest.param({"canary_steps": [{"weight_percent": 0}]}, "greater than 0", id="nobody"),
        pytest.param({"shadow_sample_percent": 0}, "greater than 0", id="no sample"),
        pytest.param({"shadow_sample_percent": float("nan")}, "finite", id="NaN"),
        pytest.param({"watched": True}, "extra_forbidden", id="unknown key"),
    ],
)
def test_a_way_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    """When the line is read, not when a release is under way."""
    with pytest.raises(ValidationError) as caught:
        RolloutPolicy(**fields)
    assert message in str(caught.value) + str([one["type"] for one in caught.value.errors()])


def test_any_other_policy_has_another_digest() -> None:
    """Approvals rest on it."""
    digests = {
        RolloutPolicy(**fields).digest
        for fields in (
            {},
            {"automatic": False},
            {"is_watched": False},
            {"shadow_sample_percent": 50.0},
            {"canary_steps": steps(5, 25)},
            {"canary_steps": steps(5, 25, 51)},
        )
    }
    assert len(digests) == 6
    assert RolloutPolicy().digest == RolloutPolicy().digest
