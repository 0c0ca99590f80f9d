"""Verification of a version: everything is read again, and everything that is wrong is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.errors import NotFoundError
from ml_release.workflows.evaluation import EVALUATION_VERDICT, VERDICT_TAG
from ml_release.workflows.training import CANDIDATE
from ml_release.workflows.verification import Verification, verify_version
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House


def verified(house: House, number: int = 1) -> Verification:
    return verify_version(
        house.line,
        number,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
    )


def digest_of(house: House) -> str:
    return house.registry.versions(steps.LINE)[0].model_digest


def test_a_version_as_it_was_registered_is_genuine(serving: House) -> None:
    """Four things were read."""
    found = verified(serving)
    assert found.is_genuine
    assert (found.version, found.model_digest) == (1, digest_of(serving))
    assert [check.what for check in found.checks] == [
        "artefact",
        "candidate",
        "verdict",
        "experiment run",
    ]


def test_a_version_that_was_evaluated_again_is_genuine(serving: House) -> None:
    """The newest verdict is the one the run carries."""
    serving.line = steps.with_policy(serving.line, "evaluation", minimum_rows=102)
    steps.evaluate(serving)
    assert verified(serving).is_genuine


CASES: dict[str, tuple[Callable[[House], object], list[str], str]] = {
    "a changed model": (
        lambda house: steps.tamper(house, digest_of(house)),
        ["artefact"],
        "expected digest",
    ),
    "no model": (
        lambda house: house.models.artefacts.clear(),
        ["artefact"],
        "no such artefact",
    ),
    "no candidate record": (
        lambda house: steps.forget(house, CANDIDATE, digest_of(house)),
        ["candidate", "experiment run"],
        "expected a trained candidate",
    ),
    "no verdict": (
        lambda house: steps.forget(house, EVALUATION_VERDICT, digest_of(house)),
        ["verdict", "experiment run"],
        "expected a recorded verdict",
    ),
    "a verdict on another model": (
        lambda house: steps.edit(
            house,
            EVALUATION_VERDICT,
            digest_of(house),
            lambda verdict: verdict.update(subject_digest=steps.NOWHERE),
        ),
        ["verdict", "experiment run"],
        "verdict: expected digest",
    ),
    "a verdict that the run does not carry": (
        lambda house: house.experiments.resume("run-1").tag({VERDICT_TAG: "another"}),
        ["experiment run"],
        "found another. One of the two was changed",
    ),
}


@pytest.mark.parametrize(
    ("harm", "wrong", "message"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)
def test_what_is_wrong_is_said(
    serving: House, harm: Callable[[House], object], wrong: list[str], message: str
) -> None:
    """And the rest is read all the same."""
    harm(serving)
    found = verified(serving)
    assert not found.is_genuine
    assert [check.what for check in found.checks if not check.is_genuine] == wrong
    assert message in next(check.said for check in found.checks if not check.is_genuine)


def test_a_version_that_is_not_registered_is_not_found(serving: House) -> None:
    """Which is no verification that failed."""
    with pytest.raises(NotFoundError, match="expected version 7"):
        verified(serving, 7)


def test_nothing_checked_is_not_genuine() -> None:
    """Cannot tell is never pass."""
    found = Verification(line="a", version=1, model_digest="x", checks=())
    assert not found.is_genuine
