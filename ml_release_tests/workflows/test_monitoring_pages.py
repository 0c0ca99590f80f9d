"""The page is made of what is recorded, and the comparison of rows once per day of the window."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError, IntegrityError
from ml_release.workflows import drift_pages
from ml_release.workflows.drift_pages import ComparedRows, compare_rows
from ml_release.workflows.monitoring import observe_window, report_drift
from ml_release.workflows.monitoring_pages import WrittenPage, write_monitoring
from ml_release_tests.domain import test_monitoring_records as documents
from ml_release_tests.workflows.traffic import a_record, serve_month, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ml_release_tests.small_line import House

LINE, PRODUCTION = "small_line", "production"


class Compared:
    """`DriftPages` that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[pd.DataFrame, pd.DataFrame]] = []

    def page(self, reference: pd.DataFrame, current: pd.DataFrame, *, title: str) -> bytes:
        self.seen.append((reference, current))
        if current.empty or reference.empty:
            message = f"{title}: expected a column with values on both sides"
            raise InputError(message)
        return title.encode()


def monitor(house: House) -> None:
    observe_window(
        house.line,
        environment=PRODUCTION,
        inference_log=house.inference_log,
        deployments=house.deployments,
        models=house.models,
        profiles=house.profiles,
        evidence=house.evidence,
    )
    report_drift(
        house.line,
        environment=PRODUCTION,
        models=house.models,
        evidence=house.evidence,
        plotter=house.plotter,
        tables=house.tables,
    )


def compare(house: House, pages: Compared) -> ComparedRows | None:
    return compare_rows(
        house.line,
        environment=PRODUCTION,
        models=house.models,
        evidence=house.evidence,
        inference_log=house.inference_log,
        tables=house.tables,
        pages=pages,
        reports=house.reports,
        now=house.clock.now(),
    )


def written(house: House) -> WrittenPage:
    return write_monitoring(
        house.line,
        environment=PRODUCTION,
        evidence=house.evidence,
        reports=house.reports,
        gauges=house.gauges,
        now=house.clock.now(),
    )


def record(house: House, kind: str, content: bytes) -> None:
    house.evidence.record(LINE, kind, PRODUCTION, content)


def test_a_line_that_was_never_monitored_has_a_page_that_says_so(house: House) -> None:
    """And gauges without a sample."""
    found = written(house)
    assert found.page.headline == ("Nothing serves", "inconclusive")
    assert (found.page.drift, found.page.performance, found.page.slos) == (None, None, None)
    assert found.gauges.samples == {}
    assert house.reports.files["small_line/monitoring.html"]
    assert house.gauges.shown[PRODUCTION, LINE] == found.gauges


def test_the_page_of_served_traffic_has_window_and_verdict(serving: House) -> None:
    """Also how old the model's data are."""
    serve_month(serving, "2013-04")
    monitor(serving)
    page = written(serving).page
    assert (page.version, page.as_of, page.days) == (1, "2013-04-30", 7)
    assert page.rows > 0
    assert page.verdicts["drift"].judge.startswith("drift/")
    assert page.model_age_days == 30
    assert page.problems == ()


def test_every_recorded_kind_is_on_the_page(serving: House) -> None:
    """By the names that their judges record them under."""
    record(serving, "drift_record", documents.DRIFT)
    record(serving, "drift_history", documents.DRIFT_HISTORY)
    record(serving, "performance_record", documents.PERFORMANCE)
    record(serving, "performance_history", documents.PERFORMANCE_HISTORY)
    record(serving, "fairness_record", documents.FAIRNESS)
    record(serving, "fairness_history", documents.FAIRNESS_HISTORY)
    record(serving, "slo_record", documents.SLOS)
    record(serving, "release_kpis", documents.KPIS)
    record(serving, "decision_record", documents.DECISION)
    record(serving, "decision_history", documents.DECISIONS)
    page = written(serving).page
    assert page.drift is not None
    assert page.performance is not None
    assert page.performance.history
    assert page.fairness is not None
    assert page.slos is not None
    assert page.kpis
    assert page.decision is not None
    assert page.decision.action == "retrain"
    # The newest entry of the history is the decision that stands above it.
    assert [one.action for one in page.decisions] == ["nothing"]
    assert page.model_age_days == 41.0
    assert page.problems == ()


@pytest.mark.parametrize("kind", ["drift_record", "slo_record", "inference_window"])
def test_a_record_of_another_form_is_a_problem_and_no_news(serving: House, kind: str) -> None:
    """The rest of the page stands."""
    serve_month(serving, "2013-04")
    monitor(serving)
    record(serving, kind, b'{"of": "another version"}')
    page = written(serving).page
    assert len(page.problems) == 1
    assert page.problems[0].startswith(kind.replace("_", " "))
    assert page.outcome in {Outcome.ERROR, Outcome.FAIL}


def test_an_edited_record_is_a_problem(serving: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store says so when it is asked."""
    find = serving.evidence.find

    def edited(line: str, kind: str, subject: str) -> bytes | None:
        if kind == "decision_record":
            message = "it was changed after it was recorded"
            raise IntegrityError(message)
        return find(line, kind, subject)

    monkeypatch.setattr(serving.evidence, "find", edited)
    page = written(serving).page
    assert page.decision is None
    assert "changed after it was recorded" in page.problems[0]


def test_a_broken_history_leaves_the_newest_window(serving: House) -> None:
    """And is told."""
    record(serving, "drift_record", documents.DRIFT)
    record(serving, "drift_history", b"[]")
    page = written(serving).page
    assert page.drift is not None
    assert page.drift[0].history == ()
    assert len(page.problems) == 1


def test_rows_of_the_window_stand_beside_rows_of_training(serving: House) -> None:
    """Of the same features, and of no other days."""
    rows = serve_month(serving, "2013-04")
    monitor(serving)
    pages = Compared()
    found = compare(serving, pages)
    assert found is not None
    ((reference, current),) = pages.seen
    assert set(reference) == set(current) == {"distance", "carrier", "minute", "carrier_rate"}
    assert len(current) == (rows["departure"] >= "2013-04-24").sum() == found.record.current_rows
    assert len(reference) == found.record.reference_rows > len(current)
    assert found.record.place == "small_line/drift-comparison.html"
    assert written(serving).page.compared_at == found.record.place


def test_the_page_of_a_day_is_made_once(serving: House) -> None:
    """Again when a day has passed, or its record cannot be trusted."""
    serve_month(serving, "2013-04")
    monitor(serving)
    pages = Compared()
    first = compare(serving, pages)
    again = compare(serving, pages)
    assert first is not None
    assert again is not None
    assert (first.is_new, again.is_new, len(pages.seen)) == (True, False, 1)
    assert again.record == first.record
    write(serving, [a_record(serving, "later", "2013-05-01T12:00:00+00:00")])
    monitor(serving)
    third = compare(serving, pages)
    assert third is not None
    assert (third.is_new, third.record.as_of) == (True, "2013-05-01")
    record(serving, drift_pages.DRIFT_PAGE, b"[]")
    fourth = compare(serving, pages)
    assert fourth is not None
    assert fourth.is_new


def test_without_an_answer_there_is_nothing_to_compare(serving: House) -> None:
    """Nor without a window."""
    pages = Compared()
    assert compare(serving, pages) is None
    monitor(serving)
    assert compare(serving, pages) is None
    assert pages.seen == []


def test_masked_features_are_on_no_side(serving: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their logged values are hashes, and their line said that nobody is to see them."""
    serve_month(serving, "2013-04")
    monitor(serving)
    monkeypatch.setattr(drift_pages, "masked_features", lambda _files: frozenset({"carrier"}))
    pages = Compared()
    compare(serving, pages)
    ((reference, current),) = pages.seen
    assert "carrier" not in {*reference, *current}


def test_training_data_that_are_gone_are_told(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not asked for again on the same day."""
    serve_month(serving, "2013-04")
    monitor(serving)
    monkeypatch.setattr(serving.tables, "current", lambda _line, _table: ())
    pages = Compared()
    found = compare(serving, pages)
    assert found is not None
    assert found.record.place == ""
    assert "expected a column" in found.record.problem
    again = compare(serving, pages)
    assert again is not None
    assert not again.is_new
    assert written(serving).page.compared_at is None


def test_a_sample_is_bounded_and_fair() -> None:
    """Early and late rows alike, whatever the batches."""
    sample = drift_pages._Sample()
    for batch in range(5):
        sample.add(pd.DataFrame({"batch": [batch] * 6000}))
    kept = sample.rows()["batch"].value_counts()
    assert kept.sum() == drift_pages.MOST_ROWS
    assert (kept > 1700).all()
    assert drift_pages._Sample().rows().empty


def test_records_of_before_the_window_are_not_read(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened in the window came in since it began."""
    serve_month(serving, "2013-04")
    monitor(serving)
    asked: list[tuple[datetime, datetime]] = []
    log = serving.inference_log
    between = log.between

    def watched(
        line: str, since: datetime, until: datetime, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        asked.append((since, until))
        return between(line, since, until, rows_per_batch=rows_per_batch)

    monkeypatch.setattr(log, "between", watched)
    compare_rows(
        serving.line,
        environment=PRODUCTION,
        models=serving.models,
        evidence=serving.evidence,
        inference_log=log,
        tables=serving.tables,
        pages=Compared(),
        reports=serving.reports,
        now=serving.clock.now(),
    )
    ((since, until),) = asked
    assert since.isoformat() == "2013-04-24T04:00:00+00:00"
    assert until == serving.clock.now() + timedelta(seconds=1)
