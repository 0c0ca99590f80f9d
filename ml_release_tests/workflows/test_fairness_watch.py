"""Fairness over time on a house: what is read, judged, recorded, and what cannot be told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.fairness_record import history_from_json, record_from_json
from ml_release.domain.fairness_watch import GAPS, SLICES
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.workflows.due_days import last_due_day
from ml_release.workflows.evaluation_records import EVALUATION_MEASURES, recorded_evaluation
from ml_release.workflows.fairness_slicing import group_slicing, slice_slicing
from ml_release.workflows.fairness_watch import (
    FAIRNESS_HISTORY,
    FAIRNESS_RECORD,
    FAIRNESS_VERDICT,
    FairnessReport,
    watch_fairness,
)
from ml_release.workflows.fairness_windows import fairness_rules
from ml_release_tests.workflows import fair_house, steps
from ml_release_tests.workflows.fair_house import FIRST, LIMITS, NOW, answer

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.verdict import Verdict
    from ml_release_tests.small_line import House


@pytest.fixture(scope="module")
def the_fair(the_prepared: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = the_prepared.copied(tmp_path_factory.mktemp("fair") / "inference")
    fair_house.release(house)
    return house


@pytest.fixture
def fair(the_fair: House, tmp_path: Path) -> House:
    """Version 1 answers, approved with the gaps of its evaluation."""
    return the_fair.copied(tmp_path / "inference")


def watch(house: House, *, now: datetime = NOW) -> FairnessReport | None:
    return watch_fairness(
        house.line,
        environment=house.environment,
        answers=house.answers,
        deployments=house.deployments,
        evidence=house.evidence,
        plotter=house.plotter,
        now=now,
    )


def seen(house: House, *, now: datetime = NOW) -> FairnessReport:
    report = watch(house, now=now)
    assert report is not None
    return report


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {finding.subject: finding.outcome for finding in verdict.findings}


def test_answers_as_approved_hold(fair: House) -> None:
    """Two windows, every measure of the evaluation held against what it was there."""
    answer(fair, days=20)
    report = seen(fair)
    assert [(w.first_day, w.last_day) for w in report.record.windows] == [
        (FIRST + timedelta(days=13), FIRST + timedelta(days=19)),
        (FIRST + timedelta(days=6), FIRST + timedelta(days=12)),
    ]
    newest = report.record.windows[0]
    assert (newest.matured, newest.labelled, newest.days) == (420, 420, 7)
    measures = recorded_evaluation(
        fair.line, report.record.model_digest, evidence=fair.evidence
    ).measures
    approved = {one.measure: one.interval.estimate for one in measures.fairness}
    assert approved.keys() == LIMITS.keys()
    for gap in newest.gaps:
        assert gap.baseline == approved[gap.measure]
        assert gap.limit == pytest.approx((gap.baseline or 0.0) + 0.1)
    assert {rule.rule for rule in report.verdict.findings} == {GAPS, SLICES}
    assert Outcome.FAIL not in outcomes(report.verdict).values()
    assert report.plots == {
        "gaps.png": b"gaps of carrier: demographic parity difference,"
        b" carrier: false positive rate difference"
    }


def test_a_carrier_whose_every_trip_is_called_late_fails(fair: House) -> None:
    """Both windows show it, for the rates that decisions make; scores are as they were."""
    answer(fair, days=20, against="AA")
    verdict = seen(fair).verdict
    assert {name for name, one in outcomes(verdict).items() if one is Outcome.FAIL} == {
        "carrier: demographic parity difference",
        "carrier: false positive rate difference",
    }
    assert verdict.outcome is Outcome.FAIL


def test_one_window_of_it_is_not_enough(fair: House) -> None:
    """Seven days show it, fourteen are asked for."""
    answer(fair, days=7, against="AA")
    verdict = seen(fair).verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "shown in 1 of 2 windows in a row" in verdict.findings[0].detail


def test_what_was_seen_is_recorded_and_the_history_grows(fair: House) -> None:
    """The verdict is on the record; the same window twice is one in the history."""
    answer(fair, days=20)
    for _ in range(2):
        report = seen(fair)
    content = fair.evidence.find(steps.LINE, FAIRNESS_RECORD, fair.environment)
    assert content is not None
    assert record_from_json(content) == report.record
    assert digest_of_bytes(content) == report.verdict.subject_digest
    assert report.verdict.evidence["evaluation"] == report.record.baseline_digest
    verdict = fair.evidence.find(steps.LINE, FAIRNESS_VERDICT, fair.environment)
    assert verdict is not None
    assert verdict_from_json(verdict) == report.verdict
    ends = {row.last_day for row in report.history.rows}
    assert ends == {FIRST + timedelta(days=19)}
    seen(fair, now=datetime(2013, 4, 17, 12, 0, tzinfo=UTC))
    history = history_from_json(fair.evidence.find(steps.LINE, FAIRNESS_HISTORY, fair.environment))
    assert {row.last_day for row in history.rows} == {
        date(2013, 4, 14),
        FIRST + timedelta(days=19),
    }


def test_only_days_whose_labels_are_due_count(fair: House) -> None:
    """A delay of a day and a day of grace after the end of the day."""
    assert last_due_day(fair.line, datetime(2013, 4, 17, 12, 0, tzinfo=UTC)) == date(2013, 4, 14)
    answer(fair, days=20)
    report = seen(fair, now=datetime(2013, 4, 2, 12, 0, tzinfo=UTC))
    assert report.record.windows == ()
    assert set(outcomes(report.verdict).values()) == {Outcome.INCONCLUSIVE}


def test_few_labels_say_nothing(fair: House) -> None:
    """Which ones are missing is no chance."""
    answer(fair, days=20, labelled=0.5, against="AA")
    verdict = seen(fair).verdict
    assert set(outcomes(verdict).values()) == {Outcome.INCONCLUSIVE}
    assert "expected labels of 80%" in verdict.findings[0].detail


def test_without_its_evaluation_there_is_no_baseline(fair: House) -> None:
    """No gap is approved by silence."""
    answer(fair, days=20)
    report = seen(fair)
    steps.forget(fair, EVALUATION_MEASURES, report.record.model_digest)
    report = seen(fair)
    assert report.record.windows == ()
    assert report.verdict.outcome is Outcome.INCONCLUSIVE
    assert "no baseline" in report.verdict.findings[0].detail


def test_a_history_that_cannot_be_read_begins_anew_and_says_so(fair: House) -> None:
    """It is drawn, and judged by nothing."""
    answer(fair, days=20)
    seen(fair)
    fair.evidence.record(steps.LINE, FAIRNESS_HISTORY, fair.environment, b"{}x")
    report = seen(fair)
    assert "fairness history" in report.history_problem
    assert len({row.last_day for row in report.history.rows}) == 1


def test_a_hashed_column_keeps_its_groups_and_has_no_slices(fair: House) -> None:
    """Gaps need no names; slices cannot be told by theirs."""
    answer(fair, days=20)
    fair.line = fair.line.model_copy(update={"personal": {"carrier": "hash"}})
    newest = seen(fair).record.windows[0]
    assert all(gap.value is not None for gap in newest.gaps)
    assert {one.problem for one in newest.slices} == {
        "the column is not in the log, or masked in it"
    }
    fair.line = fair.line.model_copy(update={"personal": {"carrier": "drop"}})
    newest = seen(fair).record.windows[0]
    assert {gap.problem for gap in newest.gaps} == {"the column is not in the log"}


def test_a_line_with_nothing_to_watch_is_not_judged(house: House) -> None:
    """And nothing declared is nothing to judge."""
    assert fairness_rules(house.line) == (SLICES,)
    assert fairness_rules(house.line.model_copy(update={"slices": ()})) == ()
    assert fairness_rules(fair_house.fair(house.line)) == (GAPS, SLICES)
    assert watch(house) is None


def test_numbers_are_told_apart_by_the_quarters_of_the_evaluation(fair: House) -> None:
    """Whatever the quarters of the window would be."""
    measures = recorded_evaluation(fair.line, None, evidence=fair.evidence).measures
    slice_ = measures.slices[0].model_copy(update={"column": "distance"})
    names = ("below to 400", "400 to 900.5", "900.5 to 1600", "1600 to above")
    slices = [slice_.model_copy(update={"value": name}) for name in names]
    group = measures.fairness[0].model_copy(
        update={"column": "distance", "compared": names[:2], "left_out": (*names[2:], None)}
    )
    values = np.array([1.0, 400.0, 901.0, None, 9000.0], dtype=np.object_)
    for slicing in (
        slice_slicing(fair.line, "distance", values, slices),
        group_slicing(fair.line, "distance", values, [group]),
    ):
        assert slicing.names == names
        assert slicing.codes.tolist() == [0, 1, 2, -1, 3]


def test_a_word_the_evaluation_never_saw_is_any_other_slice_and_its_own_group(
    fair: House,
) -> None:
    """It is not missing either."""
    measures = recorded_evaluation(fair.line, None, evidence=fair.evidence).measures
    values = np.array(["AA", "ZZ", None], dtype=np.object_)
    slicing = slice_slicing(fair.line, "carrier", values, measures.slices)
    assert [slicing.names[code] for code in slicing.codes[:2]] == ["AA", "any other"]
    assert slicing.codes[2] == -1
    groups = group_slicing(fair.line, "carrier", values, measures.fairness)
    assert (groups.names, groups.codes.tolist()) == (("AA", "ZZ"), [0, 1, -1])
