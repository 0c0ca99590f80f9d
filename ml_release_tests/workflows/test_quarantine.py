"""A bad month is set aside with its reason; the good ones go on as far as the policy lets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import InputError, IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.quarantine import (
    UNREADABLE,
    Unreadable,
    partitions_that_go_on,
    run_goes_on,
    set_aside,
    take_or_set_aside,
)
from ml_release.workflows.snapshots import DATA_VERDICT
from ml_release_tests.small_line import MONTHS, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.domain.quarantine import SetAside
    from ml_release.workflows.snapshots import SnapshotTaken
    from ml_release_tests.small_line import House

BAD = "2013-02"
GOOD = tuple(month for month in MONTHS if month != BAD)


def tolerate(house: House, *, coverage: float = 0.75, lack: bool = True) -> None:
    """Declare that a window may have months set aside."""
    house.line = steps.with_policy(
        house.line, "quarantine", minimum_coverage=coverage, history_may_lack=lack
    )


def take(house: House, month: str) -> SnapshotTaken | Unreadable:
    return take_or_set_aside(
        house.line,
        month,
        landing=house.landing,
        tables=house.tables,
        evidence=house.evidence,
        now=house.clock.now(),
    )


def why(house: House, month: str) -> SetAside | None:
    return set_aside(
        house.line, month, snapshots=steps.current(house, "snapshot"), evidence=house.evidence
    )


def going_on(house: House) -> tuple[tuple[str, ...], dict[str, str]]:
    return partitions_that_go_on(house.line, MONTHS, tables=house.tables, evidence=house.evidence)


def with_bad_month(house: House) -> None:
    """All months taken, the bad one with 20 % nulls, and features of those that go on."""
    house.land(BAD, steps.with_nulls(BAD, share=0.2))
    for month in MONTHS:
        take(house, month)
    for month in going_on(house)[0]:
        steps.features(house, month)


def test_the_window_leaves_out_a_month_that_is_set_aside_and_says_why(house: House) -> None:
    """Neither its features nor its snapshot are below the candidate."""
    tolerate(house)
    with_bad_month(house)
    record = steps.train(house)
    assert set(record.partitions) == set(record.snapshots) == set(GOOD)
    assert list(record.left_out) == [BAD]
    assert "nulls_are_within_limits [distance] fail; observed 0.2" in record.left_out[BAD]
    params = house.experiments.resume(record.run_id).params
    assert params["left_out"] == BAD
    steps.evaluate(house)
    content = house.evidence.find(steps.LINE, EVALUATION_VERDICT, record.model_digest)
    assert content is not None
    (covered,) = [f for f in verdict_from_json(content).findings if f.rule == "window_is_covered"]
    assert covered.outcome is Outcome.PASS
    assert f"left out {BAD}" in covered.detail
    assert steps.register(house).number == 1


def test_less_than_the_declared_coverage_is_refused(house: House) -> None:
    """The refusal holds share, limit and reason; nothing was trained."""
    tolerate(house)
    with_bad_month(house)
    with pytest.raises(RefusedError, match=r"observed 0\.666667 .* at least 0\.75") as refusal:
        steps.train(house, last="2013-03")
    assert "nulls_are_within_limits [distance] fail" in str(refusal.value)
    assert house.models.artefacts == {}


def test_a_policy_that_became_stricter_keeps_the_candidate_from_being_released(
    house: House,
) -> None:
    """The act judges the window again, under the policy of its own time."""
    tolerate(house)
    with_bad_month(house)
    steps.train(house)
    steps.evaluate(house)
    tolerate(house, coverage=0.9)
    with pytest.raises(RefusedError, match=r"window_is_covered .* observed 0\.75"):
        steps.register(house)


def test_nothing_is_left_out_unless_it_is_declared(house: House) -> None:
    """By default one bad month stops every window that holds it."""
    house.land(BAD, steps.with_nulls(BAD, share=0.2))
    for month in MONTHS:
        take(house, month)
    assert going_on(house) == (MONTHS, {})
    with pytest.raises(RefusedError, match="nulls_are_within_limits"):
        steps.features(house, BAD)


def test_a_month_whose_history_looks_back_into_a_bad_one_is_set_aside_too(house: House) -> None:
    """Unless the policy lets history lack it; then its features say that they were built so."""
    tolerate(house, coverage=0.5, lack=False)
    with_bad_month(house)
    partitions, left_out = going_on(house)
    assert partitions == ("2013-01", "2013-04")
    assert left_out["2013-03"] == "its history looks back into 2013-02, which is set aside"
    tolerate(house, coverage=0.5)
    assert going_on(house)[0] == GOOD
    assert set(steps.features(house, "2013-03").record.snapshots) == {"2013-03"}


def test_features_built_without_a_month_are_stale_once_it_has_healed(house: House) -> None:
    """Otherwise a candidate would differ from one built anew without anybody knowing."""
    tolerate(house)
    with_bad_month(house)
    house.land(BAD, trips(BAD))
    assert take(house, BAD).verdict.outcome is Outcome.PASS
    steps.features(house, BAD)
    with pytest.raises(RefusedError, match=r"of 2013-03 refused: .* without \['2013-02'\]"):
        steps.train(house)
    steps.features(house, "2013-03")
    assert steps.train(house).left_out == {}


def test_a_month_that_cannot_be_read_is_set_aside_too(house: House) -> None:
    """Its failing verdict is kept; the months around it can be trained on."""
    tolerate(house)
    house.land(BAD, trips(BAD).drop(columns="carrier"))
    taken = take(house, BAD)
    assert isinstance(taken, Unreadable)
    assert isinstance(taken.error, InputError)
    (finding,) = taken.verdict.objections
    assert finding.rule == "landing_is_readable"
    for month in GOOD:
        take(house, month)
    for month in GOOD:
        steps.features(house, month)
    assert steps.train(house).left_out.keys() == {BAD}


def test_an_older_snapshot_stands_when_its_month_cannot_be_read_again(house: House) -> None:
    """Nothing of the table is lost, so nothing is set aside."""
    tolerate(house)
    kept = steps.snapshot(house, BAD)
    house.land(BAD, trips(BAD).drop(columns="carrier"))
    assert isinstance(take(house, BAD), Unreadable)
    assert steps.current(house, "snapshot")[BAD] == kept.snapshot
    assert why(house, BAD) is None


def test_what_has_not_arrived_is_not_set_aside(house: House) -> None:
    """There is nothing to look at yet: the caller is told so, and nothing is recorded."""
    with pytest.raises(NotFoundError):
        take(house, "2013-12")
    assert house.evidence.find(steps.LINE, UNREADABLE, "2013-12") is None


def test_a_month_nobody_judged_under_the_present_policy_is_no_part_of_a_window(
    house: House,
) -> None:
    """It is not set aside, which would let a window do without it, but refused."""
    tolerate(house)
    with_bad_month(house)
    house.line = steps.with_policy(house.line, "data_gates", minimum_rows=99)
    assert why(house, BAD) is None
    with pytest.raises(RefusedError):
        steps.train(house)


def test_an_edited_verdict_sets_nothing_aside(house: House) -> None:
    """Neither a pass nor a failure is taken from a record that somebody changed."""
    tolerate(house)
    with_bad_month(house)
    digest = steps.current(house, "snapshot")[BAD].digest
    steps.edit(house, DATA_VERDICT, digest, lambda document: document.update(outcome="pass"))
    with pytest.raises(IntegrityError, match="the record says 'pass'"):
        going_on(house)


def test_months_nobody_judged_under_the_present_policy_cover_nothing(house: House) -> None:
    """A run does not go on on the strength of verdicts that were given under other limits."""
    tolerate(house)
    with_bad_month(house)
    outcomes = {"2013-03": Outcome.PASS, "2013-04": Outcome.PASS}

    def goes_on() -> bool:
        return run_goes_on(house.line, outcomes, tables=house.tables, evidence=house.evidence)

    assert goes_on()
    house.line = steps.with_policy(house.line, "data_gates", minimum_rows=99)
    assert not goes_on()
