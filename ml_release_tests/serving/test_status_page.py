"""Status page: problems first, live rates, nothing loaded, nothing run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_release.domain.declared_rollout import Evidence, Rollout
from ml_release.serving.status_page import REFRESH_SECONDS
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from ml_release.serving.server import Parts


def page(parts: Parts) -> str:
    return parts.endpoint.handle("GET", "/", {}, b"").body.decode()


def test_problems_stand_before_everything_else(world: World) -> None:
    """That of a line too, before the line itself; words from outside are text."""
    world.declare(world.variant(1, weight=50), world.variant(9, role="canary", weight=50))
    parts = world.parts()
    parts.endpoint.vitals.access_problems = lambda: ("line 3: <script>",)
    text = page(parts)
    assert text.count('class="problem"') == 2
    assert text.rindex('class="problem"') < text.index(f"<h2>{LINE}</h2>")
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "the champion answers" in text
    assert 'class="state bad"' in text


def test_a_release_under_way_is_told(world: World) -> None:
    """With its leg, its step counted from 1, and since when."""
    assert "<dt>under way</dt><dd>none</dd>" in page(world.parts())
    champion, canary = world.variant(1, weight=75), world.variant(2, role="canary", weight=25)
    began = datetime(2026, 11, 21, 9, tzinfo=UTC)
    rollout = Rollout(
        version=2,
        model_digest=canary.model_digest,
        evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
        leg="canary",
        step=1,
        begun=began,
        since=began,
    )
    world.declare(champion, canary, rollout=rollout)
    text = page(world.parts())
    assert "<dd>version 2, canary step 2, since <time>2026-11-21 09:00:00 UTC</time></dd>" in text


def test_a_healthy_page_refreshes_itself_and_loads_nothing(parts: Parts) -> None:
    """By a meta element; no script, no address of another file."""
    text = page(parts)
    assert f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' in text
    assert 'class="state good"' in text
    assert not [word for word in ("<script", "src=", "href=", "url(") if word in text]


def test_rates_are_of_what_was_asked(parts: Parts) -> None:
    """Requests per second and shares of errors per variant, unknown before there are any."""
    parts.endpoint.handle(
        "POST", f"/v2/models/{LINE}/infer", {}, json.dumps(v2_body([ROW])).encode()
    )
    status = json.loads(parts.endpoint.handle("GET", "/status", {}, b"").body)
    (variant,) = status["lines"][LINE]["serving"]["variants"]
    assert variant["p50_ms"] == variant["p99_ms"] > 0
    assert (variant["answered"], variant["failed"], variant["fallbacks"]) == (1, 0, 0)
    assert variant["error_share_5m"] in {0.0, None}
