"""The way back needs no loading and waits for none: neither for a sidecar of another model, nor for a bundle."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from fx_serving.config import ServingConfig
from fx_serving.dataplane.sidecar_client import Sidecar
from fx_serving.dataplane.slots import SlotManager
from fx_serving.routing import GreenRoute, ModelRoute, RoutingTable, Standby, write_routing
from tests.servers.serving import make_bundle

OTHER = "dir_60m"


class Followed:
    """A worker's slots, following a table that the test writes."""

    def __init__(self, stores):
        self.stores, self.manager, self.generation = stores, SlotManager(stores, ServingConfig()), 0

    def write(self, **models: ModelRoute) -> None:
        self.generation += 1
        table = RoutingTable(generation=self.generation, counter=self.generation, models=models)
        write_routing(self.stores.routing, table, durable=False)

    async def until(self, check) -> None:
        deadline = time.monotonic() + 20
        while not check():
            assert time.monotonic() < deadline, self.manager.current
            await asyncio.sleep(0.005)

    def green(self, model: str) -> Any:
        return self.manager.current.models[model].green


def green(version: str, weight: float = 50.0) -> GreenRoute:
    return GreenRoute(version=version, weight=weight, rollout_id=f"r{version}")


@pytest.fixture
def bundles(stores):
    for model in ("move_60m", OTHER):
        for version in ("1", "2"):
            make_bundle(stores, version, model=model)
    return stores


def test_a_candidate_is_taken_back_while_another_models_is_still_being_loaded(bundles, monkeypatch):
    async def way():
        followed = Followed(bundles)
        followed.write(move_60m=ModelRoute(blue="1", green=green("2")), dir_60m=ModelRoute(blue="1"))
        await followed.manager.poll()
        process = psutil.Process(followed.green("move_60m").sidecar.pid)
        begun, go_on, start = asyncio.Event(), asyncio.Event(), Sidecar.start

        async def when_told(sidecar):
            begun.set()
            await go_on.wait()
            await start(sidecar)

        monkeypatch.setattr(Sidecar, "start", when_told)
        following = asyncio.create_task(followed.manager.run())
        followed.write(
            move_60m=ModelRoute(blue="1", green=green("2", 80.0)), dir_60m=ModelRoute(blue="1", green=green("2"))
        )
        await asyncio.wait_for(begun.wait(), 20)
        assert followed.green("move_60m").route.weight == 80, "a weight needs no loading either"
        followed.write(move_60m=ModelRoute(blue="1"), dir_60m=ModelRoute(blue="1", green=green("2")))
        await followed.until(lambda: followed.green("move_60m") is None)
        assert followed.green(OTHER) is None
        assert followed.manager.current.generation == 1, "confirmed is only what is applied as a whole"
        go_on.set()
        await followed.until(lambda: followed.manager.current.generation == 3)
        assert followed.green("move_60m") is None
        assert followed.green(OTHER).hot.version == "2"
        await followed.until(lambda: not process.is_running())
        following.cancel()
        await followed.manager.stop()

    asyncio.run(way())


def test_the_standby_answers_at_once_while_another_models_candidate_is_loaded(bundles, monkeypatch):
    async def way():
        followed = Followed(bundles)
        hot = Standby(version="1", until=datetime.now(UTC) + timedelta(hours=1))
        followed.write(move_60m=ModelRoute(blue="2", standby=hot), dir_60m=ModelRoute(blue="1"))
        await followed.manager.poll()
        begun, go_on, start = asyncio.Event(), asyncio.Event(), Sidecar.start

        async def when_told(sidecar):
            begun.set()
            await go_on.wait()
            await start(sidecar)

        monkeypatch.setattr(Sidecar, "start", when_told)
        following = asyncio.create_task(followed.manager.run())
        followed.write(move_60m=ModelRoute(blue="2", standby=hot), dir_60m=ModelRoute(blue="1", green=green("2")))
        await asyncio.wait_for(begun.wait(), 20)
        followed.write(move_60m=ModelRoute(blue="1"), dir_60m=ModelRoute(blue="1", green=green("2")))
        await followed.until(lambda: followed.manager.current.models["move_60m"].blue.version == "1")  # type: ignore[union-attr]
        go_on.set()
        await followed.until(lambda: followed.manager.current.generation == 3)
        assert followed.manager.current.models["move_60m"].standby is None
        following.cancel()
        await followed.manager.stop()

    asyncio.run(way())
