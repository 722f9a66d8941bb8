"""The controller process: python -m fx_serving.controller.app --parent PID --home DIR.

Listens on a loopback port of the system's choice and writes it to serving/controller.json; workers forward to
it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fx_serving.access.internal import read_internal_key
from fx_serving.client import tracing
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import load_config
from fx_serving.controller.engine import Engine
from fx_serving.controller.leader import Leadership
from fx_serving.controller.routes import add_routes, key_guard
from fx_serving.controller.series import SeriesDesk
from fx_serving.correlation import Correlated
from fx_serving.dataplane.app import add_error_handlers
from fx_serving.processes import leave_with_parent, setup_logging


def build_app(engine: Engine, leadership: Leadership, key: str) -> FastAPI:
    """The rollout interface over `engine`."""
    series = SeriesDesk(engine)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for work in (leadership.run, engine.run, series.run)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        leadership.stop()
        engine.close()

    app = FastAPI(
        title="fx rollout controller", lifespan=lifespan, docs_url=None, redoc_url=None, dependencies=[key_guard(key)]
    )
    add_error_handlers(app)
    add_routes(app, engine, leadership, series)
    return app


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    setup_logging("controller")
    stores = Stores(options.home)
    engine = Engine(stores, load_config(options.home))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    address = json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}", "pid": os.getpid()}).encode()
    if not _answered(stores.controller):
        atomic_write(stores.controller, address)
    leadership = Leadership(engine, on_lead=lambda: atomic_write(stores.controller, address))
    tracing.start("fx-controller")
    app = Correlated(build_app(engine, leadership, read_internal_key(stores.internal_key)))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
    )
    leave_with_parent(options.parent, server)
    server.run(sockets=[listening])
    return 0


def _answered(path: Path) -> bool:
    """Whether another living controller of this home is written there already (it leads, or will be replaced)."""
    try:
        pid = int(json.loads(path.read_bytes())["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError):
        return False
    return pid != os.getpid()


if __name__ == "__main__":
    raise SystemExit(main())
