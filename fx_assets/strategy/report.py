"""Trading rules and costs in words and pictures: tables in Markdown, and what is drawn on a plot's axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.models.report import number, table, with_interval

_LABELS = {"fontsize": 7}


def rule_table(rules: Sequence[Mapping[str, Any]]) -> str:
    """Figures of each rule, in the order given."""
    head = ["rule", "trades", "win rate", "gross", "net", "Sharpe net", "Sortino", "drawdown", "turnover a day"]
    rows = [
        [
            rule["name"],
            f"{rule['trades']:,}",
            number(rule["win_rate"], ".1%"),
            number(rule["gross_return"], ".2%"),
            number(rule["net_return"], ".2%"),
            with_interval(rule["sharpe_net"], ".2f"),
            number(rule["sortino"]["value"], ".2f"),
            number(rule["max_drawdown"], ".2%"),
            number(rule["turnover"], ".2f"),
        ]
        for rule in rules
    ]
    return table(head, rows)


def advice(found: Mapping[str, Any]) -> str:
    """What an optimisation may honestly be said to have found."""
    best, default, later = found["best"], found["default"], found["later"]
    luck = (
        f"Of {found['trials']} trials its deflated Sharpe ratio is {number(found['dsr'], '.2f')}, and the probability "
        f"of overfitting is {number(found['pbo'], '.2f')}."
    )
    chosen, same = later["chosen"], later["default"]
    ahead = (
        f"Chosen on earlier days only, rules earned {number(chosen['net_return'], '.2%')} on the later "
        f"{chosen['days']} days (Sharpe {with_interval(chosen['sharpe_net'], '.2f')}), and the rule in use "
        f"{number(same['net_return'], '.2%')} (Sharpe {with_interval(same['sharpe_net'], '.2f')})."
    )
    if best == default:
        first = f"The rule in use, {default}, is also the best of those tried."
    elif (
        found["better"] and (found["dsr"] or 0.0) >= 0.95 and (found["pbo"] if found["pbo"] is not None else 1.0) <= 0.2
    ):
        first = f"The rule {best} is better than {default}, the one in use, by more than luck explains."
    else:
        first = f"The rule {best} looks best, but not by more than luck explains: keep {default}."
    return f"{first} {luck} {ahead}"


def choice_table(choices: Sequence[Mapping[str, str]]) -> str:
    """Which rule was best on the days before each piece."""
    return table(["traded from", "rule"], [[choice["from"], choice["rule"]] for choice in choices])


def draw_thresholds(axes: Any, rules: Sequence[Mapping[str, Any]]) -> None:
    """Gross and net return over the threshold, one pair of lines for each sizing."""
    for sizing in dict.fromkeys(rule["sizing"] for rule in rules):
        mine = [rule for rule in rules if rule["sizing"] == sizing]
        at = [rule["threshold"] for rule in mine]
        (line,) = axes.plot(
            at, [100 * rule["net_return"] for rule in mine], marker="o", markersize=3, label=f"{sizing}, net"
        )
        gross = [100 * rule["gross_return"] for rule in mine]
        axes.plot(at, gross, linestyle=":", color=line.get_color(), label=f"{sizing}, gross")
    _finish(axes, "Return by threshold (%)", "probability from which a position is taken")


def draw_sharpe(axes: Any, rules: Sequence[Mapping[str, Any]]) -> None:
    """Net Sharpe ratio with its interval over the threshold, by sizing."""
    for shift, sizing in enumerate(dict.fromkeys(rule["sizing"] for rule in rules)):
        mine = [rule for rule in rules if rule["sizing"] == sizing]
        at = np.array([rule["threshold"] for rule in mine]) + 0.001 * shift
        value, low, high = (np.array([rule["sharpe_net"][k] for rule in mine], float) for k in ("value", "low", "high"))
        axes.errorbar(at, value, [value - low, high - value], marker="o", markersize=3, capsize=2, label=sizing)
    _finish(axes, "Sharpe ratio after costs, with 95 % interval", "probability from which a position is taken")


def draw_daily(axes: Any, daily: pd.DataFrame, names: Sequence[str]) -> None:
    """Summed net return of some rules over time."""
    for name in dict.fromkeys(names):
        axes.plot(daily.index, 100 * daily[name].cumsum(), linewidth=0.9, label=name)
    _finish(axes, "Net return, summed (%)", "")


def cost_summary(costs: pd.DataFrame, typical: Mapping[str, float]) -> str:
    """Each instrument's spread in basis points of the price: cheapest, middle and dearest hour, beside the typical."""
    rows = []
    for name, own in costs.groupby("instrument"):
        spread = 2e4 * own["half_spread"]
        dearest = int(own["hour"].iloc[int(np.argmax(own["half_spread"].to_numpy()))])
        rows.append(
            [
                str(name),
                str(own["source"].iloc[0]),
                f"{int(own['rows'].sum()):,}",
                f"{spread.min():.2f}",
                f"{spread.median():.2f}",
                f"{spread.max():.2f} at {dearest}:00" if spread.max() > spread.min() else "no difference",
                f"{2e4 * typical[str(name)]:.2f}",
            ]
        )
    return table(["instrument", "source", "quotes", "cheapest", "median", "dearest hour", "configured"], rows)


def draw_costs(axes: Any, costs: pd.DataFrame) -> None:
    """Spread by hour, one line for each instrument; a dotted line is the configured spread."""
    for name, own in costs.groupby("instrument"):
        style = "-" if own["source"].iloc[0] == "recorded" else ":"
        axes.plot(own["hour"], 2e4 * own["half_spread"], style, linewidth=0.9, label=str(name))
    _finish(axes, "Spread (basis points of the price)", "hour of the New York day")


def _finish(axes: Any, title: str, across: str) -> None:
    axes.axhline(0.0, color="grey", linewidth=0.5)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(across, **_LABELS)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, ncols=3, frameon=False)
