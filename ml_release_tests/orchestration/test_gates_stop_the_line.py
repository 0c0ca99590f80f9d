"""A red blocking gate stops the line: in its own run, and in later runs that skip the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release_tests.orchestration.house import failure, materialized, run, train
from ml_release_tests.small_line import MONTHS, trips

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from ml_release_tests.small_line import House

DOWNSTREAM = ("candidate", "evaluation", "model_card", "registered_version")


def with_nulls(month: str, *, share: float) -> pd.DataFrame:
    """Trips whose route, and so whose distance, is not known for a share of the rows."""
    rows = trips(month)
    rows.loc[rows.index[: int(share * len(rows))], "route"] = -1
    return rows


def with_shuffled_labels(month: str) -> pd.DataFrame:
    """Trips whose labels say nothing of them."""
    rows = trips(month)
    rows["is_late"] = np.random.default_rng(1).permutation(rows["is_late"].to_numpy())
    return rows


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Failed checks with what they say."""
    return {
        check.check_name: check.description or ""
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def test_a_good_line_runs_from_snapshot_to_registered_version(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Without a red gate every asset of the job is made and one version is registered."""
    result = train(house, instance)
    assert result.success
    assert materialized(result) == {"snapshot", "features", "backtest", *DOWNSTREAM}
    assert [version.number for version in house.registry.versions("small_line")] == [1]
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_a_snapshot_with_20_percent_nulls_stops_its_own_run(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The failed blocking check names column, observed share and limit; nothing comes after it."""
    house.land("2013-02", with_nulls("2013-02", share=0.2))
    result = train(house, instance)
    assert not result.success
    assert materialized(result) == {"snapshot"}
    (message,) = failed_checks(result).values()
    assert "nulls_are_within_limits [distance] fail; observed 0.2, limit at most 0.1" in message
    assert house.registry.versions("small_line") == ()


def test_a_failed_snapshot_stops_a_later_run_of_downstream_assets_only(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Dagster would run the downstream assets; the acts read the recorded verdict and refuse."""
    assert train(house, instance).success
    house.land("2013-02", with_nulls("2013-02", share=0.2))
    assert not train(house, instance).success
    result = run(house, "train", instance, assets=DOWNSTREAM)
    assert not result.success
    assert materialized(result) == set()
    assert "2013-02" in failure(result)
    assert "refused" in failure(result)
    assert len(house.registry.versions("small_line")) == 1


def test_features_of_a_failed_snapshot_are_refused_in_a_run_of_their_own(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Materializing features alone does not get past the data gate either."""
    house.land("2013-01", with_nulls("2013-01", share=0.2))
    month = {"dagster/partition": "2013-01"}
    assert not run(house, "train", instance, tags=month, assets=["snapshot"]).success
    result = run(house, "train", instance, tags=month, assets=["features"])
    assert not result.success
    assert "observed 0.2, limit at most 0.1" in failure(result)


def test_a_candidate_trained_on_shuffled_labels_is_not_registered(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The evaluation gate names the score and the floor, and the registry stays empty."""
    for month in MONTHS:
        house.land(month, with_shuffled_labels(month))
    result = train(house, instance)
    assert not result.success
    assert "registered_version" not in materialized(result)
    message = failed_checks(result)["score_is_above_floor"]
    assert "limit at least 0.6 auc_score" in message
    assert house.registry.versions("small_line") == ()


def test_a_failed_candidate_is_not_registered_by_a_later_run_either(
    house: House, instance: dg.DagsterInstance
) -> None:
    """A run that selects only the registered version meets the recorded verdict."""
    for month in MONTHS:
        house.land(month, with_shuffled_labels(month))
    train(house, instance)
    result = run(house, "train", instance, assets=["registered_version"])
    assert not result.success
    assert "registration" in failure(result)
    assert "score_is_above_floor" in failure(result)
    assert house.registry.versions("small_line") == ()


def test_an_unregistered_candidate_cannot_be_promoted(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The production endpoint has nothing to declare."""
    result = run(house, "promote", instance)
    assert not result.success
    assert "expected a registered version" in failure(result)
    assert house.deployments.read("small_line", "production") is None
