"""Gathering labels: from every source, once, never lost, judged and recorded."""

from __future__ import annotations

import pandas as pd
import pytest

from ml_release.domain.label_counts import LabelCounts
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.spec.label_source import LabelSource
from ml_release.workflows.labels import (
    LABEL_VERDICT,
    LABELS_RECORD,
    gathered_labels,
    newest_labels,
)
from ml_release.workflows.replay import request_ids
from ml_release_tests.small_line import House, trips
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_label, a_record, write

EVENT = "2013-04-02T12:00:00+00:00"


def ask(house: House, *names: str, event_time: str = EVENT) -> None:
    write(house, [a_record(house, name, event_time) for name in names])


def tell(house: House, **labels: int) -> None:
    write(house, [], [a_label(name, label) for name, label in labels.items()])


def land(house: House, file: pd.DataFrame, month: str = "2013-04") -> None:
    house.landing.deliver(f"labels/{month}.csv", file)


def ask_trips(house: House, month: str = "2013-04") -> pd.DataFrame:
    """Serve every trip of a month under the name of its keys."""
    rows = trips(month)
    rows["request_id"] = request_ids(house.line, rows)
    moments = rows["departure_utc"].map(lambda moment: moment.isoformat())
    write(
        house,
        [
            a_record(house, name, moment)
            for name, moment in zip(rows["request_id"], moments, strict=True)
        ],
    )
    return rows


def labels_of(house: House) -> dict[str, int]:
    rows = gathered_labels(house.line, tables=house.tables)
    return dict(zip(rows["request_id"], rows["label"].tolist(), strict=True))


def test_a_line_without_labels_gathers_none(house: House) -> None:
    """No table is made, nothing passes, nothing breaks."""
    gathered = steps.gather(house)
    assert (gathered.partitions, gathered.record.digest, gathered.plots) == ((), None, {})
    assert gathered.verdict.outcome is Outcome.INCONCLUSIVE
    assert {f.outcome for f in gathered.verdict.findings} == {Outcome.INCONCLUSIVE}
    assert labels_of(house) == {}


def test_every_source_is_joined_to_the_requests_it_is_about(prepared: House) -> None:
    """The route by request id, a file and a snapshot by keys; what nobody asked is not kept."""
    rows = ask_trips(prepared)
    known = rows[rows["is_late"].notna()]
    tell(prepared, nobody=1, **{str(known["request_id"].iloc[0]): int(known["is_late"].iloc[0])})
    file = known.iloc[1:11][["departure_utc", "trip"]]
    land(
        prepared,
        file.assign(label=known["is_late"].iloc[1:11], known_at=file["departure_utc"]),
    )
    gathered = steps.gather(prepared)
    assert labels_of(prepared) == dict(
        zip(known["request_id"], known["is_late"].astype(int), strict=True)
    )
    assert gathered.per_source.set_index("source")["in the table"].to_dict() == {
        "route": 1,
        "files": 10,
        "snapshots": len(known) - 11,
    }
    assert gathered.record.sources["route"] == LabelCounts(told=2, unknown=1, gathered=1)
    assert gathered.record.sources["snapshots"].repeated == 11
    assert gathered.record.contradicted == 0
    assert gathered.verdict.outcome is Outcome.PASS
    assert gathered.plots == {
        "maturity.png": f"maturity of {gathered.maturity.known} labels".encode()
    }


def test_labels_are_kept_by_the_local_month_of_their_event(house: House) -> None:
    """Two in the morning of May in UTC is April in New York."""
    ask(house, "april", event_time="2013-05-01T02:00:00+00:00")
    ask(house, "may", event_time="2013-05-01T12:00:00+00:00")
    tell(house, april=1, may=0)
    gathered = steps.gather(house)
    assert [(p.partition, p.rows) for p in gathered.partitions] == [("2013-04", 1), ("2013-05", 1)]


def test_the_same_labels_again_keep_nothing_new(house: House) -> None:
    """The table has the version and the digest it had."""
    ask(house, "a", "b")
    tell(house, a=1, b=0)
    first = steps.gather(house)
    tell(house, b=0)
    second = steps.gather(house)
    assert second.partitions == first.partitions
    assert second.record.digest == first.record.digest
    assert second.record.sources["route"] == LabelCounts(told=3, repeated=3)


def test_equal_labels_have_an_equal_digest_however_they_came(house: House) -> None:
    """One after the other, in any order, or at once."""
    ask(house, "a", "b")
    tell(house, a=1, b=0)
    at_once = steps.gather(house).record.digest
    other = House(house.log_folder.with_name("other"))
    ask(other, "b", "a")
    tell(other, b=0)
    first = steps.gather(other).record.digest
    tell(other, a=1)
    assert steps.gather(other).record.digest == at_once != first


def test_what_was_gathered_is_not_lost_with_its_source(house: House) -> None:
    """The file is gone, the log was cleared, the month is told anew."""
    ask(house, "a", "b")
    tell(house, a=1)
    steps.gather(house)
    for segment in (house.log_folder / steps.LINE).glob("*.jsonl"):
        segment.unlink()
    ask(house, "c")
    tell(house, c=0)
    gathered = steps.gather(house)
    assert labels_of(house) == {"a": 1, "c": 0}
    assert gathered.record.labels == 2


def test_a_label_whose_request_comes_later_is_found_later(house: House) -> None:
    """Feedback may overtake the log."""
    tell(house, a=1)
    assert steps.gather(house).record.sources["route"].unknown == 1
    ask(house, "a")
    assert steps.gather(house).record.sources["route"].gathered == 1


def test_a_contradiction_is_counted_and_the_first_label_stands(house: House) -> None:
    """Within one source, and between two; at each gathering again, until it is mended."""
    ask(house, "a", "b")
    tell(house, a=1, b=1)
    tell(house, a=0)
    steps.gather(house)
    tell(house, a=0)
    for _ in range(2):
        gathered = steps.gather(house)
        assert labels_of(house) == {"a": 1, "b": 1}
        assert gathered.record.contradicted == 1
        assert gathered.record.sources["route"].contradicting == 2
        (finding,) = (f for f in gathered.verdict.findings if f.rule == "labels_agree")
        assert (finding.outcome, finding.observed) == (Outcome.FAIL, 0.5)
        assert finding.detail == "for example request a: 1 stands, route tells 0"


def test_a_shadow_is_not_asked_and_a_batch_is_asked_once(house: House) -> None:
    """One label per request, whichever version answered or failed."""
    write(
        house,
        [
            *(a_record(house, "batch", EVENT, row=row) for row in range(3)),
            a_record(house, "shadow", EVENT, shadow=True),
            a_record(house, "failed", EVENT, outcome="error", prediction=None),
        ],
    )
    tell(house, batch=1, shadow=1, failed=0)
    gathered = steps.gather(house)
    assert labels_of(house) == {"batch": 1, "failed": 0}
    assert gathered.maturity.requests == 2


@pytest.mark.parametrize(
    ("known_at", "share", "outcome"),
    [("2013-05-02", 1.0, Outcome.PASS), ("2013-05-03", 0.0, Outcome.FAIL)],
)
def test_labels_that_are_late_are_found_out(
    house: House, known_at: str, share: float, outcome: Outcome
) -> None:
    """One day of delay, one of grace: two days after the event is in time, three are not."""
    source = LabelSource(files="labels/{partition}.csv", request_id_column="id")
    house.line = house.line.model_copy(update={"labels": source})
    names = [str(number) for number in range(60)]
    ask(house, *names, event_time="2013-04-30T00:00:00+00:00")
    land(house, pd.DataFrame({"id": names, "label": "1", "known_at": known_at}))
    gathered = steps.gather(house)
    assert gathered.maturity.due_share == share
    assert gathered.verdict.outcome is outcome


def test_the_gathering_is_recorded_with_its_verdict(house: House) -> None:
    """The newest record is what the sensor counts; the verdict is on that record."""
    assert newest_labels(house.line, environment="production", evidence=house.evidence) is None
    ask(house, "a")
    tell(house, a=1)
    gathered = steps.gather(house)
    found = newest_labels(house.line, environment="production", evidence=house.evidence)
    assert found == gathered.record
    content = house.evidence.find(steps.LINE, LABEL_VERDICT, "production")
    assert content is not None
    assert verdict_from_json(content) == gathered.verdict
    house.evidence.record(steps.LINE, LABELS_RECORD, "production", b"{}")
    with pytest.raises(IntegrityError):
        newest_labels(house.line, environment="production", evidence=house.evidence)


def test_a_file_that_cannot_be_read_hides_no_other_label(house: House) -> None:
    """It fails its own rule until it is mended; then its labels are gathered too."""
    by_id = LabelSource(files="labels/{partition}.csv", request_id_column="id")
    house.line = house.line.model_copy(update={"labels": by_id})
    ask(house, "a", "b")
    tell(house, a=1)
    land(house, pd.DataFrame({"label": ["1"]}))
    gathered = steps.gather(house)
    assert gathered.record.labels == 1
    (finding,) = (f for f in gathered.verdict.findings if f.rule == "label_files_can_be_read")
    assert finding.outcome is Outcome.FAIL
    assert "labels/2013-04.csv: expected the columns" in finding.sentence()
    land(house, pd.DataFrame({"id": ["b"], "label": ["1"], "known_at": ["2013-04-03"]}))
    gathered = steps.gather(house)
    assert gathered.record.labels == 2
    (finding,) = (f for f in gathered.verdict.findings if f.rule == "label_files_can_be_read")
    assert finding.outcome is Outcome.PASS
