"""A closed loop of requests on a server of this machine, as a process of its own.

    python benchmarks/http_load.py PORT REQUESTS.json CONNECTIONS SECONDS

REQUESTS.json holds ``path`` and ``bodies``. Prints one JSON object: requests per second, p50 and
p99 in milliseconds, and how many answers were not 200. The first fifth of the time is not counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ml_release.adapters.trial_server.http_load import ask_under_load, prebuilt

WARM_UP_SHARE = 0.2
_OK = 200


def load(port: int, requests: list[bytes], *, connections: int, seconds: float) -> dict[str, float]:
    """Ask for a while; the first fifth of it is not counted."""
    answers = ask_under_load(
        port, requests, connections=connections, seconds=seconds, is_endless=True
    )
    if any(answer.status == 0 for answer in answers):
        raise SystemExit("the server closed the connection")  # noqa: EM101, TRY003 (a script)
    counted = [a for a in answers if WARM_UP_SHARE * seconds <= a.answered_s <= seconds]
    latencies = sorted(answer.answered_s - answer.sent_s for answer in counted)
    if not latencies:
        raise SystemExit("no answer was counted; ask for longer")  # noqa: EM101, TRY003 (a script)
    return {
        "requests_per_s": len(latencies) / ((1 - WARM_UP_SHARE) * seconds),
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1e3,
        "failed": sum(answer.status != _OK for answer in answers),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    port, file, connections, seconds = arguments
    document = json.loads(Path(file).read_bytes())
    requests = prebuilt(document["path"], [body.encode() for body in document["bodies"]])
    found = load(int(port), requests, connections=int(connections), seconds=float(seconds))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
