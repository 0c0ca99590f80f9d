"""Spans of requests for OpenTelemetry, as part of the trace that the client began.

Imported only where ``ML_RELEASE_OTEL`` is set, because it needs the extra ``otel``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

    from ml_release.serving.replies import Reply
    from ml_release.serving.request_headers import HeaderValues

_OF_HEADERS = {
    "x-request-id": "ml_release.request_id",
    "x-model-version": "ml_release.version",
    "x-variant": "ml_release.variant",
    "x-route-commit": "ml_release.route_commit",
}
_SERVER_ERROR = 500


class Tracing:
    """Begins and ends the span of a request.

    Parameters
    ----------
    exporter
        Where finished spans go, in batches, from a thread of its own.

    Raises
    ------
    ImportError
        Without the extra ``otel``.
    """

    def __init__(self, exporter: SpanExporter, *, environment: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = {"service.name": "ml_release", "deployment.environment.name": environment}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ml_release.serving")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: HeaderValues) -> Span:
        """The span of a request that came in now, below that of ``traceparent`` if there is one."""
        from opentelemetry.trace import SpanKind

        carrier = {
            name: value
            for name in ("traceparent", "tracestate")
            if (value := headers.get(name)) is not None
        }
        context = self._propagator.extract(carrier)
        return self._tracer.start_span("request", context=context, kind=SpanKind.SERVER)

    def end(
        self, span: Span, reply: Reply, *, method: str, route: str, line: str, token: str | None
    ) -> str:
        """Finish it with what is known now; return the id of its trace, 32 hexadecimal digits."""
        from opentelemetry.trace import StatusCode

        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", reply.status)
        if line:
            span.set_attribute("ml_release.line", line)
        if token is not None:
            span.set_attribute("ml_release.token", token)
        for name, value in reply.headers:
            if name in _OF_HEADERS:
                span.set_attribute(_OF_HEADERS[name], value)
        if reply.status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()
        return f"{span.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def tracing_to(address: str, *, environment: str) -> Tracing:
    """Spans to an OpenTelemetry collector, by OTLP over HTTP.

    Parameters
    ----------
    address
        Of the collector, as ``http://127.0.0.1:4318``.

    Raises
    ------
    InputError
        If the extra ``otel`` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{address.rstrip('/')}/v1/traces")
        return Tracing(exporter, environment=environment)
    except ImportError as error:
        message = (
            f"ML_RELEASE_OTEL: expected the extra otel to be installed, found that {error.name} is"
            " missing. Install ml-release[serving,otel], or unset the variable."
        )
        raise InputError(message) from error
