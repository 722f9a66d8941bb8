"""Paper trading in tables and pictures, for the Dagster UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fx_assets.evaluation.backtest import Run
from fx_monitoring.trading.figures import TradingFigures
from fx_monitoring.trading.trader import Done


def decision_table(done: Done) -> str:
    """What a run decided, and what it did not and why."""
    rows = [
        f"| {d.model} {d.version} | {d.instrument} | {d.bar:%Y-%m-%d %H:%M} | {d.prediction:.4f} | {d.position:+g} "
        f"| {outcome}{': ' + why if why else ''} | {d.latency_s:.0f} s | {d.source} |"
        for d, outcome, why in done.decided
    ]
    rows += [
        f"| {model} | {symbol} | {'-' if bar is None else f'{bar:%Y-%m-%d %H:%M}'} | - | - | refused: {why} | - | - |"
        for model, symbol, bar, why in done.refused
    ]
    head = "| model | instrument | bar | prediction | position | outcome | latency | source |"
    return "\n".join([head, "| --- |" + " --- |" * 7, *rows]) if rows else "nothing new: every bar has its decision"


def fill_table(done: Done) -> str:
    """The fills that a run made."""
    rows = [
        f"| {f.order.model} | {f.order.instrument} | {f.leg}{' (goes on)' if f.follows else ''} "
        f"| {f.quote_time:%Y-%m-%d %H:%M} | {f.price:.6g} | {f.order.position:+g} | {1e4 * f.cost:.3f} | {f.quote} |"
        for f in done.fills
    ]
    head = "| model | instrument | leg | quote | price | position | cost (bp) | spread |"
    return "\n".join([head, "| --- |" + " --- |" * 7, *rows]) if rows else "none was due"


def figure_table(figures: TradingFigures) -> str:
    """The figures in words; those that rest on too few trades say so."""
    few = "" if figures.enough else f" (only {figures.trades} of {figures.min_trades} trades: does not count yet)"
    rows = {
        "net PnL": f"{_percent(figures.pnl_net)}{few}",
        "gross PnL": _percent(figures.pnl_gross),
        "net PnL of the session": _percent(figures.pnl_session),
        **{f"Sharpe ratio, {name}": _ratio(ratio) for name, ratio in figures.sharpe.items()},
        "maximum drawdown": f"{figures.max_drawdown_pct:.2f} %",
        "win rate": "-" if figures.win_rate is None else f"{100 * figures.win_rate:.1f} %",
        "trades": str(figures.trades),
        "open positions": str(len(figures.positions)),
        "signals per hour": "-" if figures.signals_per_hour is None else f"{figures.signals_per_hour:.2f}",
        "decisions within the SLA": f"{figures.latency.met} of {figures.latency.decisions}",
    }
    return "\n".join(
        ["| figure | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())]
    )


def book_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Trades by model and instrument."""
    lines = [
        f"| {r['model']} | {r['instrument']} | {r['trades']} | {100 * r['win_rate']:.0f} % | {_percent(r['gross'])} "
        f"| {_percent(r['cost'])} | {_percent(r['net'])} |"
        for r in rows
    ]
    head = "| model | instrument | trades | win rate | gross | cost | net |"
    return "\n".join([head, "| --- |" + " --- |" * 6, *lines]) if lines else "no closed trade yet"


def position_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Positions that are held."""
    lines = [
        f"| {r['model']} | {r['instrument']} | {r['position']:+g} | {r['opened_at']} | {r['exit_due']} "
        f"| {r['entry_price']:.6g} | {'-' if r['unrealised'] is None else _percent(r['unrealised'])} |"
        for r in rows
    ]
    head = "| model | instrument | position | opened | ends | price | if closed now |"
    return "\n".join([head, "| --- |" + " --- |" * 6, *lines]) if lines else "none"


def draw_equity(axes: Any, run: Run | None) -> None:
    """Summed daily returns, net and before costs, and the deepest fall."""
    axes.set_title("paper trading: summed daily returns (%)", fontsize=9)
    axes.tick_params(labelsize=7)
    if run is None:
        axes.text(0.5, 0.5, "no closed trade yet", ha="center", va="center", transform=axes.transAxes, fontsize=9)
        return
    accounts = run.accounts
    net = 100.0 * np.cumsum(accounts["gross"] - accounts["cost"])
    axes.plot(accounts["date"], 100.0 * np.cumsum(accounts["gross"]), linewidth=0.9, label="before costs")
    axes.plot(accounts["date"], net, linewidth=1.3, label="net of spread and swap")
    axes.fill_between(accounts["date"], net, np.maximum.accumulate(np.maximum(net, 0.0)), alpha=0.15, label="drawdown")
    axes.legend(fontsize=6, ncols=3, frameon=False)


def _percent(share: float) -> str:
    return f"{100 * share:+.3f} %"


def _ratio(ratio: Any) -> str:
    if ratio.value is None:
        return f"- ({ratio.days} days)"
    if ratio.low is None:
        return f"{ratio.value:.2f} ({ratio.days} days)"
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] ({ratio.days} days)"
