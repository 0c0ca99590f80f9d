"""The policies of a line, composed from the classes that stand beside the judges reading them."""

from __future__ import annotations

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.data_gates import DataGatesPolicy
from ml_release.domain.drift import DriftPolicy
from ml_release.domain.evaluation_gates import EvaluationPolicy
from ml_release.domain.identity import digest_of_json
from ml_release.domain.retraining import RetrainingPolicy
from ml_release.errors import DeclarationError


class Policies(BaseModel):
    """Every limit a line declares, reviewable in its policy.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_gates: DataGatesPolicy
    evaluation: EvaluationPolicy
    drift: DriftPolicy
    retraining: RetrainingPolicy

    @property
    def digest(self) -> str:
        """Digest over all policies."""
        return digest_of_json(self.model_dump(mode="json"))


def policies_from_yaml(text: str, *, subject: str) -> Policies:
    """Read policy.yaml.

    Raises
    ------
    DeclarationError
        Listing every problem; ``subject`` says which file is meant.
    """
    try:
        return Policies.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        message = f"{subject}: expected YAML, found something else ({error})"
        raise DeclarationError(message) from error
    except ValidationError as error:
        rows = "\n".join(
            f"  - {'.'.join(str(part) for part in problem['loc']) or 'policy'}: {problem['msg']},"
            f" found {problem['input']!r}"
            for problem in error.errors()
        )
        message = f"{subject}: the policy is not valid.\n{rows}"
        raise DeclarationError(message) from error
