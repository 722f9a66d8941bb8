"""What sources changed their minds about: candles that came late, and candles that were corrected. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.silver.clean import PRICES

COLUMNS = ["instrument", "time", "column", "old", "new", "fetched_at", "source"]
LATE = "late"
_VALUES = (*PRICES, "volume", *(f"{side}_{price}" for side in ("bid", "ask") for price in PRICES))


def corrections(rows: pd.DataFrame) -> pd.DataFrame:
    """Differences between fetches of the same candles, by the time they were fetched.

    rows: candles as Bronze.read returns them. Returns instrument, time (bar open, UTC), column, old, new, fetched_at
    (of the fetch that brought it, UTC) and source (of that fetch). A candle that was missing in an earlier fetch of
    its session, which already had a later one, has column "late", no old value, and its close as the new one.
    """
    if rows.empty:
        return _nothing()
    if "complete" in rows.columns:
        rows = rows[rows["complete"].ne(False)]
    rows = rows.sort_values(["instrument", "time", "fetched_at"], kind="stable", ignore_index=True)
    found = [_late(rows), *_corrected(rows)]
    found = [part for part in found if len(part)]
    if not found:
        return _nothing()
    return pd.concat(found).sort_values(["fetched_at", "instrument", "time"], kind="stable", ignore_index=True)


def _corrected(rows: pd.DataFrame) -> list[pd.DataFrame]:
    again = rows.duplicated(["instrument", "time"], keep="first").to_numpy()
    position = np.flatnonzero(again)
    parts = []
    for name in (name for name in _VALUES if name in rows.columns):
        values = rows[name].to_numpy("float64")
        old, new = values[position - 1], values[position]
        differs = (old != new) & ~(np.isnan(old) & np.isnan(new))
        if differs.any():
            parts.append(_reported(rows.iloc[position[differs]], name, old[differs], new[differs]))
    return parts


def _late(rows: pd.DataFrame) -> pd.DataFrame:
    fetches = rows.groupby(["instrument", "session", "fetched_at"], sort=True)["time"].max()
    reached = fetches.groupby(level=[0, 1]).transform(lambda newest: newest.cummax().shift(1)).rename("reached")
    if reached.isna().all():
        return _nothing()
    first = rows[~rows.duplicated(["instrument", "time"], keep="first")]
    first = first.join(reached, on=["instrument", "session", "fetched_at"])
    late = first[first["time"] < first["reached"]]
    return _reported(late, LATE, np.full(len(late), np.nan), late["close"].to_numpy("float64"))


def _reported(rows: pd.DataFrame, column: str, old: np.ndarray, new: np.ndarray) -> pd.DataFrame:
    told = rows[["instrument", "time", "fetched_at"]].assign(
        column=column, old=old, new=new, source=rows["fetch_source"]
    )
    return told[COLUMNS]


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in COLUMNS})
