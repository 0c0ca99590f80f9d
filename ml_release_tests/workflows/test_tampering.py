"""One byte changed anywhere on the way from training to traffic, and no act goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.artefact import (
    EXAMPLE_FILE,
    MODEL_FILE,
    PLAN_FILE,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    SKOPS_FILE,
)
from ml_release.domain.identity import digest_hex
from ml_release.domain.verdict import Outcome
from ml_release.errors import MlReleaseError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.training import CANDIDATE, find_candidate
from ml_release_tests.tampering import flip, forge, harmful_pickle, harms
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House

NAMES = [MODEL_FILE, PLAN_FILE, SIGNATURE_FILE, REFERENCE_FILE, EXAMPLE_FILE]


def furnish(house: House, root: Path) -> None:
    """Let a house keep its models and its evidence on disk."""
    house.models = ModelFiles(root / "models", ModelSignatures(SigningKeys(root / "keys")))  # type: ignore[assignment]
    house.evidence = EvidenceFiles(root / "evidence")  # type: ignore[assignment]


@pytest.fixture(scope="session")
def the_kept(the_prepared: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Path]:
    root = tmp_path_factory.mktemp("kept")
    house = the_prepared.copied(root / "inference")
    documents = house.evidence._documents
    furnish(house, root)
    for (line, kind, subject), document in documents.items():
        house.evidence.record(line, kind, subject, document)
    steps.train(house, last="2013-03")
    steps.evaluate(house)
    return house, root


@pytest.fixture
def kept(the_kept: tuple[House, Path], tmp_path: Path) -> House:
    """A candidate has passed its evaluation; models and evidence lie in ``tmp_path``."""
    house, root = the_kept
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    copied = house.copied(tmp_path / "inference")
    furnish(copied, tmp_path)
    return copied


def evidence_file(root: Path, kind: str) -> Path:
    (path,) = (root / "evidence" / steps.LINE / kind).glob("*.json")
    return path


def digest_of(house: House) -> str:
    digest = house.evidence.newest_subject(steps.LINE, CANDIDATE)
    assert digest is not None
    return digest


def _other_policy(house: House, root: Path) -> None:
    house.line = steps.with_policy(house.line, "evaluation", minimum_rows=101)


def _folder_harm(name: str) -> Callable[[House, Path], object]:
    def act(house: House, root: Path) -> None:
        harm, _ = harms(NAMES, of_another=root / "another")[name]
        harm(root / "models" / digest_hex(digest_of(house)))

    return act


def _evidence_harm(kind: str) -> Callable[[House, Path], object]:
    return lambda house, root: flip(evidence_file(root, kind), at=len(kind) - 200)


ARTEFACT = {
    name: (_folder_harm(name), message)
    for name, (_, message) in harms(NAMES, of_another=Path()).items()
}
CHANGED = "changed after it was recorded"
EVIDENCE: dict[str, tuple[Callable[[House, Path], object], str]] = {
    "one byte of the verdict": (
        _evidence_harm(EVALUATION_VERDICT),
        "changed after it was recorded",
    ),
    "one byte of the candidate record": (
        _evidence_harm(CANDIDATE),
        "changed after it was recorded",
    ),
    "one byte of the seal's key": (
        lambda house, root: flip(root / "evidence" / "key"),
        "or its key was",
    ),
    "one limit of the policy": (_other_policy, "policy_digest"),
}


def refused(act: Callable[[], Any], message: str) -> None:
    with pytest.raises(MlReleaseError) as refusal:
        act()
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", [*ARTEFACT, *EVIDENCE])
def test_a_candidate_that_was_tampered_with_is_not_registered(
    kept: House, tmp_path: Path, name: str
) -> None:
    """The refusal names the cause."""
    harm, message = {**ARTEFACT, **EVIDENCE}[name]
    # Asked for by name, as a person would, and as the newest.
    digest = digest_of(kept)
    harm(kept, tmp_path)
    refused(lambda: steps.register(kept, digest), message)
    refused(lambda: steps.register(kept), message)
    assert kept.registry.versions(steps.LINE) == ()


@pytest.mark.parametrize("name", [*ARTEFACT, *EVIDENCE])
def test_a_version_that_was_tampered_with_is_not_declared(
    kept: House, tmp_path: Path, name: str
) -> None:
    """What was in order when it was registered is asked again."""
    harm, message = {**ARTEFACT, **EVIDENCE}[name]
    steps.register(kept)
    harm(kept, tmp_path)
    refused(lambda: steps.declare(kept), message)
    assert kept.deployments.history(steps.LINE, kept.environment) == ()


@pytest.mark.parametrize("name", ARTEFACT)
def test_a_target_that_was_tampered_with_is_not_gone_back_to(
    kept: House, tmp_path: Path, name: str
) -> None:
    """It served before, and does not serve again."""
    _, message = ARTEFACT[name]
    steps.register(kept)
    steps.declare(kept)
    first = digest_of(kept)
    steps.train(kept)
    steps.evaluate(kept)
    steps.register(kept)
    steps.declare(kept)
    harm, _ = harms(NAMES, of_another=tmp_path / "another")[name]
    harm(tmp_path / "models" / digest_hex(first))
    refused(lambda: steps.go_back(kept), message)
    assert len(kept.deployments.history(steps.LINE, kept.environment)) == 2


def test_trained_again_a_model_without_a_signature_can_be_released(
    kept: House, tmp_path: Path
) -> None:
    """The way out for a home of before artefacts were signed, as the refusal says."""
    _folder_harm("no signature")(kept, tmp_path)
    refused(lambda: steps.register(kept), "made before artefacts were signed")
    steps.train(kept, last="2013-03")
    steps.evaluate(kept)
    assert steps.register(kept).number == 1


@pytest.mark.parametrize("place", [*NAMES, SKOPS_FILE, "model.pkl"])
def test_a_signed_pickle_is_never_read(kept: House, tmp_path: Path, place: str) -> None:
    """By whoever has all keys: it fails its evaluation, and is not registered on a forged one."""
    marker = tmp_path / "marker"
    files = {**kept.models.read(digest_of(kept)), place: harmful_pickle(marker)}
    digest = forge(tmp_path / "models", files, ModelSignatures(SigningKeys(tmp_path / "keys")))
    record = find_candidate(kept.line, None, evidence=kept.evidence)
    forged = record.model_copy(update={"model_digest": digest})
    content = kept.evidence.find(steps.LINE, EVALUATION_VERDICT, record.model_digest)
    assert content is not None
    kept.evidence.record(steps.LINE, CANDIDATE, digest, forged.to_json())
    assert steps.evaluate(kept, digest).verdict.outcome is not Outcome.PASS
    refused(lambda: steps.register(kept, digest), "evaluation_gates")
    verdict = json.loads(content)
    verdict["subject_digest"] = digest
    verdict["evidence"]["candidate_digest"] = forged.digest
    kept.evidence.record(steps.LINE, EVALUATION_VERDICT, digest, json.dumps(verdict).encode())
    refused(lambda: steps.register(kept, digest), f"{place}: expected ")
    assert kept.registry.versions(steps.LINE) == ()
    assert not marker.exists()
