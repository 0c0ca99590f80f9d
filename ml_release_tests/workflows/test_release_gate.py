"""The release gate: each single piece of evidence, removed or changed, keeps a candidate back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.identity import canonical_json
from ml_release.domain.model_card import CardNotes
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, MlReleaseError, NotFoundError, RefusedError
from ml_release.workflows.evaluation import EVALUATION_VERDICT, VERDICT_TAG
from ml_release.workflows.model_cards import MODEL_CARD
from ml_release.workflows.snapshots import DATA_VERDICT
from ml_release.workflows.training import CANDIDATE, CANDIDATE_TAG
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House


def digest_of(house: House) -> str:
    digest = house.evidence.newest_subject(steps.LINE, CANDIDATE)
    assert digest is not None
    return digest


def tags_of(house: House) -> dict[str, str]:
    return house.experiments.resume("run-1").tags


def test_a_candidate_with_all_its_evidence_is_let_through(evaluated: House) -> None:
    """The newest one and the one named are the same here."""
    found = steps.gate(evaluated)
    assert found == steps.gate(evaluated, digest_of(evaluated))
    assert found.verdict.outcome is Outcome.PASS
    assert found.candidate.model_digest == digest_of(evaluated)


def _edited_verdict(**changes: Any) -> Callable[[House], None]:
    def act(house: House) -> None:
        steps.edit(house, EVALUATION_VERDICT, digest_of(house), lambda v: v.update(changes))

    return act


def _edited_evidence(name: str) -> Callable[[House], None]:
    def act(house: House) -> None:
        steps.edit(
            house,
            EVALUATION_VERDICT,
            digest_of(house),
            lambda verdict: verdict["evidence"].update({name: "another"}),
        )

    return act


def _outcome(outcome: str) -> Callable[[House], None]:
    """A verdict that says so of its first finding, and of the whole."""

    def change(verdict: dict[str, Any]) -> None:
        verdict["findings"][0]["outcome"] = outcome
        verdict["outcome"] = outcome

    return lambda house: steps.edit(house, EVALUATION_VERDICT, digest_of(house), change)


def _edited_candidate(**changes: Any) -> Callable[[House], None]:
    def act(house: House) -> None:
        steps.edit(house, CANDIDATE, digest_of(house), lambda record: record.update(changes))

    return act


def _without_finding(house: House) -> None:
    """Still passing by itself, but not the verdict that was given."""
    steps.edit(house, EVALUATION_VERDICT, digest_of(house), lambda v: v["findings"].pop())


def _without_findings(house: House) -> None:
    def change(verdict: dict[str, Any]) -> None:
        verdict.update(findings=[], outcome="inconclusive")

    steps.edit(house, EVALUATION_VERDICT, digest_of(house), change)


def _of_another_candidate(house: House) -> None:
    steps.edit(
        house,
        EVALUATION_VERDICT,
        digest_of(house),
        lambda verdict: verdict.update(subject_digest=steps.NOWHERE),
    )


def _snapshot_verdict(change: Callable[[dict[str, Any]], Any]) -> Callable[[House], None]:
    def act(house: House) -> None:
        steps.edit(house, DATA_VERDICT, steps.current(house, "snapshot")["2013-02"].digest, change)

    return act


def _failing(verdict: dict[str, Any]) -> None:
    verdict["findings"][0]["outcome"] = "fail"
    verdict["outcome"] = "fail"


def _no_snapshot_verdict(house: House) -> None:
    steps.forget(house, DATA_VERDICT, steps.current(house, "snapshot")["2013-01"].digest)


def _other_limits(name: str, **changes: Any) -> Callable[[House], None]:
    def act(house: House) -> None:
        house.line = steps.with_policy(house.line, name, **changes)

    return act


def _no_artefact(house: House) -> None:
    del house.models.artefacts[digest_of(house)]


def _edited_card(name: str) -> Callable[[House], None]:
    def act(house: House) -> None:
        changed = {name: steps.NOWHERE}
        steps.edit(house, MODEL_CARD, digest_of(house), lambda card: card.update(changed))

    return act


def _other_notes(house: House) -> None:
    notes = CardNotes(intended_use="something else")
    house.line = house.line.model_copy(update={"card": notes})


def _no_run(house: House) -> None:
    del house.experiments._runs["run-1"]


CASES: dict[str, tuple[Callable[[House], Any], type[MlReleaseError], str]] = {
    "no candidate record": (
        lambda house: steps.forget(house, CANDIDATE, digest_of(house)),
        NotFoundError,
        "expected a trained candidate",
    ),
    "candidate record: not one": (
        lambda house: house.evidence.record(steps.LINE, CANDIDATE, digest_of(house), b"{}"),
        IntegrityError,
        "CandidateRecord: expected a recorded one",
    ),
    "candidate record: no snapshots": (
        _edited_candidate(snapshots={}),
        IntegrityError,
        "CandidateRecord",
    ),
    "candidate record: fewer snapshots": (
        lambda house: steps.edit(
            house, CANDIDATE, digest_of(house), lambda record: record["snapshots"].popitem()
        ),
        RefusedError,
        "candidate_digest: the verdict judged sha256:",
    ),
    "candidate record: another holdout": (
        _edited_candidate(holdout_from="2013-01-02"),
        RefusedError,
        "candidate_digest: the verdict judged sha256:",
    ),
    "candidate record: another model": (
        _edited_candidate(model_digest=steps.NOWHERE),
        IntegrityError,
        "record of small_line candidate",
    ),
    "candidate record: other data": (
        _edited_candidate(partitions={"2013-01": steps.NOWHERE}),
        RefusedError,
        "data_digest: the verdict judged sha256:",
    ),
    "candidate record: another run": (
        _edited_candidate(run_id="run-7"),
        RefusedError,
        "candidate_digest: the verdict judged sha256:",
    ),
    "no evaluation verdict": (
        lambda house: steps.forget(house, EVALUATION_VERDICT, digest_of(house)),
        RefusedError,
        "expected a recorded passing verdict, found none",
    ),
    "evaluation verdict fails": (_outcome("fail"), RefusedError, "evaluation_gates/3 is fail"),
    "evaluation verdict is inconclusive": (
        _outcome("inconclusive"),
        RefusedError,
        "evaluation_gates/3 is inconclusive",
    ),
    "evaluation verdict is an error": (
        _outcome("error"),
        RefusedError,
        "evaluation_gates/3 is error",
    ),
    "evaluation verdict without findings": (
        _without_findings,
        RefusedError,
        "it holds no finding that votes",
    ),
    "evaluation verdict: outcome edited": (
        _edited_verdict(outcome="fail"),
        IntegrityError,
        "its findings give pass, the record says 'fail'",
    ),
    "evaluation verdict: not one": (
        lambda house: house.evidence.record(
            steps.LINE, EVALUATION_VERDICT, digest_of(house), b"pass"
        ),
        IntegrityError,
        "expected a recorded verdict",
    ),
    "evaluation verdict: a finding removed": (
        _without_finding,
        RefusedError,
        "the recorded verdict is sha256:",
    ),
    "evaluation verdict: of another candidate": (
        _of_another_candidate,
        IntegrityError,
        "verdict on small_line candidate sha256:",
    ),
    "evaluation verdict: other data": (
        _edited_evidence("data_digest"),
        RefusedError,
        "data_digest: the verdict judged another",
    ),
    "evaluation verdict: other features": (
        _edited_evidence("feature_version"),
        RefusedError,
        "feature_version: the verdict judged another",
    ),
    "evaluation verdict: another policy": (
        _edited_evidence("policy_digest"),
        RefusedError,
        "policy_digest: the verdict judged another",
    ),
    "evaluation verdict: another champion": (
        _edited_evidence("champion_digest"),
        RefusedError,
        "the recorded verdict is sha256:",
    ),
    "the evaluation policy was changed": (
        _other_limits("evaluation", minimum_rows=101),
        RefusedError,
        "the act of small_line candidate sha256:",
    ),
    "the data policy was changed": (
        _other_limits("data_gates", minimum_rows=101),
        RefusedError,
        "the act of small_line snapshot 2013-01",
    ),
    "no snapshot verdict": (
        _no_snapshot_verdict,
        RefusedError,
        "the act of small_line snapshot 2013-01",
    ),
    "a snapshot verdict fails": (
        _snapshot_verdict(_failing),
        RefusedError,
        "the act of small_line snapshot 2013-02",
    ),
    "a snapshot verdict was edited": (
        _snapshot_verdict(lambda verdict: verdict.update(outcome="fail")),
        IntegrityError,
        "verdict of data_gates/3",
    ),
    "a snapshot verdict is on other rows": (
        _snapshot_verdict(lambda verdict: verdict.update(subject_digest=steps.NOWHERE)),
        IntegrityError,
        "verdict on small_line snapshot 2013-02",
    ),
    "the model was changed": (
        lambda house: steps.tamper(house, digest_of(house)),
        IntegrityError,
        "model: expected digest",
    ),
    "the example was changed": (
        lambda house: steps.tamper(house, digest_of(house), "example.json"),
        IntegrityError,
        "model: expected digest",
    ),
    "a file of the artefact is gone": (
        lambda house: house.models.artefacts[digest_of(house)].pop("reference.json"),
        IntegrityError,
        "model: expected digest",
    ),
    "the artefact is gone": (_no_artefact, NotFoundError, "no such artefact"),
    "the run is gone": (_no_run, NotFoundError, "experiment run run-1"),
    "the run carries no verdict": (
        lambda house: tags_of(house).pop(VERDICT_TAG),
        RefusedError,
        "experiment run run-1 carries none",
    ),
    "the run carries another verdict": (
        lambda house: tags_of(house).update({VERDICT_TAG: steps.NOWHERE}),
        RefusedError,
        "run-1 carries sha256:000000000000. One of them was changed; evaluate again",
    ),
    "no model card": (
        lambda house: steps.forget(house, MODEL_CARD, digest_of(house)),
        RefusedError,
        "expected a model card, found none. Materialize model_card again",
    ),
    "the model card is of another candidate": (
        _edited_card("candidate_digest"),
        RefusedError,
        "model card is stale (candidate: the card is about sha256:000000000000",
    ),
    "the model card is of another verdict": (
        _edited_card("verdict_digest"),
        RefusedError,
        "model card is stale (verdict: the card is about sha256:000000000000",
    ),
    "the model card: not one": (
        lambda house: house.evidence.record(steps.LINE, MODEL_CARD, digest_of(house), b"{}"),
        IntegrityError,
        "model card: expected a recorded one",
    ),
    "the declared notes were changed": (
        _other_notes,
        RefusedError,
        "model card is stale (declared notes: the card is about sha256:",
    ),
    "the run carries no candidate": (
        lambda house: tags_of(house).pop(CANDIDATE_TAG),
        RefusedError,
        "run-1 carries none. One of them was changed; train again",
    ),
}


@pytest.mark.parametrize(
    ("harm", "error", "message"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)
def test_without_one_piece_of_evidence_nothing_is_registered(
    evaluated: House, harm: Callable[[House], Any], error: type[MlReleaseError], message: str
) -> None:
    """The message names the piece, whether the candidate is the newest or asked for by name."""
    digest = digest_of(evaluated)
    harm(evaluated)
    for asked in (None, digest):
        with pytest.raises(error) as refusal:
            steps.gate(evaluated, asked)
        assert message in str(refusal.value)
        with pytest.raises(error):
            steps.register(evaluated, asked)
    assert type(refusal.value) is error
    assert evaluated.registry.versions(steps.LINE) == ()
    assert evaluated.registry.aliases == {}


def test_a_document_that_is_only_written_otherwise_is_the_same_evidence(evaluated: House) -> None:
    """Spaces and the order of keys are not content."""
    for kind in (CANDIDATE, EVALUATION_VERDICT):
        steps.edit(evaluated, kind, digest_of(evaluated), lambda document: None)
        content = evaluated.evidence.find(steps.LINE, kind, digest_of(evaluated))
        assert content is not None
        assert content != canonical_json(json.loads(content))
    steps.gate(evaluated)


def test_trained_again_the_same_candidate_has_to_be_evaluated_again(evaluated: House) -> None:
    """The verdict is with the run of the first training."""
    steps.train(evaluated, last="2013-03")
    with pytest.raises(RefusedError, match="candidate_digest: the verdict judged sha256:"):
        steps.register(evaluated)
    steps.evaluate(evaluated)
    assert steps.register(evaluated).number == 1
