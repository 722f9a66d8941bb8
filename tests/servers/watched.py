"""A watched platform whose state is on servers: Redis for online store and features, PostgreSQL for Dagster, the
service's state and the predictions; a real daemon with the alert sensors, the service, the exporter, and a Prometheus
with Alertmanager. Every part can be killed and started again.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import msgspec
import numpy as np
import psutil
import psycopg2
import pytest
import yaml

from fx_assets.configuration import load_configuration
from fx_assets.feature_store.encoding import Batch, cells, entity_key
from fx_assets.feature_store.redis_online import RedisOnline
from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.schemas import views
from fx_assets.stack.environment import INSTANCE
from fx_monitoring.assets import health
from fx_monitoring.assets.common import Shared
from fx_serving.client.home import Stores
from fx_serving.client.redis_blobs import RedisBlobs
from tests.servers.monitored import CLOCK, NOW, ROOT, MonitoredHome
from tests.servers.platform import command_of, descendants, environment, living
from tests.servers.postgres import PASSWORD, PostgresServer
from tests.servers.prometheus import Alertmanager, Pace, Prometheus, Receiver
from tests.servers.redis import RedisServer, free_port
from tests.servers.serving import Service, feature_blobs, launch, make_bundle, wait_until

PATIENCE_S = 240.0
STOP_S = 60.0
# A minute of the shipped rules and routes is a second. Scrapes may take as long as a busy machine needs.
PACE = Pace(faster=60, scrape_s=2)
COURIER = "fx_monitoring.alerts.courier"
DAGSTER_URL = "FX_TEST_DAGSTER_URL"
# What this is not about: each look costs the processor something.
QUIET = (
    *("live", "live_retention", "retrain_on_drift", "roll_out_promoted", "follow_rollouts", "late_outcomes"),
    *("dead_runs", "heartbeat"),
)
AUTOMATION = """
rows:
  pulse: {does: Ticks and asks for nothing while the data clock stands still., job: drift, cron: "* * * * *",
          owner: desk}
  alert_failed_runs: {every_seconds: 1}
  alert_watch: {every_seconds: 1}
  alert_delivery: {every_seconds: 1}
  service_levels: {every_seconds: 2}
"""
ALERTS: dict[str, Any] = {
    "routes": {"desk": {}},
    "settle_seconds": 0,
    "delivery": {"attempts": 10, "first_retry_seconds": 1, "longest_retry_minutes": 0.05, "timeout_seconds": 60},
    "disk": {"warning_gib": 0, "critical_gib": 0},
}
# A busy machine is no trouble of a test; what is judged is whether programs answer.
_ENOUGH = {"yellow": 1_000_000, "red": 2_000_000}
MONITORING = {
    "health": {
        "skip": ["drift", "quality", "drawdown", "sharpe", "data_age", "service", "service_errors", "slo"],
        "load_pct": _ENOUGH,
        "memory_pct": _ENOUGH,
        "disk_free_pct": {"yellow": 0, "red": -1},
    }
}


class Watched:
    """Everything that runs. hook: the address that the platform's own alerts are sent to."""

    def __init__(
        self, folder: Path, redis: RedisServer, postgres: PostgresServer, programs: dict[str, str], hook: str,
        patch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        self.folder, self.redis, self.postgres = folder, redis, postgres
        self.stores = Stores(folder / "home")
        self._dagster_url = _database(postgres)
        self._write_settings()
        self.variables = {
            "FX_HOME": str(self.stores.home),
            "FX_CLOCK": CLOCK,
            "FX_REDIS_URL": redis.url,
            "FX_STATE_URL": postgres.url,
            "FX_ALERT_URLS_DESK": hook,
            "DAGSTER_HOME": str(self.stores.home / "dagster"),
            DAGSTER_URL: self._dagster_url,
            "PYTHONWARNINGS": "ignore",
        }
        self.service_port, exporter = free_port(), free_port()
        self.exporter_url = f"http://127.0.0.1:{exporter}"
        self.variables["FX_SERVING_URL"] = f"http://127.0.0.1:{self.service_port}"
        for name in self.variables.keys() - {"FX_ALERT_URLS_DESK", "PYTHONWARNINGS"}:
            patch.setenv(name, self.variables[name])
        self.home = MonitoredHome(self.stores.home)
        with closing(sqlite3.connect(self.stores.alerts_db)) as db, db:  # what that made is no trouble of this platform
            db.execute("DELETE FROM alerts")
            db.execute("DELETE FROM notices")
        self.daemon: subprocess.Popen[bytes] | None = None
        self.exporter: subprocess.Popen[bytes] | None = None
        self.service: Service | None = None
        self.began = 0.0  # when the daemon, or its database, was started last
        self._couriers: list[psutil.Process] = []
        self._running = contextlib.ExitStack()
        self._running.callback(self._end_processes)
        self.receiver = Receiver()
        found, shown = programs["alertmanager"], programs["prometheus"]
        self.alertmanager = Alertmanager(folder / "alertmanager", found, self.receiver.url, PACE)
        targets = {"fx-serving": f"127.0.0.1:{self.service_port}", "fx-exporter": f"127.0.0.1:{exporter}"}
        self.prometheus = Prometheus(folder / "prometheus", shown, targets, self.alertmanager.address, PACE)

    def _write_settings(self) -> None:
        config, dagster = self.stores.home / "config", self.stores.home / "dagster"
        config.mkdir(parents=True)
        dagster.mkdir()
        rows = AUTOMATION + "".join(f"  {name}: {{enabled: false}}\n" for name in QUIET)
        (config / "automation.yaml").write_text(rows)
        for name, content in {
            "alerts": ALERTS,
            "monitoring": MONITORING,
            "data": {"feature_store": {"online": "redis"}},
        }.items():
            (config / f"{name}.yaml").write_text(yaml.safe_dump(content))
        storage = {"storage": {"postgres": {"postgres_url": {"env": DAGSTER_URL}}}}
        (dagster / "dagster.yaml").write_text(INSTANCE.read_text() + yaml.safe_dump(storage))

    # ---- parts ----------------------------------------------------------------------------------------------------

    def _process(self, name: str, module: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *options],
                env=environment(**self.variables),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def start_daemon(self) -> None:
        """Start Dagster's daemon, and do not wait for it: with the code location that watches, and no other."""
        self.began = time.time()
        self.daemon = self._process("daemon", "dagster._daemon", "run", "-m", "fx_monitoring.definitions")

    def kill_daemon(self) -> None:
        """SIGKILL, with all that it started but the couriers: each is a process of its own, and goes on."""
        self._couriers += kill(self.daemon, spare=COURIER)

    def start_postgres(self) -> None:
        """Start it again with its data."""
        self.postgres.start()
        self.began = time.time()

    def start_exporter(self) -> None:
        """Start the exporter, in a hurry, and wait until all its collectors are well."""
        port = self.exporter_url.rpartition(":")[2]
        self.exporter = self._process(
            "exporter", "fx_monitoring.exporter", "--port", port, "--every", f"{PACE.scrape_s:g}"
        )
        wait_until(self.exporter_is_well, PATIENCE_S)

    def start_service(self) -> None:
        """Start the service on its port, and wait until it listens."""
        settings = {
            "port": self.service_port,
            "feature_blobs": "redis",
            "log": {"ingest_every_s": 0.1},
        }
        self.service = launch(self.stores.home, settings=settings, clock=CLOCK, environment=self.variables)

    def start(self) -> None:
        """Everything, well."""
        self.publish()
        make_bundle(self.stores, "1")
        self.start_daemon()
        self.start_service()
        assert self.service is not None
        self.service.deploy("1")
        self.start_exporter()
        for part in (self.receiver, self.alertmanager, self.prometheus):
            self._running.enter_context(part)

    def stop(self) -> None:
        """End what runs, the last first; each of them whatever becomes of the others."""
        self._running.close()

    def _end_processes(self) -> None:
        with contextlib.ExitStack() as each:
            each.callback(self.home.instance.dispose)
            for courier in living(self._couriers):
                each.callback(courier.kill)
            if self.service is not None:
                each.callback(kill, self.service.process, signal.SIGTERM)
                each.callback(self.service.client.close)
            for process in (self.daemon, self.exporter):
                if process is not None:
                    each.callback(kill, process, signal.SIGTERM)

    # ---- what it says ---------------------------------------------------------------------------------------------

    def publish(self) -> None:
        """The newest features, as the platform publishes them: for the service, and Feast's rows."""
        with closing(RedisBlobs(self.redis.url)) as blobs:
            for blob in feature_blobs(NOW):
                blobs.publish(blob)
        store, symbols = RedisOnline(), self.home.symbols
        micros = int(NOW.timestamp() * 1_000_000)
        for view, names in views(self.home.configuration).items():
            values = cells(np.full((len(symbols), len(names)), 0.5))
            store.write(view, Batch([entity_key(s) for s in symbols], [micros] * len(symbols), names, values))

    def monitor(self) -> str:
        """Make the verdicts of the machine and of the platform, as the job `monitor` does; the second one's colour."""
        configuration = load_configuration()
        shared = Shared(fx_sessions(configuration), configuration, self.stores, self.home.lake)
        machine, quant = health.build(shared)
        resources = {
            "home": HomeResource(path=str(self.stores.home)),
            "records_monitoring": dg.mem_io_manager,
        }
        instance = self.home.instance
        assert dg.materialize([machine], resources=resources, instance=instance).success
        session = "2022-03-03"
        assert dg.materialize([quant], resources=resources, instance=instance, partition_key=session).success
        return msgspec.json.decode(self.stores.health.read_bytes())["status"]

    def run(self, job: str, good: bool = True) -> None:
        """A real run of a job, in this process."""

        @dg.op
        def step() -> None:
            if not good:
                raise dg.Failure("as it was asked to")

        made = dg.GraphDefinition(name=job, node_defs=[step]).to_job(executor_def=dg.in_process_executor)
        done = made.execute_in_process(instance=self.home.instance, raise_on_error=False)
        assert done.success == good

    def ask_exporter(self, path: str) -> httpx.Response:
        """One GET of the exporter."""
        return httpx.get(self.exporter_url + path, timeout=5, trust_env=False)

    def exporter_is_well(self) -> bool:
        """Whether every collector is."""
        assert self.exporter is not None
        assert self.exporter.poll() is None, (self.folder / "exporter.log").read_text()
        return self.ask_exporter("/health").json()["status"] == "ok"

    def service_is_well(self) -> bool:
        """Whether all of its components are."""
        assert self.service is not None
        return httpx.get(f"{self.service.url}/health", timeout=5, trust_env=False).json()["status"] == "ok"

    def looked(self, name: str) -> float:
        """When a sensor or schedule of the daemon ticked last; 0 before the first time."""
        found = (s for s in self.home.instance.all_instigator_state() if s.name == name)
        state = next(found, None)
        if state is None:
            return 0.0
        ticks = self.home.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        return ticks[0].timestamp if ticks else 0.0


def kill(
    process: subprocess.Popen[bytes] | None, number: int = signal.SIGKILL, spare: str | None = None
) -> list[psutil.Process]:
    """Signal a process, and end what it leaves behind, since that could hold its port or write to the home; but not
    what has `spare` in its command: that is returned.
    """
    assert process is not None
    below = descendants(process.pid) if process.poll() is None else []
    process.send_signal(number)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    spared = []
    for left in living(below):
        with contextlib.suppress(psutil.Error):
            if spare is not None and spare in command_of(left):
                spared.append(left)
            else:
                left.kill()
    return spared


def _database(postgres: PostgresServer) -> str:
    """A database of Dagster's own, beside the service's; its address."""
    with closing(psycopg2.connect(postgres.url.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE dagster")
    return postgres.url.removesuffix("/postgres") + "/dagster"


@contextlib.contextmanager
def watched(folder: Path, program: Callable[[str, str], str], postgres: PostgresServer, hook: str) -> Iterator[Watched]:
    """All of it, running."""
    programs = {
        "prometheus": program("prometheus", "prometheus"),
        "alertmanager": program("prometheus-alertmanager", "prometheus-alertmanager"),
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        RedisServer(folder, program("redis-server", "redis-server"), PASSWORD) as redis,
    ):
        made = Watched(folder, redis, postgres, programs, hook, patch)
        try:
            made.start()
            yield made
        finally:
            made.stop()
