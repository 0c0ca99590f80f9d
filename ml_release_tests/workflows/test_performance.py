"""Realised performance: what is scored, held against the release, recorded, and read only once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.in_memory import InMemoryClock
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.inference import Label
from ml_release.domain.performance import realised_performance
from ml_release.domain.performance_judge import RULES
from ml_release.domain.performance_record import record_from_json
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError, StaleWriteError
from ml_release.spec.policies import Policies
from ml_release.workflows.answers import advance_answers
from ml_release.workflows.error_changes import ERROR_CHANGES
from ml_release.workflows.performance import (
    PERFORMANCE_HISTORY,
    PERFORMANCE_RECORD,
    PERFORMANCE_VERDICT,
    recorded_history,
    report_performance,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_label, a_record, serve_month, write

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.verdict import Finding
    from ml_release.workflows.answers import AdvancedAnswers
    from ml_release.workflows.performance import PerformanceReport
    from ml_release_tests.small_line import House

PRODUCTION = "production"


def performance(house: House) -> PerformanceReport:
    """Of the labels that can be gathered now."""
    steps.gather(house)
    return look(house)


def look(house: House) -> PerformanceReport:
    return report_performance(
        house.line,
        environment=PRODUCTION,
        inference_log=house.inference_log,
        deployments=house.deployments,
        tables=house.tables,
        answers=house.answers,
        evidence=house.evidence,
        plotter=house.plotter,
        now=house.clock.now(),
    )


def advance(house: House) -> AdvancedAnswers:
    steps.gather(house)
    return advance_answers(
        house.line,
        environment=PRODUCTION,
        inference_log=house.inference_log,
        tables=house.tables,
        answers=house.answers,
        now=house.clock.now(),
    )


def findings(report: PerformanceReport) -> dict[tuple[str, str], Finding]:
    return {(one.rule, one.subject): one for one in report.verdict.findings}


def tell(house: House, rows: pd.DataFrame, *, turned: bool = False) -> None:
    """Label rows; ``turned`` gives them all the other label."""
    labelled = rows[rows["is_late"].notna()]
    labels = labelled["is_late"].astype(int)
    write(
        house,
        [],
        [
            a_label(name, 1 - label if turned else label)
            for name, label in zip(labelled["request_id"], labels, strict=True)
        ],
    )


def champion(house: House) -> str:
    declaration = house.deployments.read(steps.LINE, PRODUCTION)
    assert declaration is not None
    return declaration.state.champion.model_digest


def test_realised_performance_is_that_of_the_answers_whose_labels_came_in(serving: House) -> None:
    """Joined by request id, whatever the order and whoever else was labelled."""
    rows = serve_month(serving, "2013-04")
    labelled = rows[rows["is_late"].notna()].sample(frac=0.5, random_state=1)
    write(
        serving,
        [],
        [
            a_label("nobody", 1),
            *(
                a_label(name, int(label))
                for name, label in zip(labelled["request_id"], labelled["is_late"], strict=True)
            ),
        ],
    )
    report = performance(serving)
    ordered = labelled.sort_index()
    assert report.record.version == 1
    by_event = ordered.sort_values("departure_utc", kind="stable")
    expected = realised_performance(
        by_event["is_late"].to_numpy(), by_event["prediction"].to_numpy(), confidence=0.95
    )
    assert report.performance.auc.estimate == pytest.approx(expected.auc.estimate)
    assert report.performance.log_loss == pytest.approx(expected.log_loss)
    assert report.performance.positives == expected.positives
    assert report.plots["reliability.png"] == b"reliability of version 1, served"
    per_day = report.record.per_day
    assert sum(one.n for one in per_day) == report.record.window.n == len(labelled)
    days = ordered["departure"].dt.date
    assert [one.day for one in per_day] == sorted(set(days))
    one = per_day[3]
    chosen = days == one.day
    assert one.n == chosen.sum()
    assert one.observed_rate == ordered.loc[chosen, "is_late"].mean()
    assert one.mean_probability == pytest.approx(ordered.loc[chosen, "prediction"].mean())


def decided_month(house: House) -> pd.DataFrame:
    """A month that is answered and decided on, with all its labels."""
    rows = serve_month(house, "2013-04")
    known = rows[rows["is_late"].notna()]
    records, _ = house.inference_log.records(steps.LINE, after={})
    moments = records.set_index("request_id")["event_time"]
    names = known["request_id"].map(lambda name: f"decided {name}")
    decisions = (known["prediction"] >= 0.5).astype(int)
    write(
        house,
        [
            a_record(
                house,
                decided,
                moments[name].isoformat(),
                prediction=prediction,
                decision=decision,
            )
            for name, decided, prediction, decision in zip(
                known["request_id"], names, known["prediction"], decisions.tolist(), strict=True
            )
        ],
    )
    found = known.assign(request_id=names, decision=decisions)
    tell(house, found)
    return found


def test_what_the_served_decisions_cost_is_held_against_the_release(serving: House) -> None:
    """By the declared prices; answers that were not decided on cost nothing and count nothing."""
    rows = decided_month(serving)
    record = performance(serving).record
    wrong_yes = (rows["decision"] == 1) & (rows["is_late"] == 0)
    wrong_no = (rows["decision"] == 0) & (rows["is_late"] == 1)
    cost, release = record.window.cost_per_1000, record.baseline
    assert cost is not None
    assert cost.estimate is not None
    assert cost.n == len(rows)
    assert cost.estimate == pytest.approx(1000 * (wrong_yes + 2 * wrong_no).mean())
    assert release is not None
    assert release.cost_per_1000 is not None
    assert release.cost_per_1000.n > 0
    change = record.cost_per_1000_change
    assert change is not None
    assert release.cost_per_1000.estimate is not None
    assert change.estimate == pytest.approx(cost.estimate - release.cost_per_1000.estimate)
    assert change.low is not None
    assert change.estimate is not None
    assert change.low < change.estimate


@pytest.mark.parametrize(
    ("prices", "is_known"), [((5.0, 2.0), True), ((None, None), False)], ids=["others", "none"]
)
def test_a_cost_by_other_prices_is_held_against_nothing(
    serving: House, prices: tuple[float | None, float | None], is_known: bool
) -> None:
    """Dearer mistakes make no model worse."""
    decided_month(serving)
    quality = serving.line.policies.evaluation.quality.model_copy(
        update={"cost_false_positive": prices[0], "cost_false_negative": prices[1]}
    )
    serving.line = steps.with_policy(serving.line, "evaluation", quality=quality)
    record = performance(serving).record
    assert (record.window.cost_per_1000 is not None) == is_known
    assert record.baseline is not None
    assert record.baseline.cost_per_1000 is None
    assert record.cost_per_1000_change is None


def test_only_answers_whose_label_is_due_are_scored(serving: House) -> None:
    """Labels that come before their time are of one kind; the others are counted beside."""
    answers = {"old": "2013-04-02T00:00:00+00:00", "due": "2013-04-03T00:00:00+00:00"}
    answers |= {"young": "2013-04-03T00:00:01+00:00", "unlabelled": "2013-04-01T00:00:00+00:00"}
    write(
        serving,
        [a_record(serving, name, moment) for name, moment in answers.items()],
        [
            Label(request_id=name, label=1, event_time=answers[name], received_time=answers[name])
            for name in ("old", "due", "young")
        ],
    )
    serving.clock = InMemoryClock(datetime(2013, 4, 4, tzinfo=UTC))
    report = performance(serving)
    assert (report.performance.rows, report.record.immature, report.record.unlabelled) == (2, 1, 1)


def test_probabilities_of_several_classes_are_said_not_to_be_monitored(serving: House) -> None:
    """Counted beside, and no score is made up of one of them or of what stands in their place."""
    moment = "2013-04-02T12:00:00+00:00"
    several = {"prediction": None, "probabilities": (0.2, 0.5, 0.3)}
    write(
        serving,
        [a_record(serving, "one", moment), a_record(serving, "several", moment, **several)],
        [
            Label(request_id=name, label=1, event_time=moment, received_time=moment)
            for name in ("one", "several")
        ],
    )
    serving.clock = InMemoryClock(datetime(2013, 4, 4, tzinfo=UTC))
    report = performance(serving)
    assert (report.performance.rows, report.record.not_monitored) == (1, 1)
    assert report.performance.mean_probability == 0.25


def test_labels_of_other_answers_are_not_the_champions(serving: House) -> None:
    """Shadows, other versions and failed requests are not scored as its own."""
    moment = "2013-04-02T12:00:00+00:00"
    write(
        serving,
        [
            a_record(serving, "mine", moment, prediction=0.75),
            a_record(serving, "shadow", moment, shadow=True),
            a_record(serving, "other", moment, model_digest=steps.NOWHERE),
            a_record(serving, "failed", moment, outcome="error", prediction=None),
        ],
        [a_label(name, 1) for name in ("mine", "shadow", "other", "failed")],
    )
    report = performance(serving)
    assert (report.performance.rows, report.performance.mean_probability) == (1, 0.75)
    assert np.isnan(report.performance.auc.estimate)


def test_the_label_of_a_batch_is_scored_once(serving: House) -> None:
    """The rows of a request share its id; a label by that id is about the first."""
    moment = "2013-04-02T12:00:00+00:00"
    write(
        serving,
        [
            a_record(serving, "batch", moment, row=row, prediction=prediction)
            for row, prediction in enumerate((0.5, 0.25, 0.125))
        ],
        [a_label("batch", 1)],
    )
    report = performance(serving)
    assert (report.performance.rows, report.performance.mean_probability) == (1, 0.5)


def test_an_undeclared_endpoint_has_no_performance(house: House) -> None:
    """What somebody else answered is kept, and scored for nobody."""
    write(house, [a_record(house, "a", "2013-04-02T12:00:00+00:00")])
    report = performance(house)
    assert (report.record.version, report.performance.rows) == (None, 0)
    assert report.verdict.outcome is Outcome.INCONCLUSIVE
    assert report.advanced.records == 1


def test_an_idle_endpoint_is_inconclusive_in_everything(serving: House) -> None:
    """No pass, no failure, no exception."""
    report = performance(serving)
    assert (report.record.version, report.performance.rows) == (1, 0)
    assert report.record.window.until is None
    assert {one.outcome for one in report.verdict.findings} == {Outcome.INCONCLUSIVE}
    assert {one.rule for one in report.verdict.findings} == set(RULES)
    assert report.plots == {}
    assert report.record.per_day == ()


def test_a_month_like_the_others_is_no_worse_than_at_release(serving: House) -> None:
    """The record says against what, the verdict is on this very record, the history has windows."""
    tell(serving, serve_month(serving, "2013-04"))
    report = performance(serving)
    found = findings(report)
    assert found["no_worse_than_at_release", "log_loss"].outcome is Outcome.PASS
    assert found["no_worse_than_at_release", "auc_score"].outcome is not Outcome.FAIL
    assert "at release" in found["no_worse_than_at_release", "auc_score"].detail
    assert report.record.baseline is not None
    recorded = serving.evidence.find(steps.LINE, PERFORMANCE_RECORD, PRODUCTION)
    verdict = serving.evidence.find(steps.LINE, PERFORMANCE_VERDICT, PRODUCTION)
    assert recorded is not None
    assert verdict is not None
    assert record_from_json(recorded) == report.record
    assert verdict_from_json(verdict) == report.verdict
    assert report.verdict.subject_digest == digest_of_bytes(recorded)
    rows = report.history.rows
    assert 10 <= len(rows) <= 15
    assert rows[-1].until == date(2013, 4, 30)
    assert rows[-1].baseline_auc == report.record.baseline.auc.estimate  # type: ignore[union-attr]
    assert report.plots["performance.png"] == f"performance of {len(rows)} windows".encode()


def test_a_model_that_is_wrong_fails_in_every_measure(serving: House) -> None:
    """All labels turned: worse than released, not calibrated, unlike the estimate."""
    tell(serving, serve_month(serving, "2013-04"), turned=True)
    report = performance(serving)
    found = findings(report)
    for rule, subject in (
        ("no_worse_than_at_release", "auc_score"),
        ("no_worse_than_at_release", "log_loss"),
        ("calibration_holds", "calibration_error"),
        ("calibration_holds", "in_the_large"),
        ("estimate_agrees_with_labels", "auc_score"),
    ):
        assert found[rule, subject].outcome is Outcome.FAIL, (rule, subject)
    assert not found["estimate_agrees_with_labels", "auc_score"].votes
    assert report.verdict.outcome is Outcome.FAIL


def test_errors_that_grow_are_found_by_day(serving: House) -> None:
    """Right for two weeks, then wrong: the change is dated, and only new days are fed."""
    rows = serve_month(serving, "2013-04")
    late = rows["departure"] >= "2013-04-15"
    tell(serving, rows[~late])
    first = performance(serving)
    assert first.record.errors.changes == ()
    tell(serving, rows[late], turned=True)
    second = performance(serving)
    (change, *_) = second.record.errors.changes
    assert change.detector == "page_hinkley"
    assert date(2013, 4, 15) <= change.day <= date(2013, 4, 25)
    assert second.record.errors.anew == ""
    assert findings(second)["errors_show_no_change", "Page-Hinkley"].outcome is Outcome.FAIL
    third = look(serving)
    assert third.record.errors == second.record.errors


def test_labels_that_come_after_a_day_was_counted_are_counted_anew(serving: House) -> None:
    """The result is that of all labels at once."""
    serving.line = steps.with_policy(
        serving.line,
        "performance",
        changes=serving.line.policies.performance.changes.model_copy(update={"settled_share": 0.3}),
    )
    rows = serve_month(serving, "2013-04")
    tell(serving, rows[::2])
    performance(serving)
    tell(serving, rows[1::2])
    found = performance(serving)
    assert "was counted with" in found.record.errors.anew
    steps.forget(serving, ERROR_CHANGES, PRODUCTION)
    assert look(serving).record.errors == replace_anew(found)


def replace_anew(report: PerformanceReport) -> Any:
    return report.record.errors.model_copy(update={"anew": ""})


@pytest.mark.parametrize("content", [b"{}", b"no json"])
def test_detectors_that_cannot_be_trusted_begin_anew(serving: House, content: bytes) -> None:
    """And it is said why."""
    tell(serving, serve_month(serving, "2013-04"))
    before = performance(serving)
    serving.evidence.record(steps.LINE, ERROR_CHANGES, PRODUCTION, content)
    after = look(serving)
    assert "error changes" in after.record.errors.anew
    assert after.record.errors.n == before.record.errors.n


def test_a_further_look_reads_what_is_new(serving: House) -> None:
    """New records of the log, and months whose labels have changed."""
    rows = serve_month(serving, "2013-04")
    tell(serving, rows[:100])
    first = performance(serving)
    assert (first.advanced.records, first.advanced.months) == (len(rows), 1)
    assert first.advanced.labels == rows[:100]["is_late"].notna().sum()
    second = performance(serving)
    assert (second.advanced.records, second.advanced.labels, second.advanced.months) == (0, 0, 0)
    tell(serving, rows[100:])
    third = performance(serving)
    assert (third.advanced.records, third.advanced.months) == (0, 1)
    assert third.advanced.labels == rows[100:]["is_late"].notna().sum()
    assert third.record.window.n == rows["is_late"].notna().sum()


def test_in_whatever_portions_it_comes_the_end_is_the_same(serving: House) -> None:
    """As if everything had been there at once."""
    rows = serve_month(serving, "2013-04")
    for start in range(0, len(rows), 1000):
        tell(serving, rows[start : start + 1000])
        performance(serving)
    portions = look(serving)
    serving.answers.clear(steps.LINE, PRODUCTION)
    steps.forget(serving, ERROR_CHANGES, PRODUCTION)
    at_once = look(serving)
    assert at_once.record == portions.record.model_copy(
        update={"at": at_once.record.at, "errors": replace_anew(portions)}
    )
    assert at_once.verdict.findings == portions.verdict.findings


def test_a_crash_before_the_answers_are_kept_loses_nothing(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one after it count anything twice."""
    rows = serve_month(serving, "2013-04")
    tell(serving, rows)
    steps.gather(serving)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place in (
        "ml_release.adapters.counted_log.answers._label",
        "ml_release.workflows.performance_windows.advance_changes",
        "ml_release.workflows.performance.judge_performance",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(KeyboardInterrupt):
                look(serving)
    report = look(serving)
    labelled = rows["is_late"].notna()
    assert report.record.window.n == labelled.sum()
    assert report.record.unlabelled == (~labelled).sum()


def test_a_label_gathered_between_two_readings_is_not_lost(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels table is asked before the log, so no label is marked as read too early."""
    moment = "2013-04-02T12:00:00+00:00"
    write(serving, [a_record(serving, "a", moment)], [a_label("a", 1)])
    steps.gather(serving)
    seen = serving.inference_log.records

    def meanwhile(_: object, line: str, **after: Any) -> Any:
        found = seen(line, **after)
        monkeypatch.undo()
        write(serving, [a_record(serving, "b", moment)], [a_label("b", 1)])
        steps.gather(serving)
        return found

    monkeypatch.setattr(type(serving.inference_log), "records", meanwhile)
    look(serving)
    assert look(serving).performance.rows == 2


def test_two_at_once_count_nothing_twice(serving: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second looks again; who always comes second says so."""
    write(serving, [a_record(serving, "a", "2013-04-02T12:00:00+00:00")])
    store = type(serving.answers)
    add, calls = store.add, []

    def second(self: Any, *names: str, **values: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            add(self, *names, **values)
        add(self, *names, **values)

    monkeypatch.setattr(store, "add", second)
    assert advance(serving).records == 0
    assert len(calls) == 2
    (day,) = serving.answers.days(steps.LINE, PRODUCTION, model_digest=champion(serving))
    assert day.answers == 1

    def never(*_: object, **__: object) -> None:
        raise StaleWriteError

    monkeypatch.setattr(store, "add", never)
    with pytest.raises(StaleWriteError):
        advance(serving)


def test_answers_that_cannot_be_read_are_counted_anew(serving: House) -> None:
    """From the log; what was there is put aside, and it is said."""
    tell(serving, serve_month(serving, "2013-04"))
    before = performance(serving)
    path = serving.log_folder.with_name(f"{serving.log_folder.name}-answers.db")
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
    path.write_bytes(b"no database at all")
    after = look(serving)
    assert "counted anew" in after.advanced.recounted
    assert after.record.window == before.record.window


def test_what_is_older_than_the_policy_keeps_is_forgotten(serving: House) -> None:
    """Counted back from the newest event that is not still to come."""
    serving.line = steps.with_policy(serving.line, "performance", keep_days=40)
    write(
        serving,
        [
            a_record(serving, name, f"{day}T12:00:00+00:00")
            for name, day in (("old", "2013-03-01"), ("kept", "2013-04-09"), ("far", "2090-01-01"))
        ],
    )
    advance(serving)
    days = serving.answers.days(steps.LINE, PRODUCTION, model_digest=champion(serving))
    assert [one.day for one in days] == [date(2013, 3, 1), date(2013, 4, 9), date(2090, 1, 1)]
    write(serving, [a_record(serving, "new", "2013-04-10T12:00:00+00:00")])
    advance(serving)
    days = serving.answers.days(steps.LINE, PRODUCTION, model_digest=champion(serving))
    assert date(2013, 3, 1) not in {one.day for one in days}
    assert len(days) == 3


def test_what_the_line_no_longer_keeps_is_forgotten_here_too(serving: House) -> None:
    """Records that came in longer ago than the retention allows."""
    policies = serving.line.policies.model_dump()
    policies["retention"] = {"records_days": 60}
    serving.line = serving.line.model_copy(update={"policies": Policies.model_validate(policies)})
    moments = {"old": timedelta(days=61), "young": timedelta(days=59)}
    write(
        serving,
        [
            a_record(
                serving,
                name,
                "2013-04-02T12:00:00+00:00",
                received_time=(serving.clock.now() - ago).isoformat(),
            )
            for name, ago in moments.items()
        ],
    )
    advance(serving)
    assert serving.answers.waiting(steps.LINE, PRODUCTION) == {"young"}


def test_early_labels_are_shown_and_not_scored(serving: House) -> None:
    """All early ones are positive: who scored them would think the rate had doubled."""
    rows = serve_month(serving, "2013-04")
    serving.clock = InMemoryClock(datetime(2013, 4, 25, tzinfo=UTC))
    known = rows[rows["is_late"].notna()]
    moments = known["departure_utc"]
    due = moments + serving.line.label_delay <= serving.clock.now()
    early = known[~due & (moments <= serving.clock.now()) & (known["is_late"] == 1)]
    write(
        serving,
        [],
        [
            Label(
                request_id=name,
                label=int(label),
                event_time=moment.isoformat(),
                received_time=moment.isoformat(),
            )
            for part in (known[due], early)
            for name, label, moment in zip(
                part["request_id"], part["is_late"], part["departure_utc"], strict=True
            )
        ],
    )
    report = performance(serving)
    assert report.record.window.n == due.sum()
    assert report.record.bias.early == len(early) > 0
    assert report.record.bias.early_rate == 1.0
    finding = findings(report)["labels_are_representative", "early labels"]
    assert (finding.outcome, finding.votes) == (Outcome.FAIL, False)


def test_labels_that_are_missing_for_one_kind_of_answers_are_noticed(serving: House) -> None:
    """Only the low scores are labelled: what is measured on them is not what is served."""
    rows = serve_month(serving, "2013-04")
    tell(serving, rows[rows["prediction"] < rows["prediction"].median()])
    finding = findings(performance(serving))["labels_are_representative", "labelled answers"]
    assert (finding.outcome, finding.votes) == (Outcome.FAIL, True)


def test_without_the_releases_own_evaluation_nothing_is_no_worse(serving: House) -> None:
    """Also where it was edited: it is told, and never passes."""
    tell(serving, serve_month(serving, "2013-04"))
    steps.edit(
        serving,
        "evaluation_measures",
        champion(serving),
        lambda measures: measures.update(verdict_digest="sha256:" + "0" * 64),
    )
    report = performance(serving)
    assert report.record.baseline is None
    for subject in ("auc_score", "log_loss"):
        finding = findings(report)["no_worse_than_at_release", subject]
        assert finding.outcome is Outcome.INCONCLUSIVE
        assert "Evaluate again" in finding.detail


def test_records_that_were_edited_are_refused_or_begun_anew(serving: House) -> None:
    """What is judged by is refused; what is only shown begins anew."""
    with pytest.raises(IntegrityError, match="PerformanceRecord"):
        record_from_json(b"{}")
    tell(serving, serve_month(serving, "2013-04"))
    performance(serving)
    serving.evidence.record(steps.LINE, PERFORMANCE_HISTORY, PRODUCTION, b"{}")
    history = recorded_history(serving.line, environment=PRODUCTION, evidence=serving.evidence)
    assert history.rows == ()


def test_values_of_a_regression_are_not_scored_as_probabilities(serving: House) -> None:
    """They may lie between 0 and 1 all the same."""
    tell(serving, serve_month(serving, "2013-04"))
    serving.line = serving.line.model_copy(update={"task": "regression"})
    report = performance(serving)
    assert report.record.window.n == 0
    assert report.record.not_monitored > 0
    assert report.verdict.outcome is Outcome.INCONCLUSIVE
