"""The cheap trial before a retraining: what it finds on a world that changed, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.backtest import (
    NOT_HELD_BY_DOUBT,
    BacktestRecord,
    Gain,
    Meeting,
    backtest_from_json,
    gain_of,
    judge_backtest,
    outcome_of,
)
from ml_release.domain.backtest_policy import BacktestPolicy
from ml_release.domain.governor_memory import KINDS
from ml_release.domain.training_reason import TrainingReason, reason_from_json
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError
from ml_release.workflows.backtest import run_backtest
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release_tests.full_rollout import state_of
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.governor_memory import Kind
    from ml_release_tests.small_line import House

POLICY = BacktestPolicy(test_days=10, minimum_rows=100, maximum_iterations=8)


def with_backtest(house: House, policy: BacktestPolicy = POLICY) -> None:
    house.line = steps.with_policy(house.line, "retraining", backtest=policy)


def backtest(
    house: House, partition: str = "2013-04", champion: str | None = None
) -> BacktestRecord:
    return run_backtest(
        house.line,
        champion=champion or state_of(house).champion.model_digest,
        version=1,
        partition=partition,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        clock=house.clock,
    )


def changed(house: House, change: Callable[[pd.DataFrame], pd.Series]) -> None:
    """Let the labels of April be others; the gates before the features are not in question."""
    (april,) = (s for s in house.tables.current(steps.LINE, FEATURES_TABLE) if "04" in s.partition)
    rows = house.tables.read(april, FEATURES_TABLE)
    rows = pd.concat([rows] * 4, ignore_index=True).assign(is_late=change)
    house.tables.write(steps.LINE, FEATURES_TABLE, "2013-04", rows)


def turned(rows: pd.DataFrame) -> pd.Series:
    """Near trips are late and far ones are not: the world has changed."""
    return 1.0 - rows["is_late"]


def none_late(rows: pd.DataFrame) -> pd.Series:
    """From the middle of the month on."""
    return rows["is_late"].where(rows["departure"] < np.datetime64("2013-04-15"), 0.0)


def test_newer_rows_are_worth_something_where_the_world_has_changed(serving: House) -> None:
    """The champion is wrong there, the cheap model of its rows too, that of the newer ones not."""
    with_backtest(serving)
    changed(serving, turned)
    found = backtest(serving)
    assert not found.newest.problem, found.newest.problem
    assert found.newest.champion is not None
    assert found.newest.champion < 0.5
    assert found.newest.gain.low is not None
    assert found.newest.gain.low > 0
    assert outcome_of(found.newest, POLICY) is Outcome.PASS
    assert found.rows_new > found.rows_old


def test_where_nothing_changed_nothing_is_shown(serving: House) -> None:
    """And the champion's own test days are looked at too, on rows that none of them has seen."""
    with_backtest(serving)
    found = backtest(serving)
    assert outcome_of(found.newest, POLICY) is not Outcome.PASS
    assert (found.tested.first_day, found.tested.last_day) == ("2013-03-18", "2013-03-31")
    assert found.tested.rows > 100
    assert found.tested.champion is not None
    assert (found.newest.last_day or "") > "2013-04-25"


def test_a_cheap_model_is_fitted_on_a_bounded_number_of_rows(serving: House) -> None:
    """Whatever has landed."""
    with_backtest(serving, POLICY.model_copy(update={"maximum_rows": 150}))
    found = backtest(serving)
    assert (found.rows_old, found.rows_new) == (150, 150)


@pytest.mark.parametrize(
    ("partition", "said"),
    [("2013-03", "newer than 2013-03-31"), ("2012-01", "there are no features up to 2012-01")],
)
def test_without_newer_rows_nothing_can_be_told(serving: House, partition: str, said: str) -> None:
    """A reason in words, and no error."""
    with_backtest(serving)
    found = backtest(serving, partition)
    assert said in found.newest.problem
    assert outcome_of(found.newest, POLICY) is Outcome.INCONCLUSIVE


def test_a_champion_without_record_cannot_be_compared(serving: House) -> None:
    """What it has learned is not known."""
    with_backtest(serving)
    assert "not known" in backtest(serving, champion=steps.NOWHERE).newest.problem


def test_a_test_that_takes_all_newer_rows_leaves_none_to_learn(serving: House) -> None:
    """A month cannot be learned and tested by at once."""
    with_backtest(serving, POLICY.model_copy(update={"test_days": 60}))
    assert "older than the test days" in backtest(serving).newest.problem


def test_a_champion_that_does_not_load_is_left_out(serving: House) -> None:
    """What the newer rows are worth can be told without it."""
    with_backtest(serving)
    changed(serving, turned)
    steps.tamper(serving, state_of(serving).champion.model_digest)
    found = backtest(serving)
    assert found.newest.champion is None
    assert outcome_of(found.newest, POLICY) is Outcome.PASS


def test_a_month_of_one_class_cannot_be_learned_from(serving: House) -> None:
    """Labels of zero throughout, in what is tested: no AUC, no outcome."""
    with_backtest(serving)
    changed(serving, none_late)
    found = backtest(serving)
    assert outcome_of(found.newest, POLICY) is Outcome.INCONCLUSIVE


def meeting(low: float | None, high: float | None, over: float | None = None) -> Meeting:
    middle = None if low is None or high is None else (low + high) / 2
    gain = Gain(estimate=middle, low=low, high=high)
    return Meeting(
        rows=1000,
        gain=gain,
        over_champion=Gain(estimate=over, low=over, high=None if over is None else over + 0.1),
    )


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (meeting(0.01, 0.02), Outcome.PASS),
        (meeting(-0.01, 0.02), Outcome.INCONCLUSIVE),
        (meeting(-0.02, -0.01), Outcome.FAIL),
        (meeting(-0.02, 0.0), Outcome.FAIL),
        (meeting(-0.02, -0.01, over=0.01), Outcome.FAIL),
        (meeting(-0.01, 0.02, over=0.01), Outcome.PASS),
        (meeting(-0.02, 0.01, over=0.01), Outcome.INCONCLUSIVE),
        (meeting(-0.01, 0.02, over=-0.2), Outcome.INCONCLUSIVE),
        (meeting(None, None), Outcome.INCONCLUSIVE),
        (Meeting(rows=1000, problem="none"), Outcome.INCONCLUSIVE),
        (meeting(0.01, 0.02).model_copy(update={"rows": 99}), Outcome.INCONCLUSIVE),
    ],
)
def test_a_gain_has_to_be_shown(found: Meeting, outcome: Outcome) -> None:
    """A cheap model below the champion shows nothing, one above it does."""
    assert outcome_of(found, POLICY) is outcome


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("low", "high"), [(0.01, 0.02), (-0.01, 0.02), (-0.02, -0.01), (None, None)]
)
def test_who_is_held_by_what(kind: Kind, low: float | None, high: float | None) -> None:
    """A person by nothing, what says that something is wrong by harm, all others by doubt too."""
    one = meeting(low, high)
    record = BacktestRecord(
        champion="c", partition="2013-04", score="auc_score", newest=one, tested=one
    )
    verdict = judge_backtest(record, line="line", kind=kind, policy=POLICY)
    holds = any(f.votes and f.outcome is not Outcome.PASS for f in verdict.findings)
    is_harm, is_doubt = high is not None and high <= 0, low is None or (low <= 0 < (high or 0))
    expected = kind != "human" and (is_harm or (is_doubt and kind not in NOT_HELD_BY_DOUBT))
    assert holds is expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_backtest_that_was_not_made_is_doubt(kind: Kind) -> None:
    """With the reason."""
    verdict = judge_backtest(None, line="line", kind=kind, policy=POLICY, why_not="no champion")
    (finding,) = verdict.findings
    assert finding.detail == "no champion"
    assert (finding.outcome is Outcome.PASS) is (kind == "human")
    assert finding.votes is (kind not in NOT_HELD_BY_DOUBT)


def test_records_are_read_back_and_refused_if_they_are_none() -> None:
    """A number that is none is not kept."""
    one = meeting(0.01, 0.02)
    record = BacktestRecord(
        champion="c", partition="2013-04", score="auc_score", newest=one, tested=one, seconds=1.5
    )
    assert backtest_from_json(record.to_json()) == record
    reason = TrainingReason(trigger="drift", reason="moved", backtest=record.sentence())
    assert reason_from_json(reason.to_json()) == reason
    assert set(reason.tags()) == {
        "ml_release.trigger",
        "ml_release.reason",
        "ml_release.backtest",
    }
    for read in (backtest_from_json, reason_from_json):
        with pytest.raises(IntegrityError, match="expected a recorded one"):
            read(b"{}")
    assert gain_of(float("nan"), float("inf"), 0.1) == Gain(estimate=None, low=None, high=0.1)
    assert timedelta(seconds=record.seconds) < timedelta(seconds=2)
