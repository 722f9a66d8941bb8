"""Which of several controllers leads: real engines on one database, two hosts, a clock that is set."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.controller.engine import Engine
from fx_serving.controller.leader import Leadership, holder_is_dead, new_holder
from fx_serving.dataplane.errors import ApiError
from fx_serving.routing import read_routing
from fx_serving.state import CONTROLLER, StateError
from fx_serving.state.postgres import PostgresState
from fx_serving.state.sqlite import SqliteState
from tests.fx_serving.rollout_world import POLICY, World, WorldClock
from tests.servers.postgres import postgres_server
from tests.servers.serving import wait_until


class Host:
    """A controller on a host of its own; the database is shared."""

    def __init__(self, folder: Path, name: str, clock: WorldClock, address: str | None = None) -> None:
        self.stores = Stores(folder / name)
        self.clock = clock
        lease = {"renew_s": 0.2, "expire_s": 8 if address is None else 1}
        config = ServingConfig.model_validate({"rollout": POLICY, "lease": lease})
        if address is None:
            state = SqliteState(folder / "shared.db", None, clock=lambda: clock.passed, durable=False)
        else:
            state = PostgresState(address)
        self.engine = Engine(self.stores, config, clock=clock, sources=World(self.stores), state=state)
        self.leadership = Leadership(self.engine)
        # Of another machine: whether its process lives cannot be seen from here.
        self.leadership.holder = f"{name}|boot|1|1|x"

    def renew(self) -> None:
        self.leadership.renew()

    def table(self):
        return read_routing(self.stores.routing)

    async def until(self, id: str, state: str) -> None:
        for _ in range(60):
            if self.engine.get(id).state == state:
                return
            self.clock.passed += 0.3
            self.renew()
            await self.engine.tick()
            await asyncio.sleep(0)
        raise AssertionError(self.engine.get(id))


@pytest.fixture
def hosts(tmp_path):
    clock = WorldClock()
    first, second = Host(tmp_path, "first", clock), Host(tmp_path, "second", clock)
    first.renew()
    second.renew()
    yield first, second, clock
    first.engine.close()
    second.engine.close()


def test_one_leads_and_the_other_tells_its_own_workers_the_same(hosts):
    first, second, _ = hosts

    async def way():
        await first.until(first.engine.start("m", "1").id, "succeeded")
        id = first.engine.start("m", "2").id
        await first.until(id, "canary")
        second.renew()
        assert (first.engine.leading, second.engine.leading) == (True, False)
        assert first.table().models == second.table().models
        assert second.table().models["m"].green.weight == 5
        assert first.table().term == second.table().term == 1
        counter = second.table().counter
        second.renew()
        assert second.table().counter > counter
        assert second.engine.get(id).state == "canary"
        for order in (lambda: second.engine.start("m", "3"), lambda: second.engine.abort(id)):
            with pytest.raises(ApiError, match="does not lead") as refused:
                order()
            assert refused.value.status == 503
        await second.engine.tick()

    asyncio.run(way())


def test_the_other_takes_over_when_the_leaders_lease_runs_out(hosts):
    first, second, clock = hosts

    async def way():
        await first.until(first.engine.start("m", "1").id, "succeeded")
        id = first.engine.start("m", "2").id
        await first.until(id, "canary")
        second.renew()
        clock.passed += 7
        second.renew()
        assert not second.engine.leading
        counter = second.table().counter
        clock.passed += 2  # the first has been silent for longer than its lease
        second.renew()
        assert second.engine.leading
        assert (second.table().term, second.table().models["m"].green.weight) == (2, 0)
        assert second.table().counter > counter
        # The first wakes up: what it still wants to commit is refused, and it follows.
        with pytest.raises(ApiError, match="does not lead"):
            first.engine.abort(id)
        first.renew()
        assert not first.engine.leading
        assert first.table().models == second.table().models
        await second.until(id, "canary")
        first.renew()
        assert first.table().models["m"].green.weight == 5
        assert second.engine.state.verify_audit(None).whole

    asyncio.run(way())


def test_workers_are_not_kept_on_green_by_a_leader_that_is_gone(hosts):
    """A follower renews its workers' lease only as long as the leader's own lease in the database lasts."""
    first, second, clock = hosts
    second.renew()
    taken = second.engine.state.lease
    counter = second.table().counter
    clock.passed += 20

    def asked(name, holder, ttl_s):
        # As if a third one held it and had just let it run out: nobody leads at this moment.
        found = taken(name, "third|boot|1|1|x", 0.0)
        return type(found)(term=found.term, held=False, holder=found.holder, remaining_s=0.0)

    second.engine.state.lease = asked
    second.renew()
    assert second.table().counter == counter
    assert not second.engine.leading
    assert first.engine.leading


def test_a_leader_without_its_database_stands_down_when_its_lease_is_over(hosts):
    first, _, clock = hosts
    counter = first.table().counter

    def away(*_):
        raise StateError("the database does not answer")

    first.engine.state.lease = away
    clock.passed += 7
    with pytest.raises(StateError):
        first.renew()
    assert first.engine.leading
    assert first.table().counter > counter
    counter = first.table().counter
    clock.passed += 2
    with pytest.raises(StateError):
        first.renew()
    assert not first.engine.leading
    assert first.table().counter == counter, "its workers go back to blue"


def test_a_table_of_another_database_does_not_stand_in_the_way(tmp_path):
    """The database was replaced (its terms begin anew): the leader's table is written all the same."""
    clock = WorldClock()
    old = Host(tmp_path / "a", "h", clock)
    for holder in ("x|b|1|1|1", "y|b|1|1|1"):
        old.engine.state.lease(CONTROLLER, holder, 1)
        clock.passed += 2
    old.renew()
    assert old.table().term == 3
    new = Host(tmp_path / "b", "h", clock)
    new.stores.serving.mkdir(parents=True)
    new.stores.routing.write_bytes(old.stores.routing.read_bytes())
    new.renew()
    assert new.table().term == 1
    old.engine.close()
    new.engine.close()


@pytest.mark.server
def test_two_hosts_on_one_postgres(tmp_path, program):
    """The same over PostgreSQL, whose own clock says when a lease is over."""
    with postgres_server(program) as address:
        clock = WorldClock()
        first, second = Host(tmp_path, "first", clock, address), Host(tmp_path, "second", clock, address)

        async def way():
            first.renew()
            await first.until(first.engine.start("m", "1").id, "succeeded")
            id = first.engine.start("m", "2").id
            await first.until(id, "canary")
            second.renew()
            assert not second.engine.leading
            assert second.table().models == first.table().models

            def takes_over():
                second.renew()
                return second.engine.leading

            wait_until(takes_over)  # the first is silent from now on
            assert second.engine.get(id).state == "deploying"
            with pytest.raises(ApiError, match="does not lead"):
                first.engine.abort(id)
            await second.until(id, "canary")
            assert second.engine.state.verify_audit(None).whole

        asyncio.run(way())
        first.engine.close()
        second.engine.close()


def test_a_holder_whose_process_ids_are_others_is_not_taken_for_dead(monkeypatch):
    """Containers of one machine may share its name; each counts its processes by itself."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("os.readlink", lambda _: "pid:[1]")
        host, boot, _, started, unique = new_holder().split("|")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    gone = (host, boot, str(process.pid), started, unique)
    assert not holder_is_dead("|".join(gone))


def test_whether_a_holder_is_dead():
    assert not holder_is_dead(new_holder())
    assert not holder_is_dead("")
    assert not holder_is_dead("elsewhere|boot|1|1|x")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        from fx_serving.controller.leader import _started

        host, boot, _, _, unique = new_holder().split("|")
        holder = "|".join((host, boot, str(process.pid), _started(process.pid), unique))
        assert not holder_is_dead(holder)
        process.kill()
    assert holder_is_dead(holder)
