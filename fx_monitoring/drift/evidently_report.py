"""The HTML drift report for people, by Evidently. It decides nothing: the bands come from psi.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_monitoring.drift.psi import MODERATE
from fx_serving.client.files import atomic_write

MAX_ROWS = 50_000
#: Fixed, so that the same two frames give the same figures.
SEED = 20_220_304


def render_html(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    path: Path,
    note: str = "",
    max_rows: int = MAX_ROWS,
) -> Path:
    """Write one self-contained HTML file comparing the features' distributions; returns its path.

    reference, current: a numeric column per feature. Each side is sampled to `max_rows` with a fixed seed:
    the report's time and memory grow with rows, and its pictures do not change. A feature without any finite
    value on one side cannot be drawn and is left out; psi.py still measures it. A feature counts as drifted there
    from 0.15, where alerts begin. note: a line above everything else, such as which rows were judged.
    Raises DataError if no feature is left to draw.
    """
    # Read by Evidently when it is imported.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    drawn = [
        name for name in features if all(np.isfinite(f[name].astype("float64")).any() for f in (reference, current))
    ]
    if not drawn:
        raise DataError(
            "drift report: no feature has values in both the reference and the current rows. "
            "Materialize the reference features, or wait for predictions."
        )
    definition = DataDefinition(numerical_columns=drawn)
    compared = [
        Dataset.from_pandas(_sample(frame[drawn], max_rows), data_definition=definition)
        for frame in (current, reference)
    ]
    # One feature that drifts is drift: the page's headline must not contradict our verdict.
    preset = DataDriftPreset(columns=drawn, method="psi", threshold=MODERATE, drift_share=1 / len(drawn))
    # Evidently correlates every pair of columns on the way, which divides by zero where one is constant.
    with np.errstate(invalid="ignore", divide="ignore"):
        snapshot = Report([preset]).run(current_data=compared[0], reference_data=compared[1])
        html = snapshot.get_html_str(as_iframe=False)
    if note:
        html = html.replace("<body>", f'<body><p style="font:15px sans-serif;margin:1em">{escape(note)}</p>', 1)
    atomic_write(path, html.encode())
    return Path(path)


def _sample(frame: pd.DataFrame, max_rows: int) -> pd.DataFrame:
    """At most max_rows rows in their order, as float64 and without infinities: Evidently rejects pandas' own nullable
    types, and draws no histogram of what has no end.
    """
    if len(frame) > max_rows:
        frame = frame.sample(n=max_rows, random_state=SEED).sort_index()
    return frame.astype("float64").replace([np.inf, -np.inf], np.nan).reset_index(drop=True)
