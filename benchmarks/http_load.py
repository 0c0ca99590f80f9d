"""A load generator that costs less than what it measures: sockets, epoll, requests made before.

Each connection is kept alive and asks its next request when it has the answer to the last one (a
closed loop). One request costs this client about 10 microseconds, and nothing of an answer is
parsed but its status and its length.

    python benchmarks/http_load.py PORT REQUESTS.json CONNECTIONS SECONDS

REQUESTS.json holds ``path`` and ``bodies``. Prints one JSON object: requests per second, p50 and
p99 in milliseconds, and how many answers were not 200.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path

WARM_UP_SHARE = 0.2
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


def whole_length(answer: bytes) -> int | None:
    """Bytes of an answer whose head is there, None as long as it is not."""
    end = answer.find(_END)
    if end < 0:
        return None
    head = answer[:end].lower()
    position = head.find(_LENGTH)
    if position < 0:
        raise SystemExit(f"expected an answer with a content-length, found {head!r}")  # noqa: EM102, TRY003 (a script)
    stated = head[position + len(_LENGTH) :].split(b"\r\n", 1)[0]
    return end + len(_END) + int(stated)


def prebuilt(path: str, bodies: list[str]) -> list[bytes]:
    """Whole requests."""
    encoded = [body.encode() for body in bodies]
    return [
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
        for body in encoded
    ]


def load(port: int, requests: list[bytes], *, connections: int, seconds: float) -> dict[str, float]:
    """Ask for a while; the first fifth of it is not counted."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent_at: dict[int, float] = {}
    partial: dict[int, bytes] = {}
    n = len(requests)
    asked = 0
    begun = time.perf_counter()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = connection.fileno()
        sockets[number] = connection
        poll.register(number, select.EPOLLIN)
        partial[number] = b""
        sent_at[number] = time.perf_counter()
        connection.sendall(requests[asked % n])
        asked += 1
    counted_from, end = begun + WARM_UP_SHARE * seconds, begun + seconds
    latencies: list[float] = []
    failed = 0
    now = begun
    while now < end:
        for number, _ in poll.poll(10):
            connection = sockets[number]
            answer = partial[number] + connection.recv(1 << 18)
            if not answer:
                raise SystemExit("the server closed the connection")  # noqa: EM101, TRY003 (a script)
            length = whole_length(answer)
            if length is None or len(answer) < length:
                partial[number] = answer
                continue
            partial[number] = b""
            now = time.perf_counter()
            failed += not answer.startswith(b"HTTP/1.1 200")
            if now >= counted_from:
                latencies.append(now - sent_at[number])
            sent_at[number] = now
            connection.sendall(requests[asked % n])
            asked += 1
        now = time.perf_counter()
    for connection in sockets.values():
        connection.close()
    latencies.sort()
    if not latencies:
        raise SystemExit("no answer was counted; ask for longer")  # noqa: EM101, TRY003 (a script)
    return {
        "requests_per_s": len(latencies) / (now - counted_from),
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1e3,
        "failed": failed,
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    port, file, connections, seconds = arguments
    document = json.loads(Path(file).read_bytes())
    requests = prebuilt(document["path"], document["bodies"])
    found = load(int(port), requests, connections=int(connections), seconds=float(seconds))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
