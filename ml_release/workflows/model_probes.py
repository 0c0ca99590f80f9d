"""Asks a model what happens if: declared changes, small errors, edge values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.behaviour_tests import Functionality, changed, declared_rows
from ml_release.domain.gates_behaviour import Answers
from ml_release.domain.gates_robustness import (
    EdgeAnswers,
    RobustnessEvidence,
    edge_cases,
    noisy,
)
from ml_release.domain.quality_policy import ERRORS
from ml_release.errors import InputError
from ml_release.workflows.quality_evidence import primary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.behaviour_tests import BehaviourPolicy
    from ml_release.ports import LoadedModel
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout

_EDGE_ROWS = 20


def behaviour_answers(
    policy: BehaviourPolicy, candidate: Answered, holdout: Holdout
) -> Mapping[str, Answers]:
    """What the candidate answers to every declared test; a test that cannot be run says why."""
    model = candidate.model
    if model is None or not holdout.n or not policy.tests:
        return {}
    sample = holdout.sample(policy.sample_rows)
    before = model.predict(sample.values)
    found: dict[str, Answers] = {}
    for test in policy.tests:
        try:
            if isinstance(test, Functionality):
                rows = declared_rows(test, sample.values)
                found[test.name] = Answers(before=None, after=model.predict(rows))
            else:
                after = model.predict(changed(test, sample.values))
                found[test.name] = Answers(before=before, after=after)
        except (InputError, ValueError) as error:
            found[test.name] = Answers(before=None, after=np.empty(0), problem=str(error))
    return found


def robustness_evidence(
    line: ReleaseLine, candidate: Answered, holdout: Holdout
) -> RobustnessEvidence:
    """What noise does to the answers and to the score, and what edge values are answered with."""
    policy = line.policies.evaluation.robustness
    model = candidate.model
    if model is None or not holdout.n:
        problem = candidate.problem or "there was no row to ask about"
        return RobustnessEvidence(n=0, mean_shift=None, score_loss=None, edges=(), problem=problem)
    sample = holdout.sample(policy.sample_rows)
    before = model.predict(sample.values)
    after = model.predict(noisy(sample.values, share=policy.noise_share, seed=policy.seed))
    primary = primary_of(line, sample)
    return RobustnessEvidence(
        n=sample.n,
        mean_shift=float(np.mean(np.abs(after - before))),
        score_loss=primary.loss(primary.value(before), primary.value(after)),
        edges=_edges(model, holdout.sample(_EDGE_ROWS), is_probability=primary.name not in ERRORS),
    )


def _edges(model: LoadedModel, sample: Holdout, *, is_probability: bool) -> tuple[EdgeAnswers, ...]:
    found = []
    for case, values in edge_cases(sample.values):
        answers = model.predict(values)
        within = not is_probability or bool(((answers >= 0) & (answers <= 1)).all())
        finite = bool(np.isfinite(answers).all())
        found.append(EdgeAnswers(case=case, n=len(answers), finite=finite, within=within))
    return tuple(found)
