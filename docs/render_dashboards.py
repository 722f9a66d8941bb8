"""python docs/render_dashboards.py --prometheus URL: pictures of the dashboards in deploy/grafana, without Grafana.

Each panel's own expressions are asked of a running Prometheus over its HTTP interface and drawn with matplotlib. The
figures, titles, units, words and limits are those of the dashboards; the look is not Grafana's.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
COLOURS = {"green": "#2f9e62", "yellow": "#d9a41c", "red": "#d2453a", "text": "#7b8794"}
LINES = ("#3f6fd1", "#e0812f", "#2f9e62", "#b04fb0", "#17a2b8", "#c94f5c", "#8a6d3b", "#6b7280")
INK, FAINT, EDGE, PAPER = "#1f2933", "#7b8794", "#dfe3e8", "#f3f5f8"
# A unit of Grafana: (from this size on, times, written behind the number), the largest first.
UNITS = {
    "percentunit": ((0.0, 100.0, " %"),),
    "percent": ((0.0, 1.0, " %"),),
    "s": ((7200.0, 1 / 3600, " h"), (120.0, 1 / 60, " min"), (1.0, 1.0, " s"), (1e-3, 1e3, " ms"), (0.0, 1e6, " us")),
    "h": ((0.0, 1.0, " h"),),
    "bytes": ((1e9, 1e-9, " GB"), (1e6, 1e-6, " MB"), (1e3, 1e-3, " kB"), (0.0, 1.0, " B")),
    "reqps": ((0.0, 1.0, " /s"),),
}
PLAIN = ((1e6, 1e-6, " M"), (1e4, 1e-3, " k"), (0.0, 1.0, ""))
COLUMNS, POINTS, SHOWN = 3, 240, 8
# Pixels.
WIDTH, HEIGHT, GAP, HEAD, LEGEND = 480, 250, 14, 64, 15
DPI = 100


Span = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A named line; what is not a number is left out."""

    name: str
    times: list[float]
    values: list[float]


class Source:
    """A Prometheus."""

    def __init__(self, url: str, minutes: float) -> None:
        self.url, self.end = url, time.time()
        self.start = self.end - 60 * minutes

    def range(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression over the time that is drawn."""
        step = max((self.end - self.start) / POINTS, 0.5)
        return self._asked("query_range", expression, start=self.start, end=self.end, step=step)

    def now(self, expression: str) -> list[dict[str, Any]]:
        """The newest value of each series, in the order of the expression."""
        found = self._asked("query", expression, time=self.end)
        return [{"metric": series["metric"], "values": [series["value"]]} for series in found]

    def _asked(self, how: str, expression: str, **when: float) -> list[dict[str, Any]]:
        asked = {"query": expression, **when}
        answer = httpx.get(f"{self.url}/api/v1/{how}", params=asked, timeout=30, trust_env=False).json()
        if answer["status"] != "success":
            raise SystemExit(f"{expression}: {answer['error']}")
        return answer["data"]["result"]

    def panel(self, panel: dict[str, Any]) -> list[Series]:
        """What a panel shows."""
        found = []
        for target in panel["targets"]:
            own = []
            for series in (self.now if target["instant"] else self.range)(target["expr"]):
                pairs = [(float(t), float(v)) for t, v in series["values"] if math.isfinite(float(v))]
                if pairs:
                    times, values = zip(*pairs, strict=True)
                    own.append(Series(legend(target["legendFormat"], series["metric"]), [*times], [*values]))
            # Lines: the largest first, and what has ended, such as an earlier version, behind what is there now.
            found += own if target["instant"] else sorted(own, key=lambda s: (-round(s.times[-1]), -s.values[-1]))
        return found


def legend(template: str, labels: dict[str, str]) -> str:
    """A series' name, as Grafana makes it."""
    for name in labels:
        template = template.replace("{{" + name + "}}", labels[name])
    return " ".join(part for part in template.split() if not part.startswith("{{")) or "all"


def scale(unit: str, size: float) -> tuple[float, str]:
    """By what figures of this size are multiplied, and what is written behind them."""
    for least, times, suffix in UNITS.get(unit, PLAIN):
        if abs(size) >= least > 0 or (not least and (size or len(UNITS.get(unit, PLAIN)) == 1)):
            return times, suffix
    return 1.0, {"s": " s", "bytes": " B"}.get(unit, "")


def told(panel: dict[str, Any], value: float) -> str:
    """A value as it is written: its word, else the number with its unit."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        if str(int(value)) in mapping["options"]:
            return mapping["options"][str(int(value))]["text"]
    times, suffix = scale(defaults["unit"], value)
    return f"{number(value * times)}{suffix}"


def number(value: float) -> str:
    """Three figures that count, never with an exponent."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 5e-5:
        return "0"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.4f}"


def colour_of(panel: dict[str, Any], value: float) -> str:
    """The colour of a value: that of its word, else of the limit it is above."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        if str(int(value)) in mapping["options"]:
            return COLOURS[mapping["options"][str(int(value))]["color"]]
    chosen = "green"
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            chosen = step["color"]
    return COLOURS[chosen]


class Card:
    """The place of one panel in a figure; positions are pixels from the card's upper left corner."""

    def __init__(self, figure: Any, number: int, rows: int) -> None:
        self.figure = figure
        self.size = (COLUMNS * (WIDTH + GAP) + GAP, HEAD + rows * (HEIGHT + GAP))
        self.left = GAP + (number % COLUMNS) * (WIDTH + GAP)
        self.top = HEAD + (number // COLUMNS) * (HEIGHT + GAP)

    def box(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A rectangle as the share of the figure."""
        whole, tall = self.size
        return (self.left + x) / whole, 1 - (self.top + y + height) / tall, width / whole, height / tall

    def rectangle(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        """A filled rectangle."""
        from matplotlib.patches import FancyBboxPatch

        left, bottom, wide, tall = self.box(x, y, width, height)
        look = {"edgecolor": "none", "boxstyle": "round,pad=0,rounding_size=0.002"} | look
        self.figure.add_artist(FancyBboxPatch((left, bottom), wide, tall, transform=self.figure.transFigure, **look))

    def text(self, x: float, y: float, words: str, **look: Any) -> None:
        """Text whose middle has this height."""
        left, bottom, _, _ = self.box(x, y, 0, 0)
        self.figure.text(left, bottom, words, **{"va": "center", "fontsize": 8, "color": INK} | look)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Axes within these pixels."""
        return self.figure.add_axes(self.box(x, y, width, height))


def short(name: str, room: float) -> str:
    """A name that fits into so many pixels."""
    most = max(4, int(room / 5.6))
    return name if len(name) <= most else name[: most - 3] + "..."


def draw_states(card: Card, panel: dict[str, Any], found: Sequence[Series], span: Span) -> None:
    """The newest value of each series as a coloured tile with its word."""
    across = 1 if len(found) <= 3 else 2 if len(found) <= 12 else 3
    lines = -(-len(found) // across)
    wide, tall = (WIDTH - 24 - 6 * (across - 1)) / across, min(46.0, (HEIGHT - 52) / lines - 5)
    for place, series in enumerate(found):
        x, y = 12 + (place % across) * (wide + 6), 38 + (place // across) * (tall + 5)
        value = told(panel, series.values[-1])
        card.rectangle(x, y, wide, tall, facecolor=colour_of(panel, series.values[-1]))
        size = 8.5 if tall > 20 else 7.5
        room = wide - 24 - 6.5 * len(value)
        card.text(x + 9, y + tall / 2, short(series.name, room), color="white", fontsize=size)
        card.text(x + wide - 9, y + tall / 2, value, color="white", fontsize=size, fontweight="bold", ha="right")


def draw_bars(card: Card, panel: dict[str, Any], found: Sequence[Series], span: Span) -> None:
    """The newest value of each series as a bar, coloured by the limit it is above."""
    shown = found[: 2 * SHOWN]
    tall = min(24.0, (HEIGHT - 52) / len(shown) - 4)
    limits = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step["value"]]
    most = max([series.values[-1] for series in shown] + limits[:1] + [1e-9])
    for place, series in enumerate(shown):
        y, value = 40 + place * (tall + 4), series.values[-1]
        card.text(12, y + tall / 2, short(series.name, 150), fontsize=7.5)
        card.rectangle(166, y, WIDTH - 250, tall, facecolor=PAPER)
        length = (WIDTH - 250) * max(0.012, min(1.0, max(0.0, value) / most))
        card.rectangle(166, y, length, tall, facecolor=colour_of(panel, value))
        card.text(WIDTH - 12, y + tall / 2, told(panel, value), fontsize=7.5, fontweight="bold", ha="right")


def draw_lines(card: Card, panel: dict[str, Any], found: Sequence[Series], span: Span) -> None:
    """The series over time with the limits; below them the names, each with its newest value."""
    shown = found[:SHOWN]
    rows = -(-len(shown) // 2) + (len(found) > SHOWN)
    axes = card.axes(58, 40, WIDTH - 74, HEIGHT - 40 - 26 - LEGEND * rows - 8)
    times, _ = scale(panel["fieldConfig"]["defaults"]["unit"], max(abs(v) for s in shown for v in s.values))
    step = (span[1] - span[0]) / POINTS
    for place, series in enumerate(shown):
        look = {"color": LINES[place % len(LINES)], "linewidth": 1.6, "drawstyle": "steps-post"}
        when, what = whole(series, 3 * step)
        # What is one measurement yet is a dot.
        axes.plot(when, [v * times for v in what], marker="o" if len(when) == 1 else None, **look)
        x, y = 14 + (place % 2) * (WIDTH - 24) / 2, HEIGHT - 8 - LEGEND * (rows - place // 2 - 0.5)
        value = told(panel, series.values[-1]) if series.times[-1] > span[1] - 3 * step else "ended"
        card.rectangle(x, y - 1.5, 12, 3, facecolor=LINES[place % len(LINES)])
        card.text(x + 18, y, short(series.name, WIDTH / 2 - 52 - 6 * len(value)), fontsize=7, color="#4a5560")
        card.text(x + (WIDTH - 24) / 2 - 14, y, value, fontsize=7, fontweight="bold", ha="right")
    if len(found) > SHOWN:
        card.text(14, HEIGHT - 8 - LEGEND / 2, f"and {len(found) - SHOWN} more", fontsize=7, color=FAINT)
    _frame(axes, card, panel, [v * times for series in shown for v in series.values], times, span)


def whole(series: Series, gap: float) -> tuple[list[datetime], list[float]]:
    """The points with a break where none came for longer than that."""
    when, what = [], []
    for place, (moment, value) in enumerate(zip(series.times, series.values, strict=True)):
        if place and moment - series.times[place - 1] > gap:
            when.append(datetime.fromtimestamp(series.times[place - 1] + 1, UTC))
            what.append(math.nan)
        when.append(datetime.fromtimestamp(moment, UTC))
        what.append(value)
    return when, what


def _frame(axes: Any, card: Card, panel: dict[str, Any], values: Sequence[float], times: float, span: Span) -> None:
    """Height, limits, grid and ticks of a panel of lines."""
    from matplotlib.dates import DateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    limits = [(s["value"] * times, s["color"]) for s in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]
    low, high = min(values), max(values) if any(values) else 1.0
    if low >= 0 and (low < 0.6 * high or low == high or any(value < low for value, _ in limits)):
        low = 0.0
    room = 0.08 * ((high - low) or abs(high))
    # A limit far off would press the lines flat: it is written instead.
    near = [(value, colour) for value, colour in limits if value <= low + 4 * (high - low or high)]
    for value, colour in near:
        axes.axhline(value, color=COLOURS[colour], linewidth=1.0, linestyle=(0, (4, 3)))
    far = [value for value, _ in limits if value not in [v for v, _ in near]]
    if far:
        _, suffix = scale(panel["fieldConfig"]["defaults"]["unit"], far[0] / times)
        card.text(WIDTH - 12, 20, f"limit {number(far[0])}{suffix}", fontsize=7, color=FAINT, ha="right")
    axes.set_ylim(low - (room if low else 0), max([high + room, *(1.05 * value for value, _ in near)]))
    _, suffix = scale(panel["fieldConfig"]["defaults"]["unit"], max(map(abs, values)) / times)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value)}{suffix}"))
    begun, ended = span
    axes.set_xlim(datetime.fromtimestamp(begun, UTC), datetime.fromtimestamp(ended, UTC))
    places = [60 * round((begun + (ended - begun) * share) / 60) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    axes.set_xticks([datetime.fromtimestamp(place, UTC) for place in sorted({*places})])
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.tick_params(labelsize=7, colors=FAINT, length=0)
    axes.grid(color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


DRAWN = {"timeseries": draw_lines, "bargauge": draw_bars, "stat": draw_states}


def draw(dashboard: dict[str, Any], source: Source, target: Path) -> int:
    """One picture; returns how many panels had figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = dashboard["panels"]
    rows = -(-len(panels) // COLUMNS)
    width, height = Card(None, 0, rows).size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    begun, ended = (datetime.fromtimestamp(t, UTC) for t in (source.start, source.end))
    small: dict[str, Any] = {"fontsize": 9, "color": FAINT, "va": "center"}
    big = small | {"fontsize": 14, "color": INK, "fontweight": "bold"}
    figure.text(GAP / width, 1 - 22 / height, dashboard["title"], **big)
    figure.text(GAP / width, 1 - 46 / height, dashboard["description"], **small)
    when = f"{begun:%Y-%m-%d %H:%M} to {ended:%H:%M} UTC"
    figure.text(1 - GAP / width, 1 - 22 / height, when, ha="right", **small)
    drawn = 0
    for place, panel in enumerate(panels):
        card, found = Card(figure, place, rows), source.panel(panel)
        card.rectangle(0, 0, WIDTH, HEIGHT, facecolor="white", edgecolor=EDGE, linewidth=0.8, zorder=-1)
        card.text(12, 20, panel["title"], fontsize=9.5, fontweight="bold")
        if found:
            drawn += 1
            DRAWN[panel["type"]](card, panel, found, (source.start, source.end))
        else:
            look = {"ha": "center", "color": FAINT}
            card.text(WIDTH / 2, HEIGHT / 2, "no data", fontsize=10, **look)
            card.text(WIDTH / 2, HEIGHT / 2 + 20, panel["description"], fontsize=7.5, **look)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    store(buffer.getvalue(), target)
    return drawn


def store(content: bytes, target: Path) -> None:
    """A PNG with a palette of its own: a third of the bytes, and no difference to see."""
    from PIL import Image

    target.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> int:
    """Draw the dashboards."""
    names = sorted(path.stem for path in DASHBOARDS.glob("*.json"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    chosen = parser.parse_args()
    source = Source(chosen.prometheus, chosen.minutes)
    for name in chosen.only:
        dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text())
        target = chosen.out / f"dashboard-{name}.png"
        drawn = draw(dashboard, source, target)
        print(f"{target}: {drawn} of {len(dashboard['panels'])} panels have figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
