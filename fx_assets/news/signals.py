"""What the news known at some decision times add up to. The sweeps are in kernels.py, the declarations in spec.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features.blocks import time_us
from fx_assets.news.entities import ENTITIES, instrument_entities
from fx_assets.news.spec import MARKET, SIGNALS

# More articles than this for one headline count as this many: sums stay exact in 64 bits.
MOST_ARTICLES = 1000


def news_signals(
    news: pd.DataFrame,
    decision_times: pd.DatetimeIndex,
    instrument: str | None = None,
    known_until: pd.DatetimeIndex | None = None,
) -> pd.DataFrame:
    """The signals of all news, and with an instrument those of its currencies too.

    news: available_at (with time zone, the first moment it is known) and sentiment in [-1, 1]; and where they are
        there article_count (1 otherwise), novelty (1), duplicate_of (a headline that repeats another one is left out;
        empty or missing: it repeats none) and relevance_<entity> (0). Any order; the order changes nothing.
    decision_times: with time zone, any order. A headline counts if available_at <= decision time, or, with
        known_until (for each decision time the same moment or a microsecond less), if available_at <= that.
    Returns a frame indexed by decision_times, float64: the columns of spec.MARKET, or with an instrument NEWS_SIGNALS.
    Without news every signal has its SignalSpec.neutral.
    Raises DataError for a missing column or a time without zone.
    """
    return signals_of(news, decision_times, () if instrument is None else (instrument,), known_until)[instrument]


def signals_of(
    news: pd.DataFrame,
    decision_times: pd.DatetimeIndex,
    instruments: tuple[str, ...],
    known_until: pd.DatetimeIndex | None = None,
) -> dict[str | None, pd.DataFrame]:
    """As news_signals, for several instruments: those of all news are the same for each and computed once.

    Without instruments the one entry is that of None.
    """
    from fx_assets.news import kernels

    missing = [c for c in ("available_at", "sentiment") if c not in news.columns]
    if missing:
        raise DataError(f"news: column(s) {', '.join(missing)} missing. Pass available_at and sentiment.")
    if not isinstance(news["available_at"].dtype, pd.DatetimeTZDtype) or decision_times.tz is None:
        raise DataError("news.available_at and the decision times need a time zone. Localise them to UTC first.")
    moment = time_us(decision_times)
    known = moment if known_until is None else time_us(known_until)
    order = None if bool((moment[1:] >= moment[:-1]).all()) else np.argsort(moment, kind="stable")
    if order is not None:
        moment, known = moment[order], known[order]
    events = _Events(news)
    names = [spec.name for spec in (SIGNALS if instruments else MARKET)]
    first = np.zeros((len(names), len(moment)))
    kernels.market_signals(events.time_us, events.market_sums(), moment, known, first[: len(MARKET)])
    found: dict[str | None, pd.DataFrame] = {}
    for instrument in instruments or (None,):
        rows = first
        if found:
            rows = np.zeros_like(first)
            rows[: len(MARKET)] = first[: len(MARKET)]
        if instrument is not None:
            kernels.pair_signals(*events.pair_sums(instrument), moment, known, rows[len(MARKET) :])
        placed = rows if order is None else _placed(rows, order)
        found[instrument] = pd.DataFrame(placed.T, index=decision_times, columns=pd.Index(names), copy=False)
    return found


def _placed(rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Columns of decision times in order, back where they came from."""
    placed = np.empty_like(rows)
    placed[:, order] = rows
    return placed


class _Events:
    """The headlines that count, sorted by time, as integers in the units of kernels.py."""

    def __init__(self, news: pd.DataFrame):
        from fx_assets.news import kernels

        mass = np.minimum(np.rint(_column(news, "article_count", 1.0)), MOST_ARTICLES).astype(np.int64)
        counts = mass > 0
        if "duplicate_of" in news.columns:
            repeated = news["duplicate_of"]
            counts &= (repeated.isna() | (repeated == "")).to_numpy(bool)
        times = time_us(news["available_at"])
        rows = np.flatnonzero(counts)
        rows = rows[np.argsort(times[rows], kind="stable")]
        self._news, self._rows = news, rows
        self.time_us = np.ascontiguousarray(times[rows])
        self.mass = mass[rows]
        self.value = _whole(np.clip(_column(news, "sentiment", 0.0)[rows], -1.0, 1.0) * kernels.VALUE)
        self.novelty = _whole(np.minimum(_column(news, "novelty", 1.0)[rows], 1.0) * kernels.NOVELTY)
        self._fresh = kernels.decay_in_block(self.time_us) * kernels.FRESH

    def market_sums(self) -> np.ndarray:
        """Prefix sums for kernels.market_signals."""
        from fx_assets.news import kernels

        total, novel = self.mass * self.value, self.mass * self.novelty
        fresh = [_whole(self.mass * self._fresh), _whole(total / kernels.VALUE * self._fresh)]
        return _prefix([self.mass, total, total * self.value, novel, novel * self.value, *fresh])

    def pair_sums(self, instrument: str) -> tuple[np.ndarray, np.ndarray]:
        """Times and prefix sums for kernels.pair_signals, of the headlines about the instrument's entities."""
        from fx_assets.news import kernels

        found = [self._relevance(entity) for entity in instrument_entities(instrument)]
        largest = np.maximum(*found)
        about = np.flatnonzero(largest)
        value, novelty, fresh = self.value[about], self.novelty[about], self._fresh[about]
        rows: list[np.ndarray] = []
        for relevance in found:
            weight = (self.mass * relevance)[about]
            share, novel = weight / kernels.RELEVANCE * fresh, weight * novelty
            rows += [
                weight,
                weight * value,
                novel,
                novel * value,
                _whole(share),
                _whole(share * (value / kernels.VALUE)),
            ]
        return self.time_us[about], _prefix([*rows, (self.mass * largest)[about]])

    def _relevance(self, entity: str) -> np.ndarray:
        from fx_assets.news import kernels

        if entity not in ENTITIES:
            return np.zeros(len(self._rows), np.int64)
        return _whole(np.minimum(_column(self._news, f"relevance_{entity}", 0.0)[self._rows], 1.0) * kernels.RELEVANCE)


def _whole(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int64)


def _column(news: pd.DataFrame, name: str, default: float) -> np.ndarray:
    """A column as finite numbers; `default` where it is not there, 0 where it is missing."""
    if name not in news.columns:
        return np.full(len(news), default)
    values = np.nan_to_num(news[name].to_numpy(float), posinf=0.0, neginf=0.0)
    return values if name == "sentiment" else np.maximum(values, 0.0)


def _prefix(rows: list[np.ndarray]) -> np.ndarray:
    """int64 (len(rows), n + 1): sums of the first 0, 1, ... n values."""
    out = np.zeros((len(rows), len(rows[0]) + 1), np.int64)
    for k, row in enumerate(rows):
        np.cumsum(row, out=out[k, 1:])
    return out
