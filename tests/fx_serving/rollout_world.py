"""A world for the real engine without processes: a clock that is set, counts that are given, workers that obey."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.controller.engine import Engine
from fx_serving.controller.facts import Suite
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.sources import BundleFacts
from fx_serving.evidence import Key, SlotEvidence, score_bin, time_bin
from fx_serving.ingest.query import Outcome
from fx_serving.routing import read_routing
from fx_serving.state import read_head
from fx_serving.state.sqlite import SqliteState

START = datetime(2026, 1, 5, tzinfo=UTC)
POLICY = {"steps": [5, 50, 100], "window_s": 10, "min_requests": 20, "max_sharpe_drop": None, "max_brier_rise": None}


class WorldClock:
    """Goes on when told."""

    def __init__(self, passed: float = 0.0) -> None:
        self.passed = passed

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


class World:
    """What the engine asks; tests set it."""

    inline = True

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.totals: dict[Key, SlotEvidence] = {}
        self.applied = True
        self.refused: dict[str, str] = {}
        self.gone: set[str] = set()
        self.verdicts: dict[str, str] = {}
        self.suites: dict[str, Suite] = {}
        self.instruments = ("AUD_USD", "EUR_USD", "GBP_USD")
        self.happened: dict[str, list[Outcome]] = {}

    def counts(self) -> dict[Key, SlotEvidence]:
        return {key: SlotEvidence().plus(found) for key, found in self.totals.items()}

    def confirmation(self, generation: int, model: str, version: str) -> tuple[bool, str | None]:
        return self.applied, self.refused.get(version)

    def bundle(self, model: str, version: str) -> BundleFacts | None:
        return None if version in self.gone else BundleFacts(self.instruments)

    async def verify(self, model: str, version: str) -> str:
        return self.verdicts.get(version, "")

    async def suite(self, rollout: Rollout) -> Suite:
        return self.suites.get(rollout.version, Suite(passed=40, total=40))

    def outcomes(self, model: str, version: str, slot: str, since: datetime) -> Sequence[Outcome]:
        return self.happened.get(version, []) if slot in ("green", "blue") else []

    def keys(self, n: int) -> Sequence[str]:
        return []

    def answer(self, model: str, version: str, slot: str, n: int, errors: int = 0, ms: float = 2.0) -> None:
        """Let a slot answer n requests."""
        found = self.totals.setdefault((model, version, slot), SlotEvidence())
        for outcome, m in (("ok", n - errors), ("rescored", errors)):
            found.outcomes[outcome] = found.outcomes.get(outcome, 0) + m
        found.answer[time_bin(ms / 1000)] += n
        found.service[time_bin(ms / 1000)] += n - errors
        for i in range(n - errors):
            found.scores[score_bin((i % 50) / 50)] += 1


class Home:
    """An engine over a world, driven step by step."""

    def __init__(
        self,
        folder: Path,
        policy: dict[str, Any] | None = None,
        *,
        durable: bool = False,
        passed: float = 0.0,
        **settings: Any,
    ) -> None:
        self.stores, self.durable = Stores(folder), durable
        self.config = ServingConfig.model_validate({"rollout": {**POLICY, **(policy or {})}, **settings})
        self.clock, self.world = WorldClock(passed), World(self.stores)
        self.engine = self.open()
        self.engine.lead(self.engine.state.lease("controller", "test", 1e9).term)

    def open(self) -> Engine:
        """An engine that has just been started."""
        self.state = SqliteState(self.stores.state_db, self.stores.audit_head, durable=self.durable)
        return Engine(self.stores, self.config, clock=self.clock, sources=self.world, state=self.state)

    def restart(self) -> None:
        """As after kill -9: what was only in memory is gone."""
        self.engine.state.close()
        self.engine = self.open()
        self.engine.lead(self.engine.state.lease("controller", "test", 1e9).term)

    async def ticks(self, n: int = 1, seconds: float = 0.3) -> None:
        """Let time pass."""
        import asyncio

        for _ in range(n):
            self.clock.passed += seconds
            await self.engine.tick()
            await asyncio.sleep(0)

    async def until(self, id: str, *states: str, limit: int = 60) -> Rollout:
        """Ticks until the rollout is in one of the states."""
        for _ in range(limit):
            found = self.engine.get(id)
            if found.state in states:
                return found
            await self.ticks()
        raise AssertionError(f"{found.state} after {limit} ticks: {found.events[-3:]}")

    async def deploy(self, version: str, model: str = "m") -> None:
        """A first deployment."""
        made = self.engine.start(model, version)
        await self.until(made.id, "succeeded")

    async def traffic(self, id: str, n: int = 400, errors: int = 0, seconds: float = 11.0) -> Rollout:
        """One step's worth of answers, and the time it takes."""
        await self.ticks()
        found = self.engine.get(id)
        weight = found.weight / 100
        green, blue = int(n * weight), n - int(n * weight)
        self.world.answer(found.model, found.version, "green", green, errors)
        for slot in ("control", "blue"):
            self.world.answer(found.model, found.from_version or "", slot, blue)
        if found.shadow:
            self.world.answer(found.model, found.version, "shadow", blue)
        await self.ticks(2, seconds / 2)
        return self.engine.get(id)

    def table(self) -> Any:
        """The routing table as workers read it."""
        return read_routing(self.stores.routing)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """A test's way, from beginning to end."""
    asyncio.run(coroutine)


def whole(home: Home) -> bool:
    """Whether the audit trail is."""
    return home.engine.state.verify_audit(read_head(home.stores.audit_head)).whole
