"""The evaluation in words: tables of figures, and what may honestly be said of a model's advantage.

Pictures belong into card_plots.py; what is computed belongs into evaluation/ and comparison.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

INTERVALS = ("accuracy", "auc", "brier", "ece")
CALIBRATION_BINS = 10
# What a model of large moves must be better by, at the lower bound, to be said to know more than persistence.
MARGIN = 0.01
PERSISTENCE = {
    "persistence": "volatility persistence",
    "volatility_persistence": "a logistic regression on volatility persistence",
}

Grid = tuple[Sequence[str], list[list[str]]]


def number(value: float | None, form: str = ".4f") -> str:
    """A figure in words; JSON records keep one that could not be computed (NaN) as null."""
    return "not computable" if value is None or value != value else format(value, form)


def with_interval(figure: Mapping[str, float | None], form: str = ".4f") -> str:
    """Value and 95 % interval; the interval is left out where it could not be computed."""
    value, low, high = figure["value"], figure.get("low"), figure.get("high")
    if low is None or low != low:
        return number(value, form)
    return f"{number(value, form)} [{number(low, form)}, {number(high, form)}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def summary_rows(figures: Mapping[str, Any]) -> Grid:
    """The main figures, each with its 95 % interval where it has one."""
    trades = figures["backtest"]
    month = trades.get("last_30d")
    rows = [
        ("rows out of fold (effective)", f"{figures['n']:,} ({number(figures['n_effective'], ',.0f')})"),
        ("base rate", number(figures["base_rate"])),
        *((name, with_interval(figures[name])) for name in INTERVALS),
        *((f"forecast return: {name}", with_interval(of)) for name, of in figures.get("regression", {}).items()),
        ("best naive baseline", figures["baseline"]),
        ("AUC above it", with_interval(figures["auc_vs_baseline"])),
        ("worst fold's AUC", number(figures["worst_fold"]["auc"])),
        ("Sharpe gross", with_interval(trades["sharpe_gross"], ".2f")),
        ("Sharpe net of costs", with_interval(trades["sharpe_net"], ".2f")),
        *([("Sortino net of costs", with_interval(trades["sortino"], ".2f"))] if "sortino" in trades else []),
        ("drawdown", number(trades["max_drawdown"], ".2%")),
        ("win rate", number(trades["win_rate"], ".2%")),
        ("profit factor", number(trades.get("profit_factor"), ".2f")),
        ("trades", f"{trades['trades']:,}"),
        ("turnover", number(trades["turnover"], ".4g")),
        *([("net return of the last 30 days", number(month["net_return"], ".2%"))] if month else []),
        ("deflated Sharpe ratio", number(figures["dsr"], ".4g")),
        ("probability of backtest overfitting", number(figures["pbo"])),
        ("trials counted", f"{figures['trials']}"),
    ]
    return ("figure", "value [95 %]"), [list(row) for row in rows]


def summary_table(figures: Mapping[str, Any]) -> str:
    """The main figures as a Markdown table."""
    return table(*summary_rows(figures))


def fold_rows(figures: Mapping[str, Any]) -> Grid:
    """Every fold: when, how many rows, AUC beside the best naive forecast's."""
    head = ("fold", "from", "to", "trained on", "tested on", "AUC", "baseline", "Brier")
    return head, [
        [
            str(fold["fold"]),
            fold["start"][:10],
            fold["end"][:10],
            f"{fold['train_rows']:,}",
            f"{fold['test_rows']:,}",
            number(fold["auc"]),
            number(fold["baseline_auc"]),
            number(fold["brier"]),
        ]
        for fold in figures["folds"]
    ]


def fold_table(figures: Mapping[str, Any]) -> str:
    """Every fold as a Markdown table."""
    return table(*fold_rows(figures))


def candidate_rows(figures: Mapping[str, Any]) -> Grid:
    """Every candidate on the same folds; the chosen one is marked."""
    head = ("candidate", "algorithm", "log loss", "AUC", "Sharpe net")
    return head, [
        [
            f"**{c['name']}**" if c["name"] == figures.get("chosen") else c["name"],
            c.get("algorithm", "xgboost"),
            number(c["log_loss"], ".5f"),
            number(c.get("auc")),
            number(c["sharpe_net"], ".2f"),
        ]
        for c in figures["candidates"]
    ]


def candidate_table(figures: Mapping[str, Any]) -> str:
    """Every candidate as a Markdown table."""
    return table(*candidate_rows(figures))


def naive_rows(figures: Mapping[str, Any], naive: Mapping[str, Mapping[str, float | None]]) -> Grid:
    """Every naive forecast on the same rows, and by how much the model's AUC is above it."""
    rows = [
        [
            name,
            number(of["auc"]),
            number(of["brier"]),
            with_interval({k: naive[name][k] for k in ("value", "low", "high")}, "+.4f") if name in naive else "",
        ]
        for name, of in figures["baselines"].items()
    ]
    return ("naive forecast", "AUC", "Brier", "model's AUC above it"), rows


def honest_sentence(naive: Mapping[str, Mapping[str, float | None]], margin: float = MARGIN) -> str:
    """Whether the model knows more than volatility persistence, and a logistic regression on it, said either way.

    naive: {naive forecast: AUC of the model minus its own as {value, low, high}}. Where the label has no persistence
    (only large moves have), the sentence is about the strongest naive forecast there is.
    """
    asked = {name: naive[name] for name in PERSISTENCE if name in naive}
    if len(asked) < len(PERSISTENCE):
        known = {name: d for name, d in naive.items() if d["value"] is not None and d["value"] == d["value"]}
        if not known:
            return "It cannot be said whether it beats a naive forecast: no difference could be computed."
        asked = dict([min(known.items(), key=lambda item: float(item[1]["value"] or 0.0))])
    lows = {name: d["low"] for name, d in asked.items()}
    # Written so that a bound that could not be computed counts as not reached.
    short = [name for name, low in lows.items() if not (low is not None and low >= margin)]
    said = {name: PERSISTENCE.get(name, f"the naive forecast {name}") for name in asked}
    if short:
        bounds = ", ".join(
            number(lows[name], "+.4f") + (f" over {said[name]}" if len(short) > 1 else "") for name in short
        )
        return (
            f"It does not beat {' or '.join(said[name] for name in short)} by {margin:g} AUC at the lower 95 % bound, "
            f"which is {bounds}."
        )
    bounds = " and ".join(number(low, "+.4f") for low in lows.values())
    return f"It beats {' and '.join(said.values())} by at least {margin:g} AUC at the lower 95 % bound ({bounds})."


def calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """Stated probability against observed frequency in bins of equal count: predicted, observed, rows."""
    ranks = predictions["prediction"].rank(method="first")
    bins = np.minimum((ranks.to_numpy() - 1) * CALIBRATION_BINS // len(predictions), CALIBRATION_BINS - 1)
    grouped = predictions.groupby(bins)
    return pd.DataFrame(
        {
            "predicted": grouped["prediction"].mean(),
            "observed": grouped["label"].mean(),
            "rows": grouped.size(),
        }
    )
