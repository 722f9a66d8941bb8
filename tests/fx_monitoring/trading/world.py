"""A small market for paper trading: hourly candles of two instruments, and the champions' batch predictions on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.lake import Lake
from fx_assets.market_hours import market_hours
from fx_assets.sessions import session_keys
from fx_monitoring.configuration.trading import Trading
from fx_monitoring.trading.forecasts import Ask, Batch
from fx_monitoring.trading.ledger import Run, open_ledger
from fx_monitoring.trading.trader import Done, Trader

MODEL = "direction_60m"
SYMBOLS = ("GBP_USD", "USD_JPY")
BOOKS = Trading(mode="core", core_instruments=SYMBOLS, models=(MODEL,), source="batch", max_trades_per_day=24)
HOUR = timedelta(hours=1)
MONDAY = datetime(2022, 2, 28, 22, tzinfo=UTC)  # 17:00 New York: a session's start


class World:
    """One home's lake and ledger. `now` is what the data clock says to `run`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lake = Lake(home / "lake")
        self.path = home / "monitoring" / "trading.db"
        self.configuration: Configuration = load_configuration()
        self.runs = 0

    def candles(
        self,
        hours: int,
        start: datetime = MONDAY,
        seed: int = 1,
        leave_out: tuple[datetime, ...] = (),
        quoted: bool = True,
    ) -> pd.DataFrame:
        """Write a random walk. leave_out: opens of bars that never came. quoted: whether bid and ask are recorded."""
        opens = market_hours("fx").expected_bars(start, start + hours * HOUR, 60)
        rng, parts = np.random.default_rng(seed), []
        for symbol in SYMBOLS:
            close = 1.3 * np.exp(np.cumsum(rng.normal(0, 2e-3, len(opens))))
            half = rng.uniform(2e-5, 3e-4, len(opens)) if quoted else np.full(len(opens), np.nan)
            columns = {"instrument": symbol, "time": opens, "available_at": opens + HOUR, "close": close}
            columns |= {"open": close, "high": close * 1.001, "low": close * 0.999, "volume": 9.0, "source": "sample"}
            parts.append(pd.DataFrame({**columns, "bid_close": close * (1 - half), "ask_close": close * (1 + half)}))
        frame = pd.concat(parts, ignore_index=True)
        frame = frame[~frame["time"].isin([pd.Timestamp(moment) for moment in leave_out])]
        frame = frame.astype({"time": "datetime64[us, UTC]", "available_at": "datetime64[us, UTC]"})
        for key, part in frame.groupby(np.asarray(session_keys(frame["time"]), object)):
            self.lake.write("silver/candles", {str(key): part.sort_values(["instrument", "time"])})
        return frame

    def predict(self, candles: pd.DataFrame, prediction: np.ndarray | float, model: str = MODEL) -> pd.DataFrame:
        """Write batch predictions of every candle, made at its close."""
        rows = pd.DataFrame(
            {
                "instrument": candles["instrument"].to_numpy(object),
                "decision_time": candles["available_at"].to_numpy(),
                "predicted_at": candles["available_at"].to_numpy(),
                "model": model,
                "version": "3",
                "prediction": np.broadcast_to(np.asarray(prediction, float), len(candles)),
                "label": "up",
            }
        ).astype({"decision_time": "datetime64[us, UTC]", "predicted_at": "datetime64[us, UTC]"})
        keys = session_keys(rows["decision_time"] - pd.Timedelta(microseconds=1))
        for key, part in rows.groupby(np.asarray(keys, object)):
            self.lake.write(f"models/{model}/batch_predictions", {str(key): part})
        return rows

    def run(self, now: datetime, settings: Trading = BOOKS, ask: Ask | None = None, blocked: str | None = None) -> Done:
        """One run of the trader at a moment."""
        self.runs += 1
        asked = ask or Batch(self.lake, now)
        trader = Trader(self.configuration, settings, self.lake, asked, now, blocked)
        with open_ledger(self.path) as ledger:
            return trader.run(ledger, Run(f"run-{self.runs}", now, settings.mode, "trading"))
