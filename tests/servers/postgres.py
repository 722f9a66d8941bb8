"""A real PostgreSQL for tests: on a free loopback port, with a password, its data in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.servers.redis import free_port

USER, PASSWORD = "fx", "hunter2-hunter2"
START_S = 30


@contextmanager
def postgres_server(program: Callable[[str, str], str]) -> Iterator[str]:
    """Yields the URL of an empty database."""
    with restartable_postgres(program) as server:
        yield server.url


class PostgresServer:
    """A running server that can be killed and started again with its data."""

    def __init__(self, bin_folder: Path, folder: Path, options: dict[str, Any]) -> None:
        self._bin, self._folder, self._options, self._port = bin_folder, folder, options, free_port()
        self._process: subprocess.Popen | None = None
        self.url = f"postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        data = self._folder / "data"
        command = [self._bin / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self._port), "-k", self._folder]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._options)
        _wait(self._bin / "pg_isready", self._port, self._process, self._folder / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once (SIGTERM would wait for clients); SIGQUIT or SIGKILL: as if it had crashed."""
        if self._process is not None:
            # After SIGKILL its children end by themselves, and hold the shared memory until then.
            below = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
            self._process.send_signal(how)
            self._process.wait(START_S)
            for left in psutil.wait_procs(below, timeout=START_S)[1]:
                left.kill()
            self._process = None


@contextmanager
def restartable_postgres(program: Callable[[str, str], str]) -> Iterator[PostgresServer]:
    """Yields a server with an empty database. Debian keeps the programs off the PATH, in a folder for each version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    bin_folder = (found[-1] if found else Path(program("initdb", "postgresql"))).parent
    folder = Path(tempfile.mkdtemp(prefix="fx-postgres-"))  # not below tmp_path, which is closed to other users
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        options: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "HOME": str(folder)}}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (folder, secret):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        make = [
            bin_folder / "initdb",
            "-D",
            folder / "data",
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "--no-sync",
            "--pwfile",
            secret,
        ]
        subprocess.run(make, check=True, capture_output=True, **options)
        server = PostgresServer(bin_folder, folder, options)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(ready: Path, port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode != 0:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
