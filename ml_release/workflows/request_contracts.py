"""Where the contract of requests is read from: an artefact, or the declared line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.artefact import (
    PLAN_FILE,
    SIGNATURE_FILE,
    signature_from_json,
    signature_of,
)
from ml_release.domain.features import FeaturePlan, plan_from_json
from ml_release.domain.request_contract import RequestContract, contract_of
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.fitting import output_kind_of

if TYPE_CHECKING:
    from ml_release.ports import ModelStore
    from ml_release.spec.release_line import ReleaseLine


def recorded_contract(model_digest: str, *, models: ModelStore) -> RequestContract | None:
    """The contract of a published version; None if its artefact cannot be read."""
    try:
        files = models.read(model_digest)
        return contract_of(
            signature_from_json(files[SIGNATURE_FILE]), plan_from_json(files[PLAN_FILE])
        )
    except (IntegrityError, NotFoundError, KeyError):
        return None


def declared_contract(line: ReleaseLine) -> RequestContract:
    """What a line declares before anything was fitted: no words, and no classes."""
    declared = signature_of(
        line.name,
        FeaturePlan(features=line.features, vocabularies={}),
        output=line.output,
        output_kind=output_kind_of(line),
        personal=line.personal,
    )
    return RequestContract(
        inputs=declared.inputs,
        output=declared.output,
        output_kind=declared.output_kind,
        classes=None,
        personal=declared.personal,
        words={},
    )
