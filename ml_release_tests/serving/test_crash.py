"""A killed server: what was acknowledged is in the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.inference_tables import InferenceArchiveFiles
from ml_release_tests.serving.load import Load

if TYPE_CHECKING:
    from ml_release_tests.serving.world import World


@pytest.mark.parametrize(
    ("after_seconds", "durability"), [(0.3, "process"), (0.6, "process"), (0.5, "power")]
)
def test_an_acknowledged_request_survives_a_kill(
    world: World, after_seconds: float, durability: str
) -> None:
    """SIGKILL under load loses none of them, and the next server writes a segment of its own.

    No record is read twice, also after the segments were archived.
    """
    world.more = {"ML_RELEASE_LOG_DURABILITY": durability}
    with world.server() as (url, process):
        load = Load(url)
        load.start()
        time.sleep(after_seconds)
        process.kill()
        process.wait()
        load.stop()
    with world.server() as (url, _):
        again = Load(url, threads=1, limit=5)
        again.start()
        again.stop()
    frame = world.logged()
    logged = dict(zip(frame["request_id"], frame["prediction"], strict=True))
    assert len(load.acknowledged) > 20
    assert {a.request_id for a in load.acknowledged} <= set(logged)
    assert all(logged[a.request_id] == a.prediction for a in load.acknowledged)
    segments = {path.name for path in (world.settings.inference / "small_line").iterdir()}
    assert len(segments) == 2
    InferenceArchiveFiles(world.settings.inference).archive("small_line")
    archived = world.logged()
    assert not archived.duplicated(["request_id", "row"]).any()
    assert archived["request_id"].tolist() == frame["request_id"].tolist()
