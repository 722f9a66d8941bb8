"""The exporter's HTTP side: GET /metrics, /health and /runbooks/<name>.md. Reads nothing but memory and runbooks."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import socketserver
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from fx_assets.errors import FxError
from fx_assets.stack.ports import holder
from fx_monitoring.exporter.background import Background
from fx_monitoring.exporter.catalogue import METRICS, Sample

PORT = 8710
TOKEN_VARIABLE = "FX_EXPORTER_TOKEN"
CLIENT_S = 10.0  # a scraper that does not go on is let go
_RUNBOOK = re.compile(r"/runbooks/([A-Za-z0-9_-]+)\.md")
_TEXT = "text/plain; charset=utf-8"
log = logging.getLogger("fx_monitoring.exporter")


class Exposition:
    """All collectors' figures as a Prometheus collector."""

    def __init__(self, backgrounds: Sequence[Background]) -> None:
        self.backgrounds = backgrounds

    def collect(self) -> Iterator[Any]:
        """The families of metrics that have a figure now."""
        from prometheus_client.core import GaugeMetricFamily

        families: dict[str, Any] = {}
        for sample in self._samples():
            family = families.get(sample.name)
            if family is None:
                metric = METRICS[sample.name]
                family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
                families[sample.name] = family
            family.add_metric(sample.labels, sample.value)
        yield from families.values()

    def _samples(self) -> Iterator[Sample]:
        for background in self.backgrounds:
            state = background.state()
            yield from state.samples
            labels = (state.name,)
            if state.up is not None and state.seconds is not None:
                yield Sample("fx_collector_up", labels, float(state.up))
                yield Sample("fx_collector_seconds", labels, state.seconds)
            if state.age_s is not None:
                yield Sample("fx_collector_age_seconds", labels, state.age_s)

    def render(self) -> bytes:
        """The answer to a scrape."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def health(self) -> dict[str, Any]:
        """How each collector is, and why where it is not well."""
        states = [background.state() for background in self.backgrounds]
        collectors = {s.name: {"up": s.up, "seconds": s.seconds, "problem": s.problem} for s in states}
        return {"status": "ok" if all(s.up for s in states) else "degraded", "collectors": collectors}


class Server(ThreadingHTTPServer):
    """Answers on one address; `token` is asked of everyone where it is set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, exposition: Exposition, runbooks: Path, token: str | None) -> None:
        """Raises FxError: a public address without a token, or a port that is taken."""
        self.exposition, self.runbooks, self.token = exposition, runbooks, token
        self.loopback = is_loopback(host)
        if not self.loopback and not token:
            raise FxError(
                f"host {host!r} can be reached from other machines, and the figures tell what the desk trades. "
                f"Use 127.0.0.1, or set {TOKEN_VARIABLE} to a secret that Prometheus sends as a bearer token."
            )
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            by = f" It is in use by {found}." if self.loopback and port and (found := holder(port)) else ""
            raise FxError(
                f"cannot listen on {host}:{port}: {error.strerror}.{by} Stop that, or choose another: "
                "fx exporter --port N."
            ) from None

    def server_bind(self) -> None:
        """Without asking a name server what this host is called, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hung up, as one does whose time is over, is no news; a defect is."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("a request of %s failed", client_address[0])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.server_name}:{self.server_port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = CLIENT_S
    # Head and body in one packet: as two, the second waits 40 ms for the scraper to acknowledge the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "fx-exporter", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._addressed():
            self._answer(421, _TEXT, b"this address is not served here\n")
        elif not self._allowed():
            self._answer(401, _TEXT, b"a bearer token is needed\n", {"WWW-Authenticate": "Bearer"})
        elif path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.server.exposition.render())
        elif path == "/health":
            self._answer(200, "application/json", msgspec.json.encode(self.server.exposition.health()))
        elif (match := _RUNBOOK.fullmatch(path)) and (file := self.server.runbooks / f"{match[1]}.md").is_file():
            self._answer(200, _TEXT, file.read_bytes())
        else:
            self._answer(404, _TEXT, b"there are /metrics, /health and /runbooks/<alert>.md\n")

    def _addressed(self) -> bool:
        """Whether a loopback exporter is asked by a name of this machine: a web page elsewhere may resolve its own
        name to 127.0.0.1 and read the answer.
        """
        host = self.headers.get("Host", "").rpartition("]")
        name = f"{host[0]}]".strip("[]") if host[1] else host[2].partition(":")[0]
        return not self.server.loopback or not name or is_loopback(name)

    def _allowed(self) -> bool:
        if not self.server.token:
            return True
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self.server.token.encode())

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every 15 seconds is no news."""
        log.debug(format, *args)
