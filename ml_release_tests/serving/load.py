"""Bounded concurrent load on a server process, and what each client was told."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ml_release_tests.serving.world import LINE, ROW, v2_body


@dataclass(frozen=True)
class Acknowledged:
    """One answer as a client saw it, and when, in seconds of `time.monotonic`."""

    request_id: str
    version: int
    commit: str
    prediction: float
    sent_at: float
    received_at: float


@dataclass
class Load:
    """Threads that ask until stopped, at most ``limit`` requests each, ids behind ``prefix``."""

    url: str
    threads: int = 4
    limit: int = 20_000
    prefix: str = ""
    path: str = f"/v2/models/{LINE}/infer"
    row: dict[str, Any] = field(default_factory=lambda: dict(ROW))
    acknowledged: list[Acknowledged] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._running = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._running:
            thread.join(10)

    def _ask(self, thread: int) -> None:
        connection = http.client.HTTPConnection(str(urlsplit(self.url).netloc), timeout=10)
        for number in range(self.limit):
            if self._stopping.is_set():
                break
            request_id = f"{self.prefix}{thread}-{number}"
            row = {**self.row, "distance": 100.0 + number % 2000}
            headers = {"content-type": "application/json", "x-request-id": request_id}
            sent_at = time.monotonic()
            try:
                connection.request("POST", self.path, json.dumps(v2_body([row])), headers)
                response = connection.getresponse()
                document = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed.append(f"{request_id}: {error!r}")
                break
            if response.status == 200:
                self.acknowledged.append(
                    Acknowledged(
                        request_id=request_id,
                        version=int(response.headers["x-model-version"]),
                        commit=response.headers["x-route-commit"],
                        prediction=document["outputs"][0]["data"][0],
                        sent_at=sent_at,
                        received_at=time.monotonic(),
                    )
                )
            else:
                self.failed.append(f"{request_id}: {response.status} {document}")
        connection.close()
