"""Access: what each route needs, who gets it, and what the others are told."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ml_release.serving.access import NEEDS, Access, need_of
from ml_release.serving.replies import HttpError
from ml_release.serving.routes import ADDRESSES, find_address
from ml_release.serving.token_file import TokenFile
from ml_release.serving.tokens import SCOPES, hash_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2013, 10, 1, tzinfo=UTC)
INFER, LABELS = ("POST", "/v2/models/small_line/infer"), ("POST", "/models/small_line/labels")
METRICS, PAGE, LIVE = ("GET", "/metrics"), ("GET", "/"), ("GET", "/v2/health/live")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Access]:
    """Access with one token per scope, one for another line, and one that has ended."""
    entries = [
        *({"name": scope, "sha256": hash_of(scope), "scopes": [scope]} for scope in SCOPES),
        {"name": "far", "sha256": hash_of("far"), "scopes": ["predict"], "lines": ["far_line"]},
        {
            "name": "old",
            "sha256": hash_of("old"),
            "scopes": list(SCOPES),
            "expires": "2013-09-30T00:00:00+00:00",
        },
    ]
    path = tmp_path / "tokens.jsonl"
    path.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")

    def make(*open_pages: str) -> Access:
        return Access(TokenFile(path), now=lambda: NOW, open_pages=open_pages)

    return make


def admitted(access: Access, request: tuple[str, str], authorization: str | None) -> str | None:
    address, line, _ = find_address(*request)
    headers = {} if authorization is None else {"authorization": authorization}
    return access.admit(address, line, headers)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("request_", "authorization", "expected"),
    [
        (LIVE, None, None),
        (INFER, "Bearer predict", "predict"),
        (INFER, "bearer  predict ", "predict"),
        (INFER, None, (401, "missing")),
        (INFER, "Bearer", (401, "missing")),
        (INFER, "Bearer " + "x" * 600, (401, "missing")),
        (INFER, basic("predict"), (401, "missing")),
        (INFER, "Bearer nobody", (401, "unknown")),
        (INFER, f"Bearer {hash_of('predict')}", (401, "unknown")),
        (INFER, "Bearer old", (401, "expired")),
        (INFER, "Bearer label", (403, "scope")),
        (INFER, "Bearer operate", (403, "scope")),
        (INFER, "Bearer far", (403, "line")),
        (LABELS, "Bearer label", "label"),
        (LABELS, "Bearer predict", (403, "scope")),
        (METRICS, "Bearer label", "label"),
        (METRICS, None, (401, "missing")),
        (PAGE, basic("far"), "far"),
        (PAGE, basic("nobody"), (401, "unknown")),
        (PAGE, "Basic !", (401, "missing")),
    ],
)
def test_a_route_admits_those_whose_token_allows_it(
    make: Callable[..., Access],
    request_: tuple[str, str],
    authorization: str | None,
    expected: str | tuple[int, str] | None,
) -> None:
    """The others get 401 with a challenge or 403, and are counted by reason."""
    access = make()
    if not isinstance(expected, tuple):
        assert admitted(access, request_, authorization) == expected
        assert not access.refused
        return
    with pytest.raises(HttpError) as refused:
        admitted(access, request_, authorization)
    status, reason = expected
    assert refused.value.status == status
    assert access.refused == {reason: 1}
    challenged = [value for name, value in refused.value.headers if name == "www-authenticate"]
    assert bool(challenged) == (reason != "line")
    assert "nobody" not in str(refused.value)


def test_pages_may_be_opened_one_by_one(make: Callable[..., Access]) -> None:
    """Metrics for a scraper without a token, and still no status for everybody."""
    access = make("metrics")
    assert admitted(access, METRICS, None) is None
    with pytest.raises(HttpError):
        admitted(access, PAGE, None)
    assert admitted(make("status"), PAGE, None) is None


def test_health_alone_is_open_and_what_nobody_thought_of_needs_operate() -> None:
    """Routes that change something need a scope of their own."""
    opened = {a.action for a in ADDRESSES if need_of(a.action) == "nothing"}
    assert opened == {"live", "ready"}
    assert all(need_of(a.action) in SCOPES for a in ADDRESSES if a.method == "POST")
    assert set(NEEDS) <= {a.action for a in ADDRESSES}
    assert need_of("something_new") == "operate"  # type: ignore[arg-type]
