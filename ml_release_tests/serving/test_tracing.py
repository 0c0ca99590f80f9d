"""Tracing: a span per request in the client's trace, and a clear error without the extra."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ml_release.errors import InputError
from ml_release.serving.attendance import Attendance
from ml_release.serving.replies import Reply
from ml_release.serving.routes import find_address
from ml_release.serving.tracing import Tracing, tracing_to
from ml_release.serving.vitals import Vitals

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("traceparent", "is_child"),
    [(f"00-{TRACE}-{PARENT}-01", True), ("00-broken", False), (None, False)],
)
def test_a_request_is_a_span_of_the_clients_trace(traceparent: str | None, is_child: bool) -> None:
    """It says which version answered on which route; a header that is broken begins a trace."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter, environment="production")
    attendance = Attendance(vitals=Vitals(), lines=lambda: {"small_line"}, tracing=tracing)
    headers = {} if traceparent is None else {"traceparent": traceparent}
    visit = attendance.arrive(headers)
    address, line, _ = find_address("POST", "/v2/models/small_line/infer")
    attendance.admit(visit, address, line, headers)
    reply = Reply(200, b"", (("x-request-id", "r1"), ("x-model-version", "7")))
    assert attendance.leave(visit, "POST", reply) == reply
    tracing.close()
    (span,) = exporter.get_finished_spans()
    assert span.name == "POST /v2/models/{line}/infer"
    attributes = dict(span.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["ml_release.version"] == "7"
    assert attributes["ml_release.request_id"] == "r1"
    assert attributes["ml_release.line"] == "small_line"
    assert (span.parent is not None) == is_child
    assert (f"{span.context.trace_id:032x}" == TRACE) == is_child


def test_without_the_extra_the_start_fails_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error that says what to install."""
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name=name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"ml-release\[serving,otel\]"):
        tracing_to("http://127.0.0.1:4318", environment="production")
