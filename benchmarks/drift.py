"""Drift and figures of a model: the population stability index of wide tables, the report of a classification."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.report import Figure, median_s, seconds

SECTION = "drift"
TIMES = 5
ROWS, FEATURES = 500_000, 50
PREDICTIONS, DAY = 37_000, 96


def measure() -> Iterator[Figure]:
    """Medians of CPU time, one thread, on drawn figures: what they are does not decide how long it takes."""
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
