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

from tests.servers.redis import free_port

USER, PASSWORD = "fx", "hunter2-hunter2"
START_S = 30


@contextmanager
def postgres_server(program: Callable[[str, str], str]) -> Iterator[str]:
    """Yields the URL of an empty database. Debian keeps the programs off the PATH, in a folder for each version."""
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
        data, port = folder / "data", free_port()
        make = [bin_folder / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", "--no-sync", "--pwfile", secret]
        subprocess.run(make, check=True, capture_output=True, **options)
        command = [bin_folder / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        try:
            _wait(bin_folder / "pg_isready", port, process, folder / "log")
            yield f"postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for clients
            process.wait(START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(ready: Path, port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode != 0:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
