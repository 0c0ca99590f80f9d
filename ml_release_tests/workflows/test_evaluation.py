"""Evaluation: by the artefact that would serve, beside the champion, recorded before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.in_memory import InMemoryRun
from ml_release.domain.features import Category, History
from ml_release.domain.identity import canonical_json
from ml_release.domain.performance import realised_performance
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.scores import auc_score
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError, NotFoundError, RefusedError, UnavailableError
from ml_release.workflows.evaluation import EVALUATION_VERDICT, VERDICT_TAG
from ml_release.workflows.training import ESTIMATOR_ANSWERS, read_window
from ml_release_tests.small_line import SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.verdict import Finding
    from ml_release.workflows.evaluation import Evaluated
    from ml_release_tests.small_line import House


def finding(found: Evaluated, rule: str) -> Finding:
    """The first finding of a rule."""
    return next(f for f in found.verdict.findings if f.rule == rule)


def holdout_of(house: House, found: Evaluated) -> tuple[Mapping[str, Any], Any]:
    """Feature values and labels of the holdout, and nothing but."""
    current = steps.current(house, "features")
    window = read_window(
        house.line,
        [current[name] for name in found.candidate.partitions],
        tables=house.tables,
        holdout_from=found.candidate.holdout_from,
    )
    values = {name: column[window.holdout] for name, column in window.features.items()}
    return values, window.target[window.holdout]


def test_a_good_candidate_passes_on_its_holdout_by_its_artefact(prepared: House) -> None:
    """The performance is what the loaded artefact scores on the held-out rows."""
    candidate = steps.train(prepared)
    found = steps.evaluate(prepared)
    assert found.verdict.outcome is Outcome.PASS
    assert found.candidate == candidate
    values, target = holdout_of(prepared, found)
    model = prepared.loader.load(prepared.models.read(candidate.model_digest))
    assert found.performance is not None
    assert found.performance == realised_performance(target, model.predict(values))
    assert found.performance.rows == candidate.holdout_rows
    assert (found.champion_version, found.champion) == (None, None)
    assert finding(found, "no_worse_than_champion").subject == "no champion"


def test_the_verdict_names_what_it_rests_on(evaluated: House) -> None:
    """Data, features, policy and champion by digest; the recorded verdict is this one."""
    found = steps.evaluate(evaluated)
    candidate = found.candidate
    assert found.verdict.subject_digest == candidate.model_digest
    assert found.verdict.evidence == {
        "data_digest": candidate.data_digest,
        "feature_version": candidate.feature_version,
        "candidate_digest": candidate.digest,
        "policy_digest": candidate.policy_digest,
        "champion_digest": "none",
        "attribution_method": "permutation",
        "anchor_digest": "none",
        "holdout": found.evidence.holdout_use.holdout,
    }
    content = evaluated.evidence.find(steps.LINE, EVALUATION_VERDICT, candidate.model_digest)
    assert content is not None
    assert verdict_from_json(content) == found.verdict


def test_metrics_pictures_and_verdict_are_kept_with_the_run(prepared: House) -> None:
    """Whoever opens the experiment tracker sees what the gate saw."""
    run = prepared.experiments.resume(steps.train(prepared).run_id)
    found = steps.evaluate(prepared)
    auc = found.evidence.quality.scores["auc_score"]
    assert run.metrics["auc_score"] == auc.estimate
    assert run.metrics["auc_score_low"] == auc.low < auc.estimate
    assert run.metrics["expected_calibration_error"] == found.evidence.quality.calibration_error
    assert run.metrics["latency_p50_ms"] > 0
    assert run.tags[VERDICT_TAG] == found.verdict.digest
    assert run.tags["ml_release.verdict"] == "pass"
    assert run.files["evaluation/verdict.json"] == found.verdict.to_json()
    pictures = {"reliability.png", "roc.png", "slices.png", "importances.png", "costs.png"}
    assert found.cheapest is not None
    assert 0 < found.cheapest.threshold < 1
    assert set(found.plots) == pictures
    assert run.files["evaluation/roc.png"] == b"ROC of candidate"


def test_a_candidate_trained_on_shuffled_labels_fails_and_is_never_registered(
    house: House,
) -> None:
    """Neither directly nor later, by name or as the newest; the refusal names score and floor."""
    steps.untrained(house)
    found = steps.evaluate(house)
    assert finding(found, "score_is_above_floor").outcome is Outcome.FAIL
    for digest in (None, found.candidate.model_digest, None):
        with pytest.raises(RefusedError) as refusal:
            steps.register(house, digest)
        expected = "score_is_above_floor [auc_score on the holdout] fail; observed 0."
        assert expected in str(refusal.value)
        assert "limit at least 0.6 auc_score" in str(refusal.value)
    assert house.registry.versions(steps.LINE) == ()


@pytest.mark.parametrize("name", ["model.onnx", "plan.json", "signature.json", "reference.json"])
def test_a_tampered_artefact_is_not_servable(prepared: House, name: str) -> None:
    """One byte of any file: nothing is scored, so nothing passes."""
    steps.tamper(prepared, steps.train(prepared).model_digest, name)
    found = steps.evaluate(prepared)
    assert found.verdict.outcome is Outcome.FAIL
    assert finding(found, "is_servable").outcome is Outcome.FAIL
    assert "expected digest sha256:" in finding(found, "is_servable").detail
    assert finding(found, "score_is_above_floor").outcome is Outcome.INCONCLUSIVE
    assert finding(found, "probabilities_are_calibrated").outcome is Outcome.INCONCLUSIVE
    assert not {"reliability.png", "roc.png"} & set(found.plots)


def test_a_lost_artefact_is_not_servable(prepared: House) -> None:
    """What is not there cannot serve."""
    del prepared.models.artefacts[steps.train(prepared).model_digest]
    found = steps.evaluate(prepared)
    assert finding(found, "is_servable").outcome is Outcome.FAIL
    assert "no such artefact" in finding(found, "is_servable").detail


class _Broken:
    """`ModelLoader` whose models give no number for the third row."""

    def __init__(self, house: House) -> None:
        self._loader = house.loader

    def load(self, files: Mapping[str, bytes]) -> Any:
        model = self._loader.load(files)
        real = model.predict

        def predict(values: Any) -> Any:
            answers = real(values)
            answers[2:3] = np.nan
            return answers

        model.predict = predict  # type: ignore[method-assign]
        return model


def test_an_answer_that_is_no_number_is_not_servable(prepared: House) -> None:
    """One of hundreds is enough, and no score is made of the rest."""
    candidate = steps.train(prepared)
    prepared.loader = _Broken(prepared)  # type: ignore[assignment]
    found = steps.evaluate(prepared)
    assert finding(found, "is_servable").detail == (
        f"1 of {candidate.holdout_rows} answers are not finite"
    )
    assert finding(found, "score_is_above_floor").outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(None, id="none"),
        pytest.param([], id="empty"),
        pytest.param([0.5], id="of other rows"),
    ],
)
def test_without_the_estimators_answers_parity_is_inconclusive(
    prepared: House, answers: list[float] | None
) -> None:
    """What cannot be compared does not pass."""
    digest = steps.train(prepared).model_digest
    if answers is None:
        steps.forget(prepared, ESTIMATOR_ANSWERS, digest)
    else:
        prepared.evidence.record(steps.LINE, ESTIMATOR_ANSWERS, digest, canonical_json(answers))
    found = steps.evaluate(prepared)
    assert finding(found, "is_servable").outcome is Outcome.INCONCLUSIVE
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    with pytest.raises(RefusedError, match=r"is_servable .* inconclusive; observed unknown"):
        steps.register(prepared)


@pytest.mark.parametrize("content", [b"{", b'["a"]', b"[[1], 2]", b"{}"])
def test_answers_that_are_none_are_noticed(prepared: House, content: bytes) -> None:
    """An edited record is an integrity error, not a crash and not a pass."""
    digest = steps.train(prepared).model_digest
    prepared.evidence.record(steps.LINE, ESTIMATOR_ANSWERS, digest, content)
    with pytest.raises(IntegrityError, match="answers of its estimator"):
        steps.evaluate(prepared)


def test_an_artefact_that_answers_otherwise_than_its_estimator_fails(prepared: House) -> None:
    """The model that was judged in training and the one that serves are compared row by row."""
    digest = steps.train(prepared).model_digest
    steps.edit(
        prepared, ESTIMATOR_ANSWERS, digest, lambda answers: answers.insert(0, answers.pop(0) + 0.1)
    )
    parity = finding(steps.evaluate(prepared), "is_servable")
    assert parity.outcome is Outcome.FAIL
    assert parity.observed == pytest.approx(0.1)


def test_the_champion_is_scored_on_the_same_rows(serving: House) -> None:
    """Both are held against the same labels; the verdict names the champion by digest."""
    champion = steps.current(serving, "features")
    assert champion
    steps.train(serving)
    found = steps.evaluate(serving)
    (version,) = serving.registry.versions(steps.LINE)
    values, target = holdout_of(serving, found)
    model = serving.loader.load(serving.models.read(version.model_digest))
    assert found.champion_version == 1
    assert found.champion == realised_performance(target, model.predict(values))
    assert found.champion is not None
    assert found.performance is not None
    assert found.champion.auc.estimate == pytest.approx(auc_score(target, model.predict(values)))
    assert found.verdict.evidence["champion_digest"] == version.model_digest
    assert found.verdict.outcome is Outcome.PASS
    assert found.champion.auc.estimate != found.performance.auc.estimate
    assert serving.plotter.drawn[-1] == "ROC of candidate, champion, version 1"


def test_a_candidate_worse_than_the_champion_fails(serving: House) -> None:
    """It is above the floor, and still refused."""
    serving.line = steps.with_policy(
        SMALL_LINE.model_copy(
            update={"parameters": {"max_iter": 1, "max_leaf_nodes": 2, "max_features": 0.3}}
        ),
        "evaluation",
        quality=QualityPolicy(
            floors={"auc_score": 0.3}, calibration_error_limit=0.5, champion_margin=0.02
        ),
    )
    steps.train(serving)
    found = steps.evaluate(serving)
    assert finding(found, "score_is_above_floor").outcome is Outcome.PASS
    worse = finding(found, "no_worse_than_champion")
    assert worse.outcome is Outcome.FAIL
    assert worse.observed is not None
    assert worse.observed < -0.02
    with pytest.raises(RefusedError, match=r"no_worse_than_champion \[champion version 1\] fail"):
        steps.register(serving)


@pytest.mark.parametrize("harm", ["tampered", "lost"])
def test_a_champion_that_cannot_be_loaded_leaves_it_inconclusive(serving: House, harm: str) -> None:
    """Nothing to compare with is no free pass."""
    (version,) = serving.registry.versions(steps.LINE)
    if harm == "tampered":
        steps.tamper(serving, version.model_digest)
    else:
        del serving.models.artefacts[version.model_digest]
    steps.train(serving)
    found = steps.evaluate(serving)
    assert finding(found, "no_worse_than_champion").outcome is Outcome.INCONCLUSIVE
    assert version.model_digest in finding(found, "no_worse_than_champion").detail or (
        "expected digest" in finding(found, "no_worse_than_champion").detail
    )
    assert (found.champion_version, found.champion) == (1, None)
    with pytest.raises(RefusedError, match=r"champion version 1\] inconclusive"):
        steps.register(serving)


@pytest.mark.parametrize(
    "features",
    [
        pytest.param(SMALL_LINE.features[1:], id="one is gone"),
        pytest.param(
            (
                *SMALL_LINE.features[:-1],
                History(name="carrier_rate", keys=("carrier",), window_days=14),
            ),
            id="one looks back less far",
        ),
    ],
)
def test_a_champion_is_not_scored_on_features_it_has_not_learned(
    serving: House, features: tuple[Any, ...]
) -> None:
    """A feature that is gone, or means something else by the same name, makes it look bad."""
    serving.line = SMALL_LINE.model_copy(update={"features": features})
    for month in ("2013-01", "2013-02", "2013-03", "2013-04"):
        steps.features(serving, month)
    steps.train(serving)
    comparison = finding(steps.evaluate(serving), "no_worse_than_champion")
    assert comparison.outcome is Outcome.INCONCLUSIVE
    assert "no longer built as it learned them" in comparison.detail


def test_what_does_not_change_a_value_does_not_part_champion_and_candidate(serving: House) -> None:
    """A description, and how many words the next plan keeps."""
    features = list(SMALL_LINE.features)
    features[1] = Category(name="carrier", column="carrier", description="Who flies.", limit=2)
    serving.line = SMALL_LINE.model_copy(update={"features": tuple(features)})
    steps.prepare(serving, "2013-01", "2013-02", "2013-03", "2013-04")
    steps.train(serving)
    assert finding(steps.evaluate(serving), "no_worse_than_champion").observed is not None


def test_data_that_were_replaced_are_not_evaluated_on(evaluated: House) -> None:
    """Features rebuilt since, or stale ones: train again."""
    evaluated.land("2013-02", trips("2013-02", seed=1))
    steps.snapshot(evaluated, "2013-02")
    with pytest.raises(RefusedError, match=r"evaluating a candidate: features of 2013-02 refused"):
        steps.evaluate(evaluated)
    steps.features(evaluated, "2013-02")
    steps.features(evaluated, "2013-03")
    with pytest.raises(RefusedError, match=r"it was trained on features 2013-02 .* Train again"):
        steps.evaluate(evaluated)


def test_a_candidate_that_does_not_exist_is_not_found(prepared: House) -> None:
    """Neither the newest nor one by name."""
    with pytest.raises(NotFoundError):
        steps.evaluate(prepared)
    with pytest.raises(NotFoundError, match=steps.NOWHERE):
        steps.evaluate(prepared, steps.NOWHERE)


def test_the_candidate_named_is_the_one_evaluated(evaluated: House) -> None:
    """A newer candidate does not take its place."""
    first = steps.evaluate(evaluated).candidate
    steps.train(evaluated)
    assert steps.evaluate(evaluated, first.model_digest).candidate == first


def test_the_verdict_is_recorded_before_the_run_is_tagged(
    prepared: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker that fails at the tag leaves a recorded verdict that no act accepts."""
    candidate = steps.train(prepared)

    def fails(run: InMemoryRun, tags: Mapping[str, str]) -> None:
        message = "the tracker is down"
        raise UnavailableError(message)

    with monkeypatch.context() as broken:
        broken.setattr(InMemoryRun, "tag", fails)
        with pytest.raises(UnavailableError):
            steps.evaluate(prepared)
    content = prepared.evidence.find(steps.LINE, EVALUATION_VERDICT, candidate.model_digest)
    assert content is not None
    assert verdict_from_json(content).outcome is Outcome.PASS
    with pytest.raises(RefusedError, match="carries none"):
        steps.register(prepared)
    steps.evaluate(prepared)
    assert steps.register(prepared).number == 1


def test_a_verdict_that_is_not_recorded_is_not_told(
    prepared: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run carries no tag of a verdict that nobody can read again."""
    run = prepared.experiments.resume(steps.train(prepared).run_id)

    def fails(*_: object) -> str:
        message = "the disk is full"
        raise UnavailableError(message)

    monkeypatch.setattr(prepared.evidence, "record", fails)
    with pytest.raises(UnavailableError):
        steps.evaluate(prepared)
    assert VERDICT_TAG not in run.tags
