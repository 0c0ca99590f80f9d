"""Text columns of a house: what travels with a version, what is compared, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.hashed_ngrams import HashedNgrams
from ml_release.domain.text_drift import PRESENT, SHIFT, TextDriftPolicy, text_record_from_json
from ml_release.domain.text_reference import TEXT_FILE, text_reference_from_json
from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError
from ml_release.workflows.text_drift import TEXT_RECORD, TEXT_VERDICT, TextReport, watch_texts
from ml_release_tests.simulated_texts import Language
from ml_release_tests.small_line import MONTHS, SMALL_LINE, House, assemble, build_schema, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from ml_release_tests.simulated_texts import Shift


def with_notes(tables: Mapping[str, Any]) -> Any:
    """Trips with what was noted of them."""
    return assemble(tables).assign(note=tables["rows"]["note"].to_numpy())


def schema_with_notes() -> Any:
    import pandera.pandas as pa

    return build_schema().add_columns({"note": pa.Column(str, nullable=True)})


def noted(month: str, *, shift: Shift | None = None, missing: float = 0.0) -> pd.DataFrame:
    """Landed trips with a note each; of a share of them there is none."""
    rows = trips(month)
    texts = np.array(
        Language().texts(len(rows), seed=int(month[-2:]), shift=shift, share=0.6), dtype=object
    )
    texts[: int(missing * len(rows))] = None
    return rows.assign(note=texts)


class CountedClassifier:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def out_of_fold(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return HashedNgrams().out_of_fold(*args, **kwargs)


@pytest.fixture(scope="module")
def the_noted(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("noted") / "inference")
    gates = SMALL_LINE.policies.data_gates
    shares = {**gates.missing_share_limits, "note": 1.0}
    distributions = gates.distributions.model_copy(
        update={"muted": (*gates.distributions.muted, "note")}
    )
    policies = SMALL_LINE.policies.model_copy(
        update={
            "text_drift": TextDriftPolicy(sample_rows=300, minimum_rows=80, folds=3),
            "data_gates": gates.model_copy(
                update={"missing_share_limits": shares, "distributions": distributions}
            ),
        }
    )
    house.line = SMALL_LINE.model_copy(
        update={
            "assemble": with_notes,
            "schema_of": schema_with_notes,
            "text_columns": ("note",),
            "policies": policies,
        }
    )
    for month in MONTHS[:3]:
        house.land(month, noted(month))
    steps.prepare(house, *MONTHS[:3])
    steps.release(house, last="2013-03")
    return house


@pytest.fixture
def serving_notes(the_noted: House, tmp_path: Path) -> House:
    """Version 1 of the first three months answers; no later month has a snapshot."""
    return the_noted.copied(tmp_path / "inference")


def watch(house: House, classifier: Any = None) -> TextReport | None:
    return watch_texts(
        house.line,
        environment=house.environment,
        tables=house.tables,
        models=house.models,
        deployments=house.deployments,
        evidence=house.evidence,
        classifier=classifier or HashedNgrams(),
    )


def seen(house: House, classifier: Any = None) -> TextReport:
    report = watch(house, classifier)
    assert report is not None
    return report


def outcomes(report: TextReport) -> dict[str, Outcome]:
    return {finding.rule: finding.outcome for finding in report.verdict.findings}


def land(house: House, rows: pd.DataFrame) -> None:
    house.land("2013-04", rows)
    steps.snapshot(house, "2013-04")


def test_a_version_carries_a_sample_of_its_window(serving_notes: House) -> None:
    """As many texts as declared, of every month it was trained on."""
    declaration = serving_notes.deployments.read(steps.LINE, "production")
    assert declaration is not None
    files = serving_notes.models.read(declaration.state.champion.model_digest)
    sample = text_reference_from_json(files[TEXT_FILE]).columns["note"]
    assert (sample.rows, sample.missing, len(sample.texts)) == (1800, 0, 300)
    assert {*sample.partitions} == {*MONTHS[:3]}
    landed = {note for month in MONTHS[:3] for note in noted(month)["note"]}
    assert {*sample.texts} <= landed


def test_a_line_without_text_columns_carries_nothing(serving: House) -> None:
    """Its artefact is what it was, and nothing is compared."""
    declaration = serving.deployments.read(steps.LINE, "production")
    assert declaration is not None
    assert TEXT_FILE not in serving.models.read(declaration.state.champion.model_digest)
    assert watch(serving) is None


def test_before_another_month_lands_nothing_is_told(serving_notes: House) -> None:
    """The version's own months are no news."""
    report = seen(serving_notes)
    assert report.record.partition is None
    assert {*outcomes(report).values()} == {Outcome.INCONCLUSIVE}


def test_a_month_as_before_passes(serving_notes: House) -> None:
    """The same language, another month."""
    land(serving_notes, noted("2013-04"))
    report = seen(serving_notes)
    (shift,) = report.record.shifts
    assert (report.record.partition, shift.current_n) == ("2013-04", 100)
    assert shift.contiguous_auc is not None
    assert outcomes(report) == {SHIFT: Outcome.PASS, PRESENT: Outcome.PASS}


def test_a_month_with_a_new_subject_fails_and_says_its_words(serving_notes: House) -> None:
    """And is recorded with them."""
    land(serving_notes, noted("2013-04", shift="topic"))
    report = seen(serving_notes)
    assert outcomes(report)[SHIFT] is Outcome.FAIL
    finding = next(one for one in report.verdict.findings if one.rule == SHIFT)
    assert "volcano" in finding.detail
    content = serving_notes.evidence.find(steps.LINE, TEXT_RECORD, "production")
    assert content is not None
    assert text_record_from_json(content) == report.record


def test_a_month_whose_texts_are_missing_fails(serving_notes: House) -> None:
    """A third of the rows has none."""
    land(serving_notes, noted("2013-04", missing=0.34))
    assert outcomes(seen(serving_notes))[PRESENT] is Outcome.FAIL


def test_the_same_is_compared_once(serving_notes: House) -> None:
    """Another snapshot is compared again, and so is what cannot be read."""
    land(serving_notes, noted("2013-04"))
    classifier = CountedClassifier()
    first = seen(serving_notes, classifier)
    asked = classifier.asked
    assert asked == 4  # the month, and three parts of the reference
    assert seen(serving_notes, classifier) == first
    assert classifier.asked == asked
    serving_notes.evidence.record(steps.LINE, TEXT_VERDICT, "production", b"{}")
    assert seen(serving_notes, classifier) == first
    land(serving_notes, noted("2013-04", missing=0.1))
    assert seen(serving_notes, classifier).record != first.record
    assert classifier.asked == 3 * asked


def test_a_version_of_before_a_column_was_declared_cannot_tell(serving_notes: House) -> None:
    """It carries no sample of it; a column that did not land is refused."""
    land(serving_notes, noted("2013-04"))
    serving_notes.line = serving_notes.line.model_copy(update={"text_columns": ("carrier",)})
    report = seen(serving_notes)
    assert {*outcomes(report).values()} == {Outcome.INCONCLUSIVE}
    assert "train it again" in report.verdict.findings[0].detail
    serving_notes.line = serving_notes.line.model_copy(update={"text_columns": ("gone",)})
    with pytest.raises(InputError, match="found none of \\['gone'\\]"):
        seen(serving_notes)
