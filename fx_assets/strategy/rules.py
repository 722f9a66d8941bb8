"""Trading rules tried on a study's out-of-fold forecasts: each threshold with each way of sizing is one trial.

The best of many rules looks good by luck alone. So the choice is judged as a model's is: deflated by every trial,
by the probability of overfitting over all rules, and by choosing on earlier days only and trading the later ones.
Pure: frames in, figures out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation import costs, performance
from fx_assets.evaluation.backtest import DAYS_PER_YEAR, Run, simulate
from fx_assets.evaluation.deflated import judge_trials
from fx_assets.evaluation.positions import positions, trailing_volatility

PIECES = 6  # the days are cut into so many; from the second on, each is traded by what was best before it
USUAL = 1000  # returns that make up the usual volatility of sizing "volatility"


@dataclass(frozen=True, order=True)
class Rule:
    """Act from this probability on, with positions of this size."""

    threshold: float
    sizing: str = "unit"

    @property
    def name(self) -> str:
        return f"{self.threshold:g} {self.sizing}"


@dataclass(frozen=True)
class Market:
    """Forecasts and what trading on them costs. rows: instrument, decision_time, label_end (UTC), forward_return,
    prediction, and side for labels that do not say which way. kind: the label's. half_spread: relative, (n,).
    latency: bars between decision and trade. Rules that are compared are traded on the same rows at the same costs.
    """

    rows: pd.DataFrame
    kind: str
    half_spread: np.ndarray
    cost_source: str
    latency: int
    swap_per_day: Mapping[str, float]

    @staticmethod
    def of(
        rows: pd.DataFrame,
        kind: str,
        table: pd.DataFrame,
        latency: int,
        swap_per_day: Mapping[str, float],
        cost_source: str = "",
    ) -> Market:
        """The market of a study's out-of-fold rows. table: costs as `costs.with_typical` gives them.

        Raises ValueError for an instrument without costs, or a column that is missing.
        """
        needed = ["instrument", "decision_time", "label_end", "forward_return", "prediction"]
        needed += ["side"] if kind in ("large_move", "meta") else []
        if missing := [name for name in needed if name not in rows.columns]:
            raise ValueError(f"out-of-fold rows lack {', '.join(missing)}. Materialize model_study again.")
        kept = rows.loc[rows["forward_return"].notna(), needed]
        kept = kept.sort_values(["decision_time", "instrument"], ignore_index=True)
        names = kept["instrument"].unique().tolist()
        return Market(
            rows=kept,
            kind=kind,
            half_spread=costs.for_rows(table, kept),
            cost_source=cost_source or costs.cost_source(table, names),
            latency=latency,
            swap_per_day={name: float(swap_per_day.get(name, 0.0)) for name in names},
        )


def trade(market: Market, rules: Sequence[Rule]) -> dict[Rule, Run]:
    """What each rule would have done."""
    rows = market.rows
    time, end = _moments(rows["decision_time"]), _moments(rows["label_end"])
    names, forward = rows["instrument"].to_numpy(str), rows["forward_return"].to_numpy(float)
    side = rows["side"].to_numpy(float) if "side" in rows.columns else None
    now = usual = None
    if any(rule.sizing == "volatility" for rule in rules):
        now = trailing_volatility(forward, end, time, names)
        usual = trailing_volatility(forward, end, time, names, USUAL)
    return {
        rule: simulate(
            positions(
                market.kind,
                rows["prediction"].to_numpy(float),
                rule.threshold,
                side=side,
                volatility=now,
                usual=usual,
                sizing=rule.sizing,
            ),
            forward,
            market.half_spread,
            time,
            names,
            end=end,
            latency=market.latency,
            swap_per_day=market.swap_per_day,
        )
        for rule in rules
    }


def figures(runs: Mapping[Rule, Run], cost_source: str, seed: int) -> list[dict[str, Any]]:
    """Figures of each rule (see evaluation.backtest), with its threshold, sizing and name; without daily returns."""
    found = []
    for rule, run in runs.items():
        made = run.figures(seed=seed, cost_source=cost_source)
        made.pop("daily")
        found.append({"name": rule.name, "threshold": rule.threshold, "sizing": rule.sizing, **made})
    return found


def daily_returns(runs: Mapping[Rule, Run]) -> pd.DataFrame:
    """Net return of each day (index datetime64) and rule (columns by name)."""
    first = next(iter(runs.values()))
    index = pd.DatetimeIndex(first.days.astype("datetime64[us]"), name="date")
    return pd.DataFrame({rule.name: run.daily() for rule, run in runs.items()}, index=index)


def optimize(
    runs: Mapping[Rule, Run],
    default: Rule,
    earlier_sharpes: Sequence[float] = (),
    earlier: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """The rule with the best net Sharpe ratio, and how much of it is luck.

    default: the rule in use, one of `runs`. earlier_sharpes, earlier: trials made on this model before, see
    `judge_trials`; those of `runs` not among them.
    Returns best (a rule's name; of equals the one tried first), default, dsr, pbo, trials, and later {chosen,
    default}: figures {sharpe_net, net_return, days} over all days but the first of PIECES pieces, where `chosen`
    trades each piece by the rule that was best on the days before it, choices [{from, rule}], and better: whether
    the choice earned more per risk than the default on days it had not seen.
    """
    daily = daily_returns(runs)
    ratios = {name: performance.ratio(daily[name].to_numpy()) for name in daily.columns}
    best = max(ratios, key=ratios.__getitem__)
    chosen, choices = _later(daily)
    later = {
        "chosen": _series(chosen, seed),
        "default": _series(daily[default.name].to_numpy()[len(daily) - len(chosen) :], seed),
    }
    return {
        "best": best,
        "default": default.name,
        **judge_trials(daily, best, earlier_sharpes, earlier),
        "later": later,
        "choices": choices,
        "better": later["chosen"]["sharpe_net"]["value"] > later["default"]["sharpe_net"]["value"],
    }


def _later(daily: pd.DataFrame) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Returns of always trading by what was best so far, and what that was."""
    cuts = np.array_split(np.arange(len(daily)), PIECES)
    values, dates = daily.to_numpy(), [str(day)[:10] for day in daily.index]
    parts, choices = [], []
    for piece in cuts[1:]:
        if not len(piece) or piece[0] == 0:
            continue
        before = [performance.ratio(values[: piece[0], k]) for k in range(values.shape[1])]
        best = int(np.argmax(before))
        parts.append(values[piece, best])
        choices.append({"from": dates[piece[0]], "rule": str(daily.columns[best])})
    return (np.concatenate(parts) if parts else np.zeros(0)), choices


def _series(daily: np.ndarray, seed: int) -> dict[str, Any]:
    if not len(daily):
        nothing = {"value": float("nan"), "low": float("nan"), "high": float("nan")}
        return {"sharpe_net": nothing, "net_return": 0.0, "days": 0}
    year = float(np.sqrt(DAYS_PER_YEAR))
    return {
        "sharpe_net": performance.sharpe_interval(daily, year, seed),
        "net_return": float(daily.sum()),
        "days": len(daily),
    }


def _moments(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
