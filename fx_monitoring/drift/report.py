"""One model's drift: the figures, the status file other packages read, and the chart.

How a value is computed is in psi.py; who asks for it, and what follows from it, is the assets' and sensors'
business.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from fx_assets.errors import DataError
from fx_monitoring.drift.predictions import distinct_inputs
from fx_monitoring.drift.psi import CRITICAL, METHOD, MINOR, MODERATE, Level, level, psi_table
from fx_serving.client.files import atomic_write

MIN_ROWS = 500
FORMAT = 1

_COLOURS = {
    "none": "#4c9f70",
    "minor": "#c9b037",
    "moderate": "#e08a2e",
    "critical": "#c0392b",
    "inconclusive": "#8a8f98",
}


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift; the units are those of `psi_table`."""

    feature: str
    psi: float
    ks: float
    missing_share_ref: float
    missing_share_cur: float
    level: Level


@dataclass(frozen=True)
class DriftReport:
    """Figures of one comparison.

    rows: distinct current feature rows; reference_rows: reference rows; min_rows: fewest of either for a
    verdict.
    level: the worst feature's, or inconclusive; max_psi: None when inconclusive, so that noise alerts nobody.
    features: by falling psi. When the report is inconclusive their values are shown but their level says so
    too.
    """

    rows: int
    reference_rows: int
    min_rows: int
    level: Level
    max_psi: float | None
    features: tuple[FeatureDrift, ...]

    def table(self) -> pd.DataFrame:
        """One row per feature, by falling psi; the columns of `psi_table`."""
        return pd.DataFrame([asdict(feature) for feature in self.features])


def drift_figures(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    min_rows: int = MIN_ROWS,
    unjudged: Collection[str] = (),
) -> DriftReport:
    """Compare the features a model was asked with (`current`) with those it was trained on (`reference`).

    reference: a column per feature. current: the same, or a prediction log frame (columns f_<feature>). Rows
    of `current` that repeat the same inputs count once, so a busy client does not look like drift.
    `unjudged` features are measured and listed but do not count for the level: clock features, whose
    distribution within one session is known beforehand and says nothing about the market.
    With fewer than `min_rows` rows on either side the level is inconclusive; no rows at all is not an error.
    Raises DataError if `features` is empty or a frame lacks one of them.
    """
    if not features:
        raise DataError("drift: no features to compare. Take them from the deployed model's manifest.")
    inputs = distinct_inputs(current, features)
    conclusive = min(len(inputs), len(reference)) >= min_rows
    found: list[FeatureDrift] = []
    if len(inputs) and len(reference):
        table = psi_table(reference, inputs, features)
        if not conclusive:
            table["level"] = "inconclusive"
        # Stable, so that equal values keep the model's feature order and the file is the same every time.
        ordered = table.sort_values("psi", ascending=False, kind="stable")
        found = [FeatureDrift(*row) for row in ordered.itertuples(index=False, name=None)]
    judged = [feature for feature in found if feature.feature not in unjudged]
    return DriftReport(
        rows=len(inputs),
        reference_rows=len(reference),
        min_rows=min_rows,
        level=level(judged[0].psi) if conclusive and judged else "inconclusive",
        max_psi=judged[0].psi if conclusive and judged else None,
        features=tuple(found),
    )


def write_status(
    path: Path,
    report: DriftReport,
    model: str,
    version: str,
    session: str,
    *,
    report_id: str | None = None,
    computed_at: datetime | None = None,
) -> dict[str, Any]:
    """Replace the drift status file of `model`, atomically, and return what was written.

    session: the FX session compared, YYYY-MM-DD; report_id: names the HTML report,
    <model>-<version>-<session> by default; computed_at: aware, the wall clock by default.
    """
    status = {
        "format": FORMAT,
        "model": model,
        "version": version,
        "session": session,
        "computed_at": (computed_at or datetime.now(UTC)).astimezone(UTC).isoformat(),
        "rows": report.rows,
        "level": report.level,
        "max_psi": report.max_psi,
        "report_id": report_id or f"{model}-{version}-{session}",
        "method": METHOD,
        "thresholds": {
            "minor": MINOR,
            "moderate": MODERATE,
            "critical": CRITICAL,
            "min_rows": report.min_rows,
        },
        "features": {f.feature: {"psi": f.psi, "level": f.level} for f in report.features},
    }
    atomic_write(path, json.dumps(status, indent=1, allow_nan=False).encode() + b"\n")
    return status


def plot_psi(report: DriftReport, top: int = 25) -> bytes:
    """PNG bar chart of the `top` most drifted features, coloured by band, with the band limits drawn."""
    # Without pyplot: it keeps every figure in a global list, and a code server draws for months.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = report.features[:top][::-1]
    figure = Figure(figsize=(8, 1.2 + 0.26 * max(len(shown), 3)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = [feature.psi if math.isfinite(feature.psi) else 0.0 for feature in shown]
    axes.barh([f.feature for f in shown], values, color=[_COLOURS[f.level] for f in shown])
    for limit, name in ((MINOR, "minor"), (MODERATE, "moderate"), (CRITICAL, "critical")):
        axes.axvline(limit, color=_COLOURS[name], linewidth=1, linestyle="--", label=f"{name} {limit:g}")
    axes.set_xlim(0, max([CRITICAL * 1.2, *[value * 1.05 for value in values]]))
    axes.set_xlabel("population stability index")
    axes.set_title(f"{report.level}: {report.rows:,} rows against {report.reference_rows:,}", fontsize=10)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="lower right")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
