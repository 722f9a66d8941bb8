"""One schema per table. It orders, types and bounds the columns where a table is written, is the table's blocking
asset check, and describes the columns in the Dagster UI. A table's columns are declared here and nowhere else;
feature columns come from their declarations in fx_assets.features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import DataError
from fx_assets.features import specs
from fx_assets.features.news import NEWS_SIGNALS

UTC_TIME = "datetime64[us, UTC]"
BID_ASK = ("bid_close", "ask_close")
MARKET_COLUMNS = frozenset({"instrument", "time", "open", "high", "low", "close", "volume"})

MIN_PRICE = 1e-9  # prices are positive

# Features whose recent past the model sees too; each becomes <name>_lag<k> in gold/features.
LAGGED = ("log_return_1", "move_adjusted", "range_adjusted")
LAGS = (1, 2, 3)


@dataclass(frozen=True)
class Column:
    """One column: its type, whether it may be missing, its bounds, and what it means (unit included)."""

    name: str
    dtype: str
    description: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None


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


def _keys() -> tuple[Column, ...]:
    return (
        Column("instrument", "object", "symbol, such as GBP_USD"),
        Column("time", UTC_TIME, "bar open, UTC"),
        Column("available_at", UTC_TIME, "first moment the row could be known: the bar's close, UTC"),
    )


def _features(group: str) -> tuple[Column, ...]:
    return tuple(
        Column(s.name, "float64", f"{s.description} [{s.unit}; {s.window} bars; {s.source}]", nullable=True)
        for s in specs(group)
    )


def market_feature_names() -> list[str]:
    """Every feature that needs nothing beyond open, high, low, close and volume."""
    return [s.name for s in specs() if set(s.requires) <= MARKET_COLUMNS]


def lag_names() -> list[str]:
    """The lagged columns of gold/features."""
    return [f"{name}_lag{k}" for name in LAGGED for k in LAGS]


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
    market = tuple(
        Column(s.name, "float64", f"{s.description} [{s.unit}; {s.window} bars; {s.source}]", nullable=True)
        for s in specs()
        if set(s.requires) <= MARKET_COLUMNS
    )
    news = tuple(Column(name, "float64", f"{name}: see fx_assets.features.news") for name in NEWS_SIGNALS)
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
        Schema(
            "silver/technical",
            "Trend and momentum features.",
            (*_keys(), *_features("technical")),
            plot="rsi_14",
        ),
        Schema(
            "silver/microstructure",
            "Liquidity, spread and volume features.",
            (*_keys(), *_features("microstructure")),
            plot="range_position",
        ),
        Schema(
            "silver/volatility",
            "Volatility estimators and the hour-adjusted move.",
            (*_keys(), *_features("volatility")),
            plot="move_adjusted",
        ),
        Schema(
            "silver/news_sentiment",
            "Headlines with sentiment.",
            (
                Column("published", UTC_TIME, "publication time, UTC"),
                Column("available_at", UTC_TIME, "max(published, first seen), UTC"),
                Column("headline", "object", "the headline"),
                Column("source", "object", "publisher"),
                Column("article_count", "int64", "articles the headline stands for", low=0),
                Column("sentiment", "float64", "compound score of the headline", low=-1, high=1),
            ),
            key=("available_at", "headline"),
            plot="sentiment",
        ),
        Schema(
            "gold/market_features",
            "All market features of a bar, side by side.",
            (*_keys(), *market),
            plot="rsi_14",
        ),
        Schema(
            "gold/news_signals",
            "What the news said up to each decision time.",
            (
                Column("time", UTC_TIME, "start of the interval, UTC"),
                Column("available_at", UTC_TIME, "decision time: end of the interval, UTC"),
                *news,
            ),
            key=("time",),
            plot="news_count_24h",
        ),
        Schema(
            "gold/features",
            "Market features, their lags and the news known at the bar's close.",
            (*_keys(), *market, *lags, *news),
            plot="move_adjusted",
        ),
        Schema(
            "gold/labels",
            "What happened after each bar's close.",
            _labels(configuration),
            plot="forward_return_60m",
        ),
    )
    return {schema.table: schema for schema in tables}


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
    columns = list(_keys())
    for horizon in sorted({label.horizon_minutes for label in configuration.label_horizons()}):
        columns += [
            Column(f"label_end_{horizon}m", UTC_TIME, "when the label was decided, UTC", nullable=True),
            Column(f"forward_return_{horizon}m", "float64", "log return to label end", nullable=True),
        ]
    for label in configuration.label_horizons():
        columns.append(
            Column(
                label.column,
                "float64",
                f"1 or 0: {label.kind} over {label.horizon_minutes} minutes",
                True,
                0,
                1,
            )
        )
        if label.kind == "large_move":
            columns += [
                Column(f"{label.column}_threshold", "float64", "median |return| of that hour of day", True, 0),
                Column(
                    f"{label.column}_persistence",
                    "float64",
                    "naive score: recent hour-adjusted moves",
                    True,
                    0,
                ),
            ]
    return tuple(columns)


def model_features() -> Iterable[tuple[str, str]]:
    """(feature, feature view) of every model input, in canonical order."""
    yield from ((name, "market_features") for name in (*market_feature_names(), *lag_names()))
    yield from ((name, "news_signals") for name in NEWS_SIGNALS)
