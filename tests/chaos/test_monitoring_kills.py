"""kill -9 of everything that is watched and that watches, over servers: Redis, PostgreSQL, service, exporter, daemon.

The shipped rules and routes judge it, with times sixty times as short. Each trouble that lasts is told once and
resolved once, by the platform's own desk and by Alertmanager; nothing else is told, nothing that was recorded is lost,
and whatever was killed goes on where it was.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from fx_monitoring.alerts import Desk, figures
from fx_serving.client.prediction_db import PredictionLogError
from fx_serving.client.prediction_log import read_feedback, read_predictions
from tests.counts import count
from tests.servers.faults import FaultApp, serve
from tests.servers.postgres import PASSWORD, restartable_postgres
from tests.servers.receivers import Hook
from tests.servers.serving import Traffic, wait_until
from tests.servers.watched import PATIENCE_S, Watched, kill, watched

pytestmark = [pytest.mark.server, pytest.mark.slow(150), pytest.mark.timeout(3600)]
ROUNDS = range(count("monitoring_kills"))
SENSORS = ("alert_failed_runs", "alert_watch", "alert_delivery", "service_levels")
SCHEDULE = "pulse"
RED = ["[CRITICAL] quant health is RED: infrastructure", "[resolved] quant health is RED: infrastructure"]
# What a state that is away means for figures (one alert for each collector), for answers that cannot be taken in, and
# for rollouts.
WITHOUT_STATE = {"CollectorFailing": 3, "ControllerDown": 1, "PredictionLogDegraded": 1}
MACHINE = {"DiskLow"}  # the disk of whoever runs the tests may be full, and is no trouble of the platform's


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[Hook, FaultApp, str]]:
    hook = Hook()
    app = FaultApp(hook)
    with serve(app) as served:
        yield hook, app, f"json://127.0.0.1:{served.port}/desk"


@pytest.fixture(scope="module")
def world(tmp_path_factory, program, receiver) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with restartable_postgres(program) as postgres, watched(folder, program, postgres, receiver[2]) as made:
        looks_again(made)
        assert made.monitor() == "GREEN"
        calm(made)
        yield made


def looks_again(world: Watched) -> None:
    """Wait until every sensor has ticked once more."""
    before = time.time()
    for name in SENSORS:
        wait_until(lambda name=name: world.looked(name) > before, PATIENCE_S, 0.2)


def calm(world: Watched) -> None:
    """Wait until nothing fires, nothing is open, and nothing waits to be sent."""

    def is_calm() -> bool:
        found = figures(world.stores)
        fires = {name for name, _ in world.prometheus.firing()} - MACHINE
        return not fires and not Desk(world.stores).open() and (found is None or not found.waiting)

    wait_until(is_calm, PATIENCE_S, 0.2)


class Told:
    """What people were told, by the platform's own desk and by Alertmanager, and no test has accounted for yet."""

    def __init__(self, world: Watched, hook: Hook) -> None:
        self._world, self._hook, self._accounted = world, hook, (0, 0)
        wait_until(lambda: self.alertmanager("resolved") == self.alertmanager("firing"), PATIENCE_S, 0.2)
        # Prometheus looks for its targets some seconds after its start, which at this pace is long: they are told of.
        self._accounted = self._now()

    def _now(self) -> tuple[int, int]:
        return len(self._hook.came), len(self._world.receiver.news())

    @property
    def messages(self) -> list[dict[str, str]]:
        """Of the desk, in order."""
        return [body for _, body in self._hook.came[self._accounted[0] :]]

    @property
    def subjects(self) -> list[str]:
        """Of the same."""
        return [body["title"] for body in self.messages]

    def alertmanager(self, status: str) -> Counter[str]:
        """How often it told of each alert that it is now `firing`, or `resolved`."""
        news = self._world.receiver.news()[self._accounted[1] :]
        return Counter(name for found, name in news if found == status and name not in MACHINE)

    def fires(self, alerts: dict[str, int]) -> None:
        """Wait until it has told of each of these alerts as often."""
        wait_until(lambda: self.alertmanager("firing") >= Counter(alerts), PATIENCE_S, 0.2)

    def account(self, subjects: list[str], alerts: dict[str, int]) -> None:
        """These messages of the desk, and each of these alerts as often that it fires and that it is over; no other."""
        wait_until(lambda: self.alertmanager("resolved") == self.alertmanager("firing"), PATIENCE_S, 0.2)
        assert self.alertmanager("firing") == alerts
        assert self.subjects == subjects
        self._accounted = self._now()


class Kept:
    """What is recorded must stay."""

    def __init__(self, world: Watched) -> None:
        self.world = world
        self.answered: set[str] = set()
        self.reported: set[str] = set()
        self._ledger = self._trades()

    def _trades(self) -> list[tuple]:
        with closing(sqlite3.connect(self.world.stores.trading_db)) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [(name, db.execute(f'SELECT * FROM "{name}"').fetchall()) for name in sorted(tables)]

    def recorded(self, traffic: Traffic) -> None:
        """Take all that was answered by now, with feedback for some of it, and wait until it is on disk."""
        assert self.world.service is not None
        answered = [answer["prediction_id"] for answer in list(traffic.answers)]
        assert answered
        for id in answered[-5:]:
            self.world.service.client.feedback(id, realized_direction=1)
            self.reported.add(id)
        self.answered.update(answered)
        self.check()

    def check(self) -> None:
        """All of that is there, or will be; the ledger is what it was, and the desk has sent each message at once."""

        def whole() -> bool:
            logged = {record.prediction_id for record in read_predictions(self.world.stores.predictions)}
            told = {record.prediction_id for record in read_feedback(self.world.stores.predictions)}
            return self.answered <= logged and self.reported <= told

        wait_until(lambda: unless_down(whole), PATIENCE_S, 0.2)
        assert self._trades() == self._ledger
        with closing(sqlite3.connect(self.world.stores.alerts_db)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM notices WHERE state NOT IN ('sent', 'dropped')").fetchone() == (0,)
            assert db.execute("SELECT max(attempts) FROM notices").fetchone()[0] in (None, 1)


def unless_down(ask: Callable[[], bool]) -> bool:
    """False while the database does not answer."""
    try:
        return ask()
    except PredictionLogError:
        return False


@pytest.fixture(scope="module")
def told(world, receiver) -> Told:
    return Told(world, receiver[0])


@pytest.fixture
def kept(world) -> Iterator[Kept]:
    """Predictions are asked for all the while, none fails, and all must be there afterwards."""
    made = Kept(world)
    with Traffic(world.service.url, threads=1, pause_s=0.05) as traffic:
        yield made
    assert traffic.failures == []
    made.recorded(traffic)


def figure(world: Watched, name: str) -> dict[str, float]:
    """The exporter's samples of a metric, by their labels."""
    lines = [line.rpartition(" ") for line in world.ask_exporter("/metrics").text.splitlines()]
    return {key: float(value) for key, _, value in lines if key.partition("{")[0] == name}


def all_is_well_again(world: Watched) -> None:
    """Every part says so, sensors look again, and what was open or fired is over."""
    wait_until(world.service_is_well, PATIENCE_S, 0.2)  # it looks for a server that was away now and then only
    wait_until(world.exporter_is_well, PATIENCE_S, 0.2)
    assert world.monitor() == "GREEN"
    looks_again(world)
    calm(world)


@pytest.mark.parametrize("round_", ROUNDS)
def test_daemon_and_exporter_killed_while_a_message_is_on_its_way(world, told, kept, receiver, round_):
    """The courier is a process of its own: it goes on, and the daemon of afterwards knows what it has sent."""
    _, app, _ = receiver
    app.fault("slow", seconds=2)  # less than a courier waits for an answer
    before = app.requests
    job = f"killed_{round_}"
    world.run(job, good=False)
    wait_until(lambda: app.requests > before, PATIENCE_S, 0.1)
    world.kill_daemon()
    kill(world.exporter)
    app.fault(None)
    told.fires({"ExporterDown": 1})
    assert not world.prometheus.query("fx_quant_health"), "a figure that nobody states any more"
    world.start_daemon()
    world.start_exporter()
    looks_again(world)
    (opened,) = Desk(world.stores).open()
    assert (opened.key, opened.count) == (f"RunFailed/{job}", 1)
    world.run(job)
    all_is_well_again(world)
    assert world.prometheus.query("fx_quant_health")
    told.account([f"[WARNING] a run of {job} failed", f"[resolved] a run of {job} failed"], {"ExporterDown": 1})


@pytest.mark.parametrize("round_", ROUNDS)
def test_postgresql_killed(world, told, kept, round_):
    world.postgres.stop(signal.SIGKILL)
    told.fires(WITHOUT_STATE)
    down = {name for name, up in figure(world, "fx_collector_up").items() if not up}
    assert down == {f'fx_collector_up{{collector="{name}"}}' for name in ("rollouts", "runs", "schema")}
    ages = figure(world, "fx_collector_age_seconds")
    assert all(ages[name.replace("_up", "_age_seconds")] > 5 for name in down), "old figures must say that they are old"
    world.start_postgres()
    all_is_well_again(world)
    told.account([], WITHOUT_STATE)


@pytest.mark.parametrize("round_", ROUNDS)
def test_redis_killed(world, told, kept, round_):
    alerts = {"OnlineStoreDown": 1, "QuantHealthRed": 1}  # the second is what the verdict makes of it
    world.redis.kill()
    assert world.monitor() == "RED"
    told.fires(alerts)
    assert figure(world, "fx_redis_up") == {"fx_redis_up": 0}
    read = "fx_online_store_read_seconds"
    assert figure(world, read) == {}, "what was read before is no news of a store that is down"
    wait_until(lambda: told.messages, PATIENCE_S, 0.2)
    assert "Do: Start it, or mend FX_REDIS_URL." in told.messages[0]["message"]
    assert PASSWORD not in told.messages[0]["message"]
    world.redis.start()
    all_is_well_again(world)
    assert figure(world, "fx_redis_up") == {"fx_redis_up": 1}
    assert figure(world, read)
    told.account(RED, alerts)


@pytest.mark.parametrize("round_", ROUNDS)
def test_the_service_killed(world, told, round_):
    alerts = {"ServiceDown": 1, "QuantHealthRed": 1}
    kept = Kept(world)
    with Traffic(world.service.url, threads=1, pause_s=0.05) as traffic:
        wait_until(lambda: len(traffic.answers) > 20, PATIENCE_S)
        kept.recorded(traffic)
        kill(world.service.process)
    assert world.monitor() == "RED"
    told.fires(alerts)
    wait_until(lambda: told.messages, PATIENCE_S, 0.2)
    assert "Do: Start it: fx up, or fx serve" in told.messages[0]["message"]
    world.start_service()
    with Traffic(world.service.url, threads=1, pause_s=0.05) as traffic:
        all_is_well_again(world)
    kept.recorded(traffic)
    told.account(RED, alerts)


def test_schedules_go_on_after_all_that_and_nobody_was_told_more(world, told):
    wait_until(lambda: world.looked(SCHEDULE) > world.began, PATIENCE_S, 0.2)
    calm(world)
    told.account([], {})
