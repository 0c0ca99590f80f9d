"""The inference window in Dagster: what it shows of history look-ups, and how it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.features import History
from ml_release.orchestration.monitoring_assets import inference_window_asset
from ml_release_tests.orchestration.house import run, train, wiring_of
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    import dagster as dg

    from ml_release_tests.small_line import House


def test_the_window_shows_and_judges_what_look_ups_met(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Three of four rows met their key, one in a table of 40 days."""
    house.line = steps.with_policy(
        house.line, "history", age_limit_days=35, miss_limit=0.25, minimum_rows=4
    )
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    moment = "2013-04-02T12:00:00+00:00"
    write(
        house,
        [
            a_record(house, str(row), moment, history_age_days=age, history_misses=misses)
            for row, (age, misses) in enumerate([(1, 0), (1, 0), (1, 1), (40, 0)])
        ],
    )
    result = run(house, "monitor", instance, assets=["inference_window"])
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["history look-ups"] == 4
    assert metadata["history keys not met"] == 1
    assert metadata["history keys not met, share"] == "0.25"
    assert metadata["history age median, days"] == "1"
    assert metadata["history age largest, days"] == "40"
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    history = checks["history_is_fresh"]
    assert not history.passed
    assert "observed 40 days, limit at most 35 days; n = 4" in (history.description or "")
    assert "keys not met" not in (history.description or "")


def test_a_line_that_looks_nothing_up_is_not_judged_by_it(house: House) -> None:
    """Its check could never pass."""
    plain = tuple(f for f in house.line.features if not isinstance(f, History))
    for features, expected in (
        (plain, {"served_features_equal_offline"}),
        (house.line.features, {"served_features_equal_offline", "history_is_fresh"}),
    ):
        line = house.line.model_copy(update={"features": features})
        asset = inference_window_asset(line, wiring_of(house))
        assert {spec.name for spec in asset.check_specs} == expected
        assert not any(spec.blocking for spec in asset.check_specs)
