"""What serves: promoted on evidence read again, rolled back without registry or tracker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.in_memory import InMemoryDeployments
from ml_release.domain.verdict import Outcome
from ml_release.errors import (
    InputError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    StaleWriteError,
)
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release.workflows.promotion import Request
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release_tests.small_line import House

CHAMPION = (steps.LINE, CHAMPION_ALIAS)


class Spied:
    """`Deployments` that keeps the trailers; somebody else may act after the first reading."""

    def __init__(self, house: House, meanwhile: Callable[[], Any] | None = None) -> None:
        self._real = house.deployments
        self._meanwhile = meanwhile
        self.trailers: list[Mapping[str, str]] = []

    def read(self, line: str, environment: str) -> Declaration | None:
        found = self._real.read(line, environment)
        self._let_somebody_act()
        return found

    def sealed(self, line: str, environment: str) -> Declaration | None:
        return self._real.sealed(line, environment)

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        self.trailers.append(trailers)
        return self._real.declare(state, expected_commit=expected_commit, trailers=trailers, at=at)

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        found = self._real.history(line, environment)
        self._let_somebody_act()
        return found

    def _let_somebody_act(self) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()


def history(house: House) -> tuple[Declaration, ...]:
    return house.deployments.history(steps.LINE, "production")


def candidate_version(house: House, last: str | None = None) -> int:
    """A further version that has passed its evaluation against what serves now."""
    trees = house.line.parameters["max_iter"] + 1
    parameters = {**house.line.parameters, "max_iter": trees}
    house.line = house.line.model_copy(update={"parameters": parameters})
    steps.train(house, last=last)
    steps.evaluate(house)
    return steps.register(house).number


def test_the_first_version_takes_all_traffic(evaluated: House) -> None:
    """Nothing stood there before, so there is nothing to keep warm."""
    version = steps.register(evaluated)
    found = steps.gate(evaluated)
    moved = steps.declare(evaluated)
    state = moved.declaration.state
    assert (moved.before, moved.changed) == (None, True)
    assert (state.champion.version, state.champion.weight_percent) == (1, 100.0)
    assert state.champion.model_digest == version.model_digest
    assert (state.rollback_target, state.withdrawn) == (None, ())
    assert state.evidence.verdict_digest == found.verdict.digest
    assert state.evidence.feature_version == found.candidate.feature_version
    assert evaluated.deployments.read(steps.LINE, "production") == moved.declaration
    assert evaluated.registry.aliases[CHAMPION] == 1


def test_the_commit_says_who_why_and_on_what_evidence(evaluated: House) -> None:
    """Every trailer of the audit trail is there."""
    steps.register(evaluated)
    spied = Spied(evaluated)
    evaluated.deployments = spied  # type: ignore[assignment]
    moved = steps.declare(evaluated)
    release = "small_line-1-20261121T090000Z"
    assert spied.trailers == [
        {
            "Actor": "Ada",
            "Reason": "passed its gates",
            "Run-Id": "run-of-the-job",
            "Release": release,
            "Evidence-Digest": steps.gate(evaluated).verdict.digest,
            "Approved-By": "none",
        }
    ]
    assert moved.declaration.state.release == release
    assert moved.declaration.committed_at == "2026-11-21T09:00:00+00:00"


def test_the_next_version_keeps_its_predecessor_warm(serving: House) -> None:
    """The alias follows what is declared."""
    first = history(serving)[-1].state.champion
    assert candidate_version(serving) == 2
    assert serving.registry.aliases[CHAMPION] == 1
    moved = steps.declare(serving)
    assert moved.declaration.state.champion.version == 2
    assert moved.declaration.state.rollback_target == first
    assert moved.before == history(serving)[0]
    assert serving.registry.aliases[CHAMPION] == 2


@pytest.mark.parametrize("number", [None, 1])
def test_the_version_that_answers_is_not_declared_again(serving: House, number: int | None) -> None:
    """No commit, no evidence needed; only the alias is put right."""
    before = history(serving)
    serving.registry.aliases.clear()
    steps.forget(serving, "candidate", before[-1].state.champion.model_digest)
    serving.clock.move(timedelta(hours=1))
    moved = steps.declare(serving, number)
    assert moved.changed is False
    assert moved.declaration == moved.before == before[-1]
    assert history(serving) == before
    assert serving.registry.aliases[CHAMPION] == 1


def test_a_version_judged_against_another_champion_is_refused(serving: House) -> None:
    """Two versions were judged against the first; after one is promoted the other has to wait."""
    second, third = candidate_version(serving), candidate_version(serving, last="2013-03")
    steps.declare(serving, third)
    before = history(serving)
    with pytest.raises(RefusedError, match=r"promotion of version 2 .*\n.*champion_digest: the"):
        steps.declare(serving, second)
    assert history(serving) == before
    assert serving.registry.aliases[CHAMPION] == third


def test_a_first_version_judged_with_no_champion_is_refused_where_one_serves(
    evaluated: House,
) -> None:
    """Somebody's version got there first."""
    steps.register(evaluated)
    first = evaluated.registry.versions(steps.LINE)[0].model_digest
    candidate_version(evaluated)
    steps.declare(evaluated, 2)
    with pytest.raises(RefusedError, match="champion_digest: the verdict judged none"):
        steps.declare(evaluated, 1)
    state = history(evaluated)[-1].state
    assert state.champion.model_digest != first


def test_a_withdrawn_version_is_refused(serving: House) -> None:
    """A rollback withdraws; a promotion does not undo it."""
    candidate_version(serving)
    steps.declare(serving)
    steps.go_back(serving)
    before = history(serving)
    with pytest.raises(RefusedError, match="version 2 was withdrawn"):
        steps.declare(serving, 2)
    assert history(serving) == before


@pytest.mark.parametrize("number", [0, 2, 99])
def test_an_unknown_version_is_not_found(serving: House, number: int) -> None:
    """Those that are known are listed; 0 is not the newest."""
    with pytest.raises(NotFoundError, match=r"found \[1\]"):
        steps.declare(serving, number)


def test_with_no_version_registered_nothing_is_found(evaluated: House) -> None:
    """An evaluated candidate is no version yet."""
    with pytest.raises(NotFoundError, match="found none"):
        steps.declare(evaluated)


def test_evidence_that_was_lost_since_registration_keeps_a_version_back(serving: House) -> None:
    """Promotion reads everything again."""
    candidate_version(serving)
    digest = serving.registry.versions(steps.LINE)[-1].model_digest
    steps.tamper(serving, digest)
    with pytest.raises(IntegrityError, match="model: expected digest"):
        steps.declare(serving)
    steps.tamper(serving, digest)
    steps.forget(serving, "evaluation_verdict", digest)
    with pytest.raises(RefusedError, match="promotion of version 2 of small_line candidate"):
        steps.declare(serving)
    assert len(history(serving)) == 1


@pytest.mark.parametrize("act", [steps.declare, steps.go_back])
def test_a_declaration_in_between_makes_the_write_stale(
    serving: House, act: Callable[..., Any]
) -> None:
    """Who read the state before somebody else changed it has to read and decide again."""
    candidate_version(serving)
    if act is steps.go_back:
        steps.declare(serving)
    alias = serving.registry.aliases[CHAMPION]
    real = serving.deployments
    standing = history(serving)[-1]

    def somebody_else() -> None:
        real.declare(
            standing.state.model_copy(update={"release": "somebody else's"}),
            expected_commit=standing.commit,
            trailers={"Actor": "Bob", "Reason": "was faster"},
            at=serving.clock.now(),
        )

    serving.deployments = Spied(serving, somebody_else)  # type: ignore[assignment]
    with pytest.raises(StaleWriteError):
        act(serving)
    assert real.history(steps.LINE, "production")[-1].actor == "Bob"
    assert serving.registry.aliases[CHAMPION] == alias


@pytest.mark.parametrize(
    "change", [{"by": ""}, {"by": " \n"}, {"reason": ""}, {"reason": "\t"}], ids=str
)
def test_a_move_nobody_answers_for_is_no_request(change: dict[str, str]) -> None:
    """Who and why are never empty; the message says which is."""
    with pytest.raises(InputError, match=f"empty '{next(iter(change))}'"):
        replace(steps.REQUEST, **change)


def test_a_rollback_restores_the_predecessor_and_withdraws_the_present(serving: House) -> None:
    """One commit, with the evidence the predecessor was declared on."""
    first = history(serving)[-1].state
    candidate_version(serving)
    steps.declare(serving)
    serving.clock.move(timedelta(minutes=5))
    spied = Spied(serving)
    serving.deployments = spied  # type: ignore[assignment]
    moved = steps.go_back(serving, request=Request(by="Bob", reason="late", run_id="run-9"))
    state = moved.declaration.state
    assert state.champion == first.champion
    assert state.evidence == first.evidence
    assert (state.withdrawn, state.rollback_target) == ((2,), None)
    assert moved.before is not None
    assert moved.before.state.champion.version == 2
    assert spied.trailers == [
        {
            "Actor": "Bob",
            "Reason": "late",
            "Run-Id": "run-9",
            "Release": "small_line-rollback-20261121T090500Z",
            "Evidence-Digest": first.evidence.verdict_digest,
            "Approved-By": "none",
        }
    ]
    assert len(history(serving)) == 3


def test_a_rollback_needs_neither_registry_nor_tracker_nor_evidence(serving: House) -> None:
    """They may be down when it matters: here they are gone."""
    candidate_version(serving)
    steps.declare(serving)
    del serving.registry, serving.experiments, serving.evidence, serving.tables
    assert steps.go_back(serving).declaration.state.champion.version == 1


@pytest.mark.parametrize("harm", ["tampered", "lost", "not a model"])
def test_a_target_that_cannot_answer_is_not_declared(
    serving: House, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded first, the way the endpoint server does."""
    target = history(serving)[-1].state.champion.model_digest
    candidate_version(serving)
    steps.declare(serving)
    before = history(serving)
    error: type[Exception] = IntegrityError
    if harm == "tampered":
        steps.tamper(serving, target)
    elif harm == "lost":
        del serving.models.artefacts[target]
        error = NotFoundError
    else:
        files = {**serving.models.read(target), "model.onnx": b"no model"}
        serving.models.artefacts[target] = files
        monkeypatch.setattr(serving.models, "read", lambda _: files)
    with pytest.raises(error):
        steps.go_back(serving)
    assert history(serving) == before


@pytest.mark.parametrize("number", [None, 1, 7])
def test_with_nothing_declared_there_is_nothing_to_roll_back(
    evaluated: House, number: int | None
) -> None:
    """Not even to a version that is registered."""
    steps.register(evaluated)
    with pytest.raises(RefusedError, match="nothing is declared"):
        steps.go_back(evaluated, number)


def test_the_first_version_has_nothing_to_go_back_to(serving: House) -> None:
    """It goes on to answer."""
    before = history(serving)
    with pytest.raises(RefusedError, match="expected an earlier version that has served"):
        steps.go_back(serving)
    assert history(serving) == before


@pytest.mark.parametrize("number", [2, None])
def test_a_rollback_asked_for_again_does_nothing_twice(serving: House, number: int | None) -> None:
    """By name or without: no commit, nothing more withdrawn, no step further back."""
    for _ in range(2):
        candidate_version(serving)
        steps.declare(serving)
    first = steps.go_back(serving, number)
    again = steps.go_back(serving, number)
    assert (first.changed, again.changed) == (True, False)
    assert again.declaration == again.before == first.declaration
    assert first.declaration.state.champion.version == 2
    assert len(history(serving)) == 4


def test_a_rollback_may_name_a_version_that_served_before_the_last(serving: House) -> None:
    """From the third to the first; the second is skipped but not withdrawn."""
    for _ in range(2):
        candidate_version(serving)
        steps.declare(serving)
    state = steps.go_back(serving, 1).declaration.state
    assert (state.champion.version, state.withdrawn) == (1, (3,))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        pytest.param(2, "rollback to version 2 refused: it was withdrawn", id="withdrawn"),
        pytest.param(5, "expected version 5 that has served", id="never served"),
    ],
)
def test_a_rollback_to_a_version_that_may_not_serve_is_refused(
    serving: House, number: int, message: str
) -> None:
    """Withdrawn stays withdrawn, and only what has served can be gone back to."""
    candidate_version(serving)
    steps.declare(serving)
    steps.go_back(serving)
    before = history(serving)
    with pytest.raises(RefusedError, match=message):
        steps.go_back(serving, number)
    assert history(serving) == before


def test_the_version_after_a_rollback_is_judged_against_what_was_restored(serving: House) -> None:
    """The third version beats the first, and the withdrawn second stays withdrawn."""
    candidate_version(serving)
    steps.declare(serving)
    steps.go_back(serving)
    candidate_version(serving)
    state = steps.declare(serving).declaration.state
    assert (state.champion.version, state.withdrawn) == (3, (2,))
    assert state.rollback_target is not None
    assert state.rollback_target.version == 1


def test_a_lost_deployments_repository_is_no_first_release(serving: House) -> None:
    """The registry remembers a champion: neither comparison nor promotion passes without it."""
    serving.deployments = InMemoryDeployments()
    evaluated = steps.evaluate(serving)
    (finding,) = [f for f in evaluated.verdict.findings if f.rule == "no_worse_than_champion"]
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "repository may be lost" in finding.detail
    with pytest.raises(RefusedError, match="repository may be lost"):
        steps.declare(serving)
    assert serving.deployments.read(steps.LINE, "production") is None
