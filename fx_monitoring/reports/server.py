"""Listening: on this machine only, unless there is a token that everybody must send."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from fx_assets.errors import FxError
from fx_assets.stack.ports import holder
from fx_monitoring.exporter.server import is_loopback
from fx_monitoring.reports.app import build_app
from fx_serving.client.home import Stores

PORT = 8720
TOKEN_VARIABLE = "FX_REPORTS_TOKEN"


def serve(home: Path, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises FxError: a public address without a token, or a port that is taken."""
    import uvicorn

    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    app = build_app(Stores(home), token)
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
        server_header=False,
        proxy_headers=False,
    )
    with listen(host, port, token) as listener:
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A listening socket. Raises FxError."""
    if not is_loopback(host) and not token:
        raise FxError(
            f"host {host!r} can be reached from other machines, and the reports tell what the desk trades. "
            f"Use 127.0.0.1, or set {TOKEN_VARIABLE} to a secret that clients send as a bearer token."
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise FxError(f"host {host!r}: {error.strerror}. Use 127.0.0.1.") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        by = f" It is in use by {found}." if is_loopback(host) and port and (found := holder(port)) else ""
        raise FxError(
            f"cannot listen on {host}:{port}: {error.strerror}.{by} Stop that, or choose another: fx reports --port N."
        ) from None
    return listener
