"""Drift and figures of a model: the population stability index of wide tables, the report of a session, the report of a
classification. What the decisions get right and wrong is measured in drift_windows.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drift_home import write_home
from benchmarks.report import Figure, median_s, seconds

SECTION = "drift"
TIMES = 5
ROWS, FEATURES = 500_000, 50
PREDICTIONS, DAY = 37_000, 96
REPORT_TIMES = 3

#: One report in a process of its own: imports, figures, limits, pictures, Evidently's page; then what it took.
_REPORT = """
import time
started = time.perf_counter()
import json, sys
from pathlib import Path
import pandas as pd
from benchmarks.drift_home import MODEL, PREDICTIONS, SESSION
from fx_assets.cost.memory import peak_bytes
from fx_monitoring.drift.judge import judge_model
from fx_serving.client.home import Stores
home = Path(sys.argv[1])
status = judge_model(Stores(home), MODEL, SESSION, pd.read_parquet(home / PREDICTIONS))
assert status["html"] and status["action"] == "log", status["decision"]
print(json.dumps({"wall": time.perf_counter() - started, "cpu": time.process_time(),
                  "mb": peak_bytes() / 1e6, "rows": status["rows"], "features": len(status["features"])}))
"""


def measure() -> Iterator[Figure]:
    """Medians of CPU time, one thread, on drawn figures: what they are does not decide how long it takes. The report is
    of real features, in wall time.
    """
    from fx_assets.evaluation.metrics import classification_report
    from fx_monitoring.drift.psi import psi_table

    rng = np.random.default_rng(3)
    names = [f"f{i}" for i in range(FEATURES)]
    reference = pd.DataFrame(rng.normal(size=(ROWS, FEATURES)), columns=names)
    current = reference + 0.1
    took = median_s(lambda: seconds(lambda: psi_table(reference, current, names)), TIMES)
    yield Figure(SECTION, f"PSI of {FEATURES} features x {ROWS:,} rows", took, "s", f"median of {TIMES}")
    p = rng.random(PREDICTIONS)
    y = (rng.random(PREDICTIONS) < p).astype(float)
    days = np.arange(PREDICTIONS) // DAY
    took = median_s(lambda: seconds(lambda: classification_report(y, p, None, days)), TIMES)
    yield Figure(SECTION, f"figures of {PREDICTIONS:,} predictions with intervals", took, "s", f"median of {TIMES}")
    with tempfile.TemporaryDirectory(prefix="fx-bench-drift-") as home:
        write_home(Path(home))
        reports = [_report(home) for _ in range(REPORT_TIMES)]
    what = f"drift report of {reports[0]['rows']:,} rows x {reports[0]['features']} features with HTML"
    how = f"worst of {REPORT_TIMES}, in a fresh process, imports of Evidently included"
    yield Figure(SECTION, what, max(found["wall"] for found in reports), "s", how)
    yield Figure(SECTION, f"{what}: CPU", max(found["cpu"] for found in reports), "s", how)
    yield Figure(SECTION, f"{what}: peak memory", max(found["mb"] for found in reports), "MB", how)


def _report(home: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", _REPORT, home], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
