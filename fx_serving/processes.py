"""What the worker, controller and supervisor processes share: logging, leaving with the parent."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

import uvicorn


def setup_logging(name: str) -> None:
    """One line per record on stderr, marked with the process's name."""
    logging.basicConfig(
        level=os.environ.get("FX_LOG_LEVEL", "INFO").upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Its warnings are about requests that are not HTTP: whoever sends them must not fill this host's log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def leave_with_parent(parent: int, server: uvicorn.Server, every_s: float = 0.5) -> None:
    """Stop `server` gracefully once this process's parent is not `parent` any more (it was killed)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        server.should_exit = True
        time.sleep(15)
        os._exit(1)  # a drain that hangs must not leave an orphan that holds the port

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
