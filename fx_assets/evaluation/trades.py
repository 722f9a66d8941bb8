"""The list of trades of a backtest. A trade is an unbroken stay on one side of one instrument.

It begins with the first held return and ends when the side changes or nothing follows; a change of size is part of
it. Each trade carries the cost of its own opening and closing, so a flip is charged half to each side.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = (
    "instrument",
    "entry_time",
    "exit_time",
    "side",
    "size",
    "rows",
    "gross_return",
    "spread_cost",
    "swap_cost",
    "net_return",
)


def listed(held: pd.DataFrame) -> pd.DataFrame:
    """One row for each trade, sorted by entry_time and instrument.

    held: see `backtest.Run`. Returns COLUMNS: times UTC; side 1 or -1 (int8); size the mean absolute position over
    its bars; rows its bars; returns and costs as shares of the instrument's own capital, net_return = gross_return -
    spread_cost - swap_cost. Returns within a trade are summed, not compounded.
    """
    number = np.cumsum(~held["follows"].to_numpy(bool))
    frame = held.assign(
        weighted=held["position"].abs() * held["rows"], spread_cost=held["entry_cost"] + held["exit_cost"]
    )
    grouped = frame.groupby(number, sort=False)
    found = grouped.agg(
        instrument=("instrument", "first"),
        entry_time=("entry_time", "first"),
        exit_time=("exit_time", "last"),
        side=("position", "first"),
        size=("weighted", "sum"),
        rows=("rows", "sum"),
        gross_return=("gross", "sum"),
        spread_cost=("spread_cost", "sum"),
        swap_cost=("swap", "sum"),
    )
    found["side"] = np.sign(found["side"]).astype("int8")
    found["size"] = found["size"] / found["rows"]
    found["net_return"] = found["gross_return"] - found["spread_cost"] - found["swap_cost"]
    for column in ("entry_time", "exit_time"):
        found[column] = found[column].astype("datetime64[us]").dt.tz_localize("UTC")
    found = found.astype({"rows": "int64", "instrument": "object"})
    return found[list(COLUMNS)].sort_values(["entry_time", "instrument"], ignore_index=True)


def figures(trades: pd.DataFrame) -> dict[str, float]:
    """trades (count), win_rate (share with a net gain) and profit_factor (gains over losses); NaN without a basis."""
    net = trades["net_return"].to_numpy(float)
    losses = -net[net < 0].sum()
    return {
        "trades": len(net),
        "win_rate": float((net > 0).mean()) if len(net) else float("nan"),
        "profit_factor": float(net[net > 0].sum() / losses) if losses > 0 else float("nan"),
    }
