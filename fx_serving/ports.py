"""The listening socket: which addresses are allowed, and who holds a port that is in use."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from pathlib import Path


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int, has_token: bool) -> socket.socket:
    """A listening TCP socket.

    Raises StartError: no access control for a public address, or the port is taken.
    """
    if not is_loopback(host) and not has_token:
        raise StartError(
            f"host {host!r} can be reached from other machines and no access control is configured: anyone could "
            "start a rollout. Make a token first: fx token create NAME --role operate (or set FX_SERVING_TOKEN to a "
            "secret), or use 127.0.0.1."
        )
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise StartError(f"host {host!r}: {error.strerror}. Use 127.0.0.1.") from None
    listening = socket.socket(family, kind, proto)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} is in use by {holder_of(port)}. Stop that, or choose another: fx serve --port N."
            ) from None
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another host or port.") from None
    return listening


def holder_of(port: int) -> str:
    """The process that listens on `port`, for people: 'python (pid 123)'; 'another process' if it cannot be
    known.
    """
    try:
        pid = _holder_psutil(port)
    except ImportError:
        pid = _holder_proc(port)
    except Exception:  # psutil raises its own types, for example where it may not look
        pid = None
    if pid is None:
        return "another process"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = "a process"
    return f"{words[:120]} (pid {pid})"


def _holder_psutil(port: int) -> int | None:
    import psutil

    for connection in psutil.net_connections("tcp"):
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local[1] == port:
            return connection.pid
    return None


def _holder_proc(port: int) -> int | None:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: listening
                inodes.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) in inodes:
                return int(descriptor.parts[2])
        except OSError:
            continue
    return None
