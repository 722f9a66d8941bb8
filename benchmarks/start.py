"""How long it takes until something can begin: importing a code location, `fx --help`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Figure, median_s

ROOT = Path(__file__).parents[1]
TIMES = 5
SECTION = "start"
#: As a code server loads them: module and definitions.
IMPORTS = {
    "import dagster": "import dagster",
    "load fx_assets": "from fx_assets.definitions import build_definitions; build_definitions()",
    "load fx_monitoring": "from fx_monitoring.definitions import build_definitions; build_definitions()",
    "import a serving worker": "import fx_serving.dataplane.worker",
}


def seconds_of(code: str) -> float:
    """The wall time of a fresh interpreter that runs `code`."""
    environment = {**os.environ, "DAGSTER_DISABLE_TELEMETRY": "yes", "PYTHONWARNINGS": "ignore"}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def measure() -> Iterator[Figure]:
    """Medians of fresh processes; the interpreter's own start is in each, and given beside them."""
    seconds_of(IMPORTS["load fx_monitoring"])  # compiled files and the page cache: what every later start finds
    empty = median_s(lambda: seconds_of("pass"), TIMES)
    yield Figure(SECTION, "python itself", empty, "s", f"median of {TIMES} fresh processes")
    for name, code in IMPORTS.items():
        yield Figure(SECTION, name, median_s(lambda code=code: seconds_of(code), TIMES), "s", "the same")
    help_ = "import sys; sys.argv = ['fx', '--help']; from fx_serving.cli import main; main()"
    yield Figure(SECTION, "fx --help", median_s(lambda: seconds_of(help_), TIMES), "s", "the same")
