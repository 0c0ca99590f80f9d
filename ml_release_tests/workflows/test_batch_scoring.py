"""A whole partition is scored by what may answer, on features that are current, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.onnx_models import OnnxModel
from ml_release.domain.artefact import PLAN_FILE, signature_from_json
from ml_release.domain.batch_scoring import PredictionsRecord
from ml_release.domain.features import Number, encode, plan_from_json
from ml_release.domain.kill_switch import Pulled
from ml_release.errors import IntegrityError, MlReleaseError, NotFoundError, RefusedError
from ml_release.workflows import batch_scoring
from ml_release.workflows.batch_scoring import (
    PREDICTIONS_RECORD,
    PREDICTIONS_TABLE,
    Scored,
    score_partition,
)
from ml_release.workflows.columns import values_of
from ml_release.workflows.feature_building import FEATURES_RECORD, FEATURES_TABLE
from ml_release.workflows.scoring_version import ScoringVersion, choose_scoring_version
from ml_release_tests.small_line import ROWS_PER_MONTH, trips
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version, history

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House

MONTH = "2013-04"
AT = datetime(2013, 5, 1, tzinfo=UTC)
PULLED = Pulled(engaged=True, answer=0.2, by="ada", reason="nonsense", at=AT)


def choose(house: House, number: int | None = None) -> ScoringVersion:
    return choose_scoring_version(
        house.line,
        number,
        environment=house.environment,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        switches=house.switches,
        now=house.clock.now(),
    )


def score(house: House, chosen: ScoringVersion | None = None, **options: Any) -> Scored:
    return score_partition(
        house.line,
        MONTH,
        chosen or choose(house),
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        **options,
    )


def test_every_row_is_answered_as_the_artefact_answers_it(serving: House) -> None:
    """Keys, event time, prediction, decision, version and digest, in the order of the rows."""
    scored = score(serving, rows_per_batch=100)
    features = serving.tables.read(steps.current(serving, FEATURES_TABLE)[MONTH], FEATURES_TABLE)
    champion = history(serving)[-1].state.champion
    files = serving.models.read(champion.model_digest)
    plan = plan_from_json(files[PLAN_FILE])
    expected = serving.loader.load(files).predict(values_of(features, plan.features))
    found = serving.tables.read(scored.predictions, PREDICTIONS_TABLE)
    assert list(found) == [
        *("departure_utc", "trip", "prediction", "decision", "version", "model_digest")
    ]
    assert len(found) == ROWS_PER_MONTH
    assert found["prediction"].to_numpy().tobytes() == expected.tobytes()
    assert found["trip"].tolist() == features["trip"].tolist()
    assert found["decision"].tolist() == (expected >= 0.3).astype(int).tolist()
    assert set(found["version"]) == {1}
    assert set(found["model_digest"]) == {champion.model_digest}


def test_what_was_counted_on_the_way_is_that_of_all_rows(serving: House) -> None:
    """Whatever the batches: spread, missing shares, progress; one digest, written once."""
    steps_made: list[tuple[int, int]] = []
    small = score(
        serving,
        rows_per_batch=250,
        on_progress=lambda done, total: steps_made.append((done, total)),
    )
    whole = score(serving, rows_per_batch=10_000)
    assert steps_made == [(250, 600), (500, 600), (600, 600)]
    assert small.predictions == whole.predictions
    assert (small.spread.counts == whole.spread.counts).all()
    assert small.spread.counts.sum() == ROWS_PER_MONTH
    features = serving.tables.read(steps.current(serving, FEATURES_TABLE)[MONTH], FEATURES_TABLE)
    assert small.missing_shares == whole.missing_shares
    assert small.missing_shares == {
        feature.name: features[f"features.{feature.name}"].isna().mean()
        for feature in serving.line.features
    }


def test_what_the_predictions_rest_on_is_recorded(serving: House) -> None:
    """Which rows, which version, declared by which commit, with which threshold."""
    scored = score(serving)
    content = serving.evidence.find(steps.LINE, PREDICTIONS_RECORD, scored.predictions.digest)
    assert content is not None
    record = PredictionsRecord.model_validate_json(content)
    declared = history(serving)[-1]
    assert record == scored.record
    assert record.route_commit == declared.commit
    assert (record.version, record.threshold) == (1, declared.state.threshold)
    assert record.features_digest == steps.current(serving, FEATURES_TABLE)[MONTH].digest


def test_another_version_scores_on_its_own_evidence(serving: House) -> None:
    """It needs no declaration; the policy's threshold decides, as it was judged by."""
    number = candidate_version(serving)
    chosen = choose(serving, number)
    assert (chosen.version, chosen.route_commit, chosen.threshold) == (2, None, 0.3)
    assert choose(serving).version == choose(serving, 1).version == 1
    assert choose(serving, 1).route_commit == history(serving)[-1].commit
    assert score(serving, chosen).predictions.digest != score(serving).predictions.digest


def test_a_version_whose_evidence_does_not_let_it_is_refused(serving: House) -> None:
    """As any act on it is."""
    number = candidate_version(serving)
    with pytest.raises(NotFoundError):
        choose(serving, number + 1)
    serving.line = steps.with_policy(serving.line, "evaluation", holdout_days=13)
    with pytest.raises(RefusedError, match="batch scoring with version 2"):
        choose(serving, number)


def test_a_withdrawn_version_is_refused(serving: House) -> None:
    """Whatever its evidence says."""
    number = candidate_version(serving)
    steps.declare(serving, number)
    steps.go_back(serving)
    with pytest.raises(RefusedError, match="version 2 was withdrawn"):
        choose(serving, number)
    assert choose(serving).version == 1


def test_nothing_declared_is_refused(evaluated: House) -> None:
    """Nobody has said which version may answer."""
    with pytest.raises(RefusedError, match="found nothing declared"):
        choose(evaluated)


@pytest.mark.parametrize("where", ["pulled", "declared"])
def test_no_model_scores_behind_a_kill_switch(serving: House, where: str) -> None:
    """Neither the champion nor a version by its number; who pulled it is said where it is known."""
    if where == "pulled":
        serving.switches.pull(steps.LINE, "production", PULLED)
    else:
        declared = history(serving)[-1]
        state = declared.state.model_dump() | {"kill_switch": {"answer": 0.2, "engaged": True}}
        serving.deployments.declare(
            type(declared.state).model_validate(state),
            expected_commit=declared.commit,
            trailers={"Actor": "ada", "Reason": "x"},
            at=AT,
        )
    said = "pulled by ada: nonsense" if where == "pulled" else "declared in Git"
    for number in (None, 1):
        with pytest.raises(RefusedError, match=said):
            choose(serving, number)


def unfit(house: House) -> None:
    house.land(MONTH, steps.with_nulls(MONTH, share=0.5))
    steps.snapshot(house, MONTH)


def replaced(house: House) -> None:
    house.land(MONTH, trips(MONTH, seed=1))
    steps.snapshot(house, MONTH)


def without_verdict(house: House) -> None:
    steps.forget(house, "data_verdict", steps.current(house, "snapshot")[MONTH].digest)


def without_record(house: House) -> None:
    steps.forget(house, FEATURES_RECORD, steps.current(house, FEATURES_TABLE)[MONTH].digest)


def fewer_features(house: House) -> None:
    found = steps.current(house, FEATURES_TABLE)[MONTH]
    key = (steps.LINE, FEATURES_RECORD, found.digest)
    rows = house.tables.read(found, FEATURES_TABLE)[:-1]
    written = house.tables.write(steps.LINE, FEATURES_TABLE, MONTH, rows)
    record = house.evidence._documents[key].replace(found.digest.encode(), written.digest.encode())
    house.evidence.record(steps.LINE, FEATURES_RECORD, written.digest, record)


def other_features(house: House) -> None:
    more = (*house.line.features, Number(name="again", column="distance"))
    house.line = house.line.model_copy(update={"features": more})
    steps.features(house, MONTH)


def changed_artefact(house: House) -> None:
    steps.tamper(house, history(house)[-1].state.champion.model_digest)


@pytest.mark.parametrize(
    ("happened", "error", "said"),
    [
        pytest.param(unfit, RefusedError, "the current one is", id="a new snapshot that is unfit"),
        pytest.param(replaced, RefusedError, "Materialize small_line/features", id="replaced"),
        pytest.param(
            without_verdict, RefusedError, "expected a recorded passing verdict", id="no verdict"
        ),
        pytest.param(without_record, RefusedError, "expected a record", id="no record"),
        pytest.param(fewer_features, RefusedError, "all 600 rows", id="rows left out"),
        pytest.param(other_features, RefusedError, "declares others", id="other features"),
        pytest.param(changed_artefact, IntegrityError, "expected digest", id="changed artefact"),
    ],
)
def test_a_partition_that_may_not_be_scored_is_refused(
    serving: House, happened: Callable[[House], None], error: type[MlReleaseError], said: str
) -> None:
    """And no prediction is written."""
    happened(serving)
    with pytest.raises(error, match=said):
        score(serving)
    assert serving.tables.current(steps.LINE, PREDICTIONS_TABLE) == ()


def test_a_partition_without_features_is_refused(serving: House) -> None:
    """With what has to be materialized."""
    with pytest.raises(RefusedError, match="expected features of small_line 2013-05, found none"):
        score_partition(
            serving.line,
            "2013-05",
            choose(serving),
            tables=serving.tables,
            evidence=serving.evidence,
            models=serving.models,
            loader=serving.loader,
        )


def test_a_model_that_gives_no_probability_leaves_no_predictions(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second batch of three: the first one is not kept either."""
    real, calls = OnnxModel.predict, []

    def predict(model: OnnxModel, values: Any) -> Any:
        calls.append(len(encode(model.plan, values)))
        found = real(model, values)
        return np.full_like(found, np.nan) if len(calls) == 2 else found

    monkeypatch.setattr(OnnxModel, "predict", predict)
    with pytest.raises(IntegrityError, match="expected probabilities, found"):
        score(serving, rows_per_batch=200)
    assert serving.tables.current(steps.LINE, PREDICTIONS_TABLE) == ()


def test_a_model_of_another_line_is_no_model_of_this_one(serving: House) -> None:
    """Its features might have the same names."""
    chosen = choose(serving)
    serving.line = serving.line.model_copy(update={"name": "other_line"})
    with pytest.raises(IntegrityError, match="expected a model of line other_line"):
        batch_scoring._load(
            serving.line, replace(chosen), models=serving.models, loader=serving.loader
        )


def test_a_version_of_several_classes_is_refused(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition of predictions has one number per row, and nothing is written."""
    signature = signature_from_json
    several = {"output_kind": "probabilities", "classes": ("a", "b", "c")}
    monkeypatch.setattr(
        batch_scoring,
        "signature_from_json",
        lambda content: signature(content).model_copy(update=several),
    )
    with pytest.raises(RefusedError, match="the probabilities of 3 classes"):
        score(serving)
    assert steps.current(serving, PREDICTIONS_TABLE) == {}
