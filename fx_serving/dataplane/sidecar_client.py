"""The worker's side of a sidecar: start it, ask it within a deadline, kill it when it hangs, restart it with
backoff.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from fx_serving.client.bundle import BundleError
from fx_serving.config import SidecarSettings
from fx_serving.dataplane import frames
from fx_serving.dataplane.limits import single_threaded_environment

log = logging.getLogger("fx_serving.sidecar")

START_TIMEOUT_S = 30.0
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0


class CanaryFailure(Exception):
    """The candidate gave no usable score; `reason` is one of exception, deadline, dead, nan, stopped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Link(asyncio.Protocol):
    """One life of a sidecar: its process, its socket, the questions it has not answered."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.waiting: dict[int, tuple[float, asyncio.Future[tuple[float, float]]]] = {}
        self.closed = asyncio.get_running_loop().create_future()
        self.ready: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()
        self._frames = frames.Frames()
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        for number, payload in self._frames.feed(data):
            waiting = self.ready if number == 0 else self.waiting.pop(number, (0.0, None))[1]
            if waiting is None or waiting.done():
                continue
            result = frames.parse_answer(payload)
            if isinstance(result, str):
                waiting.set_exception(BundleError(result) if number == 0 else CanaryFailure("exception", result))
            else:
                waiting.set_result(result)

    def connection_lost(self, exc: Exception | None) -> None:
        for _, future in self.waiting.values():
            if not future.done():
                future.set_exception(CanaryFailure("dead", "the candidate's process ended while scoring"))
        self.waiting.clear()
        if not self.ready.done():
            self.ready.set_exception(BundleError("the candidate's process ended while loading"))
        if not self.closed.done():
            self.closed.set_result(None)


class Sidecar:
    """A candidate's own process. `start` once, `score` many times, `stop`."""

    def __init__(self, bundles: Path, model: str, version: str, settings: SidecarSettings) -> None:
        self.bundles, self.model, self.version = bundles, model, version
        self.settings = settings
        self.restarts = 0
        self.stopped = False
        self._link: _Link | None = None
        self._number = 0
        self._keeper: asyncio.Task | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it is up."""
        return self._link.process.pid if self._link else None

    async def start(self) -> None:
        """Start it and wait until the candidate is loaded and checked. Raises BundleError with the reason."""
        link = await self._spawn()
        self._link = link
        self._keeper = asyncio.create_task(self._keep(link))

    async def score(self, row: bytes, within_s: float | None = None) -> tuple[float, float]:
        """P(positive) of one float32 row, and the seconds the candidate itself took.

        Raises CanaryFailure, at the latest at the deadline (or after `within_s`, if that is sooner).
        """
        if self.stopped:
            raise CanaryFailure("stopped", "the candidate has been taken out of the routes")
        link = self._link
        if link is None or link.transport is None or link.transport.is_closing():
            raise CanaryFailure("dead", "the candidate's process is being restarted")
        self._number += 1
        number = self._number
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[float, float]] = loop.create_future()
        link.waiting[number] = (loop.time(), future)
        try:
            link.transport.write(frames.question(number, row))
        except (RuntimeError, OSError):  # its end is noticed by the loop only after this
            link.waiting.pop(number, None)
            raise CanaryFailure("dead", "the candidate's process has just ended") from None
        deadline_s = self.settings.deadline_ms / 1000
        if within_s is not None and within_s < deadline_s:
            deadline_s = within_s
        try:
            async with asyncio.timeout(deadline_s):
                value, seconds = await future
        except TimeoutError:
            raise CanaryFailure("deadline", f"no score within {deadline_s * 1000:g} ms") from None
        if not math.isfinite(value):
            raise CanaryFailure("nan", "the score is not a finite number")
        return value, seconds

    async def stop(self) -> None:
        """Let the scores under way be answered, then end the process and stop watching it.

        The caller has taken the candidate out of the routes, so that no further ones come.
        """
        self.stopped = True
        if self._link and (under_way := [future for _, future in self._link.waiting.values()]):
            await asyncio.wait(under_way, timeout=self.settings.deadline_ms / 1000)
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        link, self._link = self._link, None
        if link:
            await _end(link)

    async def _spawn(self) -> _Link:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-m", "fx_serving.dataplane.sidecar", "--fd", str(theirs.fileno())]
        command += ["--parent", str(os.getpid())]
        command += ["--bundles", str(self.bundles), "--model", self.model, "--version", self.version]
        command += ["--memory-mb", str(self.settings.memory_mb)]
        with theirs:
            process = await asyncio.to_thread(
                subprocess.Popen,
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=single_threaded_environment(),
            )
        link = _Link(process)
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        try:
            await asyncio.wait_for(asyncio.shield(link.ready), START_TIMEOUT_S)
        except BaseException as error:
            await _end(link)
            if isinstance(error, TimeoutError):
                raise BundleError(f"{self.model} {self.version}: not loaded within {START_TIMEOUT_S:g} s") from None
            raise
        return link

    async def _keep(self, link: _Link) -> None:
        """Watch one life after the other; a hanging process is killed, a dead one replaced."""
        failures = 0
        while True:
            since = time.monotonic()
            while not link.closed.done():
                await asyncio.wait([link.closed], timeout=0.25)
                self._kill_if_hanging(link)
            self._link = None
            await _end(link)
            failures = 0 if time.monotonic() - since > _STEADY_S else failures + 1
            while True:
                delay = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                log.warning("sidecar of %s %s ended; restart in %g s", self.model, self.version, delay)
                await asyncio.sleep(delay)
                try:
                    link = await self._spawn()
                    break
                except (BundleError, OSError) as error:
                    log.warning("sidecar of %s %s does not start: %s", self.model, self.version, error)
                    failures += 1
            self.restarts += 1
            self._link = link

    def _kill_if_hanging(self, link: _Link) -> None:
        patience = max(1.0, 5 * self.settings.deadline_ms / 1000)
        asked = min((at for at, _ in link.waiting.values()), default=None)
        if asked is not None and asyncio.get_running_loop().time() - asked > patience:
            link.process.kill()


async def _end(link: _Link) -> None:
    if link.transport:
        link.transport.close()
    # Killing is right: it holds no state, and one stuck in native code would not listen to anything gentler.
    with contextlib.suppress(ProcessLookupError):
        link.process.kill()
    await asyncio.to_thread(link.process.wait)
