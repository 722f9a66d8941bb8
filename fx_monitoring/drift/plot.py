"""The chart of a drift report."""

from __future__ import annotations

import io
import math

from fx_monitoring.drift.psi import CRITICAL, MINOR, MODERATE
from fx_monitoring.drift.report import DriftReport

_COLOURS = {
    "none": "#4c9f70",
    "minor": "#c9b037",
    "moderate": "#e08a2e",
    "critical": "#c0392b",
    "inconclusive": "#8a8f98",
}


def plot_psi(report: DriftReport, note: str = "", top: int = 25) -> bytes:
    """PNG bar chart of the `top` largest indices, what counts before what chance explains. Coloured by level, with the
    bands' edges and, as a tick on each bar, what chance alone makes. note: below the title, such as which rows were
    judged.
    """
    # Without pyplot: it keeps every figure in a global list, and a code server draws for months.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    graver = list(_COLOURS)
    shown = sorted(report.features, key=lambda f: -graver.index(f.level))[:top][::-1]  # each level by its index
    figure = Figure(figsize=(8, 1.2 + 0.26 * max(len(shown), 3)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = [feature.psi if math.isfinite(feature.psi) else 0.0 for feature in shown]
    axes.barh([f.feature for f in shown], values, color=[_COLOURS[f.level] for f in shown])
    if shown:
        axes.plot([f.noise for f in shown], range(len(shown)), "|", color="black", markersize=9, label="by chance")
    for limit, name in ((MINOR, "minor"), (MODERATE, "moderate"), (CRITICAL, "critical")):
        axes.axvline(limit, color=_COLOURS[name], linewidth=1, linestyle="--", label=f"{name} {limit:g}")
    # A bar means little without its tick.
    axes.set_xlim(
        0, max([CRITICAL * 1.2, *(1.05 * x for x in [*values, *(f.noise for f in shown)] if math.isfinite(x))])
    )
    axes.set_xlabel("population stability index; black: what chance alone makes in such a window")
    title = f"{report.level}: {report.rows:,} rows against {report.reference_rows:,}"
    axes.set_title(f"{title}\n{note}" if note else title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="lower right")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
