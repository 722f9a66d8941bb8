"""The platform's loop for tests: a home of really trained models, the service that answers with them, a daemon, and a
chain of events that is waited for link by link.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from fx_assets.automation.retraining import TRAINING_STEPS
from fx_assets.configuration.automation import load_automation
from fx_assets.demo.traffic import replay
from fx_assets.features import feature_names
from fx_assets.sessions import session_bounds
from fx_assets.stack.environment import INSTANCE, WORKSPACE
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient
from tests.fx_assets.small import BRONZE, GATES, TABLES, Platform, configuration_of, write_config
from tests.servers.demo import processes_of
from tests.servers.platform import ROOT, command_of, environment

#: The session that everything was last trained for, and the two that are asked about: the ended and the running one.
FIRST = "2020-12-07"
TRAINED, ENDED, RUNNING = "2021-02-24", "2021-03-01", "2021-03-02"
CLOCK = "2021-03-03T15:00:00Z"
SYMBOLS = ("GBP_USD", "USD_JPY")
#: What a model sees: few features, since a drift report costs as many. The second line is what a wilder market moves.
FEATURES = {
    "technical": ("log_return_1", "rsi_14", "macd", "bollinger_position", "stochastic_k", "cci_20"),
    "volatility": ("realised_24", "yang_zhang_24", "range_adjusted", "move_level_24", "next_move_profile"),
}
WILDER = 2.5
ROWS = 520
#: Steps of seconds instead of hours; gates as shipped but for those on speed, which a busy machine cannot keep.
ROLLOUT = {
    "steps": [5, 25, 50, 100],
    "window_s": 1,
    "min_requests": 10,
    "suite_cases": 8,
    "max_p99_ms": 5000,
    "max_latency_ratio": None,
    "apply_timeout_s": 60,
}

Row = tuple[str, datetime, Mapping[str, float]]


def variables(home: Path, **more: str) -> dict[str, str]:
    """The environment of every process on the home; its data time moves, from CLOCK on."""
    return environment(
        FX_HOME=str(home),
        DAGSTER_HOME=str(home / "dagster"),
        FX_CLOCK=f"{CLOCK}@{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        DAGSTER_DISABLE_TELEMETRY="yes",
        DO_NOT_TRACK="1",
        PYTHONWARNINGS="ignore",
        **more,
    )


# ---- the home -----------------------------------------------------------------------------------------------------


def write_settings(home: Path, models: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]]) -> Path:
    """Configuration with these models, by name their gate profile, and of all automation these rows alone."""
    others = [name for group, kept in FEATURES.items() for name in feature_names(group) if name not in kept]
    entry = {
        "label": {"kind": "large_move", "horizon_minutes": 60},
        "features": {"groups": list(FEATURES), "exclude": others},
        "training": {"sessions": 55, "min_rows": 500},
        "validation": {"folds": 2, "embargo_minutes": 60},
        "candidates": [{"name": "eager", "rounds": 30, "params": {"max_depth": 3, "eta": 0.3, "min_child_weight": 5}}],
        "deploy": True,
        "rollout": ROLLOUT,
    }
    instruments = {
        "sessions": {"start": FIRST, "end": "2021-03-05"},
        "instruments": {"GBP_USD": {"typical_spread": 0.00012}, "USD_JPY": {"typical_spread": 0.01}},
        "news": {"sources": ["sample"]},
    }
    folder = home / "config"
    write_config(folder, instruments, {"models": {name: {**entry, "gates": g} for name, g in models.items()}}, GATES)
    off = {name: {"enabled": False} for name, row in load_automation().rows.items() if not row.part_of}
    (folder / "automation.yaml").write_text(yaml.safe_dump({"rows": {**off, **rows}}))
    return folder


def build_home(home: Path, models: Sequence[str]) -> Stores:
    """Tables up to ENDED, and version 1 of each model, champion and exported: what a person sets up once."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        configuration = configuration_of(write_settings(home, dict.fromkeys(models, "easy"), {}), patch)
        platform = Platform(home, configuration, instance)
        platform.run([*BRONZE, *TABLES], FIRST, ENDED)
        platform.run(["feature_registry"])
        platform.run([f"{model}/{step}" for model in models for step in TRAINING_STEPS], TRAINED)
    (home / "dagster").mkdir(exist_ok=True)
    (home / "dagster" / "dagster.yaml").write_text(INSTANCE.read_text())
    return Stores(home)


# ---- traffic ------------------------------------------------------------------------------------------------------


def market(stores: Stores, model: str, session: str, *, wilder: float = 1.0, stuck: str | None = None) -> list[Row]:
    """Requests of a session like the model's training rows; with every volatility `wilder` times as large, or with one
    feature that stands still.
    """
    folder = bundle_dir(stores.bundles, model, "1")
    names = [feature.name for feature in read_manifest(folder).features]
    rows = pd.read_parquet(folder / "reference.parquet").sample(ROWS, random_state=1).reset_index(drop=True)
    wild = list(FEATURES["volatility"])
    rows[wild] = rows[wild] * wilder
    if stuck is not None:
        rows[stuck] = 50.0
    start, end = (pd.Timestamp(moment) for moment in session_bounds(session))
    times = pd.date_range(start, min(end, pd.Timestamp(CLOCK)), periods=ROWS + 2)[1:-1].floor("ms")
    values = np.nan_to_num(rows[names].to_numpy(float))
    return [
        (symbol, moment.to_pydatetime(), dict(zip(names, row.tolist(), strict=True)))
        for symbol, moment, row in zip(rows["instrument"], times, values, strict=True)
    ]


def ask(url: str, model: str, rows: Sequence[Row]) -> None:
    """Each request once; asserts that every one was answered."""
    counts = replay(url, model, rows)
    assert counts.failed == 0, counts.errors


@contextlib.contextmanager
def asking(url: str, model: str, rows: Sequence[Row], per_second: float = 15) -> Iterator[None]:
    """The same requests over and over until the block ends, whatever becomes of the service meanwhile."""
    stop = threading.Event()

    def run() -> None:
        with ServingClient(url) as client:
            for symbol, moment, features in itertools.cycle(rows):
                with contextlib.suppress(ServiceError):
                    client.predict(symbol, moment, model, features)
                if stop.wait(1 / per_second):
                    return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# ---- the daemon, and what is waited for ---------------------------------------------------------------------------


class Loop:
    """A running daemon over a home, and the chain of events that is expected of it."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], instance: dg.DagsterInstance) -> None:
        self.home, self.process, self.instance = home, process, instance
        self.done: list[str] = []

    @property
    def stores(self) -> Stores:
        return Stores(self.home)

    def link(self, what: str, found: Callable[[], Any], sensor: str, within_s: float = 900) -> Any:
        """Wait for one link of the chain, named in words; returns what `found` does as soon as it is truthy.

        AssertionError, with what there was before it, what the sensor said and the ends of the logs, where it does not
        come, and at once where a run has failed.
        """
        deadline = time.monotonic() + within_s
        while True:
            try:
                result = found()
            except FileNotFoundError:
                result = None
            if result:
                self.done.append(what)
                return result
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended by itself. {self._told(what, sensor)}")
            if any(run.status == dg.DagsterRunStatus.FAILURE for run in self.runs()):
                raise AssertionError(f"a run failed. {self._told(what, sensor)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s:g} s. {self._told(what, sensor)}")
            time.sleep(0.5)

    def _told(self, what: str, sensor: str) -> str:
        runs = [
            f"{run.job_name} {run.status.value} {dict(run.tags).get('dagster/partition', '')}" for run in self.runs()
        ]
        return "\n".join(
            [
                f"MISSING LINK: {what}",
                f"there were: {'; '.join(self.done) or 'none'}",
                f"{sensor} said: {self.said(sensor)}",
                f"runs, the newest first: {'; '.join(runs) or 'none'}",
                *self._errors(),
                *(f"--- {name}\n{self._end(name)}" for name in ("daemon.log", "serve.log", "logs/runs.log")),
            ]
        )

    def _errors(self) -> Iterator[str]:
        for run in self.runs():
            if run.status == dg.DagsterRunStatus.FAILURE:
                for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
                    yield f"{run.job_name}: {entry.get_dagster_event().step_failure_data.error}"[:3_000]

    def _end(self, name: str) -> str:
        path = self.home / name
        return path.read_text(errors="replace")[-1_500:] if path.is_file() else "(no such file)"

    def runs(self, job: str | None = None, **tags: str) -> list[dg.DagsterRun]:
        """Runs, the newest first; tags with __ for /."""
        wanted = {name.replace("__", "/"): value for name, value in tags.items()}
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job, tags=wanted)))

    def ticks(self, name: str, since: float = 0.0) -> list[Any]:
        """The newest ticks of a sensor or schedule after a moment, the newest first."""
        return [
            tick
            for state in self.instance.all_instigator_state()
            if state.instigator_name == name
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
            if tick.timestamp > since
        ]

    def said(self, name: str) -> str:
        """What its newest tick said, in words."""
        found = self.ticks(name)
        if not found:
            return "nothing: it has never ticked. Is it on?"
        newest = found[0]
        asked = f"asked for {', '.join(newest.run_ids)}" if newest.run_ids else newest.skip_reason or "nothing"
        return f"{newest.status.value}: {newest.error or asked}"


@contextlib.contextmanager
def daemon(home: Path, environment: Mapping[str, str]) -> Iterator[Loop]:
    """`dagster-daemon` on the home until the block ends."""
    subprocess.run([sys.executable, "-m", "fx_assets.stack.initialise"], env={**environment}, cwd=ROOT, check=True)
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(WORKSPACE)]
    with open(home / "daemon.log", "ab") as log, dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        process = subprocess.Popen(command, env={**environment}, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield Loop(home, process, instance)
        finally:
            process.terminate()
            process.wait(120)
            for left in processes_of(home):  # runs that were under way, and the servers of their code
                with contextlib.suppress(psutil.Error):
                    if "fx_serving" not in command_of(left):
                        left.kill()
