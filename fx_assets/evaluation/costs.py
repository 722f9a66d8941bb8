"""What half a spread costs, by instrument and hour of the New York day, from recorded bid and ask.

Spreads widen at the 17:00 rollover and in the hours before Asia opens, and follow the New York clock through
daylight saving. Where no bid and ask are recorded, the typical spread of the configuration stands in, and the
source says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.features.blocks import NEW_YORK, time_us, wall_minute

COLUMNS = ("instrument", "hour", "half_spread", "rows", "source")
RECORDED, TYPICAL = "recorded", "typical"
HOURS = 24
MIN_ROWS = 20  # of an hour; below, the instrument's median over all hours is steadier


def hours(times: Any) -> np.ndarray:
    """Hour of the New York day of UTC times (tz-aware series or datetime64), int64 0..23."""
    return (wall_minute(time_us(times), NEW_YORK) % 1440) // 60


def table(candles: pd.DataFrame) -> pd.DataFrame:
    """Median half spread over the mid price, by instrument and hour of the quote.

    candles: instrument, available_at (bar close; time where there is none), bid_close, ask_close; quotes without
    both sides, and those with the ask below the bid, are left out. An hour with fewer than MIN_ROWS quotes takes the
    instrument's median over all hours; its rows say how many it has itself.
    Returns COLUMNS, sorted: hour int64 0..23 New York, half_spread as a share of the price, rows int64, source
    "recorded"; all 24 hours of each instrument with at least MIN_ROWS quotes, and none of the others.
    """
    if not {"bid_close", "ask_close"} <= set(candles.columns) or not len(candles):
        return _empty()
    bid, ask = candles["bid_close"].to_numpy(float), candles["ask_close"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(bid) & np.isfinite(ask) & (bid > 0) & (ask >= bid)
    quotes = candles.loc[good]
    if not len(quotes):
        return _empty()
    frame = pd.DataFrame(
        {
            "instrument": quotes["instrument"].to_numpy(object),
            "hour": hours(quotes["available_at" if "available_at" in quotes.columns else "time"]),
            "half_spread": (ask[good] - bid[good]) / (ask[good] + bid[good]),
        }
    )
    whole = frame.groupby("instrument")["half_spread"].agg(["median", "size"])
    whole = whole[whole["size"] >= MIN_ROWS]
    if not len(whole):
        return _empty()
    every = pd.MultiIndex.from_product([sorted(whole.index), range(HOURS)], names=["instrument", "hour"])
    found = frame.groupby(["instrument", "hour"])["half_spread"].agg(["median", "size"]).reindex(every)
    rows = found["size"].fillna(0).astype("int64")
    steady = found["median"].where(rows >= MIN_ROWS, whole["median"].reindex(every, level="instrument"))
    out = pd.DataFrame({"half_spread": steady, "rows": rows, "source": RECORDED}).reset_index()
    return out.astype({"hour": "int64", "instrument": "object", "source": "object"})[list(COLUMNS)]


def with_typical(costs: pd.DataFrame, typical: Mapping[str, float]) -> pd.DataFrame:
    """The table with all 24 hours of every instrument of `typical` (relative half spreads) that it lacks."""
    lacking = sorted(set(typical) - set(costs["instrument"]))
    if not lacking:
        return costs
    added = pd.DataFrame(
        {
            "instrument": np.repeat(np.array(lacking, object), HOURS),
            "hour": np.tile(np.arange(HOURS, dtype="int64"), len(lacking)),
            "half_spread": np.repeat([float(typical[name]) for name in lacking], HOURS),
            "rows": np.zeros(HOURS * len(lacking), "int64"),
            "source": np.repeat(np.array([TYPICAL], object), HOURS * len(lacking)),
        }
    )
    parts = [part for part in (costs, added) if len(part)]
    return pd.concat(parts).sort_values(["instrument", "hour"], ignore_index=True)[list(COLUMNS)]


def for_rows(costs: pd.DataFrame, rows: pd.DataFrame, typical: Mapping[str, float] | None = None) -> np.ndarray:
    """Half the spread over the price at each row's decision, float64 (n,).

    rows: instrument, decision_time (UTC). typical: relative half spread of instruments that the table lacks.
    Raises ValueError for an instrument that neither knows.
    """
    full = with_typical(costs, typical or {})
    names = rows["instrument"].to_numpy(str)
    known, code = np.unique(names, return_inverse=True)
    matrix = np.full((len(known), HOURS), np.nan)
    here = full[full["instrument"].isin(known.tolist())]
    matrix[np.searchsorted(known, here["instrument"].to_numpy(str)), here["hour"].to_numpy(int)] = here["half_spread"]
    out = matrix[code.ravel(), hours(rows["decision_time"])]
    if not np.isfinite(out).all():
        unknown = sorted(set(names[~np.isfinite(out)].tolist()))
        raise ValueError(f"no half spread for {', '.join(unknown)}. State the typical spread in instruments.yaml.")
    return out


def cost_source(costs: pd.DataFrame, instruments: Iterable[str]) -> str:
    """Where the costs of the instruments come from: "recorded", "typical", or which from which."""
    recorded = set(costs.loc[costs["source"] == RECORDED, "instrument"])
    names = sorted(set(instruments))
    known, assumed = [n for n in names if n in recorded], [n for n in names if n not in recorded]
    if not assumed:
        return RECORDED
    return f"{RECORDED}: {', '.join(known)}; {TYPICAL}: {', '.join(assumed)}" if known else TYPICAL


def to_json(costs: pd.DataFrame) -> list[dict[str, Any]]:
    """The table as plain records, for a file; `from_json` gives back the same table, to the last bit."""
    return [
        {"instrument": str(i), "hour": int(h), "half_spread": float(s), "rows": int(n), "source": str(o)}
        for i, h, s, n, o in costs[list(COLUMNS)].itertuples(index=False, name=None)
    ]


def from_json(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of `to_json`'s records."""
    if not records:
        return _empty()
    frame = pd.DataFrame([dict(record) for record in records])[list(COLUMNS)]
    return frame.astype({**_empty().dtypes.to_dict()})


def _empty() -> pd.DataFrame:
    kinds = {"instrument": "object", "hour": "int64", "half_spread": "float64", "rows": "int64", "source": "object"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
