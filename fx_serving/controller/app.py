"""The controller process and its HTTP interface: python -m fx_serving.controller.app --parent PID --home DIR.

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
from typing import Any

import uvicorn
from fastapi import FastAPI

from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.config import load_config
from fx_serving.controller.engine import Engine
from fx_serving.dataplane.app import add_error_handlers
from fx_serving.processes import leave_with_parent, setup_logging
from fx_serving.rollout_api import AbortBody, RolloutBody


def build_app(engine: Engine) -> FastAPI:
    """The rollout interface over `engine`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.recover()
        tasks = [asyncio.create_task(engine.renew()), asyncio.create_task(engine.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        engine.close()

    app = FastAPI(title="fx rollout controller", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_handlers(app)

    @app.post("/rollouts", status_code=202)
    async def start(body: RolloutBody) -> dict[str, Any]:
        return engine.view(engine.start(body.model, body.version, body.policy, body.request_id))

    @app.get("/rollouts")
    async def all_rollouts() -> dict[str, Any]:
        return {"rollouts": [engine.view(engine.get(r.id)) for r in engine.store.all()]}

    @app.get("/rollouts/{rollout_id}")
    async def one(rollout_id: str) -> dict[str, Any]:
        return engine.view(engine.get(rollout_id))

    @app.post("/rollouts/{rollout_id}/abort")
    async def abort(rollout_id: str, body: AbortBody) -> dict[str, Any]:
        return engine.view(await engine.abort(rollout_id, body.reason or "aborted by request"))

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
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    atomic_write(stores.controller, json.dumps({"url": url, "pid": os.getpid()}).encode())
    server = uvicorn.Server(
        uvicorn.Config(build_app(engine), log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
    )
    leave_with_parent(options.parent, server)
    server.run(sockets=[listening])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
