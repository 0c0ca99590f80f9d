"""The asset graph as text, for its snapshot; run this module to write the snapshot anew."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_release_tests.orchestration.house import definitions_of
from ml_release_tests.small_line import House

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.definitions.repository_definition import RepositoryDefinition

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def describe(definitions: dg.Definitions) -> str:
    """Everything a reviewer of the graph wants to see change."""
    repository = definitions.get_repository_def()
    document = {
        "assets": _assets(repository),
        "jobs": {
            job.name: sorted(node.name for node in job.nodes)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "sensors": {
            sensor.name: {
                "job": sensor.job_name,
                "status": sensor.default_status.value,
                "seconds": sensor.minimum_interval_seconds,
            }
            for sensor in repository.sensor_defs
        },
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _assets(repository: RepositoryDefinition) -> dict[str, Any]:
    graph = repository.asset_graph
    found = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        checks = (graph.get_check_spec(check) for check in graph.get_check_keys_for_assets({key}))
        found[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitioned": node.is_partitioned,
            "executable": node.is_executable,
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "checks": {check.name: check.blocking for check in checks},
            "described": bool(node.description),
        }
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.write_text(describe(definitions_of(House(Path(folder)))), encoding="utf-8")
