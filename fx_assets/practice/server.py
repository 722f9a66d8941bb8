"""Running the practice server in the foreground, on this machine only."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import uvicorn

from fx_assets.errors import FxError
from fx_assets.practice.app import PracticeServer
from fx_assets.practice.clock import ReplayClock
from fx_assets.practice.history import History
from fx_assets.practice.home import write_address
from fx_assets.practice.interrupts import Interrupts
from fx_assets.practice.market import Market
from fx_assets.practice.traffic import Traffic
from fx_assets.stack.ports import LOOPBACK, require_free

ACCOUNT = "101-001-1000000-001"


def serve_practice(
    home: Path,
    histories: Mapping[str, History],
    start: datetime,
    port: int,
    ready: Callable[[str, ReplayClock], None],
    interrupts: Interrupts,
) -> None:
    """Serve until a signal that `interrupts` takes. `ready` is called with URL and clock once it listens.

    practice.json is written after that, and removed at the end. Raises FxError when the port cannot be had.
    """
    require_free(port, "the practice server", "--port")
    token = secrets.token_hex(16)
    clock = ReplayClock.starting_now(start)
    app = PracticeServer(Market(histories), clock.now, ACCOUNT, token, Traffic())
    url = f"http://{LOOPBACK}:{port}"
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=2, timeout_keep_alive=75
    )
    with _listen(port) as listener:
        server = uvicorn.Server(config)
        app.ending = lambda: server.should_exit
        interrupts.hand_over(lambda: setattr(server, "should_exit", True))
        ready(url, clock)
        address = write_address(home, url, ACCOUNT, token, clock.setting)
        try:
            server.run(sockets=[listener])
        finally:
            address.unlink(missing_ok=True)


def _listen(port: int) -> socket.socket:
    """A socket that clients can connect to from now on."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise FxError(f"port {port} cannot be used: {error.strerror}. Choose another with --port.") from None
    return listener
