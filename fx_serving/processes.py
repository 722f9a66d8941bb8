"""What the worker, controller and supervisor processes share: logging, leaving with the parent."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
import time
from collections.abc import Iterator

import uvicorn

from fx_serving.client import logs
from fx_serving.client.home import Stores
from fx_serving.client.log_capture import captured_stderr


@contextlib.contextmanager
def kept_log(stores: Stores) -> Iterator[None]:
    """Keep what this process and its children log in logs/serving.log, unless whoever started it keeps it already."""
    if os.environ.get(logs.FORMAT):
        yield
        return
    with captured_stderr(stores.logs / "serving.log"):
        os.environ[logs.FORMAT] = "json"
        try:
            yield
        finally:
            del os.environ[logs.FORMAT]


def setup_logging(name: str) -> None:
    """Lines on stderr marked with the process's name (see logs.py), without what strangers could fill them with."""
    logs.setup(name)
    # Its warnings are about requests that are not HTTP: whoever sends them must not fill this host's log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def open_many_files() -> None:
    """As many connections as the machine allows, not the 1024 that a process begins with on most: beyond them, whoever
    connects would be turned away.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems name a greater number than they allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def leave_with_parent(parent: int, server: uvicorn.Server, every_s: float = 0.5) -> None:
    """Stop `server` gracefully once this process's parent is not `parent` any more (it was killed)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        server.should_exit = True
        time.sleep(15)
        os._exit(1)  # a drain that hangs must not leave an orphan that holds the port

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
