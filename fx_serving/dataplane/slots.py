"""Which bundle answers: follows routing.json, prepares every slot first, then swaps in one assignment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from fx_serving.client.bundle import BundleError
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.dataplane.bundles import LoadedBundle, load_bundle
from fx_serving.dataplane.sidecar_client import Sidecar
from fx_serving.routing import GreenRoute, Lease, ModelRoute, RoutingTable, read_routing

log = logging.getLogger("fx_serving.slots")


@dataclass(frozen=True)
class Green:
    """A candidate: `hot` is loaded in this process for the moment it becomes blue, and not scored before."""

    route: GreenRoute
    hot: LoadedBundle
    sidecar: Sidecar


@dataclass(frozen=True)
class ModelSlots:
    """Both slots of one model."""

    blue: LoadedBundle | None
    green: Green | None


@dataclass(frozen=True)
class Deployment:
    """Everything that is served, at one moment. `errors`: "model version" -> why it is not."""

    generation: int = -1
    models: Mapping[str, ModelSlots] = field(default_factory=lambda: MappingProxyType({}))
    errors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class SlotManager:
    """Keeps `current` in step with the published table."""

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.stores = stores
        self.config = config
        self.current = Deployment()
        self.lease = Lease(config.lease.expire_s)
        self.problem: str | None = None
        self._mark: tuple[int, int] | None = None

    def live(self) -> bool:
        """Whether canary weights hold now."""
        return self.lease.alive(time.monotonic())

    async def run(self, every_s: float = 0.08) -> None:
        """Follow the file for ever."""
        while True:
            await self.poll()
            await asyncio.sleep(every_s)

    async def poll(self) -> None:
        """Look once; apply the table if its generation is new."""
        try:
            stat = self.stores.routing.stat()
            mark = (stat.st_mtime_ns, stat.st_ino)
            if mark == self._mark:
                return
            table = read_routing(self.stores.routing)
        except FileNotFoundError:
            self.problem = None
            return
        except (OSError, msgspec.DecodeError) as error:
            self.problem = f"{self.stores.routing}: {error}; the previous table stays in force"
            return
        self._mark, self.problem = mark, None
        self.lease.observe(table.counter, time.monotonic())
        if table.generation != self.current.generation:
            # In a task of its own, so that preparing a candidate for seconds does not make the lease look
            # dead.
            await self._apply_while_watching(table)

    async def _apply_while_watching(self, table: RoutingTable) -> None:
        work = asyncio.create_task(self._apply(table))
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            try:
                self.lease.observe(read_routing(self.stores.routing).counter, time.monotonic())
            except (OSError, msgspec.DecodeError):
                continue
        self._mark = None  # the table may have moved on meanwhile
        work.result()

    async def _apply(self, table: RoutingTable) -> None:
        before = self.current
        errors: dict[str, str] = {}
        models: dict[str, ModelSlots] = {}
        for model, route in table.models.items():
            had = before.models.get(model, ModelSlots(None, None))
            blue = await self._blue(model, route, had, errors)
            green = await self._green(model, route.green, had.green, errors) if route.green else None
            if blue or green:
                models[model] = ModelSlots(blue, green)
        self.current = Deployment(table.generation, MappingProxyType(models), MappingProxyType(errors))
        kept = {id(slots.green.sidecar) for slots in models.values() if slots.green}
        for slots in before.models.values():
            if slots.green and id(slots.green.sidecar) not in kept:
                await slots.green.sidecar.stop()

    async def _blue(
        self, model: str, route: ModelRoute, had: ModelSlots, errors: dict[str, str]
    ) -> LoadedBundle | None:
        version = route.blue
        if version is None:
            return None
        if had.blue and had.blue.version == version:
            return had.blue
        try:
            if had.green and had.green.hot.version == version:
                await asyncio.to_thread(had.green.hot.check_parity)
                return had.green.hot
            return await asyncio.to_thread(load_bundle, self.stores.bundles, model, version)
        except BundleError as error:
            errors[f"{model} {version}"] = str(error)
            log.error("cannot serve %s %s: %s", model, version, error)
            return had.blue

    async def _green(self, model: str, route: GreenRoute, had: Green | None, errors: dict[str, str]) -> Green | None:
        if had and had.route.version == route.version:
            return Green(route, had.hot, had.sidecar)
        sidecar = Sidecar(self.stores.bundles, model, route.version, self.config.sidecar)
        try:
            # The sidecar goes first: what crashes while loading or scoring its golden rows crashes there.
            await sidecar.start()
            hot = await asyncio.to_thread(load_bundle, self.stores.bundles, model, route.version, parity=False)
        except (BundleError, OSError) as error:
            await sidecar.stop()
            errors[f"{model} {route.version}"] = str(error)
            log.error("cannot prepare candidate %s %s: %s", model, route.version, error)
            return None
        return Green(route, hot, sidecar)

    async def stop(self) -> None:
        """End the sidecars."""
        for slots in self.current.models.values():
            if slots.green:
                await slots.green.sidecar.stop()
