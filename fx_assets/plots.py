"""Small pictures for asset metadata, drawn off screen and embedded as Markdown images."""

import base64
import io
from collections.abc import Callable
from typing import Any

import dagster as dg
import pandas as pd

WIDTH, HEIGHT = 6.4, 2.4
POINTS = 300  # of a line: more cannot be told apart


def embed(draw: Callable[[Any], None], layout: Any = "constrained") -> dg.MarkdownMetadataValue:
    """Call `draw(axes)` on a new figure and return it as an image that the Dagster UI shows.

    layout: matplotlib's, which makes room for whatever is drawn; None where `draw` does.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=70, layout=layout)
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")


def line_plot(frame: pd.DataFrame, column: str) -> dg.MarkdownMetadataValue:
    """One line for each instrument, over time; prices of different sizes are drawn relative to their first."""

    def draw(axes: Any) -> None:
        time = "time" if "time" in frame.columns else "available_at"
        groups = frame.groupby("instrument") if "instrument" in frame.columns else [("", frame)]
        for name, whole in groups:
            part = whole.iloc[:: max(1, len(whole) // POINTS)]
            values = part[column] / part[column].iloc[0] if column == "close" else part[column]
            axes.plot(part[time], values, linewidth=0.9, label=str(name))
        axes.set_title(column + (" (relative to the first)" if column == "close" else ""), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.figure.subplots_adjust(left=0.1, right=0.98, bottom=0.13, top=0.88)  # measuring texts takes twice as long
        if "instrument" in frame.columns:
            axes.legend(fontsize=6, ncols=4, frameon=False)

    return embed(draw, layout=None)
