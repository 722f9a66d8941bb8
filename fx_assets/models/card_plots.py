"""The pictures of a model card, as PNG bytes: small, sharp at twice their shown size, in one set of colours.

Each function draws one thing from figures that exist already; nothing is computed here that a table states as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.models.report import calibration

WIDTH, HEIGHT, DPI = 5.6, 3.1, 170
MODEL, NAIVE, GOOD, BAD, INK, FAINT = "#1d4f91", "#d08a2e", "#2f7d4f", "#b3362b", "#22303c", "#c9d1d9"
SHOWN_FEATURES = 12
COLOURS = 200  # of the palette a picture is stored in: a third of the bytes, and no difference to the eye
NAMES = {"persistence": "volatility persistence", "volatility_persistence": "logistic on persistence"}

Draw = Callable[[Any], None]


def picture(draw: Draw, width: float = WIDTH, height: float = HEIGHT) -> bytes:
    """Call draw(axes) on a new figure of that size in inches; returns PNG bytes, the same for the same drawing."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    style: dict[Any, Any] = {"font.size": 8.5, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK}
    style |= {"xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context(style):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.tick_params(length=0)
        draw(axes)
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())
    buffer = io.BytesIO()
    drawn.quantize(COLOURS).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def folds(figures: Mapping[str, Any]) -> Draw:
    """AUC of every fold: the naive forecast, the model, and what lies between."""

    def draw(axes: Any) -> None:
        rows = figures["folds"]
        place = np.arange(len(rows))[::-1]
        model, naive = (np.array([fold[key] for fold in rows], float) for key in ("auc", "baseline_auc"))
        axes.hlines(place, naive, model, color=FAINT, linewidth=5, zorder=1)
        axes.scatter(naive, place, color=NAIVE, s=34, zorder=2, label=words(figures["baseline"]))
        axes.scatter(model, place, color=MODEL, s=46, zorder=3, label="model")
        axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(place, [f"{fold['start'][:10]} to {fold['end'][5:10]}" for fold in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("AUC (dotted: a coin)")
        axes.legend(frameon=False, loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))

    return draw


def advantage(naive: Mapping[str, Mapping[str, float]], margin: float) -> Draw:
    """By how much the model's AUC is above each naive forecast, with 95 % intervals, and the margin that is asked."""

    def draw(axes: Any) -> None:
        names = list(naive)
        place = np.arange(len(names))[::-1]
        value, low, high = (np.array([naive[name][key] for name in names], float) for key in ("value", "low", "high"))
        axes.hlines(place, low, high, color=MODEL, linewidth=2.2)
        axes.scatter(value, place, color=MODEL, s=36, zorder=3)
        axes.axvline(0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.axvline(margin, color=BAD, linewidth=1.2)
        axes.annotate(
            f"{margin:g}",
            (margin, 1.0),
            xytext=(0, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=BAD,
            fontsize=8,
            ha="center",
        )
        axes.set_yticks(place, [words(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel("AUC of the model minus that of the forecast")

    return draw


def calibrated(predictions: pd.DataFrame) -> Draw:
    """Observed frequency against stated probability, ten bins of equal count, 95 % Wilson intervals."""

    def draw(axes: Any) -> None:
        curve = calibration(predictions)
        stated, seen = curve["predicted"].to_numpy(), curve["observed"].to_numpy()
        count, z = curve["rows"].to_numpy(float), 1.96
        middle = (seen + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z * np.sqrt(seen * (1 - seen) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
        low, high = min(stated.min(), (middle - half).min()), max(stated.max(), (middle + half).max())
        axes.plot([low, high], [low, high], color=FAINT, linewidth=1.5, zorder=1)
        axes.vlines(stated, middle - half, middle + half, color=MODEL, linewidth=1.2, alpha=0.6)
        axes.plot(stated, seen, marker="o", markersize=4.5, linewidth=1.2, color=MODEL)
        axes.set_xlabel("stated probability")
        axes.set_ylabel("observed frequency")

    return draw


def roc(predictions: pd.DataFrame, baseline: str) -> Draw:
    """True against false positives over all thresholds, model and best naive forecast."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5)
        for column, colour, name in ((baseline, NAIVE, words(baseline)), ("prediction", MODEL, "model")):
            if column in predictions:
                false, true = _roc(predictions["label"].to_numpy(float), predictions[column].to_numpy(float))
                axes.plot(false, true, color=colour, linewidth=1.6, label=name)
        axes.set_xlabel("share of 0 called 1")
        axes.set_ylabel("share of 1 called 1")
        axes.legend(frameon=False, loc="lower right")

    return draw


def lift(predictions: pd.DataFrame) -> Draw:
    """How often the outcome was 1 in each tenth of the rows, ordered by the prediction."""

    def draw(axes: Any) -> None:
        seen = calibration(predictions)["observed"].to_numpy()
        rate = float(predictions["label"].mean())
        tenth = np.arange(1, len(seen) + 1)
        # From the base rate up or down: bars that begin elsewhere than at their reference mislead.
        axes.bar(tenth, seen - rate, 0.72, bottom=rate, color=np.where(seen >= rate, MODEL, "#9db4d3"))
        axes.axhline(rate, color=INK, linewidth=0.9)
        axes.annotate(f"base rate {rate:.1%}", (0.5, rate), xytext=(0, 4), textcoords="offset points", fontsize=8)
        axes.set_xticks(tenth)
        axes.set_xlabel("tenth of the rows, by prediction")
        axes.set_ylabel("observed frequency")

    return draw


def distribution(predictions: pd.DataFrame) -> Draw:
    """Histogram of the predictions, by what happened."""

    def draw(axes: Any) -> None:
        low, high = np.quantile(predictions["prediction"].to_numpy(float), [0.001, 0.999])
        edges = np.linspace(low, high, 41)
        for outcome, colour in ((0.0, NAIVE), (1.0, MODEL)):
            values = predictions.loc[predictions["label"] == outcome, "prediction"]
            axes.hist(values, edges, color=colour, alpha=0.22)
            axes.hist(values, edges, color=colour, histtype="step", linewidth=1.5, label=f"outcome {outcome:.0f}")
        axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("prediction")
        axes.set_ylabel("rows")
        axes.legend(frameon=False)

    return draw


def importance(shap: Mapping[str, float], gain: Mapping[str, float], ranked_by: str = "contributions") -> Draw:
    """Shares of the most important features: `shap`, by the name of ranked_by, as bars; gain as marks."""

    def draw(axes: Any) -> None:
        shares = shap or gain
        names = list(shares)[:SHOWN_FEATURES]
        place = np.arange(len(names))[::-1]
        axes.barh(place, [shares[name] for name in names], 0.66, color=MODEL, label=ranked_by if shap else "gain")
        if shap and gain:
            marks = [gain.get(name, 0.0) for name in names]
            axes.scatter(marks, place, color=NAIVE, s=22, zorder=3, label="gain")
        axes.set_yticks(place, names)
        axes.set_xlabel("share of the whole")
        axes.legend(frameon=False, loc="lower right")

    return draw


def contributions(values: np.ndarray, inputs: np.ndarray, names: Sequence[str]) -> Draw:
    """What each feature added to single predictions; one point a row, coloured by the feature's own value.

    values: (rows, features) in the model's margin; inputs: the features themselves, same shape.
    """

    def draw(axes: Any) -> None:
        order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:SHOWN_FEATURES]
        rng = np.random.default_rng(0)
        shown = None
        for place, column in enumerate(order[::-1]):
            colour = pd.Series(inputs[:, column]).rank(pct=True).to_numpy()
            spread = _spread(values[:, column], rng)
            shown = axes.scatter(
                values[:, column], place + spread, c=colour, cmap="coolwarm", s=3.2, linewidths=0, alpha=0.75
            )
        axes.axvline(0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(np.arange(len(order)), [names[column] for column in order[::-1]])
        axes.set_xlabel("added to what the model puts out")
        if shown is not None:
            bar = axes.figure.colorbar(shown, ax=axes, aspect=40, pad=0.01, ticks=[0.02, 0.98])
            bar.ax.set_yticklabels(["low", "high"])
            bar.ax.tick_params(length=0)
            bar.outline.set_visible(False)

    return draw


def equity(daily: pd.DataFrame) -> Draw:
    """Sum of daily returns before and after costs. daily: date, gross, cost (at one times the cost)."""

    def draw(axes: Any) -> None:
        day = pd.to_datetime(daily["date"])
        for times, colour, name in (
            (0.0, NAIVE, "before costs"),
            (1.0, MODEL, "after costs"),
            (2.0, BAD, "at 2x costs"),
        ):
            axes.plot(
                day, 100 * (daily["gross"] - times * daily["cost"]).cumsum(), color=colour, linewidth=1.5, label=name
            )
        axes.axhline(0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.set_ylabel("sum of returns, %")
        axes.xaxis.set_major_locator(_months())
        axes.xaxis.set_major_formatter(_dates())
        axes.legend(frameon=False, loc="best")

    return draw


def costs(backtest: Mapping[str, Any]) -> Draw:
    """Net return at 0.5 to 3 times the cost, the Sharpe ratio beside each."""

    def draw(axes: Any) -> None:
        rows = backtest["cost_sensitivity"]
        names = [f"{name.rstrip('x').replace('_', '.')}x" for name in rows]
        returns = np.array([row["net_return"] for row in rows.values()], float) * 100
        bars = axes.bar(names, returns, 0.66, color=np.where(returns > 0, GOOD, BAD))
        axes.bar_label(
            bars,
            [
                f"{value:.1f} %\nSharpe {_number(row['sharpe'])}"
                for value, row in zip(returns, rows.values(), strict=True)
            ],
            fontsize=7.5,
            padding=2,
        )
        axes.axhline(0.0, color=INK, linewidth=0.8)
        axes.margins(y=0.22)
        axes.set_xlabel("times the assumed cost")
        axes.set_ylabel("net return, %")

    return draw


def words(name: str) -> str:
    """The name of a figure or a naive forecast as people write it."""
    return NAMES.get(name, name.replace("_", " "))


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.1f}"


def _roc(y: np.ndarray, p: np.ndarray, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    true, false = np.cumsum(y[order])[last], np.cumsum(1.0 - y[order])[last]
    picks = np.unique(np.linspace(0, len(last) - 1, points).astype(int))
    shares = [np.concatenate([[0.0], series[picks] / max(series[-1], 1.0)]) for series in (false, true)]
    return shares[0], shares[1]


def _spread(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A vertical place for each point: wide where many lie together, so that the outline is a density."""
    counts, edges = np.histogram(values, 60)
    here = counts[np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(counts) - 1)]
    return rng.uniform(-0.42, 0.42, len(values)) * np.sqrt(here / max(counts.max(), 1))


def _months() -> Any:
    from matplotlib.dates import AutoDateLocator

    return AutoDateLocator(minticks=3, maxticks=7)


def _dates() -> Any:
    from matplotlib.dates import DateFormatter

    return DateFormatter("%Y-%m")
