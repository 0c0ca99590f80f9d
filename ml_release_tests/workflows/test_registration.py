"""Registration: one version per candidate, with the digests it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.identity import digest_of_json
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.registration import CANDIDATE_ALIAS
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def test_a_candidate_that_passed_becomes_version_1(evaluated: House) -> None:
    """The version carries verdict, policy, data and features by digest, and the alias."""
    found = steps.gate(evaluated)
    version = steps.register(evaluated)
    assert (version.number, version.model_digest) == (1, found.candidate.model_digest)
    assert version.tags == {
        "verdict_digest": found.verdict.digest,
        "policy_digest": found.verdict.evidence["policy_digest"],
        "data_digest": found.candidate.data_digest,
        "feature_version": found.candidate.feature_version,
    }
    assert evaluated.registry.aliases == {(steps.LINE, CANDIDATE_ALIAS): 1}


def test_the_same_candidate_again_is_the_same_version(evaluated: House) -> None:
    """However often it is asked for."""
    assert steps.register(evaluated) == steps.register(evaluated)
    assert len(evaluated.registry.versions(steps.LINE)) == 1


def test_the_next_candidate_is_the_next_version(evaluated: House) -> None:
    """The alias moves on, and back when the older candidate is asked for by name."""
    first = steps.register(evaluated)
    steps.train(evaluated)
    steps.evaluate(evaluated)
    second = steps.register(evaluated)
    assert (first.number, second.number) == (1, 2)
    assert evaluated.registry.aliases[steps.LINE, CANDIDATE_ALIAS] == 2
    assert steps.register(evaluated, first.model_digest) == first
    assert evaluated.registry.aliases[steps.LINE, CANDIDATE_ALIAS] == 1


def test_a_candidate_that_was_never_evaluated_is_not_registered(prepared: House) -> None:
    """Training alone is no evidence."""
    with pytest.raises(NotFoundError):
        steps.register(prepared)
    steps.train(prepared)
    with pytest.raises(RefusedError, match=r"registration of small_line candidate .* found none"):
        steps.register(prepared)
    assert prepared.registry.versions(steps.LINE) == ()


def test_a_version_carries_the_policy_it_was_judged_under(evaluated: House) -> None:
    """Which may be another one than on the day of its training."""
    evaluated.line = steps.with_policy(evaluated.line, "evaluation", minimum_rows=102)
    steps.evaluate(evaluated)
    judged_under = digest_of_json(evaluated.line.policies.evaluation.model_dump(mode="json"))
    assert steps.register(evaluated).tags["policy_digest"] == judged_under
    declared = steps.declare(evaluated).declaration.state.evidence
    assert declared.policy_digest == judged_under
