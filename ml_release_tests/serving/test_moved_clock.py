"""A server in another time: what it logs is of that time, and nobody else is let in meanwhile."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from ml_release.adapters.moved_clock import MovedClock
from ml_release.errors import InputError
from ml_release.serving.server import serve
from ml_release.serving.token_file import add_token
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from pathlib import Path

APRIL = datetime(2013, 4, 2, 4, tzinfo=UTC)


def test_a_server_lives_in_the_time_of_the_file(world: World, tmp_path: Path) -> None:
    """Records are received then, an event still to come is refused, and a move is met at once."""
    path = tmp_path / "clock.json"
    clock = MovedClock(path, real=lambda: datetime.now(tz=UTC))
    clock.move(APRIL)
    with world.server(ML_RELEASE_CLOCK=str(path)) as (url, _):

        def ask(event: str, name: str) -> int:
            headers = {"x-event-time": event, "x-request-id": name}
            address = f"{url}/v2/models/{LINE}/infer"
            with httpx.Client(trust_env=False) as client:
                return client.post(address, json=v2_body([ROW]), headers=headers).status_code

        assert ask("2013-04-02T03:30:00+00:00", "first") == 200
        assert ask("2013-05-01T00:00:00+00:00", "second") == 400
        clock.move(datetime(2013, 5, 1, tzinfo=UTC))
        assert ask("2013-05-01T00:00:00+00:00", "second") == 200
    logged = world.logged()
    received = dict(zip(logged["request_id"], logged["received_time"], strict=True))
    assert {name: moment.isoformat() for name, moment in received.items()} == {
        "first": "2013-04-02T04:00:00+00:00",
        "second": "2013-05-01T00:00:00+00:00",
    }


def test_in_another_time_only_this_machine_is_answered(world: World, tmp_path: Path) -> None:
    """Tokens don't open it: records of real clients would be of a time that is not."""
    tokens = tmp_path / "tokens.jsonl"
    add_token(tokens, name="shop", scopes=["predict"])
    settings = dataclasses.replace(
        world.settings,
        clock=tmp_path / "clock.json",
        endpoint=dataclasses.replace(world.settings.endpoint, tokens=tokens),
    )
    with pytest.raises(InputError, match=r"expected a loopback address .* moves the clock"):
        serve(settings, host="0.0.0.0", port=0, is_behind_proxy=True)  # noqa: S104 (refused)
