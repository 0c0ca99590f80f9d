"""Training: the same candidate from the same data, split by time, and nothing unfit in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.features import encode, plan_from_json
from ml_release.domain.identity import digest_of_json
from ml_release.domain.reference_profile import profile_from_json
from ml_release.errors import (
    DeclarationError,
    InputError,
    IntegrityError,
    NotFoundError,
    RefusedError,
)
from ml_release.workflows.training import (
    CANDIDATE,
    CANDIDATE_TAG,
    ESTIMATOR_ANSWERS,
    find_candidate,
    read_window,
    train_candidate,
)
from ml_release_tests.small_line import MONTHS, SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.workflows.training import Window
    from ml_release_tests.small_line import House


def window_of(house: House, *months: str) -> Window:
    current = steps.current(house, "features")
    return read_window(house.line, [current[month] for month in months], tables=house.tables)


def test_the_same_data_give_the_same_model(prepared: House) -> None:
    """Trained twice, the artefact has one digest; each training is a run of its own."""
    first, again = steps.train(prepared), steps.train(prepared)
    assert first.model_digest == again.model_digest
    assert len(prepared.models.artefacts) == 1
    assert (first.run_id, again.run_id) == ("run-1", "run-2")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"seed": 8, "parameters": {"max_features": 0.5}}, id="seed"),
        pytest.param({"parameters": {"max_iter": 3}}, id="parameters"),
    ],
)
def test_another_declaration_gives_another_model(
    prepared: House, change: dict[str, object]
) -> None:
    """What the line declares reaches the estimator."""
    prepared.line = SMALL_LINE.model_copy(update={"parameters": {"max_features": 0.5}})
    before = steps.train(prepared)
    prepared.line = SMALL_LINE.model_copy(update=change)
    after = steps.train(prepared)
    assert after.model_digest != before.model_digest


def test_the_holdout_is_the_last_days_and_nothing_of_them_is_fitted(prepared: House) -> None:
    """Fourteen days by the policy; every labelled row is in exactly one of the parts."""
    window = window_of(prepared, *MONTHS)
    assert window.holdout_from == np.datetime64("2013-04-17")
    assert window.days[window.fit].max() < window.holdout_from <= window.days[window.holdout].min()
    labelled = ~np.isnan(window.target)
    assert (window.fit ^ window.holdout == labelled).all()
    assert 0 < (~labelled).sum() < 100


def test_the_labels_of_the_holdout_do_not_reach_the_model(prepared: House) -> None:
    """With them turned round in the last three days, trees and vocabularies are the same bytes."""
    before = prepared.models.read(steps.train(prepared).model_digest)
    rows = trips("2013-04")
    held_out = rows["departure"] >= "2013-04-28"
    rows.loc[held_out, "is_late"] = 1 - rows.loc[held_out, "is_late"]
    prepared.land("2013-04", rows)
    steps.prepare(prepared, "2013-04")
    after = prepared.models.read(steps.train(prepared).model_digest)
    assert after["model.onnx"] == before["model.onnx"]
    assert after["plan.json"] == before["plan.json"]
    assert after["reference.json"] != before["reference.json"]


def test_the_record_says_what_the_candidate_was_built_from(prepared: House) -> None:
    """Every digest is that of the thing itself."""
    record = steps.train(prepared, "2013-02", "2013-03")
    features = steps.current(prepared, "features")
    snapshots = steps.current(prepared, "snapshot")
    assert record.partitions == {m: features[m].digest for m in ("2013-02", "2013-03")}
    assert record.snapshots == {m: snapshots[m].digest for m in ("2013-01", "2013-02", "2013-03")}
    policy = SMALL_LINE.policies.evaluation.model_dump(mode="json")
    assert record.policy_digest == digest_of_json(policy)
    assert (record.window_from, record.holdout_from, record.window_to) == (
        "2013-02-01",
        "2013-03-18",
        "2013-03-31",
    )
    window = window_of(prepared, "2013-02", "2013-03")
    assert (record.train_rows, record.holdout_rows) == (
        window.fit.sum(),
        window.holdout.sum(),
    )
    assert (record.seed, record.parameters) == (7, SMALL_LINE.parameters)
    assert record.trained_at == "2026-11-21T09:00:00+00:00"
    assert find_candidate(SMALL_LINE, None, evidence=prepared.evidence) == record
    files = prepared.models.read(record.model_digest)
    assert record.feature_version == digest_of_json(json.loads(files["plan.json"]))


def test_the_run_carries_model_data_features_and_the_record(prepared: House) -> None:
    """A reader of the experiment tracker finds the same digests, and the files."""
    record = steps.train(prepared)
    run = prepared.experiments.resume(record.run_id)
    assert run.tags == {
        "ml_release.line": "small_line",
        "ml_release.model_digest": record.model_digest,
        "ml_release.data_digest": record.data_digest,
        "ml_release.feature_version": record.feature_version,
        "ml_release.code_commit": record.build.code_commit,
        "ml_release.code_digest": record.build.code_digest,
        "ml_release.lock_digest": record.build.lock_digest,
        CANDIDATE_TAG: record.digest,
    }
    assert run.params["max_iter"] == "12"
    assert run.params["python"] == "3.11.7"
    assert run.params["code_dirty"] == "False"
    assert run.params["window"] == "2013-01-01 to 2013-04-30"
    assert run.metrics == {"train_rows": record.train_rows, "holdout_rows": record.holdout_rows}
    assert run.files["model/model.onnx"] == prepared.models.read(record.model_digest)["model.onnx"]


def test_outside_of_a_checkout_the_run_says_so(prepared: House) -> None:
    """No tag for what is not known; the digest names the code all the same."""
    prepared.workplace.move(code_commit=None, code_dirty=None, lock_digest=None)
    record = steps.train(prepared)
    run = prepared.experiments.resume(record.run_id)
    assert record.build == prepared.workplace.build(())
    assert {"ml_release.code_commit", "ml_release.lock_digest"}.isdisjoint(run.tags)
    assert run.tags["ml_release.code_digest"] == record.build.code_digest
    assert (run.params["code_commit"], run.params["code_dirty"]) == ("none", "unknown")
    assert run.params["lock_digest"] == "none"


def test_the_example_is_a_real_request_of_the_newest_month(prepared: House) -> None:
    """Raw columns only: no target, no key, no history."""
    files = prepared.models.read(steps.train(prepared, last="2013-03").model_digest)
    row = prepared.tables.read(steps.current(prepared, "snapshot")["2013-03"], "snapshot").iloc[0]
    assert json.loads(files["example.json"]) == {
        "dataframe_records": [
            {
                "distance": row["distance"],
                "carrier": row["carrier"],
                "departure": row["departure"].isoformat(),
            }
        ]
    }


def test_the_reference_profile_counts_every_row_of_the_window(prepared: House) -> None:
    """Unlabelled rows and the holdout too: they are what inputs look like."""
    files = prepared.models.read(steps.train(prepared, last="2013-02").model_digest)
    profile = profile_from_json(files["reference.json"])
    assert profile.table("distance").sum() == 1200
    assert len(profile.days) == 31 + 28


def test_the_reference_profile_says_what_the_model_did_on_its_holdout(prepared: House) -> None:
    """Its labelled rows, by bin of every feature and of the score."""
    record = steps.train(prepared)
    profile = profile_from_json(prepared.models.read(record.model_digest)["reference.json"])
    assert profile.score is not None
    assert profile.score.days == tuple(
        str(day) for day in np.arange(record.holdout_from, np.datetime64(record.window_to) + 1)
    )
    assert {sum(own.rows) for own in profile.holdout.values()} == {record.holdout_rows}
    assert sum(profile.importance.values()) == pytest.approx(1)
    assert set(profile.numbers) == {"distance", "minute", "carrier_rate"}


def test_the_estimator_answers_are_those_of_the_holdout(prepared: House) -> None:
    """One probability per labelled row of it."""
    record = steps.train(prepared)
    content = prepared.evidence.find(steps.LINE, ESTIMATOR_ANSWERS, record.model_digest)
    assert content is not None
    answers = json.loads(content)
    assert len(answers) == record.holdout_rows
    assert all(0 < answer < 1 for answer in answers)


def test_a_gap_in_the_window_is_refused_and_named(house: House) -> None:
    """January and March alone are no window."""
    steps.prepare(house, *MONTHS[:3])
    known = house.tables._writes[steps.LINE, "features"]
    known[:] = [write for write in known if write[0].partition != "2013-02"]
    with pytest.raises(RefusedError, match=r"without a gap, found .* missing \['2013-02'\]"):
        steps.train(house)
    assert house.models.artefacts == {}


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        pytest.param("2012-12", None, r"missing \['2012-12'\]", id="before the first"),
        pytest.param(None, "2013-05", r"missing \['2013-05'\]", id="after the last"),
        pytest.param("2013-03", "2013-02", "found", id="the wrong way round"),
    ],
)
def test_a_window_that_reaches_beyond_the_features_is_refused(
    prepared: House, first: str | None, last: str | None, missing: str
) -> None:
    """What is missing has to be materialized first."""
    with pytest.raises(RefusedError, match=missing):
        steps.train(prepared, first, last)


def test_without_any_features_training_is_refused(house: House) -> None:
    """None to train on is said."""
    with pytest.raises(RefusedError, match="found none"):
        steps.train(house)


def test_a_month_that_is_none_is_an_input_error(prepared: House) -> None:
    """A misspelled month is the caller's mistake, not a missing partition."""
    with pytest.raises(InputError, match="partition '2013-13': expected a month"):
        steps.train(prepared, last="2013-13")


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        pytest.param("training", lambda day: day < "2013-04-17", id="training"),
        pytest.param("holdout", lambda day: day >= "2013-04-17", id="holdout"),
    ],
)
@pytest.mark.parametrize("label", [0.0, 1.0, np.nan])
def test_labels_of_one_class_are_refused_in_either_part(
    house: House, part: str, changed: object, label: float
) -> None:
    """A model of one class, or a holdout that cannot tell, is nothing to go on with."""
    assert callable(changed)
    house.line = steps.with_policy(house.line, "data_gates", missing_share_limit=1.0)
    house.line = steps.with_policy(house.line, "data_gates", missing_share_limits={})
    rows = trips("2013-04")
    # Only the first of the month is left for training, so that one month is enough.
    rows.loc[changed(rows["departure"]), "is_late"] = label
    house.land("2013-04", rows)
    house.line = house.line.model_copy(
        update={"landing": house.line.landing.model_copy(update={"first_partition": "2013-04"})}
    )
    steps.prepare(house, "2013-04")
    with pytest.raises(RefusedError, match=rf"expected labels 0 and 1 in the {part} part"):
        steps.train(house)
    assert house.models.artefacts == {}


def test_stale_features_are_not_trained_on(prepared: House) -> None:
    """Nothing is published and no candidate is recorded."""
    prepared.land("2013-03", trips("2013-03", seed=1))
    steps.snapshot(prepared, "2013-03")
    with pytest.raises(RefusedError, match=r"training a candidate: features of 2013-03 refused"):
        steps.train(prepared)
    assert prepared.models.artefacts == {}
    assert prepared.evidence.newest_subject(steps.LINE, CANDIDATE) is None


def test_the_newest_candidate_is_found_or_the_one_named(prepared: House) -> None:
    """Asked for none that exists, it says how to make one."""
    with pytest.raises(NotFoundError, match="expected a trained candidate"):
        find_candidate(SMALL_LINE, None, evidence=prepared.evidence)
    first, second = steps.train(prepared, last="2013-03"), steps.train(prepared)
    assert find_candidate(SMALL_LINE, None, evidence=prepared.evidence) == second
    named = find_candidate(SMALL_LINE, first.model_digest, evidence=prepared.evidence)
    assert named == first
    with pytest.raises(NotFoundError, match=steps.NOWHERE):
        find_candidate(SMALL_LINE, steps.NOWHERE, evidence=prepared.evidence)


def test_the_record_of_another_candidate_does_not_count(prepared: House) -> None:
    """A good candidate's record copied over another's is about another model."""
    first, second = steps.train(prepared, last="2013-03"), steps.train(prepared)
    prepared.evidence.record(steps.LINE, CANDIDATE, second.model_digest, first.to_json())
    with pytest.raises(IntegrityError, match="record of small_line candidate"):
        find_candidate(SMALL_LINE, second.model_digest, evidence=prepared.evidence)


def test_a_search_reaches_the_model_its_record_and_its_run(prepared: House) -> None:
    """Best parameters, budget, folds and every trial; the declaration stays as it is."""
    declared = steps.train(prepared)
    record = steps.train(prepared, trials=6)
    found = record.search
    assert found is not None
    assert declared.search is None
    assert (found.objective, found.seed, found.trials_asked) == ("log_loss", 7, 6)
    assert (found.complete, found.pruned, found.failed, found.ended_by) == (6, 0, 0, "trials")
    assert [(f.validation_from, f.validation_to) for f in found.folds] == [
        ("2013-03-27", "2013-04-02"),
        ("2013-04-03", "2013-04-09"),
        ("2013-04-10", "2013-04-16"),
    ]
    assert found.declared_value is not None
    assert found.best_value < found.declared_value
    assert record.parameters != declared.parameters == dict(SMALL_LINE.parameters)
    assert record.model_digest != declared.model_digest
    run = prepared.experiments.resume(record.run_id)
    best = list(run.trials.values())[found.best_trial]
    assert (best.parameters, best.value) == (record.parameters, found.best_value)
    assert run.params["learning_rate"] == str(record.parameters["learning_rate"])
    assert (run.params["search_objective"], run.params["search_trials"]) == ("log_loss", "6")
    assert run.metrics["search_best_log_loss"] == found.best_value
    assert run.metrics["search_declared_log_loss"] == found.declared_value
    assert run.metrics["search_trials_complete"] == 6
    assert run.files["search/search_history.png"] == b"log_loss of 6 trials"
    assert find_candidate(SMALL_LINE, record.model_digest, evidence=prepared.evidence) == record


def test_the_same_search_gives_the_same_model(prepared: House) -> None:
    """Searched twice, one artefact; only the time it took differs."""
    first, again = steps.train(prepared, trials=4), steps.train(prepared, trials=4)
    assert first.model_digest == again.model_digest
    assert first.parameters == again.parameters
    assert len(prepared.models.artefacts) == 1


def test_a_searched_candidate_is_evaluated_as_any_other(prepared: House) -> None:
    """The artefact that serves answers like the estimator with the found parameters."""
    record = steps.train(prepared, last="2013-03", trials=4)
    found = steps.evaluate(prepared)
    assert found.candidate == record
    parity = next(f for f in found.verdict.findings if f.rule == "is_servable")
    assert parity.outcome.value == "pass"


def test_the_digest_of_the_training_policy_is_that_of_the_one_applied(prepared: House) -> None:
    """Another budget than the declared one shows."""
    policy = SMALL_LINE.policies.training
    declared = digest_of_json(policy.model_dump(mode="json"))
    assert steps.train(prepared).training_policy_digest == declared
    other = policy.model_copy(update={"search_trials": 2, "search_seconds": 9.0})
    record = steps.train(prepared, trials=2, search_seconds=9.0)
    assert record.training_policy_digest == digest_of_json(other.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("trials", "seconds", "problem"),
    [
        pytest.param(-1, None, "search_trials", id="trials"),
        pytest.param(3, 0.0, "search_seconds", id="seconds"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(
    prepared: House, trials: int, seconds: float | None, problem: str
) -> None:
    """As bad input, before anything is read."""
    with pytest.raises(InputError, match=f"budget of the search: {problem}"):
        steps.train(prepared, trials=trials, search_seconds=seconds)


def test_a_search_without_a_space_is_refused(prepared: House) -> None:
    """It could only try the declared parameters again."""
    prepared.line = SMALL_LINE.model_copy(update={"search_space": {}})
    with pytest.raises(InputError, match="expected a search space to try 3 sets"):
        steps.train(prepared, trials=3)
    assert prepared.models.artefacts == {}


class AnyModel:
    """`ModelCompiler` that keeps what it is given and writes its numbers."""

    def __init__(self) -> None:
        self.models: list[object] = []

    def model_files(self, estimator: object) -> dict[str, bytes]:
        self.models.append(estimator)
        return {"model.onnx": b"\x08any"}

    def compile(self, estimator: object) -> bytes:
        return self.model_files(estimator)["model.onnx"]


def test_a_calibrated_model_is_what_is_compiled_and_compared(prepared: House) -> None:
    """Its answers are kept as the estimator's; slope and intercept are in the record."""
    prepared.line = steps.with_policy(prepared.line, "training", calibration="sigmoid")
    compiler = AnyModel()
    record = train_candidate(
        prepared.line,
        first=None,
        last=None,
        tables=prepared.tables,
        evidence=prepared.evidence,
        models=prepared.models,
        compiler=compiler,
        search=prepared.search,
        plotter=prepared.plotter,
        attributor=prepared.attributor,
        workplace=prepared.workplace,
        run=prepared.experiments.start(),
        now=prepared.clock.now(),
    ).record
    (model,) = compiler.models
    assert isinstance(model, CalibratedMargin)
    assert record.calibration is not None
    assert record.calibration.slope == model.slope
    content = prepared.evidence.find(steps.LINE, ESTIMATOR_ANSWERS, record.model_digest)
    assert content is not None
    window = window_of(prepared, *MONTHS)
    rows = {name: column[window.holdout] for name, column in window.features.items()}
    plan = plan_from_json(prepared.models.read(record.model_digest)["plan.json"])
    expected = model.predict_proba(encode(plan, rows))[:, 1]
    np.testing.assert_allclose(json.loads(content), expected, rtol=1e-12)
    run = prepared.experiments.resume(record.run_id)
    assert run.params["calibration"] == "sigmoid"
    assert run.metrics["calibration_slope"] == model.slope


def test_what_cannot_be_compiled_is_not_published(prepared: House) -> None:
    """Nothing is half-written: no artefact and no record of a candidate."""

    class Nothing:
        def model_files(self, estimator: object) -> dict[str, bytes]:
            message = "cannot be written"
            raise DeclarationError(message)

    prepared.compiler = Nothing()  # type: ignore[assignment]
    with pytest.raises(DeclarationError, match="cannot be written"):
        steps.train(prepared, trials=2)
    assert prepared.models.artefacts == {}
    assert prepared.evidence.newest_subject(steps.LINE, CANDIDATE) is None


def test_unlabelled_rows_are_neither_fitted_nor_held_out(prepared: House) -> None:
    """A trip whose label never came has a place in the window only."""
    window = window_of(prepared, *MONTHS)
    unknown = np.isnan(window.target)
    assert not (window.fit | window.holdout)[unknown].any()
    assert len(window.days) == 2400
