"""A news source whose clock is off: its headlines come in bursts when prices move, only at another hour.

Both headline counts and volatility follow the hour of the day, which would line them up at many lags; so each is taken
relative to what is usual for its hour of the week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

ALL = "all headlines"
MAX_HOURS = 6
MIN_HOURS = 2000  # hours with candles: about four months
MIN_HEADLINES = 1000
CERTAIN = 4.0  # standard errors by which another lag must be better than none


@dataclass(frozen=True)
class NewsClock:
    """One source's verdict. hours > 0: its headlines carry a later time than the moves they belong to.

    correlation: by lag in hours, -MAX_HOURS to MAX_HOURS. error: standard error of a difference between two of them.
    """

    source: str
    verdict: str  # right | off | inconclusive
    hours: int
    headlines: int
    compared: int
    correlation: dict[int, float]
    error: float

    @property
    def words(self) -> str:
        """The verdict for people."""
        if self.verdict == "inconclusive":
            return f"{self.source}: inconclusive ({self.headlines} headlines, {self.compared} hours)"
        if self.verdict == "right":
            return f"{self.source}: headlines and moves agree best at the same hour"
        way = "after" if self.hours > 0 else "before"
        return (
            f"{self.source}: its headlines come {abs(self.hours)} h {way} the moves they belong to. "
            "Check the time zone of its publication times."
        )


def news_clocks(news: pd.DataFrame, candles: pd.DataFrame) -> list[NewsClock]:
    """One verdict for all headlines together, and one for each source with MIN_HEADLINES or more.

    news: published (UTC), source and article_count. candles: instrument, time, open, close of any bar length up to an
    hour. A source is found off only where another hour is better than the same one by more than CERTAIN standard
    errors, and right only where the same hour is the best and better than nothing by as much; else it is inconclusive.
    """
    moves = hourly_moves(candles)
    totals = news.groupby("source", sort=True)["article_count"].sum()
    large = [str(source) for source in totals.index[totals >= MIN_HEADLINES]]
    return [_verdict(ALL, news, moves), *(_verdict(name, news[news["source"] == name], moves) for name in large)]


def hourly_moves(candles: pd.DataFrame) -> pd.Series:
    """The mean absolute log return of all instruments by hour (UTC), each relative to its own mean."""
    if candles.empty:
        return pd.Series(dtype="float64", index=pd.DatetimeIndex([], tz="UTC"))
    size = np.abs(np.log(candles["close"].to_numpy() / candles["open"].to_numpy()))
    usual = pd.Series(size).groupby(candles["instrument"].to_numpy()).transform("mean").to_numpy()
    hour = candles["time"].dt.floor("h").to_numpy("datetime64[us]")
    relative = pd.Series(size / np.where(usual > 0, usual, 1.0)).groupby(hour).mean()
    relative.index = pd.DatetimeIndex(relative.index, tz="UTC")
    return relative


def _verdict(source: str, rows: pd.DataFrame, moves: pd.Series) -> NewsClock:
    headlines = int(rows["article_count"].sum())
    counts = rows.groupby(rows["published"].dt.floor("h"))["article_count"].sum()
    none = NewsClock(source, "inconclusive", 0, headlines, 0, {}, float("nan"))
    if moves.empty or counts.empty:
        return none
    first, last = max(moves.index[0], counts.index[0]), min(moves.index[-1], counts.index[-1])
    hours = moves.index[(moves.index >= first) & (moves.index <= last)]
    if len(hours) < MIN_HOURS or headlines < MIN_HEADLINES:
        return NewsClock(source, "inconclusive", 0, headlines, len(hours), {}, float("nan"))
    every = pd.date_range(first - pd.Timedelta(hours=MAX_HOURS), last + pd.Timedelta(hours=MAX_HOURS), freq="h")
    burst = _unusual(counts.reindex(every, fill_value=0).astype(float))
    size = _unusual(moves.reindex(hours))
    found = {}
    for lag in range(-MAX_HOURS, MAX_HOURS + 1):
        shifted = burst.reindex(hours + pd.Timedelta(hours=lag)).to_numpy()
        found[lag] = _correlation(shifted, size.to_numpy())
    error = float(np.sqrt(2.0 / len(hours)))
    best = max(found, key=lambda lag: found[lag])
    if best != 0 and found[best] - found[0] > CERTAIN * error:
        verdict = "off"
    elif best == 0 and found[0] > CERTAIN * error:
        verdict = "right"
    else:
        verdict, best = "inconclusive", 0
    return NewsClock(source, verdict, best, headlines, len(hours), found, error)


def _unusual(series: pd.Series) -> pd.Series:
    """Logarithms less the mean of the hour of the week."""
    index = pd.DatetimeIndex(series.index)
    values = pd.Series(np.log1p(series.to_numpy()), index=index)
    return values - values.groupby([index.dayofweek, index.hour]).transform("mean")


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or one[both].std() == 0 or other[both].std() == 0:
        return 0.0
    return float(np.corrcoef(one[both], other[both])[0, 1])
