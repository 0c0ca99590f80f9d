"""The labels asset: what its page shows, and that no doubt of it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
import pytest

from ml_release.orchestration.label_assets import COLUMNS, labels_asset
from ml_release.spec.label_source import LabelSource
from ml_release.workflows.label_settling import COLUMNS as TABLE_COLUMNS
from ml_release_tests.orchestration.house import run, train, wiring_of
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.workflows.test_labels import ask, ask_trips, tell
from ml_release_tests.workflows.traffic import serve_month

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def page(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Metadata of an asset that a run materialized."""
    (event,) = (
        event
        for event in result.all_events
        if event.is_step_materialization
        and event.asset_key is not None
        and event.asset_key.path[-1] == asset
    )
    return {
        key: value.records if isinstance(value, dg.TableMetadataValue) else value.value
        for key, value in event.materialization.metadata.items()
    }


def test_the_page_shows_sources_digest_and_curve(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Labels of the route and of the snapshots; every check of the judge passes."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    rows = ask_trips(house, "2013-03")
    known = rows[rows["is_late"].notna()]
    tell(house, **{str(known["request_id"].iloc[0]): int(known["is_late"].iloc[0])})
    result = run(house, "monitor", instance)
    assert result.success
    found = page(result, "labels")
    assert found["dagster/row_count"] == len(known)
    assert found["digest"].startswith("sha256:")
    assert found["partitions"] == {"2013-03": len(known)}
    assert found["table version"] == 1
    assert [record.data["in the table"] for record in found["sources"]] == [
        "1", "0", str(len(known) - 1)
    ]  # fmt: skip
    assert "maturity.png" in found
    assert found["held back"] == {}
    checks = {
        check.check_name: check.passed
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[-1] == "labels"
    }
    assert checks == {
        "labels_arrive_on_time": True,
        "labels_agree": True,
        "labels_are_usable": True,
        # None has landed.
        "label_files_can_be_read": False,
    }
    report = page(result, "performance_report")
    assert report["labelled rows"] == len(known)
    assert (report["immature rows"], report["unlabelled rows"]) == (0, len(rows) - len(known))


def test_a_month_that_is_held_back_is_named(house: House, instance: dg.DagsterInstance) -> None:
    """The run goes on, and the checks don't pass."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    ask_trips(house, "2013-03")
    house.line = house.line.model_copy(
        update={
            "policies": house.line.policies.model_copy(
                update={
                    "data_gates": house.line.policies.data_gates.model_copy(
                        update={"minimum_rows": 101}
                    )
                }
            )
        }
    )
    result = run(house, "monitor", instance)
    assert result.success
    assert list(page(result, "labels")["held back"]) == ["2013-03"]
    assert not any(
        check.passed
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[-1] == "labels"
    )


def test_a_bad_label_file_is_red_and_stops_nothing_else(
    house: House, instance: dg.DagsterInstance
) -> None:
    """What else is wrong is decided on all the same, and the file is mended first."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    ask(house, "a")
    tell(house, a=1)
    house.landing.deliver("labels/2013-04.csv", pd.DataFrame({"label": ["1"]}))
    result = run(house, "monitor", instance)
    assert result.success
    found = page(result, "labels")
    assert found["dagster/row_count"] == 1
    assert list(found["files that cannot be read"]) == ["labels/2013-04.csv"]
    assert not any(
        check.passed
        for check in result.get_asset_check_evaluations()
        if check.check_name == "label_files_can_be_read"
    )
    assert page(result, "performance_report")["labelled rows"] == 1
    decided = page(result, "decision")
    assert decided["action"] == "fix_data"
    assert "labels/2013-04.csv: expected the columns" in decided["reason"]


@pytest.mark.parametrize(
    ("labels", "upstream"),
    [
        pytest.param(None, {"inference_window"}, id="the route alone"),
        pytest.param(
            LabelSource(files="{partition}.csv"), {"inference_window", "landing"}, id="files"
        ),
        pytest.param(
            LabelSource(from_snapshots=True), {"inference_window", "snapshot"}, id="snapshots"
        ),
    ],
)
def test_the_graph_shows_the_declared_sources(
    house: House, labels: LabelSource | None, upstream: set[str]
) -> None:
    """And no other."""
    line = SMALL_LINE.model_copy(update={"labels": labels})
    asset = labels_asset(line, wiring_of(house))
    (parents,) = asset.asset_deps.values()
    assert {key.path[-1] for key in parents} == upstream


def test_the_shown_columns_are_those_of_the_table() -> None:
    """In their order, with their types; words are shown as such."""
    shown = {column.name: column.type.replace("string", "object") for column in COLUMNS.columns}
    assert shown == TABLE_COLUMNS


def test_a_champion_with_immature_answers_shows_them(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Their labels have come in early, and still they are not scored."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    served = serve_month(house, "2013-03")
    tell(house, **dict.fromkeys(served["request_id"], 1))
    house.line = house.line.model_copy(update={"label_delay": pd.Timedelta(days=36500)})
    report = page(run(house, "monitor", instance), "performance_report")
    assert (report["labelled rows"], report["immature rows"]) == (0, len(served))
