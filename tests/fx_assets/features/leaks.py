"""Features with the mistakes that look-ahead comes from, for the tests that must catch them.

Each takes bars and gives instrument, time and one column, sorted by both, as compute_features does.
"""

import math
from collections.abc import Callable

import pandas as pd

Leak = Callable[[pd.DataFrame], pd.DataFrame]


def _column(bars: pd.DataFrame, name: str, values: pd.Series) -> pd.DataFrame:
    return bars[["instrument", "time"]].assign(**{name: values.astype(float)}).reset_index(drop=True)


def _sorted(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.sort_values(["instrument", "time"], kind="stable")


def centred_mean(bars: pd.DataFrame) -> pd.DataFrame:
    """A window around the bar instead of before it."""
    bars = _sorted(bars)
    mean = bars.groupby("instrument")["close"].transform(lambda close: close.rolling(5, center=True).mean())
    return _column(bars, "centred_mean", mean)


def four_hour_close(bars: pd.DataFrame) -> pd.DataFrame:
    """The close of the four-hour bar, joined where that bar opens instead of where it ends."""
    bars = _sorted(bars)
    block = bars["time"].dt.floor("4h")
    return _column(bars, "four_hour_close", bars.groupby(["instrument", block])["close"].transform("last"))


def global_zscore(bars: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation of all the history there is, the future's too."""
    bars = _sorted(bars)
    close = bars.groupby("instrument")["close"]
    return _column(bars, "global_zscore", (bars["close"] - close.transform("mean")) / close.transform("std"))


def shifted_label(bars: pd.DataFrame) -> pd.DataFrame:
    """The next bar's return, as a label has it."""
    bars = _sorted(bars)
    return _column(bars, "shifted_label", bars["close"].map(math.log).groupby(bars["instrument"]).diff().shift(-1))


def filled_backwards(bars: pd.DataFrame) -> pd.DataFrame:
    """Missing values taken from the first known one after them."""
    bars = _sorted(bars)
    mean = bars.groupby("instrument")["close"].transform(lambda close: close.rolling(5).mean().bfill())
    return _column(bars, "filled_backwards", mean)


def other_instruments_next(bars: pd.DataFrame) -> pd.DataFrame:
    """The newest close of any instrument up to an hour later: its own past, but the others' future."""
    bars = _sorted(bars)
    mean = bars.groupby("time")["close"].mean().sort_index()
    at = mean.index.searchsorted(bars["time"] + pd.Timedelta(hours=1), side="right") - 1
    return _column(bars, "other_instruments_next", pd.Series(mean.to_numpy()[at], index=bars.index))


def running_sum(bars: pd.DataFrame) -> pd.DataFrame:
    """A window sum as the difference of two running sums: its last digits depend on where the bars began."""
    bars = _sorted(bars)
    total = bars.groupby("instrument")["close"].cumsum()
    return _column(bars, "running_sum", total - total.groupby(bars["instrument"]).shift(20))


def endless_mean(bars: pd.DataFrame) -> pd.DataFrame:
    """An exponential mean without an end."""
    bars = _sorted(bars)
    mean = bars.groupby("instrument")["close"].transform(lambda close: close.ewm(span=50).mean())
    return _column(bars, "endless_mean", mean)


LOOK_AHEAD: tuple[Leak, ...] = (
    centred_mean,
    four_hour_close,
    global_zscore,
    shifted_label,
    filled_backwards,
    other_instruments_next,
)
START_DEPENDENT: tuple[Leak, ...] = (running_sum, endless_mean)
