"""What each table is made of: the one place that says so, for the assets as for the planner of backfills.

Sessions before and after the own one are counted in the calendar's sessions. No Dagster here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fx_assets.configuration import Configuration
from fx_assets.features import max_window
from fx_assets.labels import label_sessions

BRONZE = "bronze/"
# Sessions that do not trade (Christmas, New Year) or lack an hour must not shorten a window: a few are added.
SPARE_SESSIONS = 4
# Trailing news windows reach back three days; four sessions always cover them, weekend included.
NEWS_LOOKBACK = 4
LAG_LOOKBACK = 4
FEATURE_GROUPS = ("technical", "microstructure", "volatility")
# Tables that one step makes: none of them can be made without the others.
TOGETHER = (("silver/candles", "silver/quarantine"),)


@dataclass(frozen=True)
class Input:
    """A table that another one is made of, and how many sessions before and after a session are taken too."""

    table: str
    before: int = 0
    ahead: int = 0

    @property
    def is_bronze(self) -> bool:
        """Whether it is read by sources' answers and not as one file a session."""
        return self.table.startswith(BRONZE)


def with_siblings(tables: Iterable[str]) -> list[str]:
    """`tables`, and those that are made by the same steps; each once."""
    wanted = list(tables)
    more = [name for group in TOGETHER if set(group) & set(wanted) for name in group]
    return list(dict.fromkeys([*wanted, *more]))


TableInputs = Mapping[str, Mapping[str, Input]]


def lookback_sessions(window: int, bar_minutes: int) -> int:
    """Sessions that hold at least `window` bars, spare ones included."""
    bars_in_session = 24 * 60 // bar_minutes
    return -(-window // bars_in_session) + SPARE_SESSIONS


def feature_history(configuration: Configuration) -> int:
    """Sessions of candles that a feature may look back on."""
    longest_bar = max(i.minutes for i in configuration.instruments.instruments.values())
    return lookback_sessions(max_window(), longest_bar)


def table_inputs(configuration: Configuration) -> dict[str, dict[str, Input]]:
    """Inputs of every silver and gold table, by the name that its asset gives them."""
    history = feature_history(configuration)
    horizon = max(label.horizon_minutes for label in configuration.label_horizons())
    before, ahead = label_sessions(horizon, configuration.all_week)
    return {
        # Made by one step, and told apart there: what can be built on, and what cannot be believed.
        "silver/candles": {"fetched": Input("bronze/candles")},
        "silver/quarantine": {"fetched": Input("bronze/candles")},
        "silver/news_sentiment": {"fetched": Input("bronze/news")},
        **{f"silver/{group}": {"candles": Input("silver/candles", history)} for group in FEATURE_GROUPS},
        "gold/market_features": {
            "candles": Input("silver/candles"),
            **{group: Input(f"silver/{group}") for group in FEATURE_GROUPS},
        },
        "gold/news_signals": {"news": Input("silver/news_sentiment", NEWS_LOOKBACK)},
        "gold/features": {
            "market": Input("gold/market_features", LAG_LOOKBACK),
            "news": Input("gold/news_signals"),
        },
        "gold/labels": {"candles": Input("silver/candles", before, ahead)},
    }
