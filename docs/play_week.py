"""A week of a desk on a finished demo, so that dashboards and asset pages have something to show.

    python docs/play_week.py copy --demo .fx/demo --home .fx/week     data and models, and nothing that was asked
    fx up --home .fx/week                                             in another terminal
    python docs/play_week.py play --home .fx/week

The last five sessions are gone through bar by bar: at each bar's close the running service is asked about every
instrument by the paper trader, whose clock is the bar's, and monitoring runs as its schedules would have it. The older
version answers the first three sessions; then the newer one is rolled out under traffic. Each version so answers
only bars that it was not trained on. Nothing is made up, but that an hour passes in seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

KEPT = ("bundles", "cards", "config", "dagster", "feast", "lake", "mlflow", "runs", "serving/features")
# Four pairs of hourly bars are 96 rows a session, fewer than a verdict needs as shipped. The limits of chance widen.
SETTINGS = "drift: {min_rows: 80}\n"
MODEL, OLDER, NEWER = "move_60m", "1", "2"
SESSIONS, OF_OLDER = 5, 3
MONITORING = ("drift", "monitor")
CHECKS = ("freshness", "failed_partitions_check")
NIGHTLY = ("signal_validation_nightly", "feature_importance_weekly")
PATIENCE_S = 300.0


def copy(demo: Path, home: Path) -> None:
    """A home with the demo's tables and models, whose service has not been asked anything yet."""
    if home.exists():
        raise SystemExit(f"{home}: exists. Choose another --home, or remove it.")
    for name in KEPT:
        shutil.copytree(demo / name, home / name, symlinks=True)
    shutil.rmtree(home / "lake" / "monitoring", ignore_errors=True)
    (home / "config" / "monitoring.yaml").write_text(SETTINGS, encoding="utf-8")


@contextmanager
def clock(moment: datetime) -> Iterator[None]:
    """The data clock of this process."""
    before = os.environ.get("FX_CLOCK")
    os.environ["FX_CLOCK"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    yield
    os.environ["FX_CLOCK"] = before or ""


class Week:
    """A running platform, and its jobs, which are executed beside it."""

    def __init__(self, home: Path, url: str) -> None:
        from fx_assets.configuration import load_configuration
        from fx_assets.stack.environment import environment

        os.environ["FX_HOME"] = str(home)
        self.configuration = load_configuration()
        os.environ.update(environment(home, self.configuration, url))

        warnings.simplefilter("ignore")  # of what is beta in Dagster
        import dagster as dg

        from fx_assets import definitions as data
        from fx_monitoring import definitions as monitoring

        self.url = url
        self.instance = dg.DagsterInstance.get()
        self.monitoring, self.data = monitoring.build_definitions(), data.build_definitions()

    def run(self, job: str, session: str | None = None) -> None:
        """Execute one of the jobs that automation.yaml has, in this process."""
        location = self.data if job in CHECKS else self.monitoring
        result = location.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=session,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            raise_on_error=False,
        )
        if not result.success:
            print(f"{job}: run {result.run_id} failed; see it in the Dagster UI", file=sys.stderr)

    def roll_out(self, version: str) -> None:
        """Roll a version out under traffic for the newest bar, and wait for the end."""
        from fx_serving.client.http import FINISHED, ServingClient

        with ServingClient(self.url) as client, ThreadPoolExecutor(1) as pool:
            routes = client.traffic()["models"]
            if routes and routes[MODEL]["blue"]["version"] == version:
                return
            ended = threading.Event()
            # Before the first deployment nobody could answer.
            traffic = pool.submit(self._ask, ended) if routes else None
            found = client.start_rollout(MODEL, version, self.configuration.models.models[MODEL].rollout)
            deadline = time.monotonic() + PATIENCE_S
            while found["state"] not in FINISHED and time.monotonic() < deadline:
                time.sleep(0.5)
                found = client.rollout(found["id"])
            ended.set()
        told = "" if traffic is None else f"; {traffic.result()} questions meanwhile"
        print(f"version {version}: {found['state']}{told}")

    def _ask(self, ended: threading.Event) -> int:
        """Ask twenty times a second until then; returns how often."""
        from fx_serving.client.http import ServingClient

        symbols, asked = list(self.configuration.instruments.instruments), 0
        with ServingClient(self.url) as client:
            while not ended.wait(0.05):
                client.predict(symbols[asked % len(symbols)])
                asked += 1
        return asked

    def play(self, since: str, pause_s: float, every: int) -> None:
        """The sessions from `since` on, bar by bar. every: hours between two runs of monitoring."""
        from fx_assets.market_hours import market_hours
        from fx_assets.runs.steps import session_list
        from fx_assets.sessions import session_bounds

        sessions = session_list(self.configuration)[-SESSIONS:]
        for number, session in enumerate(sessions):
            if session < since:
                continue
            if number in (0, OF_OLDER):
                self.roll_out(NEWER if number else OLDER)
            start, end = session_bounds(session)
            bars = market_hours("fx").expected_bars(start, end, 60)
            for hour, opened in enumerate(bars):
                closed = opened.to_pydatetime() + timedelta(hours=1)
                with clock(closed + timedelta(seconds=30)):
                    self.run("paper_trade")
                    for job in MONITORING if hour % every == every - 1 or closed == end else ():
                        self.run(job, session)
                time.sleep(pause_s)
            with clock(end):
                for job in NIGHTLY:
                    self.run(job, session)
            print(f"session {session}: {len(bars)} bars", flush=True)
        for job in CHECKS:
            self.run(job)


def main() -> int:
    """Copy, or play."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    copying = commands.add_parser("copy", help="a demo's data and models in a new home")
    copying.add_argument("--demo", type=Path, default=Path(".fx/demo"))
    playing = commands.add_parser("play", help="five sessions, bar by bar; fx up must be running")
    playing.add_argument("--url", default="http://127.0.0.1:8700", help="the deployment service")
    playing.add_argument("--since", default="", help="the session to go on from, where it was stopped")
    playing.add_argument("--pause", type=float, default=2.0, help="seconds between two bars")
    playing.add_argument("--every", type=int, default=8, help="hours between two runs of monitoring")
    for command in (copying, playing):
        command.add_argument("--home", type=Path, default=Path(".fx/week"))
    chosen = parser.parse_args()
    if chosen.command == "copy":
        copy(chosen.demo, chosen.home)
    else:
        Week(chosen.home.resolve(), chosen.url).play(chosen.since, chosen.pause, chosen.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
