"""The demo's course, step by step. Each step uses the platform as a user would; nothing is simulated but the shock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec

from fx_assets.cli.progress import RunProgress
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.demo import market, report, summary
from fx_assets.demo.home import EventStore, empty_home
from fx_assets.demo.traffic import Counts, LiveTraffic, replay
from fx_assets.errors import FxError
from fx_assets.runs import steps
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.start import execute_plan
from fx_assets.stack.memory import MemorySampler
from fx_assets.stack.ports import free_port
from fx_assets.stack.stack import Ports, Stack
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.home import Stores
from fx_serving.client.http import FINISHED, ServingClient

MODEL = "move_60m"  # the one that is rolled out
REJECTED = "direction_60m"
CHALLENGER = "challenger"
ROLLOUT = "rollout under live traffic"
BLUE_AGO, GREEN_AGO = 22, 2  # the sessions, counted from the end, that blue and green are trained for
LIVE_PER_SECOND = 120.0
RETRAINING_S = 240.0
ROLLOUT_S = 120.0  # its steps last 16 s, and it holds where requests are missing

_RUN_QUERY = """query Runs($tag: String!) {
  runsOrError(filter: {tags: [{key: "fx/drift_report", value: $tag}]}) {
    ... on Runs { results { runId status jobName } }
  }
}"""


@dataclass
class Demo:
    """What the steps share and find out."""

    home: Path
    configuration: Configuration
    stack: Stack
    progress: RunProgress
    sessions: list[str]
    phases: dict[str, float] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)
    live: Counts = field(default_factory=Counts)
    replayed: dict[str, Counts] = field(default_factory=dict)
    retraining: dict[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> Stores:
        return Stores(self.home)

    @property
    def blue(self) -> str:
        return self.sessions[-BLUE_AGO]

    @property
    def green(self) -> str:
        return self.sessions[-GREEN_AGO]

    @property
    def calm(self) -> str:
        """The session whose traffic is as the training data."""
        return self.sessions[-2]

    @property
    def shocked(self) -> str:
        """The session whose traffic is drifted: the newest."""
        return self.sessions[-1]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - started, 2)

    def run(self, plans: Mapping[str, PlannedRun], then: Callable[[RunEvent], None] = lambda event: None) -> None:
        """Execute runs in one child process, with a bar and a time for each."""
        titles = list(plans)

        def note(event: RunEvent) -> None:
            if event.kind == "finished":
                self.phases[titles[event.run]] = round(event.seconds or 0.0, 2)
                self.run_ids[titles[event.run]] = event.run_id or ""
            then(event)

        log = self.home / "logs" / "runs.log"
        execute_plan(list(plans.values()), self.stack.environment, log, self.progress.follow(plans, note))


def run_demo(home: Path) -> dict:
    """Run the whole demo in `home`; returns and writes the summary. Raises FxError when a step fails."""
    started = time.monotonic()
    empty_home(home)
    # From here on this process, too, reads the demo's configuration; no environment's settings lie over it.
    import os

    os.environ["FX_HOME"] = str(home)
    os.environ.pop("FX_ENV", None)
    configuration = load_configuration()
    with ExitStack() as opened:
        memory = opened.enter_context(MemorySampler())
        opened.enter_context(EventStore(home))
        ports = Ports(dagster=free_port(), serving=free_port(), mlflow=None)
        stack = opened.enter_context(Stack(home, configuration, ports))
        progress = opened.enter_context(RunProgress())
        sessions = steps.session_list(configuration)
        demo = Demo(home, configuration, stack, progress, sessions)
        _course(demo)
        figures = summary.collect(demo, time.monotonic() - started, memory)
    summary.write(home, figures)
    report.show(figures, home)
    return figures


def _course(demo: Demo) -> None:
    console = demo.progress.console
    demo.stack.start(lambda name: console.print(f"starting {name}", style="dim"))
    demo.run({"tables": steps.tables_run(demo.configuration, demo.sessions[0], demo.sessions[-1])})
    demo.stack.wait_ready()
    _models(demo)
    _drift(demo)
    _await_retraining(demo)


def _models(demo: Demo) -> None:
    """The first model, the one that is rejected, and the challenger, rolled out blue -> green under live traffic."""
    everything = steps.TRAINING + steps.DEPLOYMENT
    plans = {
        "feature store": steps.online_run(),
        "first model": steps.model_run(MODEL, demo.blue, everything),
        "rejected model": steps.model_run(REJECTED, demo.green, steps.TRAINING),
        CHALLENGER: steps.model_run(MODEL, demo.green, everything),
    }
    traffic = LiveTraffic(
        demo.stack.addresses["predictions"], demo.configuration.model_instruments(MODEL), LIVE_PER_SECOND
    )
    last = len(plans) - 1

    def on_event(event: RunEvent) -> None:
        # From the moment the bundle is there until its rollout has ended, which no run waits for.
        if event.run == last and event.asset == f"{MODEL}/model_bundle" and event.kind == "materialized":
            traffic.start()

    try:
        demo.run(plans, on_event)
        with demo.phase(ROLLOUT):
            _await_rollouts(demo)
    finally:
        traffic.stop()
    demo.live = traffic.counts


def _await_rollouts(demo: Demo) -> None:
    """Follow every rollout to its end. Raises FxError where one does not come to any."""
    console, told = demo.progress.console, ""
    deadline = time.monotonic() + ROLLOUT_S
    with ServingClient(demo.stack.addresses["predictions"]) as client:
        while running := [found for found in client.rollouts() if found["state"] not in FINISHED]:
            now = f"rollout of version {running[0]['version']}: {running[0]['state']} at {running[0]['weight']:g} %"
            if now != told:
                console.print(now, style="dim", highlight=False)
                told = now
            if time.monotonic() > deadline:
                raise FxError(
                    f"{now} after {ROLLOUT_S:g} s, and no end. "
                    f"Look: fx up --home {demo.home}, then fx rollout status; logs: {demo.home / 'logs'}"
                )
            time.sleep(0.2)


def _drift(demo: Demo) -> None:
    """Traffic as in training, then the same after a shock; a drift report of each."""
    url = demo.stack.addresses["predictions"]
    folder = _serving_bundle(demo)
    features = [feature.name for feature in read_manifest(folder).features]
    with demo.phase("replayed traffic"):
        for number, (session, shock) in enumerate([(demo.calm, False), (demo.shocked, True)]):
            rows = market.replayed_rows(folder / "reference.parquet", features, session, number, shock)
            demo.replayed[session] = replay(url, MODEL, rows)
    demo.run(
        {
            "drift before": steps.monitoring_run(demo.calm),
            "drift after": steps.monitoring_run(demo.shocked),
        }
    )


def _serving_bundle(demo: Demo) -> Path:
    """The bundle of the version that now answers."""
    with ServingClient(demo.stack.addresses["predictions"]) as client:
        routes = client.traffic()["models"]
    return bundle_dir(demo.stores.bundles, MODEL, routes[MODEL]["blue"]["version"])


def _await_retraining(demo: Demo) -> None:
    """The sensor, ticking in the daemon, requests a retraining; wait for the run and its end."""
    status = msgspec.json.decode((demo.stores.drift / f"{MODEL}.json").read_bytes())
    console = demo.progress.console
    console.print(f"drift is {status['level']}; waiting for the sensor", style="dim", highlight=False)
    url = demo.stack.addresses["Dagster UI"] + "/graphql"
    question = {"query": _RUN_QUERY, "variables": {"tag": status["report_id"]}}
    with demo.phase("retraining by the sensor"):
        deadline = time.monotonic() + RETRAINING_S
        while time.monotonic() < deadline:
            answer = httpx.post(url, json=question, timeout=30, trust_env=False).json()
            runs = answer["data"]["runsOrError"].get("results", [])
            if runs:
                found = {"run_id": runs[0]["runId"], "status": runs[0]["status"], "job": runs[0]["jobName"]}
                if found != demo.retraining:
                    console.print(f"retraining {found['run_id'][:8]}: {found['status']}", style="dim", highlight=False)
                demo.retraining = found
                if found["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                    break
            time.sleep(0.5)
    if not demo.retraining:
        raise FxError(f"no retraining was requested within {RETRAINING_S:g} s. Logs: {demo.home / 'logs'}")
    if demo.retraining["status"] != "SUCCESS":
        raise FxError(
            f"retraining run {demo.retraining['run_id']} is {demo.retraining['status']} instead of SUCCESS. "
            f"Look: fx up --home {demo.home}, or the logs in {demo.home / 'logs'}"
        )
