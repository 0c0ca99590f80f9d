"""A version in the path: the champion by its number, and no way around what is declared."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release_tests.serving.test_endpoint import Client
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

BODY = v2_body([ROW])


def path(version: object) -> str:
    return f"/v2/models/{LINE}/versions/{version}"


@pytest.fixture
def split(world: World) -> Client:
    """Version 1 is the champion, 2 a canary of 30 percent."""
    world.declare(world.variant(1, weight=70), world.variant(2, role="canary", weight=30))
    return Client(world.parts())


def test_the_only_version_answers_by_its_number_as_without_one(world: World) -> None:
    """The same prediction, and a record like any other."""
    client = Client(world.parts())
    named = client.post(f"{path(1)}/infer", BODY, x_unit_id="a", x_request_id="named")
    routed = client.post(f"/v2/models/{LINE}/infer", BODY, x_unit_id="a", x_request_id="routed")
    assert named.status == 200
    assert named.json["outputs"] == routed.json["outputs"]
    frame = world.logged()
    assert frame["variant"].tolist() == ["champion", "champion"]
    assert frame["bucket"].nunique() == 1
    assert frame["bucket"].notna().all()


def test_beside_a_canary_the_champion_by_name_counts_for_no_arm(
    split: Client, world: World
) -> None:
    """All units are answered by it, those of the canary too, so none of them is compared."""
    for number in range(40):
        answered = split.post(f"{path(1)}/infer", BODY, x_unit_id=f"user-{number}")
        assert (answered.status, answered.headers["x-model-version"]) == (200, "1")
    frame = world.logged()
    assert frame["variant"].unique().tolist() == ["pinned"]
    assert frame["bucket"].isna().all()
    assert frame["version"].unique().tolist() == [1]


def test_nobody_chooses_the_canary(split: Client, world: World) -> None:
    """409 with the share it is declared to get, whatever the unit, and no record."""
    for number in range(10):
        answered = split.post(f"{path(2)}/infer", BODY, x_unit_id=f"user-{number}")
        assert answered.status == 409
        assert "expected the champion, 1, or no version; as canary" in answered.json["error"]
        assert "30 % of the units" in answered.json["error"]
    assert len(world.logged()) == 0


@pytest.mark.parametrize("version", [3, 0, -1, "01", "1.0", "one", "{version}", "9" * 5000])
def test_a_version_that_does_not_answer_is_unknown(split: Client, version: object) -> None:
    """404 that names those that do, before the body is read."""
    for method, end in (("POST", "/infer"), ("GET", ""), ("GET", "/ready")):
        answered = split.send(method, f"{path(version)}{end}", b"no JSON")
        assert answered.status == 404
        assert "one of [1, 2]" in answered.json["error"]


def test_the_rollback_target_is_kept_warm_and_does_not_answer(world: World) -> None:
    """It is loaded, and still nobody is answered by it."""
    world.declare(2, rollback_target=1)
    client = Client(world.parts())
    assert client.post(f"{path(1)}/infer", BODY).status == 404
    assert client.get(f"{path(1)}/ready").status == 404


def test_every_version_that_answers_is_described(split: Client) -> None:
    """Metadata and readiness of canary and champion."""
    for version in (1, 2):
        metadata: Any = split.get(path(version)).json
        assert metadata["versions"] == ["1", "2"]
        assert split.get(f"{path(version)}/ready").json == {
            "name": LINE,
            "version": str(version),
            "ready": True,
        }
