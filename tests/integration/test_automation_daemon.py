"""A real daemon: rows of a short cadence tick, run, are switched off and on by `fx automation`, and stay so."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fx_assets.configuration.automation import load_automation
from fx_assets.stack.environment import INSTANCE, WORKSPACE
from tests.servers.platform import ROOT, environment, fx
from tests.servers.serving import wait_until

pytestmark = [pytest.mark.slow(170)]

TABLE = """
rows:
  mine: {does: Cleans up soon., job: clean_up, cron: "SOON * * * *", clock: wall, owner: desk}
  dead_runs: {every_seconds: 2}
  service_levels: {every_seconds: 3}
  daily_champions: {enabled: false}
"""
# Sensors that this is not about: each look costs the processor something.
QUIET = (
    "retrain_on_drift",
    "roll_out_promoted",
    "follow_rollouts",
    "late_outcomes",
    "alert_failed_runs",
    "alert_watch",
    "alert_delivery",
    "heartbeat",
)


class Daemon:
    """A running daemon over a home, and its instance as another process sees it."""

    def __init__(self, home: Path, instance: dg.DagsterInstance):
        self.home, self.instance = home, instance

    def state(self, name: str) -> Any:
        return next((s for s in self.instance.all_instigator_state() if s.name == name), None)

    def looked(self, name: str) -> float:
        """When a sensor looked last; 0 before the first time."""
        state = self.state(name)
        data = state.instigator_data if state else None
        return getattr(data, "last_tick_timestamp", None) or 0.0

    def looks_again(self, name: str, times: int = 1) -> float:
        """Wait until a sensor has looked so many more times; returns when it did last."""
        for _ in range(times):
            before = self.looked(name)
            wait_until(lambda before=before: self.looked(name) > before)
        return self.looked(name)

    def runs(self, schedule: str) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": schedule})))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("daemon")
    (home / "config").mkdir()
    # Twice: the daemon may take longer to start than until the first. Each run costs seconds.
    soon = ",".join(f"{(datetime.now(UTC) + timedelta(minutes=ahead)).minute}" for ahead in (2, 4))
    (home / "config" / "automation.yaml").write_text(
        TABLE.replace("SOON", soon) + "".join(f"  {name}: {{enabled: false}}\n" for name in QUIET)
    )
    folder = home / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(INSTANCE.read_text())
    variables = environment(
        FX_HOME=str(home), DAGSTER_HOME=str(folder), FX_CLOCK="2022-03-04T22:00:00Z", PYTHONWARNINGS="ignore"
    )
    subprocess.run([sys.executable, "-m", "fx_assets.stack.initialise"], env=variables, cwd=ROOT, check=True)
    with contextlib.ExitStack() as opened:
        log = opened.enter_context((home / "daemon.log").open("wb"))
        child = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", str(WORKSPACE)],
            env=variables,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        opened.callback(_stop, child)
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(folder)))
        yield Daemon(home, instance)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(120)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def test_rows_tick_and_run_by_themselves(daemon):
    daemon.looks_again("dead_runs", 2)
    wait_until(lambda: any(run.is_success for run in daemon.runs("mine")), 330)
    (run, *_) = daemon.runs("mine")
    assert (run.tags["fx/row"], run.job_name) == ("mine", "clean_up")
    assert daemon.state("daily_champions") is None or daemon.state("daily_champions").status.value != "RUNNING"
    # The data clock stands still: what looks for new data has asked for nothing. The wall clock's rows may have ticked.
    by_wall_clock = {"mine"} | {name for name, row in load_automation().rows.items() if row.clock == "wall"}
    assert {run.tags.get("fx/row") for run in daemon.instance.get_runs()} <= by_wall_clock
    wait_until(lambda: (daemon.home / "monitoring" / "slo.json").is_file())


def test_a_row_that_is_switched_off_rests_until_it_is_switched_on(daemon):
    off = fx("automation", "off", "dead_runs", "--home", daemon.home)
    assert off.returncode == 0, off.stdout + off.stderr
    assert "dead_runs is off" in off.stdout
    wait_until(lambda: daemon.state("dead_runs").status.value == "STOPPED")
    daemon.looks_again("service_levels")  # what was being looked at when it was stopped is over
    rested = daemon.looked("dead_runs")
    daemon.looks_again("service_levels", 3)
    assert daemon.looked("dead_runs") == rested
    listed = fx("automation", "--home", daemon.home).stdout
    (line,) = [line for line in listed.splitlines() if " dead_runs " in line]
    assert "off (by hand)" in line
    (line,) = [line for line in listed.splitlines() if " daily_champions " in line]
    assert "off (automation.yaml)" in line
    (line,) = [line for line in listed.splitlines() if " mine " in line]
    assert any(status in line for status in ("queued", "starting", "started", "success"))
    on = fx("automation", "on", "dead_runs", "--home", daemon.home)
    assert "dead_runs is on" in on.stdout
    assert daemon.looks_again("dead_runs") > rested


def test_an_unknown_row_is_refused_with_the_remedy(daemon):
    done = fx("automation", "off", "nightly", "--home", daemon.home)
    assert done.returncode == 1
    assert "'nightly' is not a row of automation.yaml. `fx automation` lists them." in done.stderr
    part = fx("automation", "off", "news", "--home", daemon.home)
    assert "'news' is a part of 'live'" in part.stderr
    assert os.listdir(daemon.home / "config") == ["automation.yaml"]
