"""Which bundle answers: follows routing.json, prepares every slot first, then swaps in one assignment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    """Both slots of one model, and the version that was blue before, loaded."""

    blue: LoadedBundle | None
    green: Green | None
    standby: LoadedBundle | None = None


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
        self._term = 0
        self._newest: RoutingTable | None = None

    def live(self) -> bool:
        """Whether canary weights hold now."""
        return self.lease.alive(time.monotonic())

    async def run(self, every_s: float = 0.02) -> None:
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
        self._mark = mark
        if table.term < self._term:
            self.problem = f"{self.stores.routing}: written by a controller that no longer leads; not followed"
            return
        self._term, self.problem = table.term, None
        self.lease.observe(table.counter, time.monotonic())
        if table.generation != self.current.generation:
            # In a task of its own, so that preparing a candidate for seconds does not make the lease look
            # dead.
            await self._apply_while_watching(table)

    async def _apply_while_watching(self, table: RoutingTable) -> None:
        self._newest = table
        work = asyncio.create_task(self._apply(table))
        while not work.done():
            await asyncio.wait([work], timeout=0.02)
            try:
                newer = read_routing(self.stores.routing)
            except (OSError, msgspec.DecodeError):
                continue
            if newer.term < self._term:
                continue
            self.lease.observe(newer.counter, time.monotonic())
            if newer.generation != self._newest.generation:
                # Whoever is taken back need not wait until somebody else's candidate is loaded.
                self._newest = newer
                self.current = replace(self.current, models=_at_once(newer, self.current.models))
        self._mark = None  # the table may have moved on meanwhile
        work.result()

    async def _apply(self, table: RoutingTable) -> None:
        before = self.current
        self.current = replace(before, models=_at_once(table, before.models))
        errors: dict[str, str] = {}
        models: dict[str, ModelSlots] = {}
        for model, route in table.models.items():
            had = before.models.get(model, ModelSlots(None, None))
            blue = await self._blue(model, route, had, errors)
            green = await self._green(model, route.green, had.green, errors) if route.green else None
            standby = await self._standby(model, route, had) if route.standby else None
            if blue or green:
                models[model] = ModelSlots(blue, green, standby)
        made: Mapping[str, ModelSlots] = MappingProxyType(models)
        if self._newest is not None and self._newest.generation != table.generation:
            made = _at_once(self._newest, made)
        self.current = Deployment(table.generation, made, MappingProxyType(errors))
        kept = {id(slots.green.sidecar) for slots in made.values() if slots.green}
        left = {id(slots.green.sidecar): slots.green.sidecar for slots in before.models.values() if slots.green}
        left |= {id(slots.green.sidecar): slots.green.sidecar for slots in models.values() if slots.green}
        for key, sidecar in left.items():
            if key not in kept:
                await sidecar.stop()

    async def _blue(
        self, model: str, route: ModelRoute, had: ModelSlots, errors: dict[str, str]
    ) -> LoadedBundle | None:
        version = route.blue
        if version is None:
            return None
        if had.blue and had.blue.version == version:
            return had.blue
        if had.standby and had.standby.version == version:
            return had.standby  # it has been blue: nothing is left to try
        try:
            if had.green and had.green.hot.version == version:
                await asyncio.to_thread(had.green.hot.check_parity)
                return had.green.hot
            return await asyncio.to_thread(load_bundle, self.stores.bundles, model, version)
        except BundleError as error:
            errors[f"{model} {version}"] = str(error)
            log.error("cannot serve %s %s: %s", model, version, error)
            return had.blue

    async def _standby(self, model: str, route: ModelRoute, had: ModelSlots) -> LoadedBundle | None:
        """The version to go back to; one that cannot be loaded is no error: going back would load it again."""
        version = route.standby.version if route.standby else None
        for held in (had.blue, had.standby):
            if held and held.version == version:
                return held
        try:
            return await asyncio.to_thread(load_bundle, self.stores.bundles, model, str(version))
        except BundleError as error:
            log.warning("cannot keep %s %s ready: %s", model, version, error)
            return None

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


def _at_once(table: RoutingTable, held: Mapping[str, ModelSlots]) -> Mapping[str, ModelSlots]:
    """What of a table can be served with what is loaded already: weights, candidates gone, the standby back."""
    made: dict[str, ModelSlots] = {}
    for model, had in held.items():
        route = table.models.get(model)
        if route is None:
            made[model] = had
            continue
        standby, green = had.standby, had.green
        back = standby is not None and standby.version == route.blue
        if green is not None:
            same = route.green is not None and route.green.version == green.route.version
            if same and route.green is not None:
                green = Green(route.green, green.hot, green.sidecar)
            elif green.route.version != route.blue:  # what becomes blue is still green until it has been tried
                green = None
        made[model] = ModelSlots(standby if back else had.blue, green, had.blue if back else standby)
    return MappingProxyType(made)
