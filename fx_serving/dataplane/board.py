"""What the operator console shows, gathered once a second while anybody looks, and sent as what has changed.

All pages of a worker share one board. Each part carries the number of the round in which it last changed; a page gets
everything first, and then only the parts of later rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from fx_serving.client import clock
from fx_serving.client.home import Stores
from fx_serving.dataplane.drift import drift_status
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.forward import ControllerLink
from fx_serving.dataplane.health import HealthDesk
from fx_serving.routing import read_routing

EVERY_S = 1.0
_QUIET_S = 10.0
_ROLLOUTS = 12  # the newest, and all that have not ended; others are found by GET /rollouts
_AUDIT = 20
_MINUTES = 5
_SAMPLES = _MINUTES * 60
_SLOW_S = 5.0  # for what changes seldom: drift, and the audit trail while no rollout moves


class Board:
    """The parts, and who looks at them."""

    def __init__(self, stores: Stores, health: HealthDesk, controller: ControllerLink) -> None:
        self.stores, self.health, self.controller = stores, health, controller
        self.readers = 0
        self.round = 0
        self.parts: dict[str, tuple[int, Any]] = {}
        self.rollouts: dict[str, tuple[int, dict[str, Any]]] = {}
        self.samples: dict[str, deque[tuple[int, dict[str, Any]]]] = {}
        self._lock = asyncio.Lock()
        self._gathered = self._slow = float("-inf")

    def open(self, caller: dict[str, Any]) -> AsyncIterator[bytes]:
        """The events of one page. Raises ApiError 429 where as many as allowed are open."""
        if self.readers >= self.health.stream.most:
            raise ApiError(429, f"streams: {self.readers} pages are open already (limits.streams). Close one.")
        return self._events(caller)

    async def _events(self, caller: dict[str, Any]) -> AsyncIterator[bytes]:
        leaving = self.health.stream.leaving or asyncio.Event()
        seen, sent = -1, float("-inf")
        self.readers += 1  # here, not in open(): what is never begun is never ended either
        try:
            while not leaving.is_set():
                await self.gather()
                changed = self.since(seen)
                if seen < 0:
                    changed["caller"] = caller
                seen = self.round
                if changed or time.monotonic() - sent > _QUIET_S:
                    sent = time.monotonic()
                    changed["now"] = clock.to_iso(clock.now())
                    yield b"event: state\ndata: " + msgspec.json.encode(changed) + b"\n\n"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(leaving.wait(), EVERY_S)
        finally:
            self.readers -= 1

    def since(self, seen: int) -> dict[str, Any]:
        """What has changed after round `seen`."""
        changed = {name: value for name, (at, value) in self.parts.items() if at > seen}
        moved = {id: view for id, (at, view) in self.rollouts.items() if at > seen}
        if moved:
            changed["rollouts"] = moved
        series = {
            model: fresh
            for model, samples in self.samples.items()
            if (fresh := [sample for at, sample in samples if at > seen])
        }
        if series:
            changed["series"] = series
        return changed

    async def gather(self) -> None:
        """Bring the parts up to date, unless that was done less than a second ago."""
        async with self._lock:
            if time.monotonic() - self._gathered < EVERY_S * 0.8:
                return
            self.round += 1
            report = self.health.health("")
            health = {
                "status": report["status"],
                "components": {
                    name: {"status": part["status"], "reason": part.get("reason")}
                    for name, part in report["components"].items()
                },
            }
            self._put("health", health)
            traffic = await self.health.traffic()
            self._put("lease", traffic["lease"])
            self._put("models", await asyncio.to_thread(self._with_standby, traffic["models"]))
            slow = time.monotonic() - self._slow >= _SLOW_S
            if slow:
                self._slow = time.monotonic()
                self._put("drift", await asyncio.to_thread(drift_status, self.stores.drift))
            await self._from_controller(list(traffic["models"]), slow)
            self._gathered = time.monotonic()

    async def _from_controller(self, models: list[str], slow: bool) -> None:
        try:
            found = (await self._ask(f"/rollouts?limit={_ROLLOUTS}&and_running=true"))["rollouts"]
            moved = self._put_rollouts(found)
            if moved or slow:
                self._put("audit", (await self._ask(f"/audit?limit={_AUDIT}&newest_first=true"))["records"])
            for model in models:
                await self._put_samples(model)
        except ApiError as error:
            self._put("problem", str(error.detail))
        else:
            self._put("problem", None)

    async def _ask(self, path: str) -> dict[str, Any]:
        status, content = await self.controller.call("GET", path, None, "console")
        answer = msgspec.json.decode(content)
        if status != 200:
            raise ApiError(status, answer.get("detail", "the controller refused"))
        return answer

    def _put(self, name: str, value: Any) -> None:
        if name not in self.parts or self.parts[name][1] != value:
            self.parts[name] = (self.round, value)

    def _put_rollouts(self, found: list[dict[str, Any]]) -> bool:
        last, moved = self.rollouts, False
        self.rollouts = {}
        for view in found:
            before = last.get(view["id"])
            if before is None or before[1] != view:
                before, moved = (self.round, view), True
            self.rollouts[view["id"]] = before
        self._put("order", list(self.rollouts))
        return moved

    async def _put_samples(self, model: str) -> None:
        kept = self.samples.setdefault(model, deque(maxlen=_SAMPLES))
        newest = kept[-1][1]["t"] if kept else ""
        # A board that nobody looked at for a while has a gap: then the whole span is read anew.
        minutes = 0.2 if time.monotonic() - self._gathered < 8 else _MINUTES
        for sample in (await self._ask(f"/series?model={model}&minutes={minutes}"))["samples"]:
            if sample["t"] > newest:
                kept.append((self.round, sample))

    def _with_standby(self, models: dict[str, Any]) -> dict[str, Any]:
        """Until when the version before is held ready is in the routing table alone."""
        try:
            table = read_routing(self.stores.routing)
        except (OSError, msgspec.DecodeError):
            return models
        for name, shown in models.items():
            route = table.models.get(name)
            if shown["standby"] and route and route.standby and route.standby.version == shown["standby"]["version"]:
                shown["standby"]["until"] = clock.to_iso(route.standby.until)
        return models
