"""What happens around every request: admission, counts of responses, a line in the log, a span."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from ml_release.serving.access import need_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from opentelemetry.trace import Span

    from ml_release.serving.access import Access
    from ml_release.serving.replies import Reply
    from ml_release.serving.request_headers import HeaderValues
    from ml_release.serving.routes import Address
    from ml_release.serving.tracing import Tracing
    from ml_release.serving.vitals import Vitals

_LOG = logging.getLogger(__name__)
_FORBIDDEN = 403
_CLOSE = ("connection", "close")


@dataclass(slots=True)
class Visit:
    """One request on its way.

    Attributes
    ----------
    begun
        In seconds of `time.perf_counter`.
    address
        Its route; None if nothing answers at its path.
    line
        What the path names as a line, declared or not.
    token
        Name of the token it was admitted by.
    """

    begun: float
    address: Address | None = None
    line: str = ""
    token: str | None = None
    span: Span | None = None


@dataclass(slots=True, kw_only=True)
class Attendance:
    """Goes along with requests.

    Attributes
    ----------
    lines
        The declared lines; only these become labels of metrics.
    access
        None admits everybody: the server then listens on the loopback interface alone.
    has_access_log
        Whether every request is logged. Without it those are that were forbidden, and those on
        routes that need ``operate``.
    """

    vitals: Vitals
    lines: Callable[[], Container[str]]
    access: Access | None = None
    tracing: Tracing | None = None
    has_access_log: bool = False

    def arrive(self, headers: HeaderValues) -> Visit:
        """A request came in."""
        span = None if self.tracing is None else self.tracing.begin(headers)
        return Visit(perf_counter(), span=span)

    def admit(self, visit: Visit, address: Address, line: str, headers: HeaderValues) -> None:
        """Let it go on to its route, or not.

        Raises
        ------
        HttpError
            As `ml_release.serving.access.Access.admit`.
        """
        visit.address = address
        visit.line = line
        if self.access is not None:
            visit.token = self.access.admit(address, line, headers)

    def leave(self, visit: Visit, method: str, reply: Reply) -> Reply:
        """It is answered: the reply as it is sent."""
        route = "none" if visit.address is None else visit.address.action
        line = visit.line if visit.line in self.lines() else ""
        self.vitals.responses[line, route, reply.status] += 1
        trace_id = None
        if self.tracing is not None and visit.span is not None:
            path = route if visit.address is None else visit.address.path
            known = method if visit.address is not None else "_OTHER"
            trace_id = self.tracing.end(
                visit.span, reply, method=known, route=path, line=line, token=visit.token
            )
        # Most requests are answered and leave no line.
        if self.has_access_log or reply.status == _FORBIDDEN or _is_act(visit):
            self._log(visit, reply, line=line, trace_id=trace_id)
        if self.vitals.is_draining:
            # A client that keeps its connection would meet a closed one with its next request.
            return reply._replace(headers=(*reply.headers, _CLOSE))
        return reply

    def _log(self, visit: Visit, reply: Reply, *, line: str, trace_id: str | None) -> None:
        headers = dict(reply.headers)
        address = visit.address
        _LOG.log(
            logging.WARNING if reply.status == _FORBIDDEN else logging.INFO,
            "request",
            extra={
                # The template, not the path, which may hold anything.
                "method": None if address is None else address.method,
                "path": None if address is None else address.path,
                "status": reply.status,
                "latency_ms": round((perf_counter() - visit.begun) * 1e3, 3),
                "line": line or None,
                "request_id": headers.get("x-request-id"),
                "version": headers.get("x-model-version"),
                "variant": headers.get("x-variant"),
                "token": visit.token,
                "trace_id": trace_id,
            },
        )


def _is_act(visit: Visit) -> bool:
    return visit.address is not None and need_of(visit.address.action) == "operate"
