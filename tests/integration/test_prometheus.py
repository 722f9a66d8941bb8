"""A real Prometheus and Alertmanager over the real service and the real exporter: every expression gives figures, every
alert fires and is resolved, and killing what watches tells nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fx_monitoring.exporter.catalogue import METRICS
from fx_serving.client.http import ServiceError
from tests.servers.monitored import CLOCK, MODEL, NOW, ROOT, MonitoredHome
from tests.servers.prometheus import RULES, WINDOW, Alertmanager, Figures, Prometheus, Receiver, metric_names
from tests.servers.redis import RedisServer, free_port
from tests.servers.serving import Service, Traffic, make_bundle, publish_features, start_service, trick_onnx, wait_until

pytestmark = [pytest.mark.server, pytest.mark.slow(90)]
SLOW = "slow_60m"
PATIENCE_S = 240.0
# States that cannot be made here: a full disk, a disk that takes no log. Their alerts are driven by figures alone.
MADE_UP = {
    "fx_disk_free_ratio": ('{store="home"}', 0.5),
    "fx_prediction_log_degraded": ("", 0),
}


@dataclass
class World:
    """Everything that runs."""

    home: MonitoredHome
    service: Service
    exporter: subprocess.Popen[bytes]
    exporter_url: str
    redis: RedisServer
    figures: Figures
    receiver: Receiver
    prometheus: Prometheus
    alertmanager: Alertmanager

    def made_up(self, **values: float) -> None:
        """State figures of the endpoint; the healthy ones by default."""
        found = {name: values.get(name, value) for name, (_, value) in MADE_UP.items()}
        self.figures.text = "".join(f"{name}{MADE_UP[name][0]} {value}\n" for name, value in found.items())

    def end(self) -> None:
        """End the exporter, even one that was made to hang."""
        self.exporter.send_signal(signal.SIGCONT)
        self.exporter.terminate()
        self.exporter.wait(PATIENCE_S)

    def ask(self, count: int, model: str = MODEL, **features: float) -> None:
        """Predictions; the service's refusals are what some tests are about."""
        for _ in range(count):
            with contextlib.suppress(ServiceError):
                self.service.client.predict("GBP_USD", model=model, features=features or None)


def start_exporter(home: MonitoredHome, redis: RedisServer, url: str) -> subprocess.Popen[bytes]:
    """The real process, as `fx up` starts it, but in a hurry."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "fx_monitoring.exporter", "--port", port, "--every", "1"]
    variables = {
        "FX_HOME": str(home.stores.home),
        "FX_REDIS_URL": redis.url,
        "FX_CLOCK": CLOCK,
        "PYTHONPATH": str(ROOT),
    }
    with open(home.stores.home / "exporter.log", "ab") as log:
        return subprocess.Popen(command, env={**os.environ, **variables}, stderr=log)


def ask(url: str) -> httpx.Response:
    """One GET on a connection of its own."""
    return httpx.get(url, timeout=3, trust_env=False)


def healthy(url: str) -> bool:
    """Whether every collector of an exporter is well."""
    return ask(f"{url}/health").json()["status"] == "ok"


@pytest.fixture(scope="module")
def world(tmp_path_factory, program) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("watched")
    programs = [program("prometheus", "prometheus"), program("prometheus-alertmanager", "prometheus-alertmanager")]
    with contextlib.ExitStack() as running:
        before = os.environ.get("FX_CLOCK")
        os.environ["FX_CLOCK"] = CLOCK
        running.callback(lambda: os.environ.pop("FX_CLOCK") if before is None else os.environ.update(FX_CLOCK=before))
        home = MonitoredHome(folder / "home")
        running.callback(home.instance.dispose)
        redis = running.enter_context(RedisServer(folder, program("redis-server", "redis-server")))
        publish_features(home.stores, NOW)
        make_bundle(home.stores, "1")
        make_bundle(home.stores, "2")
        golden = ([[-1.0] * 4], [0.5])
        make_bundle(home.stores, "1", model=SLOW, content=trick_onnx(60), golden=golden)
        service = running.enter_context(start_service(home.stores.home, clock=CLOCK))
        service.deploy("1")
        service.deploy("1", model=SLOW)
        url = f"http://127.0.0.1:{free_port()}"
        started = [start_exporter(home, redis, url)]
        wait_until(lambda: healthy(url), PATIENCE_S)
        figures, receiver = running.enter_context(Figures()), running.enter_context(Receiver())
        alertmanager = running.enter_context(Alertmanager(folder / "am", programs[1], receiver.url))
        targets = {"fx-serving": service.url, "fx-exporter": url, "made-up": f"http://{figures.address}"}
        targets = {job: address.removeprefix("http://") for job, address in targets.items()}
        prometheus = Prometheus(folder / "prometheus", programs[0], targets, alertmanager.address)
        made = World(home, service, started[0], url, redis, figures, receiver, prometheus, alertmanager)
        running.callback(made.end)
        made.made_up()
        running.enter_context(prometheus)
        yield made


def expressions() -> set[str]:
    """Those of the recording rules and dashboards, with rates over the test's seconds."""
    found = set()
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            found |= {target["expr"] for target in panel["targets"]}
    rules = yaml.safe_load((RULES / "recording.rules.yml").read_text())["groups"]
    found |= {rule["expr"] for group in rules for rule in group["rules"]}
    return {expression.replace("[5m]", f"[{WINDOW}]") for expression in found}


def test_every_expression_gives_figures(world):
    """While predictions are asked for: rates need something that happens."""
    lacking = expressions()
    alerts = yaml.safe_load((RULES / "alerts.rules.yml").read_text())["groups"]
    names = {name for group in alerts for rule in group["rules"] for name in metric_names(rule["expr"])}

    def all_there() -> bool:
        world.ask(5)
        with contextlib.suppress(ServiceError):
            world.service.client.predict("NO_SUCH")
        lacking.difference_update({expression for expression in lacking if world.prometheus.query(expression)})
        return not lacking

    with contextlib.suppress(AssertionError):
        wait_until(all_there, PATIENCE_S, 0.2)
    assert not lacking
    assert not {name for name in names if not world.prometheus.query(name)}


def test_every_metric_is_documented_with_its_labels(world):
    """docs/metrics.md against what the service and the exporter really say."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    for url in (world.service.url, world.exporter_url):
        families = text_string_to_metric_families(ask(f"{url}/metrics").text)
        for family in families:
            assert f"`{family.name}" in text, family.name
            for sample in family.samples:
                for label in sample.labels.keys() - {"le"}:
                    row = next(line for line in text.splitlines() if f"`{family.name}" in line)
                    assert label in row, f"{family.name}: {label}"
    for metric in METRICS.values():
        labels = "{" + ",".join(metric.labels) + "}" if metric.labels else ""
        assert f"| `{metric.name}{labels}` | {metric.unit or '-'} | {metric.meaning} |" in text, metric.name


Trouble = tuple[Callable[[World], object], Callable[[World], object]]


def late_features(w: World) -> None:
    publish_features(w.home.stores, NOW - timedelta(hours=3))


def refused(w: World) -> None:
    w.ask(20)


def pause(pid: Callable[[World], int]) -> Trouble:
    """A process that hangs, and goes on."""
    stopped: list[int] = []

    def begin(w: World) -> None:
        stopped.append(pid(w))
        os.kill(stopped[-1], signal.SIGSTOP)

    def end(w: World) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stopped[-1], signal.SIGCONT)

    return begin, end


def redis_memory(w: World, share: float | None) -> None:
    with w.redis.client() as client:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", 0 if share is None else int(used / share))


def failed_rollout(w: World) -> None:
    bundle = w.home.stores.bundles / MODEL / "bad"
    make_bundle(w.home.stores, "bad")
    (bundle / "model.onnx").write_bytes(b"no model")
    started = w.service.client.start_rollout(MODEL, "bad")
    assert w.service.client.wait_rollout(started["id"], 120, poll_s=0.1)["state"] != "succeeded"


def good_rollout(w: World) -> None:
    with Traffic(w.service.url, 1, 0.02):
        w.service.deploy("2", timeout_s=PATIENCE_S)


RUNS: list[str] = []
NOTHING: Callable[[World], object] = lambda w: None  # noqa: E731

# (alert, severity) -> what brings it about, and what ends it. The first round has nothing that silences another.
FIRST: dict[tuple[str, str], Trouble] = {
    ("DataStale", "warning"): (
        lambda w: w.home.tables(until=NOW - timedelta(hours=2), missing=0.7),
        lambda w: w.home.tables(),
    ),
    ("MissingValuesHigh", "warning"): (NOTHING, NOTHING),  # the same rows
    ("SchemaInvalid", "critical"): (lambda w: w.home.runs(valid=False), lambda w: w.home.runs()),
    ("FeatureDrift", "warning"): (lambda w: w.home.drift("moderate", kl=0.4), lambda w: w.home.drift()),
    ("PredictionDrift", "warning"): (NOTHING, NOTHING),  # the same status
    ("ModelQualityDrop", "warning"): (lambda w: w.home.quality("worse", brier=0.3), lambda w: w.home.quality()),
    ("CalibrationDrift", "warning"): (NOTHING, NOTHING),  # the same rows
    ("RolloutFailed", "warning"): (failed_rollout, good_rollout),
    ("DrawdownHigh", "critical"): (lambda w: w.home.trading(0.4, NOW - timedelta(hours=3)), lambda w: w.home.trading()),
    ("SignalsStopped", "warning"): (NOTHING, NOTHING),  # the same ledger
    ("QuantHealthRed", "critical"): (lambda w: w.home.health("RED"), lambda w: w.home.health()),
    ("CollectorFailing", "warning"): (
        lambda w: (w.home.stores.drift / "x.json").write_text("{"),
        lambda w: (w.home.stores.drift / "x.json").unlink(),
    ),
    ("RunFailures", "warning"): (
        lambda w: RUNS.extend(w.home.runs(good=False, times=6)),
        lambda w: w.home.forget(RUNS),
    ),
    ("QueueLong", "warning"): (lambda w: w.home.queue(51), lambda w: w.home.forget([f"queued-{n}" for n in range(51)])),
    ("DaemonDown", "critical"): (lambda w: w.home.daemons(silent_s=1000), lambda w: w.home.daemons()),
    ("DiskLow", "warning"): (lambda w: w.made_up(fx_disk_free_ratio=0.05), lambda w: w.made_up()),
    ("RedisMemoryHigh", "warning"): (lambda w: redis_memory(w, 0.95), lambda w: redis_memory(w, None)),
    ("SloBudgetLow", "warning"): (lambda w: w.home.levels(left=0.1), lambda w: w.home.levels()),
    ("AlertDeliveryFailing", "critical"): (lambda w: w.home.delivery(waited_s=5000), lambda w: w.home.delivery()),
    ("FeatureAgeHigh", "warning"): (late_features, lambda w: publish_features(w.home.stores, NOW)),
}
SECOND: dict[tuple[str, str], Trouble] = {
    ("PredictionErrors", "critical"): (late_features, lambda w: publish_features(w.home.stores, NOW)),
    ("LatencyHigh", "warning"): (NOTHING, NOTHING),  # asked for while it is waited for
    ("DataStale", "critical"): (lambda w: w.home.tables(until=NOW - timedelta(hours=6)), lambda w: w.home.tables()),
    ("FeatureDrift", "critical"): (
        lambda w: w.home.drift("critical", model="other"),
        lambda w: w.home.drift(model="other"),
    ),
    ("FeedBroken", "critical"): (lambda w: w.home.drift("moderate", cause="feed"), lambda w: w.home.drift()),
    ("DiskLow", "critical"): (
        lambda w: w.made_up(fx_disk_free_ratio=0.01, fx_prediction_log_degraded=1),
        lambda w: w.made_up(),
    ),
    ("PredictionLogDegraded", "critical"): (NOTHING, NOTHING),  # the same figures
    ("SloBudgetLow", "critical"): (lambda w: w.home.levels(left=-0.2), lambda w: w.home.levels()),
    ("ControllerDown", "warning"): pause(lambda w: w.service.controller_pid()),
    ("OnlineStoreDown", "critical"): (lambda w: w.redis.kill(), lambda w: w.redis.start()),
}
THIRD: dict[tuple[str, str], Trouble] = {
    ("ServiceDown", "critical"): pause(lambda w: w.service.worker_pids()["w0"]),
    ("ExporterDown", "warning"): pause(lambda w: w.exporter.pid),
}


def lasting(missing: Callable[[], set[tuple[str, str]]], what: str) -> None:
    """Wait until nothing is missing any more; AssertionError names what still is."""
    last: list[set[tuple[str, str]]] = []
    with contextlib.suppress(AssertionError):
        wait_until(lambda: last.append(missing()) or not last[-1], PATIENCE_S, 0.2)
    assert not last[-1], f"not {what} within {PATIENCE_S} s: {last[-1]}"


def test_the_rounds_bring_about_every_alert():
    rules = yaml.safe_load((RULES / "alerts.rules.yml").read_text())["groups"]
    said = {(rule["alert"], rule["labels"]["severity"]) for group in rules for rule in group["rules"]}
    assert said == FIRST.keys() | SECOND.keys() | THIRD.keys()


@pytest.mark.parametrize("troubles", [FIRST, SECOND, THIRD], ids=["first", "second", "third"])
def test_every_alert_fires_is_told_and_is_resolved(world, troubles):
    def heard(status: str) -> set[tuple[str, str]]:
        if troubles is SECOND and status == "firing":
            refused(world)
            world.ask(2, SLOW, rsi_14=6.0, atr_14=0.0, ret_1=0.0, sentiment=0.0)
        return troubles.keys() - world.receiver.heard(status)

    wait_until(lambda: not world.prometheus.firing(), PATIENCE_S)
    world.receiver.told.clear()
    with contextlib.ExitStack() as ends:
        for begin, end in troubles.values():
            ends.callback(end, world)
            begin(world)
        lasting(lambda: heard("firing"), "told of")
        if (
            troubles is SECOND
        ):  # a broken feed is the news, and not the drift it makes; so is the graver form of an alert
            silenced = {("FeatureDrift", "warning"), ("SloBudgetLow", "warning"), ("DiskLow", "warning")}
            lasting(lambda: silenced - world.alertmanager.silenced(), "silenced")
    lasting(lambda: heard("resolved"), "resolved")
    for _, receiver, labels, words in world.receiver.told:
        assert receiver == ("on-call" if labels["severity"] == "critical" else "team")
        assert words["runbook_url"] == f"http://127.0.0.1:8710/runbooks/{labels['alertname']}.md"
        assert "{{" not in words["summary"] + words["remedy"]
        assert "runbooks" not in labels


def test_killing_what_watches_and_what_is_watched_raises_no_storm(world):
    """Every figure comes back, and nothing is told but of what was gone, although these alerts wait for nothing."""
    wait_until(lambda: not world.prometheus.firing(), PATIENCE_S)
    there = {name for name in METRICS if world.prometheus.query(name)}
    assert len(there) > 60
    killed = time.time()
    for process in (world.prometheus, world.redis):
        process.kill()
    world.exporter.kill()
    world.exporter.wait(PATIENCE_S)
    os.kill(world.service.worker_pids()["w0"], signal.SIGKILL)
    os.kill(world.service.controller_pid(), signal.SIGKILL)
    world.redis.start()
    world.exporter = start_exporter(world.home, world.redis, world.exporter_url)
    wait_until(lambda: ask(f"{world.service.url}/ready").is_success, PATIENCE_S)
    wait_until(
        lambda: ask(f"{world.service.url}/health").json()["components"]["controller"]["status"] == "ok", PATIENCE_S
    )
    wait_until(lambda: healthy(world.exporter_url), PATIENCE_S)
    world.prometheus.start()
    wait_until(lambda: len(world.prometheus.query(f"count_over_time(up[{WINDOW}]) >= 8")) == 3, PATIENCE_S)
    wait_until(lambda: all(world.prometheus.query(name) for name in there), PATIENCE_S)
    since = int(time.time() - killed)
    told = world.prometheus.query(f'count_over_time(ALERTS{{alertstate="firing"}}[{since}s])')
    assert not {a["metric"]["alertname"] for a in told} - {"ServiceDown", "ExporterDown", "ControllerDown"}


def test_the_renderer_draws_a_dashboard_from_them(world, tmp_path):
    program = str(ROOT / "docs" / "render_dashboards.py")
    chosen = ["--prometheus", world.prometheus.url, "--out", str(tmp_path), "--minutes", "1", "--only", "business"]
    subprocess.run([sys.executable, program, *chosen], check=True)
    assert (tmp_path / "dashboard-business.png").read_bytes().startswith(b"\x89PNG")
