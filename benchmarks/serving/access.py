"""python -m benchmarks.serving.access: what the perimeter costs a prediction, in microseconds, with and without tokens.

The same application alone and behind it, called as uvicorn calls it; medians over rounds that alternate.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fx_serving.access import tokens
from fx_serving.access.guard import Guard
from fx_serving.access.perimeter import Perimeter
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.state.open import open_state

ROUNDS, CALLS = 15, 5_000
_START = {"type": "http.response.start", "status": 200}
_BODY = {"type": "http.response.body", "body": b"{}"}


async def _app(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({**_START, "headers": headers})
    await send(_BODY)


def _scope(authorization: str | None) -> dict[str, Any]:
    headers = [
        (b"host", b"127.0.0.1:8700"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"user-agent", b"benchmark"),
        (b"content-length", b"25"),
        (b"content-type", b"application/json"),
    ]
    if authorization:
        headers.append((b"authorization", f"Bearer {authorization}".encode()))
    return {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}


async def _microseconds(app: Any, scope: dict[str, Any]) -> float:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        return None

    begun = time.process_time()
    for _ in range(CALLS):
        await app(dict(scope), receive, send)
    return (time.process_time() - begun) / CALLS * 1e6


async def measure(home: Path) -> dict[str, float]:
    """Microseconds of CPU by case, without those of the application itself."""
    stores, config = Stores(home), ServingConfig()
    opened = Perimeter(_app, Guard(stores, config))
    state = open_state(stores)
    token = tokens.create(state, "desk", "predict", 1e5)[1]
    for i in range(20):
        tokens.create(state, f"other-{i}", "observe")
    tokens.publish(stores.tokens, state.tokens())
    state.close()
    guarded = Perimeter(_app, Guard(stores, config))
    cases = {
        "application": (_app, _scope(None)),
        "open on loopback": (opened, _scope(None)),
        "with a token and its rate": (guarded, _scope(token)),
        "refused: a wrong token": (guarded, _scope(token[:-1] + "~")),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (app, scope) in cases.items():
            found[name].append(await _microseconds(app, scope))
    medians = {name: statistics.median(values) for name, values in found.items()}
    alone = medians.pop("application")
    return {name: value - alone for name, value in medians.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, value in asyncio.run(measure(Path(folder))).items():
            print(f"perimeter, {name}: {value:.1f} us")


if __name__ == "__main__":
    main()
