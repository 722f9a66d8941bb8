"""The evaluation in words and pictures: Markdown tables and plots for the Dagster UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

INTERVALS = ("accuracy", "auc", "brier", "ece")
CALIBRATION_BINS = 10


def number(value: float | None, form: str = ".4f") -> str:
    """A figure in words; JSON records keep one that could not be computed (NaN) as null."""
    return "not computable" if value is None or value != value else format(value, form)


def _with_interval(figure: Mapping[str, float | None]) -> str:
    return f"{number(figure['value'])} [{number(figure['low'])}, {number(figure['high'])}]"


def summary_table(figures: Mapping[str, Any]) -> str:
    """The main figures as a Markdown table, each with its 95 % interval where it has one."""
    trades = figures["backtest"]
    lines = [
        ("rows out of fold (effective)", f"{figures['n']} ({number(figures['n_effective'], '.0f')})"),
        ("base rate", number(figures["base_rate"])),
        *((name, _with_interval(figures[name])) for name in INTERVALS),
        ("best naive baseline", figures["baseline"]),
        ("AUC above it", _with_interval(figures["auc_vs_baseline"])),
        ("worst fold's AUC", number(figures["worst_fold"]["auc"])),
        ("Sharpe gross", _with_interval(trades["sharpe_gross"])),
        ("Sharpe net of spread", _with_interval(trades["sharpe_net"])),
        ("drawdown", number(trades["max_drawdown"], ".2%")),
        ("win rate", number(trades["win_rate"], ".2%")),
        ("trades", f"{trades['trades']}"),
        ("turnover", number(trades["turnover"], ".4g")),
        ("deflated Sharpe ratio", number(figures["dsr"])),
        ("probability of backtest overfitting", number(figures["pbo"])),
        ("trials counted", f"{figures['trials']}"),
    ]
    return "\n".join(
        ["| figure | value [95 %] |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in lines)]
    )


def fold_table(figures: Mapping[str, Any]) -> str:
    """Every fold as a Markdown table."""
    head = "| fold | from | to | trained on | tested on | AUC | baseline | Brier |"
    lines = [head, "|" + " --- |" * 8]
    for fold in figures["folds"]:
        lines.append(
            f"| {fold['fold']} | {fold['start'][:10]} | {fold['end'][:10]} | {fold['train_rows']} "
            f"| {fold['test_rows']} | {number(fold['auc'])} | {number(fold['baseline_auc'])} "
            f"| {number(fold['brier'])} |"
        )
    return "\n".join(lines)


def candidate_table(figures: Mapping[str, Any]) -> str:
    """Every candidate's log loss and net Sharpe ratio as a Markdown table."""
    rows = [
        f"| {c['name']} | {number(c['log_loss'], '.5f')} | {number(c['sharpe_net'], '.2f')} |"
        for c in figures["candidates"]
    ]
    return "\n".join(["| candidate | log loss | Sharpe net |", "| --- | --- | --- |", *rows])


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


def draw_calibration(axes: Any, predictions: pd.DataFrame) -> None:
    """Calibration curve on matplotlib axes."""
    curve = calibration(predictions)
    low, high = curve[["predicted", "observed"]].min().min(), curve[["predicted", "observed"]].max().max()
    axes.plot([low, high], [low, high], color="0.7", linewidth=0.8)
    axes.plot(curve["predicted"], curve["observed"], marker="o", markersize=3, linewidth=1)
    axes.set_xlabel("stated probability", fontsize=8)
    axes.set_ylabel("observed frequency", fontsize=8)


def draw_folds(axes: Any, figures: Mapping[str, Any]) -> None:
    """AUC of every fold, model beside its best naive baseline, on matplotlib axes."""
    folds = figures["folds"]
    position = np.arange(len(folds))
    bars = {"model": [fold["auc"] for fold in folds], figures["baseline"]: [fold["baseline_auc"] for fold in folds]}
    for shift, (name, heights) in zip((-0.2, 0.2), bars.items(), strict=True):
        axes.bar(position + shift, np.array(heights, float), 0.4, label=name)  # None becomes NaN: no bar
    axes.axhline(0.5, color="0.5", linewidth=0.8)
    axes.set_xticks(position, [fold["start"][:7] for fold in folds])
    axes.set_ylim(bottom=0.4)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("AUC by fold", fontsize=9)
