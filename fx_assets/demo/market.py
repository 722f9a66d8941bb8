"""The traffic that the demo replays: rows of the model's own training period, as they were or after a shock."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from fx_assets.features import feature_names
from fx_assets.sessions import session_bounds

ROWS = 2000
SHOCK = 2.5  # the planted shock multiplies every volatility feature by this


def replayed_rows(
    reference: Path, features: list[str], session: str, seed: int, shock: bool
) -> list[tuple[str, datetime, dict[str, float]]]:
    """ROWS requests of one session: (instrument, decision time, all features of the model).

    reference: the training sample in the model's bundle. Without a shock the rows are a sample of it, so that what
    the service is asked is distributed as what the model was trained on; with it, every volatility feature is SHOCK
    times as large, as in a market that has become that much wilder.
    """
    rows = pd.read_parquet(reference).sample(ROWS, random_state=seed, replace=True)
    if shock:
        wild = [name for name in features if name in set(feature_names("volatility"))]
        rows[wild] = rows[wild] * SHOCK
    start, end = (pd.Timestamp(moment) for moment in session_bounds(session))
    times = pd.date_range(start, end, periods=ROWS + 2)[1:-1].floor("ms")
    values = rows[features].to_numpy(float)
    return [
        (symbol, moment.to_pydatetime(), dict(zip(features, row.tolist(), strict=True)))
        for symbol, moment, row in zip(rows["instrument"], times, values, strict=True)
    ]
