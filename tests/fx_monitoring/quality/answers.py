"""Answers as the predictions table holds them, made directly: no log, no Dagster."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.sessions import is_session, news_bounds

MODEL = "move_60m"
SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY")
CALENDAR = [str(day.date()) for day in pd.date_range("2022-01-02", "2022-03-31") if is_session(str(day.date()))]
SESSION = "2022-03-03"


def sessions(count: int, last: str = SESSION) -> list[str]:
    """The `count` sessions that end with `last`."""
    return [key for key in CALENDAR if key <= last][-count:]


def answers(
    keys: list[str],
    seed: int = 0,
    skill: float = 1.0,
    version: str = "1",
    symbols: tuple[str, ...] = SYMBOLS,
    bold: float = 1.0,
) -> pd.DataFrame:
    """One answer an hour and instrument, calibrated where bold is 1: P(outcome) is the answer's own probability.

    skill: standard deviation of the true log odds. bold: stated log odds over the true ones.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for key in keys:
        closes = pd.date_range(news_bounds(key)[1] - pd.Timedelta(hours=23), periods=24, freq="h").as_unit("us")
        for symbol in symbols:
            odds = rng.normal(0, skill, len(closes))
            happened = rng.uniform(size=len(closes)) < 1 / (1 + np.exp(-odds))
            parts.append(
                pd.DataFrame(
                    {
                        "session": key,
                        "model": MODEL,
                        "version": version,
                        "instrument": symbol,
                        "timestamp": closes,
                        "decision_time": closes,
                        "label_end": closes + pd.Timedelta(minutes=60),
                        "prediction": 1 / (1 + np.exp(-bold * odds)),
                        "outcome": happened.astype(float),
                        "outcome_source": "label",
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
