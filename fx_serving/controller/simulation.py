"""Rollouts in a made-up world: the real engine, state store, routing table and lease; only traffic and time are drawn.

A world is a candidate and a deployed version that behave as told, and a stream of requests. The same seed gives the
same rollout. What the gates make of it is measured in tests (short) and in benchmarks/rollouts.py (full).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.controller.engine import Engine
from fx_serving.controller.facts import Suite
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.sources import BundleFacts
from fx_serving.evidence import BOUNDS, SCORE_BINS, Key, SlotEvidence
from fx_serving.routing import GreenRoute, Lease, read_routing
from fx_serving.state.sqlite import SqliteState

MODEL, BLUE, GREEN = "move_60m", "1", "2"
INSTRUMENTS = ("AUD_USD", "EUR_USD", "GBP_USD", "USD_JPY")
START = datetime(2026, 1, 5, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "steps": [
        {"weight": 5, "instruments": 2, "window_s": 30},
        {"weight": 25, "window_s": 15},
        {"weight": 50, "window_s": 15},
        {"weight": 100, "window_s": 30},
    ]
}
"""The shipped policy with its hours made half minutes: what counts is how many requests, not how long they take."""
LEASE = {"renew_s": 30, "expire_s": 120}

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Behaviour:
    """How a version answers: share of errors, times (median in ms, spread of their logarithm), scores."""

    errors: float = 0.002
    median_ms: float = 3.0
    spread: float = 0.5
    score: float = 0.5

    def times(self, slower: float = 1.0) -> np.ndarray:
        """The probability of each bin of times, when everything takes `slower` times as long."""
        below = [_NORMAL.cdf(math.log(bound * 1000 / (self.median_ms * slower)) / self.spread) for bound in BOUNDS]
        return np.diff([0.0, *below, 1.0])

    def scores(self) -> np.ndarray:
        """The probability of each bin of scores."""
        below = [_NORMAL.cdf(((i + 1) / SCORE_BINS - self.score) / 0.1) for i in range(SCORE_BINS - 1)]
        return np.diff([0.0, *below, 1.0])


@dataclass(frozen=True)
class World:
    """Who answers, and how much is asked.

    rush: how much slower everything is at the worst of a slow swing of load. breaks_after: requests after which the
    candidate fails at every one. stop_after: requests after which one need not go on.
    """

    blue: Behaviour = field(default_factory=Behaviour)
    green: Behaviour = field(default_factory=Behaviour)
    per_s: float = 400.0
    rush: float = 1.0
    policy: dict[str, Any] = field(default_factory=lambda: POLICY)
    tick_s: float = 0.5
    for_s: float = 1200.0
    breaks_after: int | None = None
    stop_after: int | None = None
    keys: tuple[str, ...] = ()


Kind = Literal["same", "failing", "slow", "thin"]


def drawn(kind: Kind, seed: int) -> World:
    """A world of a kind, the rest of it drawn by the seed.

    same: candidate and deployed version behave alike. failing: five points more of its requests fail. slow: all its
    times are doubled. thin: it behaves as well, but hardly anything is asked. Every other world scores unseen, too.
    """
    random = np.random.default_rng((seed, 6))
    blue = Behaviour(
        errors=float(random.uniform(0, 0.008)),
        median_ms=float(np.exp(random.uniform(math.log(0.5), math.log(20)))),
        spread=float(random.uniform(0.2, 0.8)),
        score=float(random.uniform(0.4, 0.6)),
    )
    green = {
        "failing": replace(blue, errors=blue.errors + 0.05),
        "slow": replace(blue, median_ms=blue.median_ms * 2),
    }.get(kind, blue)
    world = World(
        blue=blue,
        green=green,
        per_s=float(random.uniform(200, 800)),
        rush=float(random.uniform(1, 3)),
        policy={**POLICY, "shadow": seed % 2 == 1},
    )
    if kind == "thin":
        return replace(world, per_s=float(random.uniform(0, 0.4)), tick_s=5.0, for_s=600)
    if kind == "same":
        return world
    return replace(world, tick_s=0.25, stop_after=500)


@dataclass(frozen=True)
class Ending:
    """What became of the candidate.

    served: requests it was given until then; shadow: those it scored unseen. seconds: since its first request, or
    since it broke. routes: what was published of it, in order. gates: which of them failed.
    """

    state: str
    served: int
    shadow: int
    seconds: float
    routes: tuple[GreenRoute, ...]
    gates: tuple[str, ...]
    why: str


class Clock:
    """Goes on when told."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self.passed


class Workers:
    """The other side of the routing table: answers what is asked, by the published table and while its lease holds."""

    inline = True

    def __init__(self, world: World, stores: Stores, clock: Clock, lease_s: float, seed: int) -> None:
        self.world, self.stores, self.clock = world, stores, clock
        self.totals: dict[Key, SlotEvidence] = {}
        self.served = self.shadowed = 0
        self.routes: list[GreenRoute] = []
        self.broke_at: float | None = None
        self._lease, self._random = Lease(lease_s), np.random.default_rng(seed)
        self._scores = {BLUE: world.blue.scores(), GREEN: world.green.scores()}

    def look(self) -> None:
        """Take note of the published table."""
        self._table = read_routing(self.stores.routing)
        self._lease.observe(self._table.counter, self.clock.passed)

    def answer(self, seconds: float) -> None:
        """Answer what is asked in this time."""
        route, random = self._table.models[MODEL], self._random
        asked = int(random.poisson(self.world.per_s * seconds))
        green, weight, open_ = route.green, 0.0, 0
        if green is not None and self._lease.alive(self.clock.passed):
            weight = green.weight / 100
            share = len(green.instruments or INSTRUMENTS) / len(INSTRUMENTS)
            open_ = int(random.binomial(asked, share))
            if green not in self.routes:
                self.routes.append(green)
        mine = int(random.binomial(open_, weight))
        self._count(GREEN, ("green",), mine)
        self._count(str(route.blue), ("blue", "control"), open_ - mine)
        self._count(str(route.blue), ("blue",), asked - open_)
        self.served += mine
        if green is not None and green.shadow:
            self._count(GREEN, ("shadow",), asked - mine)
            self.shadowed += asked - mine

    def _count(self, version: str, slots: tuple[str, ...], n: int) -> None:
        if not n:
            return
        like, random = (self.world.green if version == GREEN else self.world.blue), self._random
        broken = "green" in slots and self.world.breaks_after is not None and self.served >= self.world.breaks_after
        if broken and self.broke_at is None:
            self.broke_at = self.clock.passed
        bad = n if broken else int(random.binomial(n, like.errors))
        swing = (1 - math.cos(self.clock.passed / 75 * 2 * math.pi)) / 2
        times = like.times(1 + (self.world.rush - 1) * swing)
        made = SlotEvidence(
            {"ok": n - bad, "error" if "shadow" in slots else "rescored": bad},
            random.multinomial(n, times).tolist(),
            random.multinomial(n - bad, times).tolist(),
            random.multinomial(n - bad, self._scores[version]).tolist(),
            {"exception": bad},
        )
        for slot in slots:
            known = self.totals.get((MODEL, version, slot))
            self.totals[MODEL, version, slot] = made if known is None else known.plus(made)

    def counts(self) -> dict[Key, SlotEvidence]:
        """Totals since the beginning."""
        return self.totals

    def confirmation(self, generation: int, model: str, version: str) -> tuple[bool, str | None]:
        """These workers obey at once."""
        return True, None

    def bundle(self, model: str, version: str) -> BundleFacts | None:
        """Every bundle is there."""
        return BundleFacts(INSTRUMENTS)

    async def verify(self, model: str, version: str) -> str:
        """Every bundle is whole."""
        return ""

    async def suite(self, rollout: Rollout) -> Suite:
        """Every test passes: the gates are what is tried here."""
        return Suite(passed=1, total=1)

    def outcomes(self, model: str, version: str, slot: str, since: datetime) -> Sequence[Any]:
        """Nothing is known yet of what the market did."""
        return ()

    def keys(self, n: int) -> Sequence[str]:
        """Those that the world names."""
        return self.world.keys[:n]


async def roll_out(world: World, seed: int, folder: Path) -> Ending:
    """One rollout in this world, to its end, or until the world's time or its canary requests are used up."""
    stores, clock = Stores(folder), Clock()
    config = ServingConfig.model_validate({"rollout": world.policy, "lease": LEASE})
    workers = Workers(world, stores, clock, config.lease.expire_s, seed)
    for version in (BLUE, GREEN):
        (stores.bundles / MODEL / version).mkdir(parents=True)
    state = SqliteState(stores.state_db, stores.audit_head, durable=False)
    engine = Engine(stores, config, clock=clock, sources=workers, state=state)
    try:
        engine.lead(state.lease("controller", "simulation", 1e9).term)
        first = engine.start(MODEL, BLUE)
        while not engine.get(first.id).finished:
            await _tick(engine, clock, 0.1)
        rollout = engine.start(MODEL, GREEN)
        began, live, renewed = clock.passed, None, float("-inf")
        while not rollout.finished and clock.passed - began < world.for_s:
            if world.stop_after is not None and workers.served >= world.stop_after:
                break
            if clock.passed - renewed >= config.lease.renew_s:
                engine.renew()
                renewed = clock.passed
            workers.look()
            if rollout.live:
                workers.answer(world.tick_s)
                live = clock.passed if live is None and workers.served else live
            await _tick(engine, clock, world.tick_s if rollout.live else 0.1)
            rollout = engine.get(rollout.id)
        failed = tuple(gate.gate for gate in rollout.gates if gate.verdict == "fail")
        return Ending(
            state=rollout.state,
            served=workers.served,
            shadow=workers.shadowed,
            seconds=clock.passed - next(at for at in (workers.broke_at, live, began) if at is not None),
            routes=tuple(workers.routes),
            gates=failed,
            why=rollout.reason or (rollout.events[-1].why if rollout.events else ""),
        )
    finally:
        engine.close()


async def _tick(engine: Engine, clock: Clock, seconds: float) -> None:
    clock.passed += seconds
    await engine.tick()
    await asyncio.sleep(0)  # checks are tasks of their own
