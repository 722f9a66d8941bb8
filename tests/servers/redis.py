"""A real redis-server for tests: on a free loopback port, its data in a folder of the test, stopped by its pid.

with RedisServer(tmp_path, program("redis-server", "redis-server")) as server:
    os.environ["FX_REDIS_URL"] = server.url
    server.kill()
    server.start()             # the same port, with what the append-only file held
    server.start(empty=True)   # the same port, everything forgotten
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """One server. `start` after `kill` or `stop` takes the same port, so that clients find it again."""

    def __init__(self, folder: Path, program: str, password: str | None = None) -> None:
        self.folder, self.program, self.password = Path(folder) / "redis", program, password
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """The address, with the password."""
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """A redis.Redis with bytes as answers."""
        import redis

        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self, empty: bool = False) -> None:
        """Start it and wait until it answers. empty: forget what it held before."""
        from redis.exceptions import RedisError

        if empty:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        if self.password:
            command += ["--requirepass", self.password]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except RedisError:
                    assert self.process.poll() is None, (self.folder / "redis.log").read_text()
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; does nothing where none runs."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Hang: connections stay open and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
        self.process.wait(120)
        self.process = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class NotRedis:
    """A server that answers every message with the same bytes, on `port`; counts the messages in `heard`."""

    def __init__(self, answer: bytes, port: int = 0) -> None:
        owner = self
        self.heard = 0

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(2)
                with contextlib.suppress(OSError):
                    while self.request.recv(65536):
                        owner.heard += 1
                        self.request.sendall(answer)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> NotRedis:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)
