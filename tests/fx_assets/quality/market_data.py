"""Rows as bronze gives them, and markets to screen them in: recorded extracts and a calm made-up hour grid."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Quality
from fx_assets.quality.market import Listed, Market
from fx_assets.quality.screen import Screened, screen
from fx_assets.sessions import session_bounds, session_keys

DEFECTS = Path(__file__).parents[2] / "data" / "defects"
SPREADS = {"JPY": 0.012}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def recorded(name: str, source: str = "feed") -> pd.DataFrame:
    """A recorded extract as fetched once."""
    return fetched(pd.read_parquet(DEFECTS / f"{name}.parquet"), source)


def fetched(frame: pd.DataFrame, source: str = "feed", at: str = "2025-12-01T00:00Z") -> pd.DataFrame:
    """Rows with what Bronze.read adds to them."""
    frame = frame.reset_index(drop=True)
    frame["time"] = frame["time"].astype("datetime64[us, UTC]")
    stamp = pd.Timestamp(at).as_unit("us")
    return frame.assign(fetch_source=source, fetched_at=stamp, session=session_keys(frame["time"]).to_numpy())


def market_of(frame: pd.DataFrame, minutes: int = 60, shares: dict[str, float] | None = None, **limits: Any) -> Market:
    """The instruments of some rows, with the default limits or others."""
    listed = [Listed(s, minutes, "fx", SPREADS.get(s[-3:], 0.00012)) for s in frame["instrument"].unique()]
    return Market(tuple(listed), Quality(**limits), shares or {})


def screened(frame: pd.DataFrame, market: Market | None = None, now: datetime = NOW, **limits: Any) -> Screened:
    """Every session of some rows, screened."""
    keys = sorted(frame["session"].unique())
    return screen(frame, keys, market or market_of(frame, **limits), now)


def reasons(found: Screened) -> dict[str, int]:
    """Quarantined rows by reason."""
    return {str(code): int(count) for code, count in found.quarantined["reason"].value_counts().items()}


def hours(
    session: str = "2021-03-02", symbols: tuple[str, ...] = ("EUR_USD", "USD_JPY", "GBP_USD"), seed: int = 1
) -> pd.DataFrame:
    """24 hourly candles of each symbol that no check objects to; dollars move together, spreads are a pip."""
    rng = np.random.default_rng(seed)
    times = pd.date_range(session_bounds(session)[0], periods=24, freq="h", unit="us")
    dollar = rng.normal(0, 0.0008, 24)
    parts = []
    for symbol in symbols:
        moves = (dollar if symbol.startswith("USD") else -dollar) + rng.normal(0, 0.0003, 24)
        scale = 110.0 if symbol.endswith("JPY") else 1.2
        close = scale * np.exp(np.cumsum(moves))
        open_ = np.concatenate([[scale], close[:-1]])
        edge = scale * 0.0002
        pip = scale * 0.00005
        parts.append(
            pd.DataFrame(
                {
                    "instrument": symbol,
                    "time": times,
                    "open": open_,
                    "high": np.maximum(open_, close) + edge,
                    "low": np.minimum(open_, close) - edge,
                    "close": close,
                    "volume": rng.integers(100, 900, 24).astype(float),
                    "bid_close": close - pip,
                    "ask_close": close + pip,
                }
            )
        )
    return fetched(pd.concat(parts, ignore_index=True))


def value(frame: pd.DataFrame, row: Any, name: str) -> float:
    """One number of a frame."""
    return float(frame[name].loc[row])


def changed(frame: pd.DataFrame, row: int, **values: Any) -> pd.DataFrame:
    """A copy with one row changed."""
    frame = frame.copy()
    for name, value in values.items():
        frame.loc[frame.index[row], name] = value
    return frame
