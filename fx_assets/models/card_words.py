"""The sentences of a model card: what a label means, what a model is for, how it was traded, where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fx_assets.configuration import Label
from fx_assets.models.report import number

NOT_FOR = (
    "Other instruments, bar lengths or horizons; prices that the feature store marks as stale; deciding on its own "
    "what is traded or how much."
)
MEASURED = {
    "contributions": "SHAP: what each feature adds to single predictions, from the library's own exact decomposition, "
    "on rows spread evenly over the training set; and the weight (gain) that the learner counts itself.",
    "permutation": "Permutation: how much worse the log loss gets when a feature is shuffled among the rows; and the "
    "weight that the learner states itself.",
    "gain": "The gain that the learner counts itself.",
}


def definition(label: Label) -> str:
    """The label in one sentence."""
    barriers = (
        f"{label.up:g} times the volatility above and {label.down:g} times below the price of the decision (an "
        f"exponential mean over {label.volatility_span} bars, known at the decision), within {label.timeout_bars} bars"
    )
    ahead = f"{label.horizon_minutes} minutes" if label.horizon_minutes else f"{label.horizon_bars} bars"
    sentences = {
        "direction": f"1 if the close {ahead} later is higher, 0 if it is lower; equal closes are left out.",
        "large_move": f"1 if the absolute log return over the next {ahead} exceeds the median of the last 20 known "
        "ones that ended at the same New York time of day, else 0. The usual daily shape is so taken out.",
        "return": f"The log return over the next {ahead}; probabilities in this card are the implied chance of a rise.",
        "triple_barrier": f"1 if the price touches the upper barrier first, 0 if the lower one: {barriers}.",
        "meta": f"1 if following `{label.primary}` until the trade ends pays, 0 if not; barriers stand {barriers}.",
    }
    return f"{sentences[label.kind]} A label whose end is not known yet is missing, not wrong."


def use(label: Label) -> str:
    """What the model is made for."""
    asked = {
        "direction": "that the price will be higher",
        "large_move": "of a larger move than is usual at this time of day, in either direction",
        "return": "of a rise, by way of the return it expects",
        "triple_barrier": "that the upper barrier is touched before the lower one",
        "meta": "that a signal given by another rule is worth following",
    }
    return (
        f"To state, at the close of each bar and for each instrument below, the probability {asked[label.kind]}. It is "
        "one input of a decision that people or other rules make."
    )


def traded(label: Label, backtest: Mapping[str, Any]) -> str:
    """How the backtest turned predictions into positions, and at which cost."""
    how = {
        "large_move": "A forecast of size says nothing about direction: the reference strategy repeats the sign of the "
        "last return where a large move is expected, which shows what acting on it so would have cost.",
        "meta": "The reference strategy follows the primary rule where the forecast is above the threshold.",
    }.get(label.kind, "The reference strategy holds the side that the forecast favours.")
    bars = backtest.get("latency_bars")
    late = f" Every decision is traded {bars} bar{'s' * (bars != 1)} later." if bars else ""
    source = backtest.get("cost_source")
    cost = f" Costs: {source} spread" if source else " Costs: the typical spread"
    swap = backtest.get("swap_per_day")
    return f"{how}{late}{cost}{f', swap {swap:.2%} a night' if swap else ', no swap'}."


def candidate(chosen: Mapping[str, Any]) -> str:
    """The chosen candidate in words."""
    params = ", ".join(f"{name} {value}" for name, value in sorted(dict(chosen.get("params", {})).items()))
    seeds = int(chosen.get("seeds", 1) or 1)
    extra = f", mean of {seeds} seeds" if seeds > 1 else ""
    method = chosen.get("calibration", "none")
    extra += f", calibrated ({method})" if method and method != "none" else ""
    rounds = f", {chosen['rounds']} rounds" if chosen.get("rounds") else ""
    return f"{chosen['name']} ({chosen.get('algorithm', 'xgboost')}{rounds}{extra}{': ' + params if params else ''})"


def repeated(figures: Mapping[str, Any]) -> list[str]:
    """What the folds and repetitions say of calibration and of chance, where the study has it."""
    found = []
    errors = (figures.get("calibration") or {}).get("per_fold_ece")
    if errors:
        found.append(f"Calibration error by fold: {', '.join(number(error, '.3f') for error in errors)}.")
    seeds = figures.get("seeds") or {}
    if seeds.get("count", 1) > 1:
        auc = seeds["auc"]
        found.append(
            f"Trained {seeds['count']} times with other seeds, the AUC out of fold was {number(auc['low'])} to "
            f"{number(auc['high'])}."
        )
    return found


def limits(label: Label, figures: Mapping[str, Any]) -> list[str]:
    """What a reader must not conclude."""
    effective = figures["n_effective"]
    share = f" ({effective / figures['n']:.0%} of them)" if effective else ""
    found = [
        f"All figures come from {figures['n']:,} rows between {figures['folds'][0]['start'][:10]} and "
        f"{figures['folds'][-1]['end'][:10]}; they weigh as much as {effective or 0:,.0f} independent ones{share}. "
        "Another period may be another market.",
        "The training sets of the folds grow into one another: they are not independent studies. The worst fold is the "
        "figure to remember.",
        f"{figures['trials']} trials are counted against it{_counted(figures)}. Whatever was tried elsewhere and not "
        "recorded is not.",
        "Costs are spreads and swaps. Slippage beyond one bar, partial fills, and the effect of one's own orders are "
        "not in them.",
        "Intervals are 95 % percentiles over resampled days. They hold for the period studied, not for what follows.",
    ]
    if label.kind == "large_move":
        found.append("It says that the market will move, not where to.")
    if label.kind == "return":
        found.append("The probability is implied by the expected return and its usual error, not learned by itself.")
    found.append("Drift of the inputs is watched in service (`drift_report`); drift is not loss of accuracy.")
    return found


def _counted(figures: Mapping[str, Any]) -> str:
    """Where the trials come from, in brackets."""
    by = {name: count for name, count in (figures.get("trials_counted") or {}).items() if count}
    return f" ({', '.join(f'{name} {count}' for name, count in by.items())})" if by else ""
