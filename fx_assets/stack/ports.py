"""Ports: a free one, and who holds one that is not."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from fx_assets.errors import FxError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Listener:
    """Who listens on a port. told: in words, such as "python (process 4711)". pid: None for another user's process."""

    told: str
    pid: int | None = None


def holder(port: int) -> str | None:
    """Who listens on a port, in words; None when it is free. Raises FxError as `listener` does."""
    found = listener(port)
    return None if found is None else found.told


def listener(port: int) -> Listener | None:
    """Who listens on a port; None when it is free.

    Raises FxError for a port that this user may not listen on.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise FxError(f"port {port} cannot be used: {error.strerror}. Choose one above 1023.") from None
            return _listener(port)
    return None


def _listener(port: int) -> Listener:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local[1] == port and connection.pid:
                told = f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
                return Listener(told, connection.pid)
    except psutil.Error:
        pass
    return Listener("another user's process")


def require_free(port: int, what: str, option: str) -> None:
    """Raises FxError naming who holds the port."""
    if found := holder(port):
        raise FxError(f"port {port} for {what} is in use by {found}. Stop it, or choose another with {option}.")
