"""The pictures of prediction_quality: figures over sessions with their intervals, and the calibration curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fx_monitoring.quality.rows import ALL, QualityRow
from fx_monitoring.quality.signals import wilson

Draw = Callable[[Any], None]
#: By version: predicted, observed and rows of each bin (rolling.curves).
Curves = Mapping[str, Sequence[Mapping[str, float]]]
_COLOURS = {"accuracy": "#1d4f91", "auc": "#2f7d4f", "brier": "#b3362b"}
_FAINT = "#9aa7b3"


def rolling(history: Sequence[QualityRow], window: str, names: Sequence[str] = ("accuracy", "auc")) -> Draw:
    """Figures of one window over sessions, interval shaded, the card's value dotted, a change of version as a line.

    history: rows of the serving version of each session, oldest first.
    """
    rows = [row for row in history if row.window == window and row.instrument == ALL and row.n]

    def draw(axes: Any) -> None:
        place = np.arange(len(rows))
        for name in names:
            value, low, high = (
                np.array([np.nan if (v := getattr(row, name + end)) is None else v for row in rows], float)
                for end in ("", "_low", "_high")
            )
            usual = [np.nan if row.expected is None else _number(getattr(row.expected, name)) for row in rows]
            axes.plot(place, value, color=_COLOURS[name], linewidth=1.4, marker="o", markersize=2.5, label=name)
            axes.fill_between(place, low, high, color=_COLOURS[name], alpha=0.15, linewidth=0)
            axes.plot(place, usual, color=_COLOURS[name], linewidth=0.9, linestyle=":")
        for number in range(1, len(rows)):
            if rows[number].version != rows[number - 1].version:
                axes.axvline(number - 0.5, color=_FAINT, linewidth=0.8)
        step = max(1, len(rows) // 6)
        axes.set_xticks(place[::step], [row.session[5:] for row in rows][::step])
        axes.set_title(f"{window} window, 95 % interval (dotted: model card)", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, frameon=False, ncols=len(names))

    return draw


def calibrated(curves: Curves, headline: str) -> Draw:
    """Observed frequency against stated probability of every version; the headline's with 95 % Wilson intervals."""

    def draw(axes: Any) -> None:
        axes.axline((0.5, 0.5), slope=1, color=_FAINT, linewidth=1, zorder=1)
        for version, curve in sorted(curves.items(), key=lambda item: item[0] == headline):
            stated, seen, count = (
                np.array([b[name] for b in curve], float) for name in ("predicted", "observed", "rows")
            )
            own = version == headline
            style = {"color": _COLOURS["accuracy"]} if own else {"alpha": 0.7, "linestyle": "--"}
            axes.plot(stated, seen, marker="o", markersize=4 if own else 2.5, linewidth=1.2, label=version, **style)
            if own:
                ends = [wilson(round(share * n), int(n)) for share, n in zip(seen, count, strict=True)]
                axes.vlines(stated, *zip(*ends, strict=True), color=_COLOURS["accuracy"], linewidth=1.2, alpha=0.6)
        axes.set_xlabel("stated probability")
        axes.set_ylabel("observed frequency")
        axes.legend(title="version", fontsize=7, title_fontsize=7, frameon=False)

    return draw


def _number(value: float | None) -> float:
    return np.nan if value is None else value
