"""How fast labels and sample weights are made of one-minute bars: CPU seconds of one thread, medians.

With FX_BENCH_DATA the prices are real, else generated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from benchmarks.features import cpu_s, two_years
from benchmarks.ranges import kind_of_data
from benchmarks.report import Figure

SECTION = "labels"
INSTRUMENTS = ("EUR_USD",)
MINUTES = {"EUR_USD": 1}
# (up and down in volatilities of the timeout, timeout in bars): near and far barriers, an hour to a day.
BARRIERS = ((1.0, 60), (2.0, 60), (1.0, 240), (1.0, 1440), (3.0, 1440))
SPAN = 96
PLAIN_ROWS = 20_000


def measure() -> Iterator[Figure]:
    """Barriers by timeout, weights by bar and by time, the fixed labels, and the table of a platform's own labels."""
    bars = two_years(INSTRUMENTS)
    data = f"{len(bars):,} {kind_of_data('M1', INSTRUMENTS)} M1 bars"
    yield from _barriers(bars, data)
    yield from _weights(bars)
    yield from _table(bars, data)


def _million(rows: int, work: Callable[[], object]) -> float:
    return rows / cpu_s(work) / 1e6


def _barriers(bars: pd.DataFrame, data: str) -> Iterator[Figure]:
    from fx_assets.features.blocks import Bars
    from fx_assets.labels.barriers import last_sign, meta_label, triple_barrier
    from fx_assets.labels.series import Series

    block = Bars.read(bars).blocks[0]
    for width, timeout in BARRIERS:
        # A new series each time, so that its volatility is measured too.
        trade = (width, width, timeout, SPAN)
        speed = _million(len(bars), lambda trade=trade: triple_barrier(Series(block, 1), *trade))
        found = triple_barrier(Series(block, 1), *trade)
        share = np.nanmean(np.abs(found["barrier"]))
        how = f"{data}, timeout {timeout} bars, barriers {width:g} volatilities away ({share:.0%} touched)"
        yield Figure(SECTION, "triple barrier", speed, "M rows/s", how)
    speed = _million(len(bars), lambda: meta_label(Series(block, 1), last_sign(Series(block, 1)), 1.0, 1.0, 60, SPAN))
    yield Figure(SECTION, "meta-label", speed, "M rows/s", "the same bars, last sign as primary, timeout 60 bars")
    few = Bars.read(bars.head(PLAIN_ROWS)).blocks[0]
    width = triple_barrier(Series(few, 1), 1.0, 1.0, 60, SPAN)["width"]
    started = time.process_time()
    _plain_barrier(few.high, few.low, few.close, width, 60)
    plain = PLAIN_ROWS / (time.process_time() - started) / 1e6
    how = f"the first {PLAIN_ROWS:,} rows, numpy slices bar by bar, timeout 60, volatility given"
    yield Figure(SECTION, "triple barrier in a Python loop", plain, "M rows/s", how)


def _plain_barrier(high: np.ndarray, low: np.ndarray, close: np.ndarray, width: np.ndarray, timeout: int) -> np.ndarray:
    """The label as it is often written: of each row the first bar that touches, and the sign at the timeout."""
    label = np.full(len(close), np.nan)
    for i in range(len(close) - timeout):
        if np.isnan(width[i]):
            continue
        after = slice(i + 1, i + 1 + timeout)
        over = high[after] >= close[i] * np.exp(width[i])
        under = low[after] <= close[i] * np.exp(-width[i])
        first = int(np.argmax(over | under))
        if over[first] or under[first]:
            label[i] = float(over[first])
        else:
            label[i] = float(close[i + timeout] > close[i])
    return label


def _weights(bars: pd.DataFrame) -> Iterator[Figure]:
    from fx_assets.features.blocks import Bars
    from fx_assets.labels import average_uniqueness, sample_weights, uniqueness_weights
    from fx_assets.labels.barriers import triple_barrier
    from fx_assets.labels.series import Series

    series = Series(Bars.read(bars).blocks[0], 1)
    found = triple_barrier(series, 1.0, 1.0, 60, SPAN)
    known = ~np.isnan(found["label"])
    start, end = series.decision_us[known], found["label_end"][known]
    first, last = np.flatnonzero(known), np.searchsorted(series.decision_us, end)
    how = f"{len(first):,} triple-barrier labels, timeout 60 bars"
    speed = _million(len(first), lambda: average_uniqueness(first, last))
    yield Figure(SECTION, "uniqueness, by bar", speed, "M rows/s", how)
    speed = _million(len(first), lambda: average_uniqueness(first, last, series.decision_us))
    yield Figure(SECTION, "uniqueness, by bar, weighed by time", speed, "M rows/s", how)
    speed = _million(len(first), lambda: uniqueness_weights(start, end))
    yield Figure(SECTION, "uniqueness, from times", speed, "M rows/s", how)
    moments = {"decision_time": start.view("datetime64[us]"), "label_end": end.view("datetime64[us]")}
    rows = pd.DataFrame({name: pd.DatetimeIndex(values).tz_localize("UTC") for name, values in moments.items()})
    rows.insert(0, "instrument", "EUR_USD")
    speed = _million(len(rows), lambda: sample_weights(rows, 90.0))
    yield Figure(SECTION, "weights of a training set, with decay", speed, "M rows/s", how)


def _table(bars: pd.DataFrame, data: str) -> Iterator[Figure]:
    from fx_assets.configuration import Label
    from fx_assets.gold.labels import label_table

    candles = bars.assign(available_at=bars["time"] + pd.Timedelta(minutes=1))
    wanted = {
        "direction over 60 minutes": [Label(kind="direction", horizon_minutes=60)],
        "direction over 60 bars": [Label(kind="direction", horizon_bars=60)],
        "large_move over 60 minutes": [Label(kind="large_move", horizon_minutes=60)],
        "shipped labels: large_move and direction over 60 minutes": [
            Label(kind="large_move", horizon_minutes=60),
            Label(kind="direction", horizon_minutes=60),
        ],
    }
    for name, labels in wanted.items():
        speed = _million(len(candles), lambda labels=labels: label_table(candles, labels, MINUTES))
        yield Figure(SECTION, f"gold/labels, {name}", speed, "M rows/s", f"{data}, whole table in memory")
