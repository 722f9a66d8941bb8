"""gold/labels from candles: every label that models.yaml asks for, side by side."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fx_assets.configuration import Label
from fx_assets.gold.join import side_by_side
from fx_assets.labels import direction, large_move

KEYS = ["instrument", "time"]


def label_table(candles: pd.DataFrame, labels: Iterable[Label], bar_minutes: dict[str, int]) -> pd.DataFrame:
    """instrument, time, available_at and the columns of each label (see schemas.py); missing where undecided.

    candles: silver candles of one or several instruments. bar_minutes: length of a bar by instrument.
    """
    wanted = list(labels)
    parts = [
        _one_instrument(part, wanted, bar_minutes[str(symbol)])
        for symbol, part in candles.groupby("instrument", sort=True)
    ]
    return pd.concat(parts, ignore_index=True) if parts else candles[[*KEYS, "available_at"]]


def _one_instrument(bars: pd.DataFrame, labels: list[Label], minutes: int) -> pd.DataFrame:
    table = bars[[*KEYS, "available_at"]]
    for label in labels:
        horizon = label.horizon_minutes
        if label.kind == "large_move":
            columns = large_move(bars, horizon, minutes)
            extra = {name: f"{label.column}_{name}" for name in ("threshold", "persistence")}
        else:
            columns, extra = direction(bars, horizon, minutes), {}
        renamed = columns.rename(
            columns={
                "label": label.column,
                "label_end": f"label_end_{horizon}m",
                "forward_return": f"forward_return_{horizon}m",
                **extra,
            }
        )
        fresh = [name for name in renamed.columns if name not in table.columns]
        table = side_by_side(table, renamed[[*KEYS, *fresh]])
    return table
