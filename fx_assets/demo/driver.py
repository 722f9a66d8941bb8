"""The demo's course, step by step. Each step uses the platform as a user would; nothing is simulated but the shock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from fx_assets.cli.progress import RunProgress
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.demo import market, report, summary
from fx_assets.demo.composed import Composed
from fx_assets.demo.home import EventStore, configure_composed, empty_home
from fx_assets.demo.places import Place, here
from fx_assets.demo.traffic import Counts, LiveTraffic, replay
from fx_assets.errors import FxError
from fx_assets.runs import steps
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.stack.environment import replay_clock
from fx_assets.stack.memory import MemorySampler
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.home import Stores
from fx_serving.client.http import FINISHED, ServingClient
from fx_serving.client.patience import patiently

MODEL = "move_60m"  # the one that is rolled out
REJECTED = "direction_60m"
CHALLENGER = "challenger"
ROLLOUT = "rollout under live traffic"
BLUE_AGO, GREEN_AGO = 22, 2  # the sessions, counted from the end, that blue and green are trained for
LIVE_PER_SECOND = 120.0
RETRAINING_S = 240.0
ROLLOUT_S = 120.0  # its steps last 16 s, and it holds where requests are missing

Told = TypeVar("Told")

_RUN_QUERY = """query Runs($tag: String!) {
  runsOrError(filter: {tags: [{key: "fx/drift_report", value: $tag}]}) {
    ... on Runs { results { runId status jobName } }
  }
}"""


@dataclass
class Demo:
    """What the steps share and find out."""

    place: Place
    configuration: Configuration
    progress: RunProgress
    sessions: list[str]
    phases: dict[str, float] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)
    live: Counts = field(default_factory=Counts)
    replayed: dict[str, Counts] = field(default_factory=dict)
    retraining: dict[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> Stores:
        return Stores(self.place.home)

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

    def patiently(self, ask: Callable[[], Told]) -> Told:
        """What the service answers, asked again while nobody, or not its database, can. Raises as `ask` does."""
        return patiently(ask, self.place.patience_s)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - started, 2)

    def run(self, plans: Mapping[str, PlannedRun], then: Callable[[RunEvent], None] = lambda event: None) -> None:
        """Execute runs, with a bar and a time for each."""
        titles = list(plans)

        def note(event: RunEvent) -> None:
            if event.kind == "finished":
                self.phases[titles[event.run]] = round(event.seconds or 0.0, 2)
                self.run_ids[titles[event.run]] = event.run_id or ""
            then(event)

        self.place.execute(list(plans.values()), self.progress.follow(plans, note))


def run_demo(home: Path) -> dict:
    """Run the whole demo in `home`; returns and writes the summary. Raises FxError when a step fails."""
    started = time.monotonic()
    empty_home(home)
    configuration = _configured(home)
    with ExitStack() as opened:
        memory = opened.enter_context(MemorySampler())
        opened.enter_context(EventStore(home))
        place = opened.enter_context(here(home, configuration))
        figures = _driven(place, configuration, started, memory)
    report.show(figures, home, f"fx up --home {home}")
    return figures


def run_composed_demo(folder: Path) -> dict:
    """The same on the platform in containers whose folder this is, which goes on running; memory is not measured."""
    started = time.monotonic()
    place = Composed(folder)
    configure_composed(place.home)
    configuration = _configured(place.home)
    place.clock = str(replay_clock(configuration))
    figures = _driven(place, configuration, started, None)
    report.show(figures, place.home, f"{place.ui}, as operator")
    return figures


def _configured(home: Path) -> Configuration:
    """From here on this process, too, reads the demo's configuration; no environment's settings lie over it."""
    os.environ["FX_HOME"] = str(home)
    os.environ.pop("FX_ENV", None)
    return load_configuration()


def _driven(place: Place, configuration: Configuration, started: float, memory: MemorySampler | None) -> dict:
    with RunProgress() as progress:
        demo = Demo(place, configuration, progress, steps.session_list(configuration))
        _course(demo)
        figures = summary.collect(demo, time.monotonic() - started, memory)
    summary.write(place.home, figures)
    return figures


def _course(demo: Demo) -> None:
    console = demo.progress.console
    demo.place.start(lambda told: console.print(told, style="dim"))
    demo.run({"tables": steps.tables_run(demo.configuration, demo.sessions[0], demo.sessions[-1])})
    demo.place.wait_ready()
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
    instruments = demo.configuration.model_instruments(MODEL)
    traffic = LiveTraffic(demo.place.predictions, instruments, LIVE_PER_SECOND, demo.place.patience_s)
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
    deadline = time.monotonic() + ROLLOUT_S + demo.place.patience_s
    with ServingClient(demo.place.predictions) as client:
        while running := [found for found in demo.patiently(client.rollouts) if found["state"] not in FINISHED]:
            now = f"rollout of version {running[0]['version']}: {running[0]['state']} at {running[0]['weight']:g} %"
            if now != told:
                console.print(now, style="dim", highlight=False)
                told = now
            if time.monotonic() > deadline:
                raise FxError(f"{now} after {ROLLOUT_S:g} s, and no end. Look: fx rollout status; {demo.place.logs}")
            time.sleep(0.2)


def _drift(demo: Demo) -> None:
    """Traffic as in training, then the same after a shock; a drift report of each."""
    url = demo.place.predictions
    folder = _serving_bundle(demo)
    features = [feature.name for feature in read_manifest(folder).features]
    with demo.phase("replayed traffic"):
        for number, (session, shock) in enumerate([(demo.calm, False), (demo.shocked, True)]):
            rows = market.replayed_rows(folder / "reference.parquet", features, session, number, shock)
            demo.replayed[session] = replay(url, MODEL, rows, demo.place.patience_s)
    demo.run(
        {
            "drift before": steps.monitoring_run(demo.calm),
            "drift after": steps.monitoring_run(demo.shocked),
        }
    )


def _serving_bundle(demo: Demo) -> Path:
    """The bundle of the version that now answers."""
    with ServingClient(demo.place.predictions) as client:
        routes = demo.patiently(client.traffic)["models"]
    return bundle_dir(demo.stores.bundles, MODEL, routes[MODEL]["blue"]["version"])


def _await_retraining(demo: Demo) -> None:
    """The sensor, ticking in the daemon, requests a retraining; wait for the run and its end."""
    status = msgspec.json.decode((demo.stores.drift / f"{MODEL}.json").read_bytes())
    console = demo.progress.console
    console.print(f"drift is {status['level']}; waiting for the sensor", style="dim", highlight=False)
    with demo.phase("retraining by the sensor"):
        deadline = time.monotonic() + RETRAINING_S + demo.place.patience_s
        while time.monotonic() < deadline:
            answer = demo.place.graphql(_RUN_QUERY, {"tag": status["report_id"]})
            runs = answer["runsOrError"].get("results", [])
            if runs:
                found = {"run_id": runs[0]["runId"], "status": runs[0]["status"], "job": runs[0]["jobName"]}
                if found != demo.retraining:
                    console.print(f"retraining {found['run_id'][:8]}: {found['status']}", style="dim", highlight=False)
                demo.retraining = found
                if found["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                    break
            time.sleep(0.5)
    if not demo.retraining:
        raise FxError(f"no retraining was requested within {RETRAINING_S:g} s. Look: {demo.place.logs}")
    if demo.retraining["status"] != "SUCCESS":
        raise FxError(
            f"retraining run {demo.retraining['run_id']} is {demo.retraining['status']} instead of SUCCESS. "
            f"Look: {demo.place.logs}"
        )
