"""The ingester's process: python -m fx_serving.ingest.app --parent PID --home HOME. Started by `fx serve`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import load_config
from fx_serving.ingest.ingester import Ingester, open_database
from fx_serving.ingest.tables import DatabaseError, Refused
from fx_serving.processes import setup_logging

log = logging.getLogger("fx_serving.ingest")

_NICE = 10
_PATIENCE_S = 5.0  # also how long an orphan may take to notice


def run(stores: Stores, stop: threading.Event, parent: int | None = None) -> None:
    """Ingest until `stop` is set or the parent is gone. A database that is away or full only delays."""
    settings = load_config(stores.home).log
    database = open_database(stores)
    ingester = Ingester(stores.predictions, database, settings)
    wait, problem, behind = 0.0, None, 0
    while not stop.wait(wait) and (parent is None or os.getppid() == parent):
        try:
            done = ingester.step()
            behind = done.behind_bytes
            if problem is not None:
                log.warning("prediction log: ingesting again")
            problem, wait = None, 0.0 if done.more else settings.ingest_every_s
        except (DatabaseError, Refused, OSError) as error:
            if problem is None:
                log.error("prediction log: not ingested for now: %s", error)
            problem, wait = str(error), min(max(2 * wait, settings.ingest_every_s), _PATIENCE_S)
        _tell(stores, behind, problem)
    database.close()


def _tell(stores: Stores, behind: int, problem: str | None) -> None:
    state = {
        "pid": os.getpid(),
        "at": datetime.now(UTC).isoformat(),
        "behind_bytes": behind,
        "problem": problem,
    }
    try:
        atomic_write(stores.serving / "ingest.json", json.dumps(state).encode(), durable=False)
    except OSError as error:
        log.debug("ingest.json: %s", error)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    setup_logging("ingester")
    os.nice(_NICE)  # answering comes first
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(Stores(options.home), stop, options.parent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
