"""Traces for OpenTelemetry: off, and then free, unless OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra is installed.

    tracing.start("fx-worker")
    with tracing.span("POST /predict", parent=traceparent, **{"fx.prediction_id": id}):
        ...

The sampler, the exporter's headers and time limits are set by OpenTelemetry's own variables (OTEL_TRACES_SAMPLER, ...).
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

log = logging.getLogger("fx.tracing")

NOTHING: AbstractContextManager[Any] = contextlib.nullcontext()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TIMEOUT_S = 3.0  # at the end of a process, too: a collector that is away must not hold it up for long
_tracer: Any = None
_provider: Any = None


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def start(service: str) -> bool:
    """Make spans from here on, if the environment asks for it; whether it does."""
    global _tracer, _provider
    if _tracer is not None:
        return True
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "") == "true":
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("%s is set, but tracing is not installed: pip install 'fx-platform[tracing]'", _ENDPOINTS[0])
        return False
    named = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": named}), shutdown_on_exit=False)
    given = os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT")
    exporter = OTLPSpanExporter() if given else OTLPSpanExporter(timeout=_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _provider, _tracer = provider, provider.get_tracer("fx")
    # Runs both at the end of a process and of a worker of multiprocessing, which knows no atexit.
    multiprocessing.util.Finalize(None, stop, exitpriority=10)
    return True


def stop() -> None:
    """Send what is not sent yet, and make no more spans."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.shutdown()


def span(name: str, parent: str | None = None, **attributes: str) -> AbstractContextManager[Any]:
    """A span around a block. parent: a W3C traceparent; without one the span that is open here."""
    if _tracer is None:
        return NOTHING
    return _tracer.start_as_current_span(name, context=_context(parent), attributes=attributes)


def past(name: str, begun: datetime, ended: datetime, parent: str | None, **attributes: str) -> None:
    """A span of something that has ended already."""
    if _tracer is None:
        return
    made = _tracer.start_span(name, _context(parent), attributes=attributes, start_time=_nanoseconds(begun))
    made.end(_nanoseconds(ended))


def note(name: str, value: str) -> None:
    """Add an attribute to the span that is open here."""
    if _tracer is not None:
        from opentelemetry import trace

        trace.get_current_span().set_attribute(name, value)


def headers() -> dict[str, str]:
    """The W3C headers that let another process join the span that is open here."""
    carrier: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carrier)
    return carrier


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: Mapping[str, str] = {"traceparent": parent}
    return TraceContextTextMapPropagator().extract(carrier)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
