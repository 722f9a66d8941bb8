"""One schema per table. It orders, types and bounds the columns where a table is written, is the table's blocking
asset check, and describes the columns in the Dagster UI. A table's columns are declared here and nowhere else;
feature columns come from their declarations in fx_assets.features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import DataError
from fx_assets.features import GROUPS, FeatureSpec, specs
from fx_assets.features.cross import provides
from fx_assets.inputs import MARKET_GROUPS, REFERENCE, SILVER_GROUPS
from fx_assets.labels import label_columns, return_column
from fx_assets.news import ENTITIES, NEWS_SIGNALS, SIGNALS

UTC_TIME = "datetime64[us, UTC]"
BID_ASK = ("bid_close", "ask_close")
# What every candle has, and what a candle may have; features need these and more (see `supplied`).
CANDLE_COLUMNS = frozenset({"instrument", "time", "open", "high", "low", "close"})
OPTIONAL_COLUMNS = ("volume", *BID_ASK)

MIN_PRICE = 1e-9  # prices are positive

# Features whose recent past the model sees too; each becomes <name>_lag<k> in gold/features.
LAGGED = ("log_return_1", "move_adjusted", "range_adjusted")
LAGS = (1, 2, 3)
# Feature views beside those of the feature groups.
LAG_VIEW, NEWS_VIEW = "lags", "news_signals"
VIEWS = (*GROUPS, LAG_VIEW, NEWS_VIEW)


@dataclass(frozen=True)
class Column:
    """One column: its type, whether it may be missing, its bounds, and what it means (unit included).

    steady: whether it stays the same over many rows, which makes it worth compressing.
    """

    name: str
    dtype: str
    description: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    steady: bool = False


@dataclass(frozen=True)
class Schema:
    """A table: its columns in order, the key that is unique in it, and the column its plot shows."""

    table: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("time", "instrument")
    plot: str | None = None

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def steady(self) -> frozenset[str]:
        """The columns that stay the same over many rows."""
        return frozenset(column.name for column in self.columns if column.steady)

    def empty(self) -> pd.DataFrame:
        """A frame without rows that has every column in its type."""
        return pd.DataFrame({c.name: pd.Series(dtype=c.dtype) for c in self.columns})

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns in order and type, rows sorted by key, a fresh index. Raises DataError for a missing column.

        A nullable column that is not there is added as missing.
        """
        absent = [c.name for c in self.columns if c.name not in frame.columns and not c.nullable]
        if absent:
            raise DataError(
                f"{self.table}: column {', '.join(absent)} is missing; there are {', '.join(frame.columns)}. "
                "Mend the step that makes this table."
            )
        missing = pd.Series(np.nan, index=frame.index)
        columns = {c.name: frame[c.name] if c.name in frame.columns else missing for c in self.columns}
        typed = pd.DataFrame(columns).astype({c.name: c.dtype for c in self.columns})
        return typed.sort_values(list(self.key), kind="stable", ignore_index=True)

    def problems(self, frame: pd.DataFrame) -> list[str]:
        """What is wrong with a conformed frame, in words; empty when nothing is."""
        found = []
        for column in self.columns:
            values = frame[column.name]
            if not column.nullable and (missing := int(values.isna().sum())):
                found.append(f"{column.name}: {missing} missing values")
            if column.dtype == "float64" and (infinite := int(np.isinf(values.to_numpy()).sum())):
                found.append(f"{column.name}: {infinite} infinite values")
            if column.low is not None and (low := int((values < column.low).sum())):
                found.append(f"{column.name}: {low} values below {column.low:g}")
            if column.high is not None and (high := int((values > column.high).sum())):
                found.append(f"{column.name}: {high} values above {column.high:g}")
        if repeated := int(frame.duplicated(list(self.key)).sum()):
            found.append(f"{repeated} rows repeat the key ({', '.join(self.key)})")
        return found


def content_hash(frame: pd.DataFrame) -> str:
    """sha256 of a frame's column names, types and values, independent of how it is stored."""
    digest = hashlib.sha256()
    for name in frame.columns:
        column = frame[name]
        digest.update(f"{name}:{column.dtype}:{len(column)};".encode())
        if isinstance(column.dtype, np.dtype) and column.dtype != object:
            digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        elif isinstance(column.dtype, pd.DatetimeTZDtype):
            digest.update(column.dt.tz_convert("UTC").to_numpy("datetime64[us]").tobytes())
        else:
            digest.update("\0".join(column.astype(str)).encode())
    return digest.hexdigest()


# Groups whose features change by the hour or the day, or are the same for every instrument.
_STEADY = ("calendar", "economic", "rates")
# What each feature group of silver is, and the feature that is plotted.
_SILVER = {
    "technical": ("Trend and momentum features.", "rsi_14"),
    "microstructure": ("Liquidity, spread and volume features.", "range_position"),
    "volatility": ("Volatility estimators and the hour-adjusted move.", "move_adjusted"),
    "regime": ("What kind of market it is: trending or reverting, ordered or random.", None),
}


def _keys() -> tuple[Column, ...]:
    return (
        Column("instrument", "object", "symbol, such as GBP_USD"),
        Column("time", UTC_TIME, "bar open, UTC"),
        Column("available_at", UTC_TIME, "first moment the row could be known: the bar's close, UTC"),
    )


def supplied(configuration: Configuration) -> dict[str, frozenset[str]]:
    """By instrument, what its features can be made of (FeatureSpec.requires): a candle's columns and more.

    others: another instrument of the same bar length that shares a currency. triangle: two of them whose cross this
    one is. economic, rates: the files that data.yaml names. A source may still leave a candle's optional columns empty.
    """
    instruments, reference = configuration.instruments.instruments, configuration.data.reference
    files = {name for name in REFERENCE if getattr(reference, name) is not None}
    found = {}
    for symbol, own in instruments.items():
        mates = [name for name, other in instruments.items() if other.minutes == own.minutes]
        found[symbol] = CANDLE_COLUMNS | set(OPTIONAL_COLUMNS) | provides(mates, of=symbol) | files
    return found


def market_specs(configuration: Configuration) -> tuple[FeatureSpec, ...]:
    """Every market feature that some instrument of the configuration has, in canonical order."""
    each = set(supplied(configuration).values())
    return tuple(spec for spec in specs() if any(set(spec.requires) <= has for has in each))


def lag_names() -> list[str]:
    """The lagged columns of gold/features."""
    return [f"{name}_lag{k}" for name in LAGGED for k in LAGS]


def feature_names() -> list[str]:
    """Every column that a model may be given, whatever the configuration."""
    return [*(spec.name for spec in specs()), *lag_names(), *NEWS_SIGNALS]


def build_schemas(configuration: Configuration) -> dict[str, Schema]:
    """Every table's schema by table name, such as "silver/candles"."""
    candles = (
        *_keys(),
        Column("open", "float64", "price at the bar's open", low=MIN_PRICE),
        Column("high", "float64", "highest price of the bar", low=MIN_PRICE),
        Column("low", "float64", "lowest price of the bar", low=MIN_PRICE),
        Column("close", "float64", "price at the bar's close", low=MIN_PRICE),
        Column("volume", "float64", "ticks in the bar", nullable=True, low=0),
        Column("bid_close", "float64", "bid price at the bar's close", nullable=True, low=MIN_PRICE),
        Column("ask_close", "float64", "ask price at the bar's close", nullable=True, low=MIN_PRICE),
        Column("source", "object", "where the row came from"),
    )
    market = market_specs(configuration)
    groups = {group: tuple(_feature(s) for s in market if s.group == group) for group in GROUPS}
    news = tuple(Column(signal.name, "float64", signal.words, steady=True) for signal in SIGNALS)
    lags = tuple(
        Column(f"{name}_lag{k}", "float64", f"{name}, {k} bars earlier", nullable=True) for name in LAGGED for k in LAGS
    )
    tables = (
        Schema("silver/candles", "Complete candles, newest fetch wins, checked.", candles, plot="close"),
        Schema(
            "silver/quarantine",
            "Candles that cannot be believed, and why; never in silver/candles.",
            _quarantine(),
            key=("time", "instrument", "reason", "fetched_at", "copy"),
            plot="close",
        ),
        *(
            Schema(f"silver/{group}", told, (*_keys(), *groups[group]), plot=plot or groups[group][0].name)
            for group in SILVER_GROUPS
            for told, plot in [_SILVER[group]]
        ),
        Schema(
            "silver/news_sentiment",
            "Headlines: sentiment, novelty, and how much each is about each currency.",
            (
                Column("published", UTC_TIME, "publication time, UTC"),
                Column("available_at", UTC_TIME, "max(published, first seen), UTC"),
                Column("headline", "object", "the headline"),
                Column("source", "object", "publisher"),
                Column("article_count", "int64", "articles known when the headline was first known", low=0),
                Column("sentiment", "float64", "score of the headline", low=-1, high=1),
                Column("scorer", "object", "version of what scored it"),
                Column("novelty", "float64", "1 less the similarity to a headline of the 24 h before", low=0, high=1),
                Column("duplicate_of", "object", "the headline of the 24 h before that it repeats, or empty"),
                *(
                    Column(f"relevance_{entity}", "float64", f"how much it is about {entity}", low=0, high=1)
                    for entity in ENTITIES
                ),
            ),
            key=("available_at", "headline"),
            plot="sentiment",
        ),
        Schema(
            "gold/market_features",
            "Features made of more than an instrument's own candles: calendar, other instruments, files.",
            (*_keys(), *(column for group in MARKET_GROUPS for column in groups[group])),
            plot=groups[MARKET_GROUPS[0]][0].name,
        ),
        Schema(
            "gold/news_signals",
            "What the news said up to each decision time.",
            (
                Column("instrument", "object", "symbol, such as GBP_USD"),
                Column("time", UTC_TIME, "start of the interval, UTC"),
                Column("available_at", UTC_TIME, "decision time: end of the interval, UTC"),
                *news,
            ),
            plot="news_count_24h",
        ),
        Schema(
            "gold/features",
            "Every market feature, lags, and the news known at the bar's close.",
            (*_keys(), *(column for group in GROUPS for column in groups[group]), *lags, *news),
            plot="move_adjusted",
        ),
        Schema(
            "gold/labels",
            "What happened after each bar's close.",
            _labels(configuration),
            plot=return_column(configuration.label_horizons()),
        ),
    )
    return {schema.table: schema for schema in tables}


def _feature(spec: FeatureSpec) -> Column:
    words = f"{spec.description} [{spec.unit}; {spec.window} bars; {spec.source}]"
    return Column(spec.name, "float64", words, nullable=True, steady=spec.group in _STEADY)


def _quarantine() -> tuple[Column, ...]:
    """What a source claimed, so nothing of it is bounded."""
    prices = ("open", "high", "low", "close", "volume", "bid_close", "ask_close")
    return (
        Column("instrument", "object", "symbol, such as GBP_USD"),
        Column("time", UTC_TIME, "bar open as the source gave it, UTC"),
        Column("reason", "object", "why: a code of fx_assets/quality/reasons.py, explained in docs/quality.md"),
        Column("copy", "int64", "tells candles of one fetch and time apart that contradict each other", low=0),
        Column("source", "object", "where the row came from"),
        Column("fetched_at", UTC_TIME, "when the row was first fetched as it is, UTC"),
        *(Column(name, "float64", f"{name} as the source gave it", nullable=True) for name in prices),
    )


def _labels(configuration: Configuration) -> tuple[Column, ...]:
    own = label_columns(configuration.label_horizons())
    return (*_keys(), *(Column(c.name, c.dtype, c.words, True, c.low, c.high) for c in own))


def views(configuration: Configuration) -> dict[str, list[str]]:
    """The feature columns of gold/features by feature view, in canonical order: a view for each group that has any,
    then lags and news_signals.
    """
    market = market_specs(configuration)
    found = {str(group): [spec.name for spec in market if spec.group == group] for group in GROUPS}
    found |= {LAG_VIEW: lag_names(), NEWS_VIEW: list(NEWS_SIGNALS)}
    return {view: names for view, names in found.items() if names}


def model_features(configuration: Configuration, model: str) -> list[tuple[str, str]]:
    """(feature, feature view) of a model's inputs, in canonical order.

    What models.yaml chooses, less what not all of the model's instruments have (see `supplied`), and what stands on
    optional candle columns that the model does not rely on (features.candle_columns).
    """
    chosen = configuration.models.models[model].features
    has = supplied(configuration)
    everywhere = frozenset.intersection(*(has[symbol] for symbol in configuration.model_instruments(model)))
    there = (everywhere - set(OPTIONAL_COLUMNS)) | set(chosen.candle_columns)
    needs = {spec.name: set(spec.requires) for spec in specs()}
    return [
        (name, view)
        for view, names in views(configuration).items()
        if not chosen.groups or view in chosen.groups
        for name in names
        if name not in chosen.exclude and needs.get(name, set()) <= there
    ]


def optional_needs(name: str) -> list[str]:
    """The optional candle columns that a feature, or the feature that it lags, is made of."""
    needs = {spec.name: spec.requires for spec in specs()}
    return [column for column in needs.get(name, ()) if column in OPTIONAL_COLUMNS]
