"""python -m benchmarks.run [--only SECTION ...] [--out FILE]: measure, print a table, write JSON. About three minutes.

study, training, minutes, backfill, dask, years, rollouts, serving, drift_windows and compose are measured only when
named: they take minutes, and a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

SECTIONS = (
    "start",
    "features",
    "labels",
    "news",
    "sentiment",
    "drift",
    "market",
    "tables",
    "events",
    "predict",
    "prediction_log",
    "oanda",
    "feature_store",
    "exporter",
    "automation",
    "alerts",
)
HEAVY = ("study", "training", "minutes", "backfill", "dask", "years", "rollouts", "serving", "drift_windows", "compose")


def main(arguments: list[str] | None = None) -> int:
    """Run the sections; each is a module of this package with a `measure` that yields figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=(*SECTIONS, *HEAVY), default=SECTIONS, metavar="SECTION")
    parser.add_argument("--out", type=Path, help="JSON file. Default: bench/latest.json in FX_HOME.")
    chosen = parser.parse_args(arguments)
    # Nothing here reports to its vendor, and nothing reads the clock or the configuration of a developer's shell.
    for name in ("FX_CLOCK", "FX_CONFIG_DIR"):
        os.environ.pop(name, None)
    os.environ |= {"DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "yes", "OMP_WAIT_POLICY": "PASSIVE"}
    from benchmarks.report import machine, markdown, write_json
    from fx_serving.client.home import fx_home

    found, figures = machine(), []
    for section in chosen.only:
        started = time.perf_counter()
        print(f"{section} ...", end=" ", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"benchmarks.{section}").measure()
        print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    out = chosen.out or fx_home() / "bench" / "latest.json"
    write_json(out, figures, found)
    print(markdown(figures, found))
    print(f"figures: {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
