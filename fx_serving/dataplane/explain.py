"""?explain=true: which features made a score what it is, by a helper process that is started when first asked.

The worker itself never loads XGBoost: the import takes seconds and its memory. What cannot be explained is answered
all the same, with a note that says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.dataplane import frames
from fx_serving.dataplane.limits import single_threaded_environment

log = logging.getLogger("fx_serving.explain")
TOP = 10
DEADLINE_S = 5.0  # the first question waits for the helper's imports; what takes longer is ready for the next one
HANGING_S = 30.0  # asked for so long without any answer, the helper is replaced
_WAITING = 16


class Question(msgspec.Struct):
    """What the helper is asked: the bundle's folder and the row."""

    folder: str
    row: list[float]


class Shares(msgspec.Struct):
    """What it answers, in log odds: the mean output, and each feature's addition. `note`: why there is none."""

    base: float = 0.0
    shares: list[float] = []
    note: str | None = None


class _Link(asyncio.Protocol):
    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.asked: float | None = None  # when the first question was asked after the last answer
        self._frames = frames.Frames()

    def data_received(self, data: bytes) -> None:
        self.asked = None
        for number, payload in self._frames.feed(data):
            future = self.waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(payload)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the helper process ended"))
        self.waiting.clear()


class Explainer:
    """Adds explanations to answers."""

    def __init__(self, bundles: Path) -> None:
        self.bundles = bundles
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._link: _Link | None = None
        self._number = 0
        self._starting = asyncio.Lock()

    async def explain(self, body: bytes) -> bytes:
        """The answer `body`, with `explanation` and `explanation_note`."""
        answer: dict[str, Any] = msgspec.json.decode(body)
        used: dict[str, float] = answer["features_used"]
        explanation, note = None, None
        try:
            folder = self.bundles / answer["model"] / answer["model_version"]
            shares = await asyncio.wait_for(self._ask(Question(str(folder), list(used.values()))), DEADLINE_S)
            note = shares.note
            if note is None:
                explanation = _explanation(used, shares)
        except TimeoutError:
            note = f"no explanation within {DEADLINE_S:g} s (the first one waits for its helper process); ask again"
            await self._replace_hanging()
        except (OSError, msgspec.MsgspecError) as error:
            note = f"no explanation: {error}; ask again"
            log.warning("explanation failed: %s", error)
        return msgspec.json.encode({**answer, "explanation": explanation, "explanation_note": note})

    async def _ask(self, question: Question) -> Shares:
        async with self._starting:
            if self._transport is None or self._transport.is_closing():
                await self._start()
        link, transport = self._link, self._transport
        if link is None or transport is None:
            raise ConnectionResetError("the helper process did not start")
        if len(link.waiting) >= _WAITING:
            return Shares(note="too many explanations are waiting; ask again")
        self._number += 1
        number = self._number
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        link.waiting[number] = future
        link.asked = link.asked or time.monotonic()
        transport.write(frames.question(number, msgspec.json.encode(question)))
        try:
            return msgspec.json.decode(await future, type=Shares)
        finally:
            link.waiting.pop(number, None)

    async def _replace_hanging(self) -> None:
        """Let the next question start another helper, where this one has not said anything for long."""
        async with self._starting:
            asked = self._link.asked if self._link is not None else None
            if asked is not None and time.monotonic() - asked > HANGING_S:
                log.warning("the explanation helper hangs; it is replaced")
                await self.stop()

    async def _start(self) -> None:
        await self.stop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-m", "fx_serving.dataplane.explain_helper", "--fd", str(theirs.fileno())]
        with theirs:
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=single_threaded_environment(),
            )
        link = _Link()
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        self._link, self._transport = link, transport

    async def stop(self) -> None:
        """End the helper."""
        if self._transport is not None:
            self._transport.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._process = self._transport = self._link = None


def _explanation(used: dict[str, float], shares: Shares) -> dict[str, Any]:
    ranked = sorted(zip(used.items(), shares.shares, strict=True), key=lambda one: -abs(one[1]))
    return {
        "base": shares.base,
        "contributions": [
            {"feature": name, "value": value, "contribution": share} for (name, value), share in ranked[:TOP]
        ],
        "method": "tree_shap_log_odds",
    }
