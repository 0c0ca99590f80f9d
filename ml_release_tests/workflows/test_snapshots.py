"""Snapshots: judged when taken, kept with their verdict, and refused by every act when bad."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.in_memory import InMemoryClock
from ml_release.domain import gates_table
from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import InputError, IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.snapshots import DATA_VERDICT, require_fit_snapshot, take_snapshot
from ml_release_tests.small_line import MONTHS, SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release_tests.small_line import House

FAIL = Outcome.FAIL
MONTH = "2013-02"
FIRST = "departure_utc 2013-02-01 05:36:00+00:00, trip 0"
NULLS = (
    "nulls_are_within_limits [{}] fail; observed {}, limit at most {}; n = 600;"
    f" for example {FIRST}"
)
BAD_DISTANCE = NULLS.format("distance", "0.2", "0.1")
TABLE_RULES = set(gates_table.DESCRIPTIONS)


def test_a_good_month_is_kept_with_a_passing_verdict_on_its_very_rows(house: House) -> None:
    """The verdict names rows and policy by digest, and is the recorded one."""
    taken = steps.snapshot(house, MONTH)
    assert taken.verdict.outcome is Outcome.PASS
    assert taken.verdict.subject_digest == taken.snapshot.digest
    policy = SMALL_LINE.policies.data_gates.model_dump(mode="json")
    assert taken.verdict.evidence == {
        "partition": MONTH,
        "policy_digest": digest_of_json(policy),
        "reference_partitions": "none",
        "reference_digest": digest_of_json({}),
    }
    content = house.evidence.find(steps.LINE, DATA_VERDICT, taken.snapshot.digest)
    assert content is not None
    assert verdict_from_json(content) == taken.verdict
    kept = house.tables.read(taken.snapshot, "snapshot")
    assert len(kept) == taken.snapshot.rows == 600
    assert "distance" in kept.columns


def test_the_same_rows_again_keep_nothing_new(house: House) -> None:
    """Neither another table version nor another verdict."""
    first = steps.snapshot(house, MONTH)
    again = steps.snapshot(house, MONTH)
    assert again.snapshot == first.snapshot
    assert again.verdict.digest == first.verdict.digest


@pytest.mark.parametrize("step", ["features", "train"])
def test_a_month_with_20_percent_nulls_is_refused_by_every_act(house: House, step: str) -> None:
    """The failing verdict is kept, and each refusal names the finding beside its limit."""
    steps.prepare(house, *MONTHS)
    house.land(MONTH, steps.with_nulls(MONTH, share=0.2))
    taken = steps.snapshot(house, MONTH)
    assert [finding.sentence() for finding in taken.verdict.objections] == [BAD_DISTANCE]
    assert steps.current(house, "snapshot")[MONTH] == taken.snapshot
    with pytest.raises(RefusedError) as refusal:
        steps.features(house, MONTH) if step == "features" else steps.train(house)
    assert MONTH in str(refusal.value)
    if step == "features":
        assert BAD_DISTANCE in str(refusal.value)
    assert house.models.artefacts == {}


def test_training_names_the_finding_of_a_month_whose_verdict_turned_bad(prepared: House) -> None:
    """The features are those of the present rows, which a stricter look has found unfit since."""
    prepared.line = steps.with_policy(prepared.line, "data_gates", missing_share_limits={})
    steps.snapshot(prepared, MONTH)
    with pytest.raises(RefusedError, match=r"training a candidate of small_line snapshot 2013-01"):
        steps.train(prepared)
    for month in MONTHS:
        steps.snapshot(prepared, month)
    with pytest.raises(RefusedError, match=r"nulls_are_within_limits \[is_late\] fail; observed 0"):
        steps.train(prepared)


def test_features_of_the_month_after_a_bad_one_are_refused_too(house: House) -> None:
    """Its history looks back into the bad month."""
    house.land(MONTH, steps.with_nulls(MONTH, share=0.2))
    for month in MONTHS:
        steps.snapshot(house, month)
    with pytest.raises(RefusedError, match=r"building features of 2013-03 of .* 2013-02"):
        steps.features(house, "2013-03")
    assert steps.features(house, "2013-01").features.partition == "2013-01"
    assert steps.features(house, "2013-04").features.partition == "2013-04"


def test_good_rows_landed_again_heal_the_month_and_touch_no_other(house: House) -> None:
    """The other months keep rows, digests and verdicts through failure and healing."""
    house.land(MONTH, steps.with_nulls(MONTH, share=0.2))
    for month in MONTHS:
        steps.snapshot(house, month)
    others = {m: s.digest for m, s in steps.current(house, "snapshot").items() if m != MONTH}
    house.land(MONTH, trips(MONTH))
    assert steps.snapshot(house, MONTH).verdict.outcome is Outcome.PASS
    found = {m: s.digest for m, s in steps.current(house, "snapshot").items() if m != MONTH}
    assert found == others
    for month in MONTHS:
        steps.features(house, month)
    assert steps.train(house).snapshots.keys() == set(MONTHS)


def _assembled_otherwise(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Any:
    def assemble(tables: Any) -> pd.DataFrame:
        return change(SMALL_LINE.assemble_rows(tables))

    return assemble


def _with(column: str, value: Any, *, rows: int = 5) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[:rows], column] = value
        return frame

    return change


SCHEMA = "schema_is_valid [{}] fail; observed {}, limit at most 0 rows; n = 600; {}; for example {}"


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        pytest.param(
            _with("carrier", "ZZ"),
            [
                SCHEMA.format(
                    "carrier", "5 rows", "isin(['AA', 'BB', 'CC', 'DD'])", f"'ZZ' at {FIRST}"
                )
            ],
            id="a word that is not allowed",
        ),
        pytest.param(
            _with("distance", 3001.5, rows=1),
            [SCHEMA.format("distance", "1 rows", "in_range(0, 3000)", f"3001.5 at {FIRST}")],
            id="a number out of range",
        ),
        pytest.param(
            _with("departure", pd.NaT, rows=3),
            [
                SCHEMA.format("departure", "3 rows", "not_nullable", f"NaT at {FIRST}"),
                NULLS.format("departure", "0.005", "0"),
            ],
            id="a missing time",
        ),
        pytest.param(
            lambda frame: frame.astype({"trip": float}),
            [SCHEMA.format("trip", "unknown", "dtype('int64')", "'float64'")],
            id="another type",
        ),
        pytest.param(
            lambda frame: frame.drop(columns=["carrier", "is_late"]),
            [
                SCHEMA.format("carrier", "unknown", "column_in_dataframe", "'carrier'"),
                SCHEMA.format("is_late", "unknown", "column_in_dataframe", "'is_late'"),
            ],
            id="missing columns",
        ),
        pytest.param(
            lambda frame: frame.assign(extra=1),
            [SCHEMA.format("extra", "unknown", "column_in_schema", "'extra'")],
            id="a column nobody declared",
        ),
        pytest.param(
            lambda frame: pd.concat([frame.iloc[:-2], frame.iloc[:2]]),
            [
                "keys_are_unique [2013-02] fail; observed 2 rows, limit at most 0 rows;"
                " n = 600; for example departure_utc 2013-02-01 05:36:00+00:00, trip 0"
            ],
            id="duplicates",
        ),
        pytest.param(
            lambda frame: frame.iloc[:99],
            ["volume_is_expected [2013-02] fail; observed 99 rows, limit at least 100 rows"],
            id="too few rows",
        ),
    ],
)
def test_each_breach_is_a_finding_of_its_column_with_an_example(
    house: House, change: Callable[[pd.DataFrame], pd.DataFrame], sentences: list[str]
) -> None:
    """The reader sees which column, how many rows, and one of them; other rules may object too."""
    house.line = SMALL_LINE.model_copy(update={"assemble": _assembled_otherwise(change)})
    objections = steps.snapshot(house, MONTH).verdict.objections
    table = [f.sentence() for f in objections if f.rule in TABLE_RULES and f.outcome is FAIL]
    assert table == sentences


def test_the_volume_is_compared_with_that_of_the_other_months(house: House) -> None:
    """Half of the usual rows and less are a finding once two other months are known."""
    house.land("2013-03", trips("2013-03", rows=250))
    assert steps.snapshot(house, "2013-03").verdict.outcome is Outcome.PASS
    steps.snapshot(house, "2013-01")
    steps.snapshot(house, "2013-02")
    objections = steps.snapshot(house, "2013-03").verdict.objections
    assert [finding.subject for finding in objections] == ["2013-03 against the median of 2 others"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rows: rows.drop(columns="is_late"), id="a column is missing"),
        pytest.param(lambda rows: rows.assign(route="far away"), id="a key of another type"),
        pytest.param(lambda rows: rows.iloc[:0], id="no rows"),
        pytest.param(
            lambda rows: rows.assign(trip=["one", *range(1, 600)]), id="a column of two types"
        ),
    ],
)
def test_rows_that_cannot_be_assembled_keep_nothing(
    house: House, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """The error names the partition; the month that stood before still stands."""
    before = steps.snapshot(house, MONTH)
    house.land(MONTH, change(trips(MONTH)))
    with pytest.raises(InputError, match=MONTH):
        steps.snapshot(house, MONTH)
    assert steps.current(house, "snapshot") == {MONTH: before.snapshot}


def _asks_a_text_for_its_year(tables: Any) -> Any:
    return tables["rows"].assign(year=tables["rows"]["carrier"].dt.year)


def _asks_for_a_row_too_many(tables: Any) -> Any:
    return tables["rows"].iloc[[10**6]]


@pytest.mark.parametrize("assemble", [_asks_a_text_for_its_year, _asks_for_a_row_too_many])
def test_whatever_pandas_makes_of_wrong_rows_is_an_input_error(
    house: House, assemble: Callable[[Any], Any]
) -> None:
    """A text where a time is expected is an AttributeError in pandas: still the data's fault."""
    house.line = SMALL_LINE.model_copy(update={"assemble": assemble})
    with pytest.raises(InputError, match=r"partition 2013-02: the landed tables cannot be"):
        steps.snapshot(house, MONTH)
    assert house.tables.current(steps.LINE, "snapshot") == ()


def test_a_month_that_has_not_arrived_is_not_found(house: House) -> None:
    """Nothing is kept of it."""
    with pytest.raises(NotFoundError, match="2013-07"):
        steps.snapshot(house, "2013-07")
    assert house.tables.current(steps.LINE, "snapshot") == ()


def _require(house: House, digest: str) -> None:
    require_fit_snapshot(
        house.line, partition=MONTH, digest=digest, evidence=house.evidence, act="the act"
    )


def test_a_snapshot_without_verdict_is_refused(house: House) -> None:
    """Nobody has judged it: that is no reason to trust it."""
    digest = steps.snapshot(house, MONTH).snapshot.digest
    steps.forget(house, DATA_VERDICT, digest)
    with pytest.raises(RefusedError, match=r"the act of small_line snapshot 2013-02 .*found none"):
        _require(house, digest)


def test_an_edited_verdict_is_noticed(house: House) -> None:
    """A failing verdict that was overwritten to pass does not agree with its own findings."""
    house.land(MONTH, steps.with_nulls(MONTH, share=0.2))
    digest = steps.snapshot(house, MONTH).snapshot.digest
    steps.edit(house, DATA_VERDICT, digest, lambda verdict: verdict.update(outcome="pass"))
    with pytest.raises(IntegrityError, match="its findings give fail, the record says 'pass'"):
        _require(house, digest)


def test_the_passing_verdict_on_other_rows_of_the_month_does_not_count(house: House) -> None:
    """A good verdict copied over the bad one is about another digest."""
    good = steps.snapshot(house, MONTH).snapshot.digest
    house.land(MONTH, steps.with_nulls(MONTH, share=0.2))
    bad = steps.snapshot(house, MONTH).snapshot.digest
    copied = house.evidence.find(steps.LINE, DATA_VERDICT, good)
    assert copied is not None
    house.evidence.record(steps.LINE, DATA_VERDICT, bad, copied)
    with pytest.raises(IntegrityError, match=f"verdict on small_line snapshot 2013-02.*{good}"):
        _require(house, bad)


def test_a_verdict_on_another_partition_does_not_count(house: House) -> None:
    """The same digest asked for as another month is other evidence."""
    digest = steps.snapshot(house, "2013-01").snapshot.digest
    with pytest.raises(RefusedError, match="partition: the verdict judged 2013-01, found 2013-02"):
        _require(house, digest)


def test_under_a_changed_policy_a_snapshot_has_to_be_judged_again(house: House) -> None:
    """The old verdict says nothing of the new limits; judging again by them heals."""
    digest = steps.snapshot(house, MONTH).snapshot.digest
    house.line = steps.with_policy(house.line, "data_gates", minimum_rows=101)
    with pytest.raises(RefusedError, match="policy_digest: the verdict judged sha256:"):
        _require(house, digest)
    assert steps.snapshot(house, MONTH).snapshot.digest == digest
    _require(house, digest)


def test_a_month_is_compared_with_the_months_that_passed_and_says_which(house: House) -> None:
    """A month that fails is no reference; healed, it is one."""
    steps.snapshot(house, "2013-01")
    house.land("2013-03", steps.with_nulls("2013-03", share=0.2))
    steps.snapshot(house, "2013-03")
    taken = steps.snapshot(house, MONTH)
    assert taken.verdict.evidence["reference_partitions"] == "2013-01"
    house.land("2013-03", trips("2013-03"))
    steps.snapshot(house, "2013-03")
    again = steps.snapshot(house, MONTH)
    assert again.verdict.evidence["reference_partitions"] == "2013-01, 2013-03"


def test_a_month_whose_verdict_was_edited_is_no_reference(house: House) -> None:
    """Nor does it keep the other months from being judged."""
    digest = steps.snapshot(house, "2013-01").snapshot.digest
    steps.edit(house, DATA_VERDICT, digest, lambda verdict: verdict.update(outcome="fail"))
    taken = steps.snapshot(house, MONTH)
    assert taken.verdict.evidence["reference_partitions"] == "none"
    assert taken.verdict.outcome is Outcome.PASS


def test_a_month_that_is_not_over_waits_for_its_labels(house: House) -> None:
    """Labels that are there before they can be known are a fault; days to come are no gap."""
    house.clock = InMemoryClock(datetime(2013, 2, 15, 12, 0, tzinfo=UTC))
    rows = trips(MONTH)
    house.land(MONTH, rows[rows["departure"] < "2013-02-15"])
    found = {f.subject: f.outcome for f in steps.snapshot(house, MONTH).verdict.objections}
    assert found == {
        f"{MONTH}: label known before it is due": FAIL,
        f"{MONTH}: label not due yet": Outcome.INCONCLUSIVE,
    }


def test_rows_older_than_the_retention_limit_fail(house: House) -> None:
    """Where a limit is declared; at the limit they are still young enough."""
    gates = house.line.policies.data_gates
    for days, expected in ((5100, Outcome.PASS), (5000, FAIL)):
        calendar = gates.calendar.model_copy(update={"retention_days": days})
        house.line = steps.with_policy(house.line, "data_gates", calendar=calendar)
        verdict = steps.snapshot(house, MONTH).verdict
        assert [f.outcome for f in verdict.findings if "retention" in f.rule] == [expected]


def test_personal_data_is_masked_in_findings_and_first_rows(house: House) -> None:
    """Also where another rule objects to the same value."""
    house.line = SMALL_LINE.model_copy(
        update={"assemble": _assembled_otherwise(_with("carrier", "ada@example.org"))}
    )
    taken = steps.snapshot(house, MONTH)
    shown = taken.verdict.to_json().decode() + taken.sample.to_string()
    assert "no_personal_data" in shown
    assert "a**@*******.***" in shown
    assert "ada@" not in shown


def test_a_month_whose_sealed_record_was_edited_does_not_stop_the_others(
    house: House, tmp_path: Path
) -> None:
    """It makes no reference; the next month is taken and judged without it."""
    sealed = EvidenceFiles(tmp_path / "evidence")
    taken = [
        take_snapshot(
            house.line,
            month,
            landing=house.landing,
            tables=house.tables,
            evidence=sealed,
            now=house.clock.now(),
        )
        for month in ("2013-01", "2013-02")
    ]
    assert len(taken[1].references) == 1
    for path in (tmp_path / "evidence" / steps.LINE / "data_verdict").glob("*.json"):
        path.write_bytes(path.read_bytes() + b" ")
    third = take_snapshot(
        house.line,
        "2013-03",
        landing=house.landing,
        tables=house.tables,
        evidence=sealed,
        now=house.clock.now(),
    )
    assert third.references == ()
