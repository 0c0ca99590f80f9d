"""Training: the same candidate from the same data, split by time, and nothing unfit in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.drift import profile_from_json
from ml_release.domain.identity import digest_of_json
from ml_release.errors import InputError, IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.training import (
    CANDIDATE,
    CANDIDATE_TAG,
    ESTIMATOR_ANSWERS,
    find_candidate,
    read_window,
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
        CANDIDATE_TAG: record.digest,
    }
    assert run.params["max_iter"] == "12"
    assert run.params["window"] == "2013-01-01 to 2013-04-30"
    assert run.metrics == {"train_rows": record.train_rows, "holdout_rows": record.holdout_rows}
    assert run.files["model/model.onnx"] == prepared.models.read(record.model_digest)["model.onnx"]


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


def test_unlabelled_rows_are_neither_fitted_nor_held_out(prepared: House) -> None:
    """A trip whose label never came has a place in the window only."""
    window = window_of(prepared, *MONTHS)
    unknown = np.isnan(window.target)
    assert not (window.fit | window.holdout)[unknown].any()
    assert len(window.days) == 2400
