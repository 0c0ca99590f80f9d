"""Who answers for a house: the endpoint server's own parts in this process, or a server process."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from ml_release.adapters.http_endpoint import HttpEndpoint
from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.errors import UnavailableError
from ml_release.serving.server import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from year_house import YearHouse

    from ml_release.serving.server import Parts

_PATIENCE_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class InProcess:
    """`EndpointClient` of the server's own parts, without a network between."""

    house: YearHouse
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        self.parts = build(self.house.settings)

    def refresh(self) -> None:
        """Serve what is declared now, with the newest history."""
        self.parts.reconciler.reconcile()

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        """Ask for a prediction in MLflow's scoring protocol."""
        headers = {"x-request-id": request_id, "x-event-time": event_time}
        if unit is not None:
            headers["x-unit-id"] = unit
        reply = self.parts.endpoint.handle("POST", f"/models/{line}/invocations", headers, body)
        return reply.status, "" if reply.status == httpx.codes.OK else reply.body.decode()

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        """Tell late labels by request id."""
        body = json.dumps({"labels": list(labels)}).encode()
        reply = self.parts.endpoint.handle("POST", f"/models/{line}/labels", {}, body)
        return reply.status, reply.body.decode()

    def is_ready(self, line: str) -> bool:
        """Whether a version answers."""
        return self.parts.endpoint.handle("GET", f"/v2/models/{line}/ready", {}, b"").status == 200  # noqa: PLR2004

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        """Nobody pulls it here."""
        raise NotImplementedError(line, pull)

    def close(self) -> None:
        """End the processes of variants, and the log."""
        self.parts.reconciler.close()
        self.parts.log.close()


class OverHttp(HttpEndpoint):
    """`EndpointClient` of a server process of this house."""

    def __init__(self, house: YearHouse, url: str) -> None:
        super().__init__(url, timeout_seconds=30.0)
        self._house, self._url = house, url

    def refresh(self) -> None:
        """Wait until the server answers what is declared now."""
        line = self._house.line.name
        declared = self._house.wiring.deployments.sealed(line, self._house.wiring.environment)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = httpx.get(f"{self._url}/status", trust_env=False, timeout=10).json()
            serving = found["lines"].get(line, {}).get("serving")
            if serving is not None and declared is not None:
                parts = [*serving["variants"], *serving["shadows"]]
                if serving["commit"] == declared.commit and all(p["loaded"] for p in parts):
                    return
            time.sleep(0.1)
        message = f"{self._url}: expected what is declared to be served, found {found}"
        raise UnavailableError(message)


Answering = InProcess | OverHttp


@contextmanager
def answering(house: YearHouse, *, through_endpoint: bool) -> Iterator[Answering]:
    """Who answers for a house, in this process or in one of its own."""
    endpoint: Answering
    if not through_endpoint:
        endpoint = InProcess(house=house)
        try:
            yield endpoint
        finally:
            endpoint.close()
        return
    service = endpoint_service(free_port())
    with running([service], settings=house.settings):
        endpoint = OverHttp(house, service.url)
        try:
            yield endpoint
        finally:
            endpoint.close()
