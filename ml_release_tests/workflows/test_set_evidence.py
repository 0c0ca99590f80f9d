"""Declared sets: kept out of training, answered once by each model, judged or said why not."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.evaluation_sets import FileSet, SetsPolicy, SpanSet
from ml_release.domain.scores import auc_score
from ml_release.domain.training_plan import time_ordered_folds
from ml_release.domain.verdict import Outcome
from ml_release.errors import RefusedError
from ml_release.workflows.fitting import rows_of_folds
from ml_release.workflows.training import CANDIDATE, read_window
from ml_release_tests.small_line import MONTHS, SMALL_LINE
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Finding
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.evaluation import Evaluated
    from ml_release_tests.small_line import House

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
SPAN = SpanSet(
    first_day=date(2013, 2, 8),
    last_day=date(2013, 2, 17),
    limit=0.5,
    champion_margin=0.2,
)
HARD = "sets/hard.csv"
LIMIT, CHAMPION, OLD = "sets_are_good_enough", "no_worse_on_sets", "no_worse_on_old_window"


def with_span(span: SpanSet = SPAN, line: ReleaseLine = SMALL_LINE) -> ReleaseLine:
    return steps.with_policy(line, "evaluation", sets=SetsPolicy(spans={"storm": span}))


def cases(*, late: float, rows: int = 40) -> pd.DataFrame:
    """Short trips of a punctual carrier, which no honest model takes for late."""
    return pd.DataFrame(
        {
            "departure": "2013-02-09T06:30:00",
            "carrier": "BB",
            "distance": np.linspace(100, 200, rows),
            "carrier_rate": 0.1,
            "is_late": late,
        }
    )


def with_file(house: House, table: pd.DataFrame, **change: Any) -> ReleaseLine:
    """The line with cases that have landed."""
    declared = FileSet(
        **{
            "path": HARD,
            "digest": house.landing.deliver(HARD, table),
            "limit": 0.9,
            "champion_margin": 0.05,
            "minimum_rows": 40,
            **change,
        }
    )
    return steps.with_policy(
        SMALL_LINE, "evaluation", sets=SetsPolicy(files={"hard cases": declared})
    )


def of(found: Evaluated, rule: str) -> Finding:
    (one,) = [f for f in found.verdict.findings if f.rule == rule]
    return one


def labelled(house: House, record: CandidateRecord, first: str, last: str) -> Any:
    """Feature values and labels of some days, out of the feature tables."""
    current = steps.current(house, "features")
    window = read_window(house.line, [current[name] for name in MONTHS], tables=house.tables)
    chosen = (
        (window.days >= np.datetime64(first))
        & (window.days <= np.datetime64(last))
        & ~np.isnan(window.target)
    )
    values = {name: column[chosen] for name, column in window.features.items()}
    return values, window.target[chosen]


def test_no_fit_and_no_fold_sees_the_days_that_are_kept_out(prepared: House) -> None:
    """Nor the calibration, which is fitted on the folds; the holdout keeps its rows."""
    current = steps.current(prepared, "features")
    features = [current[name] for name in MONTHS[:3]]
    span = SPAN.model_copy(update={"last_day": date(2013, 3, 20)})
    kept = read_window(with_span(span), features, tables=prepared.tables)
    whole = read_window(SMALL_LINE, features, tables=prepared.tables)
    inside = span.holds(kept.days)
    assert (kept.fit == (whole.fit & ~inside)).all()
    assert (kept.holdout == whole.holdout).all()
    assert (kept.holdout & inside).any()
    span = SPAN.model_copy(update={"first_day": date(2013, 3, 4), "last_day": date(2013, 3, 6)})
    line = with_span(span)
    kept = read_window(line, features, tables=prepared.tables)
    folds = time_ordered_folds(
        kept.days[kept.fit],
        holdout_from=kept.holdout_from,
        folds=3,
        validation_days=7,
        embargo_days=1,
    )
    rows = rows_of_folds(line, kept, folds)
    judged = [fold.validates_on(kept.days) & kept.fit for fold in folds]
    assert [len(r.validation_target) for r in rows] == [int(mask.sum()) for mask in judged]
    assert any((fold.validates_on(kept.days) & span.holds(kept.days)).any() for fold in folds)
    assert not any((mask & span.holds(kept.days)).any() for mask in judged)


def test_the_record_says_which_days_were_kept_out_and_how_many_rows(prepared: House) -> None:
    """Of the labelled rows before the holdout; the run shows it too."""
    whole = steps.train(prepared, last="2013-03")
    prepared.line = with_span()
    kept = steps.train(prepared, last="2013-03")
    rows = kept.kept_out["storm"].rows
    assert rows > 100
    assert kept.train_rows == whole.train_rows - rows
    assert kept.holdout_rows == whole.holdout_rows
    assert kept.model_digest != whole.model_digest
    assert whole.kept_out == {}
    shown = prepared.experiments.resume(kept.run_id).params["kept_out"]
    assert shown == f"2013-02-08 to 2013-02-17 ({rows} rows)"


def test_a_candidate_is_scored_on_the_days_that_were_kept_out(prepared: House) -> None:
    """On every labelled row of them, by its artefact; the verdict has the digest of the rows."""
    prepared.line = with_span()
    record = steps.train(prepared, last="2013-03")
    found = steps.evaluate(prepared)
    values, target = labelled(prepared, record, "2013-02-08", "2013-02-17")
    model = prepared.loader.load(prepared.models.read(record.model_digest))
    score = found.evidence.sets.spans["storm"].score
    assert score is not None
    assert score.estimate == pytest.approx(auc_score(target, model.predict(values)))
    assert score.n == len(target) == record.kept_out["storm"].rows
    assert of(found, LIMIT).outcome is of(found, CHAMPION).outcome is PASS
    assert of(found, CHAMPION).subject.endswith(": no champion")
    assert found.verdict.evidence["set storm"].startswith("sha256:")
    assert found.verdict.outcome is PASS
    assert steps.register(prepared).number == 1


def test_a_candidate_below_the_limit_on_the_days_is_stopped(prepared: House) -> None:
    """It passes on its holdout."""
    prepared.line = with_span(SPAN.model_copy(update={"limit": 0.95}))
    steps.train(prepared, last="2013-03")
    found = steps.evaluate(prepared)
    assert [f.rule for f in found.verdict.objections] == [LIMIT]
    with pytest.raises(RefusedError, match=r"sets_are_good_enough \[storm, 2013-02-08 to"):
        steps.register(prepared)


def test_a_candidate_that_was_fitted_on_the_days_is_not_judged_there(evaluated: House) -> None:
    """Trained before they were declared: cannot tell, however good it looks."""
    evaluated.line = with_span()
    found = steps.evaluate(evaluated)
    assert of(found, LIMIT).outcome is INCONCLUSIVE
    assert "10 of the 10 days, from 2013-02-08 on, were left out" in of(found, LIMIT).detail
    assert found.evidence.sets.spans["storm"].score is None
    with pytest.raises(RefusedError, match="Train again with the set declared"):
        steps.register(evaluated)


def test_a_verdict_of_before_the_declaration_lets_no_act_go_on(evaluated: House) -> None:
    """It was given under another policy."""
    evaluated.line = with_span()
    with pytest.raises(RefusedError, match="policy_digest"):
        steps.register(evaluated)


def test_a_champion_that_was_fitted_on_the_days_is_no_yardstick_there(serving: House) -> None:
    """Its record does not show that it was not; the candidate's own score stands."""
    serving.line = with_span()
    steps.train(serving)
    found = steps.evaluate(serving)
    assert of(found, LIMIT).outcome is PASS
    assert of(found, CHAMPION).outcome is INCONCLUSIVE
    assert "the record of the champion does not show" in of(found, CHAMPION).detail


@pytest.fixture
def kept_serving(prepared: House) -> House:
    """Version 1, of the first three months without the days, answers."""
    prepared.line = with_span()
    steps.release(prepared, last="2013-03")
    return prepared


def test_candidate_and_champion_meet_on_days_that_neither_was_fitted_on(
    kept_serving: House,
) -> None:
    """Paired, on the same rows, though both windows hold them."""
    steps.train(kept_serving)
    found = steps.evaluate(kept_serving)
    comparison = of(found, CHAMPION)
    assert comparison.outcome is PASS
    assert comparison.subject.endswith(": champion version 1")
    (version,) = kept_serving.registry.versions(steps.LINE)
    values, target = labelled(kept_serving, found.candidate, "2013-02-08", "2013-02-17")
    scores = [
        auc_score(
            target,
            kept_serving.loader.load(kept_serving.models.read(digest)).predict(values),
        )
        for digest in (found.candidate.model_digest, version.model_digest)
    ]
    champion = found.evidence.sets.spans["storm"].champion
    assert champion is not None
    assert champion.difference is not None
    assert champion.difference.estimate == pytest.approx(scores[0] - scores[1])


def test_a_champion_without_a_record_compares_with_nothing(kept_serving: House) -> None:
    """Neither on the declared days nor on its old window; both have a vote."""
    (version,) = kept_serving.registry.versions(steps.LINE)
    steps.train(kept_serving)
    steps.forget(kept_serving, CANDIDATE, version.model_digest)
    found = steps.evaluate(kept_serving)
    for rule in (CHAMPION, OLD):
        assert (of(found, rule).outcome, of(found, rule).votes) == (INCONCLUSIVE, True)
        assert "what version 1 was fitted on is not known" in of(found, rule).detail


@pytest.mark.parametrize(
    ("span", "said"),
    [
        pytest.param({"last_day": date(2013, 5, 2)}, "found none of ['2013-05']", id="not landed"),
        pytest.param(
            {"last_day": date(2013, 4, 30), "minimum_rows": 5000},
            "expected at least 5000 labelled rows",
            id="too few",
        ),
    ],
)
def test_days_that_are_not_there_are_inconclusive(
    prepared: House, span: dict[str, Any], said: str
) -> None:
    """The gate holds, the evaluation ends."""
    prepared.line = with_span(SPAN.model_copy(update={"first_day": date(2013, 4, 20), **span}))
    steps.train(prepared)
    found = steps.evaluate(prepared)
    assert of(found, LIMIT).outcome is INCONCLUSIVE
    assert said in of(found, LIMIT).detail


def test_a_candidate_fine_on_its_holdout_and_bad_on_the_hard_cases_is_stopped(
    prepared: House,
) -> None:
    """From the landed cases to the refusal of its registration."""
    prepared.line = with_file(prepared, cases(late=1.0))
    steps.train(prepared)
    found = steps.evaluate(prepared)
    assert [f.rule for f in found.verdict.objections] == [LIMIT]
    assert (of(found, LIMIT).outcome, of(found, LIMIT).observed) == (FAIL, 0.0)
    assert (of(found, LIMIT).n, of(found, LIMIT).unit) == (40, "right_decisions_share")
    with pytest.raises(RefusedError, match=r"sets_are_good_enough \[hard cases\] fail"):
        steps.register(prepared)
    assert prepared.registry.versions(steps.LINE) == ()


def test_a_candidate_that_is_right_on_the_hard_cases_goes_on(prepared: House) -> None:
    """The verdict has the digest of the file."""
    prepared.line = with_file(prepared, cases(late=0.0))
    steps.train(prepared)
    found = steps.evaluate(prepared)
    assert (of(found, LIMIT).outcome, of(found, LIMIT).observed) == (PASS, 1.0)
    digest = prepared.landing.deliver(HARD, cases(late=0.0))
    assert found.verdict.evidence["set hard cases"] == digest
    assert steps.register(prepared).number == 1


def test_cases_may_be_judged_by_the_primary_score(prepared: House) -> None:
    """Long trips late, short ones not: the order is right whatever the threshold."""
    table = cases(late=0.0).assign(distance=lambda t: np.where(t.index < 20, 150.0, 2400.0))
    table["is_late"] = (table["distance"] > 1000).astype(float)
    prepared.line = with_file(prepared, table, score="primary")
    steps.train(prepared)
    finding = of(steps.evaluate(prepared), LIMIT)
    assert (finding.outcome, finding.observed, finding.unit) == (PASS, 1.0, "auc_score")


def test_one_class_alone_has_no_primary_score(prepared: House) -> None:
    """Undefined is no pass."""
    prepared.line = with_file(prepared, cases(late=0.0), score="primary")
    steps.train(prepared)
    assert of(steps.evaluate(prepared), LIMIT).outcome is INCONCLUSIVE


def test_a_candidate_worse_than_the_champion_on_the_cases_fails(serving: House) -> None:
    """It is above the limit, and decides cases wrongly that the champion gets right."""
    table = cases(late=0.0, rows=100)
    serving.line = with_file(serving, table, limit=0.01, champion_margin=0.5)
    # A model that takes short trips for the late ones.
    for month in MONTHS:
        rows = serving.landing._tables[f"trips/{month}.parquet"]
        serving.land(month, rows.assign(route=39 - rows["route"]))
    steps.prepare(serving, *MONTHS)
    steps.train(serving)
    found = steps.evaluate(serving)
    comparison = of(found, CHAMPION)
    assert comparison.outcome is FAIL
    assert comparison.observed is not None
    assert comparison.observed < -0.5
    assert "decides 0 rows rightly that the other gets wrong" in comparison.detail


def _lost(house: House) -> None:
    del house.landing._tables[HARD]


def _changed(house: House) -> None:
    house.landing.deliver(HARD, cases(late=0.0, rows=41))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(_lost, "sets/hard.csv", id="lost"),
        pytest.param(_changed, "expected digest sha256:", id="changed"),
    ],
)
def test_a_file_that_is_lost_or_changed_holds_the_gate(
    prepared: House, harm: Any, said: str
) -> None:
    """No crash, and no pass."""
    prepared.line = with_file(prepared, cases(late=0.0))
    steps.train(prepared)
    harm(prepared)
    found = steps.evaluate(prepared)
    assert of(found, LIMIT).outcome is INCONCLUSIVE
    assert said in of(found, LIMIT).detail
    assert found.verdict.outcome is INCONCLUSIVE
    with pytest.raises(RefusedError, match=said):
        steps.register(prepared)


WORDS = cases(late=0.0).astype(str).astype(object)
FAULTY: Mapping[str, tuple[pd.DataFrame, str]] = {
    "a column is missing": (cases(late=0.0).drop(columns="carrier"), "found none of ['carrier']"),
    "history is missing": (
        cases(late=0.0).drop(columns="carrier_rate"),
        "found none of ['carrier_rate']",
    ),
    "labels are missing": (cases(late=0.0).drop(columns="is_late"), "found none of ['is_late']"),
    "a label is not known": (
        cases(late=0.0).assign(is_late=lambda t: t["is_late"].where(t.index != 2)),
        "expected a finite number in is_late, found nan in row 3",
    ),
    "a label is neither": (cases(late=2.0), "expected 0 or 1 in is_late, found 2 in row 1"),
    "a number is a word": (
        WORDS.assign(distance="far"),
        "expected a finite number in distance, found 'far' in row 1",
    ),
    "a number is infinite": (
        cases(late=0.0).assign(distance=np.inf),
        "expected a finite number in distance, found inf in row 1",
    ),
    "a time has a zone": (
        WORDS.assign(departure="2013-02-09T06:30:00-05:00"),
        "expected a local time as 2013-04-03T17:40:00 in departure",
    ),
    "a time is none": (WORDS.assign(departure="noon"), "expected a local time"),
    "too few": (cases(late=0.0, rows=39), "expected at least 40 rows, found 39"),
    "none": (cases(late=0.0, rows=0), "could not be computed"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_cases_that_cannot_be_judged_hold_the_gate(prepared: House, name: str) -> None:
    """Column, value and row are named."""
    table, said = FAULTY[name]
    prepared.line = with_file(prepared, table)
    steps.train(prepared)
    finding = of(steps.evaluate(prepared), LIMIT)
    assert finding.outcome is INCONCLUSIVE
    assert said in finding.detail


def test_words_and_numbers_are_the_same_cases(prepared: House) -> None:
    """A CSV file holds words, a Parquet file numbers and times; missing values stay missing."""
    table = cases(late=0.0).assign(
        departure=pd.Timestamp("2013-02-09T06:30:00"),
        distance=lambda t: t["distance"].where(t.index != 4),
    )
    words = table.astype(str).astype(object).where(table.notna())
    answers = []
    for form in (table, words):
        prepared.line = with_file(prepared, form)
        steps.train(prepared)
        answers.append(steps.evaluate(prepared).evidence.sets.files["hard cases"])
    assert answers[0] == answers[1]
    assert answers[0].problem == ""


class _Counted:
    """`ModelLoader` that counts which of its models answers how many rows, how often."""

    def __init__(self, house: House) -> None:
        self._loader = house.loader
        self.asked: Counter[tuple[int, int]] = Counter()
        self.loaded = 0

    def load(self, files: Mapping[str, bytes]) -> Any:
        model, number = self._loader.load(files), self.loaded
        self.loaded += 1
        real = model.predict

        def predict(values: Any) -> Any:
            answers = real(values)
            self.asked[number, len(answers)] += 1
            return answers

        model.predict = predict  # type: ignore[method-assign]
        return model


def test_each_model_answers_each_set_once(kept_serving: House) -> None:
    """By the model that was loaded for the holdout."""
    table = cases(late=0.0, rows=77)
    digest = kept_serving.landing.deliver(HARD, table)
    sets = kept_serving.line.policies.evaluation.sets
    assert sets is not None
    file = FileSet(path=HARD, digest=digest, limit=0.9, champion_margin=0.05, minimum_rows=40)
    kept_serving.line = steps.with_policy(
        kept_serving.line,
        "evaluation",
        sets=sets.model_copy(update={"files": {"hard cases": file}}),
    )
    steps.train(kept_serving)
    counted = _Counted(kept_serving)
    kept_serving.loader = counted  # type: ignore[assignment]
    found = steps.evaluate(kept_serving)
    rows = found.candidate.kept_out["storm"].rows
    assert counted.loaded == 2
    assert {key: n for key, n in counted.asked.items() if key[1] in {rows, 77}} == {
        (model, n): 1 for model in (0, 1) for n in (rows, 77)
    }


def test_a_champion_whose_test_days_were_learned_leaves_a_remark(serving: House) -> None:
    """Its holdout ends March; the candidate was trained to the middle of April."""
    steps.train(serving)
    found = steps.evaluate(serving)
    remark = of(found, OLD)
    assert (remark.outcome, remark.votes, remark.observed) == (INCONCLUSIVE, False, None)
    assert remark.subject == "champion version 1, 2013-03-18 to 2013-03-31"
    assert "of its 14 days the candidate was not fitted on 0" in remark.detail
    assert found.verdict.outcome is PASS
    assert "old_window" not in found.verdict.evidence


def test_a_candidate_of_later_months_meets_the_champion_on_its_old_window(prepared: House) -> None:
    """The days before its window are days it has not learned."""
    steps.release(prepared, last="2013-02")
    steps.train(prepared, "2013-03", "2013-04")
    found = steps.evaluate(prepared)
    old = found.evidence.old_window
    assert old is not None
    assert (old.days, old.all_days, old.days_left) == ("2013-02-15 to 2013-02-28", 14, 14)
    values, target = labelled(prepared, found.candidate, "2013-02-15", "2013-02-28")
    assert old.rows_left == len(target)
    (version,) = prepared.registry.versions(steps.LINE)
    scores = [
        auc_score(target, prepared.loader.load(prepared.models.read(digest)).predict(values))
        for digest in (found.candidate.model_digest, version.model_digest)
    ]
    assert old.comparison is not None
    assert old.comparison.difference is not None
    assert old.comparison.difference.estimate == pytest.approx(scores[0] - scores[1])
    assert of(found, OLD).votes
    assert of(found, OLD).detail.startswith("14 of 14 days; ")
    assert found.verdict.evidence["old_window"].startswith("sha256:")


def test_days_kept_out_are_what_is_left_of_an_old_window(prepared: House) -> None:
    """They lie in the candidate's window, and it was not fitted on them."""
    span = SPAN.model_copy(
        update={"first_day": date(2013, 3, 20), "last_day": date(2013, 3, 25), "limit": 0.4}
    )
    prepared.line = with_span(span)
    steps.release(prepared, last="2013-03")
    steps.train(prepared)
    found = steps.evaluate(prepared)
    old = found.evidence.old_window
    assert old is not None
    assert (old.all_days, old.days_left) == (14, 6)
    assert old.rows_left == len(labelled(prepared, found.candidate, "2013-03-20", "2013-03-25")[1])
    assert of(found, OLD).detail.startswith("6 of 14 days; ")


def test_an_old_window_whose_rows_are_not_at_hand_is_a_remark(prepared: House) -> None:
    """Its month was landed again since, and nobody has built its features."""
    steps.release(prepared, last="2013-02")
    steps.train(prepared, "2013-04", "2013-04")
    prepared.land("2013-02", steps.with_nulls("2013-02", share=0.05))
    steps.snapshot(prepared, "2013-02")
    found = steps.evaluate(prepared)
    remark = of(found, OLD)
    assert (remark.outcome, remark.votes) == (INCONCLUSIVE, False)
    assert "features of 2013-02 refused" in remark.detail
    assert found.verdict.outcome is PASS
