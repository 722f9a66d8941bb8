"""What each table is made of: the one place that says so, for the assets as for the planner of backfills.

Sessions before and after the own one are counted in the calendar's sessions. No Dagster here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fx_assets.configuration import Configuration
from fx_assets.features import GROUPS, max_window, specs
from fx_assets.labels import label_sessions
from fx_assets.quality.market import Market
from fx_assets.sentiment import scorer_setting

BRONZE = "bronze/"
# Sessions that do not trade (Christmas, New Year) or lack an hour must not shorten a window: a few are added.
SPARE_SESSIONS = 4
# Trailing news windows reach back seven days and six hours (fx_assets.news): eight sessions, if every day is one.
NEWS_LOOKBACK = 8
# A headline may repeat one of the 24 hours before it; a session may be an hour shorter than that.
DUPLICATE_LOOKBACK = 2
LAG_LOOKBACK = 4
LAGGED_GROUPS = ("technical", "volatility")  # the groups of the features that are lagged
# Feature groups that one instrument's candles are enough for: a silver table each. All others are in one gold table.
_OWN = ("technical", "microstructure", "volatility", "regime")
SILVER_GROUPS = tuple(group for group in GROUPS if group in _OWN and specs(group))
MARKET_GROUPS = tuple(group for group in GROUPS if group not in _OWN and specs(group))
REFERENCE = ("economic", "rates")  # feature groups made of files that data.yaml names; bronze keeps copies of these
REFERENCE_TABLES = tuple(BRONZE + name for name in REFERENCE)
# Tables that one step makes: none of them can be made without the others.
TOGETHER = (("silver/candles", "silver/quarantine"),)


@dataclass(frozen=True)
class Input:
    """A table that another one is made of, and how many sessions before and after a session are taken too.

    setting: what of the configuration decides what is made of it; a partition made by another setting is outdated.
    """

    table: str
    before: int = 0
    ahead: int = 0
    setting: str = ""

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


def reference_inputs(inputs: TableInputs) -> list[str]:
    """The bronze tables of reference files among the inputs of all tables."""
    used = {source.table for sources in inputs.values() for source in sources.values()}
    return [table for table in REFERENCE_TABLES if table in used]


def lookback_sessions(window: int, bar_minutes: int) -> int:
    """Sessions that hold at least `window` bars, spare ones included."""
    bars_in_session = 24 * 60 // bar_minutes
    return -(-window // bars_in_session) + SPARE_SESSIONS


def feature_histories(configuration: Configuration) -> dict[str, int]:
    """Sessions of candles that a feature may look back on, by instrument: the more, the longer its bars."""
    instruments = configuration.instruments.instruments
    return {symbol: lookback_sessions(max_window(), i.minutes) for symbol, i in instruments.items()}


def feature_history(configuration: Configuration) -> int:
    """Sessions of candles that any instrument's features may look back on."""
    return max(feature_histories(configuration).values())


def reference_tables(configuration: Configuration) -> list[str]:
    """The bronze tables of the reference files that data.yaml names."""
    return [BRONZE + name for name in REFERENCE if getattr(configuration.data.reference, name) is not None]


def signals_setting(configuration: Configuration) -> str:
    """For whom and how often the news are summed up: the same news give other rows for other instruments or bars."""
    return f"{configuration.bar_minutes} minutes: {' '.join(sorted(configuration.instruments.instruments))}"


def table_inputs(configuration: Configuration) -> dict[str, dict[str, Input]]:
    """Inputs of every silver and gold table, by the name that its asset gives them."""
    history = feature_history(configuration)
    lengths = (instrument.minutes for instrument in configuration.instruments.instruments.values())
    before, ahead = label_sessions(configuration.label_horizons(), lengths, configuration.all_week)
    screened = Input("bronze/candles", setting=Market.of(configuration).setting)
    return {
        # Made by one step, and told apart there: what can be built on, and what cannot be believed.
        "silver/candles": {"fetched": screened},
        "silver/quarantine": {"fetched": screened},
        "silver/news_sentiment": {
            "fetched": Input("bronze/news", DUPLICATE_LOOKBACK, setting=scorer_setting(configuration.data.sentiment))
        },
        **{f"silver/{group}": {"candles": Input("silver/candles", history)} for group in SILVER_GROUPS},
        "gold/market_features": {
            "candles": Input("silver/candles", history),
            **{table.removeprefix(BRONZE): Input(table) for table in reference_tables(configuration)},
        },
        "gold/news_signals": {
            "news": Input("silver/news_sentiment", NEWS_LOOKBACK, setting=signals_setting(configuration))
        },
        "gold/features": {
            **{
                group: Input(f"silver/{group}", LAG_LOOKBACK if group in LAGGED_GROUPS else 0)
                for group in SILVER_GROUPS
            },
            "market": Input("gold/market_features"),
            "news": Input("gold/news_signals"),
        },
        "gold/labels": {"candles": Input("silver/candles", before, ahead)},
    }
