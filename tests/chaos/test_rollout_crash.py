"""kill -9 of the controller and of workers at random points of rollouts: no state is lost, none contradicts another.

The rollouts are simulated (a world without models); the engine, the database, the routing table, its reading and its
confirmation by a worker are the real ones, and so are the kills: of processes, at moments nobody chose.
"""

import asyncio
import contextlib
import functools
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import msgspec
import pytest

from fx_serving.access.internal import bearer, read_internal_key, write_internal_key
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.controller.engine import Engine
from fx_serving.controller.publish import routes
from fx_serving.controller.records import decode
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.workers import confirmation
from fx_serving.routing import Lease, read_routing
from fx_serving.state import FINISHED, open_state, read_head
from tests.counts import count
from tests.fx_serving.rollout_world import Home
from tests.servers.serving import ROOT, wait_until

VERSIONS = range(2, 10_000)
FORKS = multiprocessing.get_context("forkserver")
ORDERS = ("pause", "resume", "promote", "abort", "rollback", "traffic", "restore")


def check(stores: Stores, before: dict[str, str]) -> dict[str, str]:
    """What must hold after every crash; returns the finished rollouts' states, which stay."""
    state = open_state(stores)
    try:
        verdict = state.verify_audit(read_head(stores.audit_head))
        assert verdict.whole, verdict
        rollouts = [decode(row) for row in state.rollouts(limit=100_000)]
        deployed = state.deployed()
        trail = state.audit(limit=1_000_000)
        table = read_routing(stores.routing)
        view = state.view()
    finally:
        state.close()
    by_id = {rollout.id: rollout for rollout in rollouts}
    assert len(by_id) == len(rollouts)
    for row in rollouts:
        # Releasing a standby is no event of the rollout that made it one.
        one_history(row, [r for r in trail if r.rollout_id == row.id and r.what != "standby released"])
    for model in {r.model for r in rollouts}:
        running = [r for r in rollouts if r.model == model and r.state not in {"queued", *FINISHED}]
        assert len(running) <= 1, "two rollouts of a model run at once"
    for model, blue in deployed.items():
        owner = by_id[blue.rollout_id]
        assert owner.model == model
        if owner.state in ("finalizing", "succeeded"):
            assert blue.version == owner.version
        else:
            assert owner.state == "rolled_back", (owner.state, blue)
            assert blue.version == owner.from_version
    # The table in force is never ahead of the database, and what is in it was once committed.
    assert table.generation <= view.generation
    if table.generation == view.generation:
        derived = routes(view.deployed, map(decode, view.active), datetime.now(UTC))
        assert {m: (r.blue, r.green) for m, r in table.models.items()} == {
            m: (r.blue, r.green) for m, r in derived.items()
        }
    for route in table.models.values():
        if route.green and route.green.weight > 0:
            assert by_id[route.green.rollout_id].checked
    for id, ended in before.items():
        assert by_id[id].state in (ended, "rolled_back" if ended == "succeeded" else ended)
    return {r.id: r.state for r in rollouts if r.finished}


def one_history(rollout: Rollout, trail: list) -> None:
    """The rollout and its audit records tell the same story."""
    assert [(r.what, r.why, r.actor) for r in trail] == [(e.what, e.why, e.actor) for e in rollout.events]
    assert (trail[-1].state, trail[-1].weight) == (rollout.state, rollout.weight)
    assert (rollout.finished_at is not None) == rollout.finished
    assert sum(step.ended_at is None for step in rollout.steps) <= int(rollout.live)
    if rollout.weight > 0:
        assert rollout.checked
    if rollout.finished and rollout.state != "succeeded":
        assert rollout.weight == 0


async def simulate(folder: Path, seed: int, ready: Connection) -> None:
    """Rollouts for ever: candidates good and bad, and operators who meddle."""
    from fx_serving.dataplane.errors import ApiError

    chance = random.Random(seed)
    home = Home(folder, {"window_s": 1, "min_requests": 5}, durable=True, passed=seed * 1e5)
    home.world.confirmation = functools.partial(confirmation, home.stores.workers)
    engine = home.engine
    if "m" not in engine.deployed and not engine.active:
        engine.start("m", "1")
    ready.send("ready")
    while True:
        await home.ticks(1, 0.3)
        for rollout in list(engine.active.values()):
            if rollout.live:
                bad = int(rollout.version) % 4 == 0
                home.world.answer("m", rollout.version, "green", 20, 10 if bad else 0)
                home.world.answer("m", rollout.from_version or "", "control", 20)
            if rollout.paused and chance.random() < 0.3:
                engine.resume(rollout.id)
        with contextlib.suppress(ApiError):  # what cannot be is refused, and the check sees that nothing came of it
            meddle(engine, chance)


def meddle(engine: Engine, chance: random.Random) -> None:
    """Something an operator or a newer candidate does."""
    supersede = {"supersede": chance.choice(["running", "queued"])}
    if not engine.active:
        engine.start("m", str(chance.choice(VERSIONS)), supersede)
    elif chance.random() < 0.05:
        engine.start("m", str(chance.choice(VERSIONS)), supersede, dry_run=chance.random() < 0.3)
    elif chance.random() < 0.1:
        order, rollout = chance.choice(ORDERS), chance.choice(engine.all(limit=5))
        if order == "restore":
            engine.restore("m", "anna")
        elif order == "traffic":
            engine.traffic("m", 70, 30, "anna")
        else:
            getattr(engine, order)(rollout.id, "anna")


def control(folder: Path, seed: int, ready: Connection) -> None:
    """The controller's process."""
    asyncio.run(simulate(folder, seed, ready))


def work(folder: Path, name: str, ready: Connection) -> None:
    """A worker's process without models: follows the table, confirms it, and notes what may never be."""
    stores, lease, last = Stores(folder), Lease(8.0), (0, -1)
    stores.workers.mkdir(parents=True, exist_ok=True)
    ready.send("ready")
    while True:
        with contextlib.suppress(FileNotFoundError):
            table = read_routing(stores.routing)
            lease.observe(table.counter, time.monotonic())
            if (table.term, table.generation) < last:
                (folder / "went-back").write_text(f"{last} -> {table}")
            last = (table.term, table.generation)
            status = {"pid": os.getpid(), "applied_version": table.generation, "errors": {}}
            content = msgspec.json.encode({**status, "heartbeat": datetime.now(UTC)})
            atomic_write(stores.workers / f"{name}.json", content, durable=False)
        time.sleep(0.002)


def launched(main: Callable[..., None], *given: object) -> BaseProcess:
    """A process that has begun its work."""
    here, there = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=main, args=(*given, there), daemon=True)
    process.start()
    assert here.poll(60)
    assert here.recv() == "ready"
    return process


def end(process: BaseProcess) -> None:
    """kill -9, and wait until it is gone."""
    process.kill()
    process.join()
    process.close()


@pytest.mark.timeout(120 + 3 * count("crash_points"))
def test_killed_at_any_moment_no_state_is_lost_and_none_contradicts_another(tmp_path):
    """Each point kills the controller, a worker, or both; every hundred points begin on an empty home."""
    FORKS.set_forkserver_preload([__name__, "fx_serving.controller.engine", "fx_serving.state.sqlite"])
    chance, points = random.Random(7), count("crash_points")
    for first in range(0, points, 100):
        kill_again_and_again(tmp_path / str(first), min(100, points - first), chance)


def kill_again_and_again(folder: Path, points: int, chance: random.Random) -> None:
    """Kill at so many points, and check after each; longer until rollouts ended in two ways."""
    stores, finished = Stores(folder), {}
    workers = [launched(work, folder, name) for name in ("w0", "w1")]
    controller = launched(control, folder, 0)
    try:
        for point in itertools.count(1):
            if point > points and len(set(finished.values())) > 1:
                break
            time.sleep(chance.uniform(0, 0.1))  # the moment of the kill is what is random here
            which = chance.choice(["controller", "controller", "worker", "both"])
            if which != "worker":
                end(controller)
                finished = check(stores, finished)
                controller = launched(control, folder, point)
            if which != "controller":
                end(workers.pop(0))
                workers.append(launched(work, folder, f"w{point % 2}"))
        end(controller)
        finished = check(stores, finished)
    finally:
        for process in workers:
            end(process)
    assert not (folder / "went-back").exists(), (folder / "went-back").read_text()


def test_within_ten_seconds_of_the_controllers_death_all_traffic_is_blue():
    """The worker's lease at its shipped length, on a clock that is set: however late it saw the last renewal."""
    from fx_serving.config import LeaseSettings

    settings, poll_s = LeaseSettings(), 0.02
    for late in (0.0, poll_s):
        lease = Lease(settings.expire_s)
        lease.observe(1, 0.0)
        lease.observe(2, 2.0 + late)  # renewed at 2.0, and the controller dies at once
        assert lease.alive(2.0 + late + settings.expire_s - 0.001)
        assert not lease.alive(2.0 + 10.0 - poll_s)


@pytest.mark.parametrize("kills", [2])
def test_two_controllers_one_leads_and_the_other_takes_over(tmp_path, kills):
    """Two real controller processes on one database; the leader is killed, the other goes on with the rollouts."""
    stores = Stores(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "serving.yaml").write_text("lease: {renew_s: 0.2, expire_s: 2}\n")
    write_internal_key(stores.internal_key)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FX_")} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "fx_serving.controller.app", "--parent", str(os.getpid()), "--home", str(tmp_path)]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    state = open_state(stores)

    def leader() -> int | None:
        """The pid of the one that leads, once it says so itself."""
        found = msgspec.json.decode(stores.controller.read_bytes())
        headers = {"authorization": bearer(read_internal_key(stores.internal_key))}
        said = httpx.get(f"{found['url']}/leader", headers=headers, trust_env=False).json()
        return found["pid"] if said["leading"] else None

    def renewed(since: int) -> bool:
        return read_routing(stores.routing).counter > since

    try:
        wait_until(lambda: leader() in [p.pid for p in running])
        term = wait_until(lambda: state.view().term)
        for _ in range(kills):
            leads = wait_until(leader)
            first = next(p for p in running if p.pid == leads)
            running.remove(first)
            first.kill()
            first.wait(120)
            counter = read_routing(stores.routing).counter
            wait_until(lambda gone=first.pid: leader() not in (gone, None))
            wait_until(lambda before=counter: renewed(before))
            assert wait_until(lambda before=term: state.view().term > before)
            term = state.view().term
            assert read_routing(stores.routing).term <= term
            running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        wait_until(lambda: read_routing(stores.routing).term == state.view().term)
        assert state.verify_audit(read_head(stores.audit_head)).whole
        led = [r for r in state.audit(limit=100) if r.what == "controller leads"]
        assert [r.detail["term"] for r in led] == sorted({r.detail["term"] for r in led}), "one leader at a time"
    finally:
        state.close()
        for process in running:
            process.terminate()
        for process in running:
            process.wait(120)
