"""The platform in containers: from built images to all healthy, from the request of a run to its first step, and what
making 250 sessions takes four containers, and one.

Needs a Docker engine, the images (`make images`) and no other composed platform. FX_COMPOSE_TEST=1 as for `make up`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Figure
from fx_assets.demo.composed import Composed
from fx_assets.runs.plan import MONITORING_LOCATION, PlannedRun

ROOT = Path(__file__).parents[1]
SECTION = "compose"
TIMES = 5
SESSIONS = ("2021-03-17", "2022-03-03")  # 250 of the sample
#: An asset that does next to nothing.
SMALL = PlannedRun(assets=["costs"], location=MONITORING_LOCATION)
_NEWEST = """{ runsOrError(limit: 1) { ... on Runs { results { runId creationTime
  stats { ... on RunStatsSnapshot { launchTime } } stepStats { startTime } } } } }"""


@contextmanager
def _up() -> Iterator[tuple[Composed, float]]:
    folder = Path(tempfile.mkdtemp(prefix="fx-compose-"))
    os.environ["FX_COMPOSE_FOLDER"] = str(folder)
    try:
        began = time.perf_counter()
        subprocess.run(["make", "up"], cwd=ROOT, check=True, capture_output=True)
        yield Composed(folder), time.perf_counter() - began
    finally:
        subprocess.run(["make", "down"], cwd=ROOT, check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _launch(place: Composed) -> float:
    """Seconds from the request of a run to its first step."""
    place.execute([SMALL], lambda event: None)
    (run,) = place.graphql(_NEWEST, {})["runsOrError"]["results"]
    return min(step["startTime"] for step in run["stepStats"]) - run["creationTime"]


def _backfill(processes: int) -> float:
    """Seconds of a backfill of silver and gold, bronze being there."""
    command = ["fx", "backfill", "--force", "--tables", "silver,gold", "--from", SESSIONS[0], "--to", SESSIONS[1]]
    launch = ["--launch", "http://webserver:3000", "--processes", str(processes)]
    began = time.perf_counter()
    subprocess.run(["docker", "exec", "fx-daemon", "fx", "exec", *command, *launch], check=True, capture_output=True)
    return time.perf_counter() - began


def measure() -> Iterator[Figure]:
    """One platform, brought up and taken down."""
    with _up() as (place, up_s):
        yield Figure(SECTION, "make up", up_s, "s", "built images to every container healthy; goal 120")
        place.wait_ready()
        taken = [_launch(place) for _ in range(TIMES)]
        yield Figure(
            SECTION, "from a request to the first step", statistics.median(taken), "s", f"median of {TIMES}; goal 6"
        )
        for processes in (1, 4):
            name = f"{processes} container{'s' if processes > 1 else ''} at a time"
            yield Figure(SECTION, f"250 sessions, {name}", _backfill(processes), "s", "bronze to gold, --force")
