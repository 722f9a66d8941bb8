"""Is a training set what a desk could have known? Asked of its rows, with none of the code that joined them.

The tables' checks prove each table honest; what is left to go wrong is putting them together: a join without its lag,
a row under its neighbour, an outcome under a feature's name, a label that is called known before it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fx_assets.configuration import Label
from fx_assets.features.blocks import MINUTE_US, time_us
from fx_assets.lake import Lake

# Sessions whose features are read again, spread over the window: a wrong join is wrong everywhere.
SAMPLED = 6
MOST = 5


def sampled(sessions: list[str]) -> list[str]:
    """At most SAMPLED of the sessions, the first and the last among them."""
    places = np.unique(np.linspace(0, len(sessions) - 1, min(SAMPLED, len(sessions))).round().astype(int))
    return [sessions[int(place)] for place in places]


def problems(
    lake: Lake,
    rows: pd.DataFrame,
    names: Sequence[str],
    label: Label,
    bar_minutes: Mapping[str, int],
    sessions: list[str],
) -> list[str]:
    """What is wrong with a training set, in words; empty when nothing is.

    rows: as training_set.build gives them. names: the model's inputs. bar_minutes: length of a bar by instrument.
    sessions: the window. Every decision must be taken when its bar closes, and every label end when its horizon is
    over. In the sampled sessions every input must be, to the last bit, that of the newest row of gold/features that
    was known at the decision.
    """
    found = _times(rows, label, bar_minutes)
    keys = sampled(sessions)
    parts = lake.read("gold/features", keys, ["instrument", "available_at", *names])
    if not parts:
        return [*found, f"gold/features: none of the sessions {', '.join(keys)} is there to compare with"]
    known = pd.concat(parts.values(), ignore_index=True)
    return [*found, *_inputs(rows, known, names)]


def _times(rows: pd.DataFrame, label: Label, bar_minutes: Mapping[str, int]) -> list[str]:
    lengths = rows["instrument"].map(dict(bar_minutes)).to_numpy(np.int64)
    decided, ends = time_us(rows["decision_time"]), time_us(rows["label_end"])
    found = []
    if (early := decided != time_us(rows["time"]) + lengths * MINUTE_US).any():
        found.append(f"{int(early.sum())} decisions are not taken when their bar closes, {_first(rows, early)}")
    if label.has_barriers:
        return found
    needed = np.array([label.minutes(int(length)) for length in lengths], np.int64) * MINUTE_US
    # Bars may have nights and weekends between them, minutes may not.
    wrong = ends - decided != needed if label.horizon_minutes is not None else ends - decided < needed
    if wrong.any():
        found.append(f"{int(wrong.sum())} labels do not end when their horizon is over, {_first(rows, wrong)}")
    return found


def _inputs(rows: pd.DataFrame, known: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Compare the inputs of the rows that were decided where gold rows were read."""
    codes = {symbol: code for code, symbol in enumerate(sorted(set(rows["instrument"]) | set(known["instrument"])))}
    known = known.sort_values(["instrument", "available_at"], kind="stable", ignore_index=True)
    # One axis for all instruments, each shifted beyond the others.
    moments, decided = time_us(known["available_at"]), time_us(rows["decision_time"])
    first = min(int(moments.min()), int(decided.min()))
    span = max(int(moments.max()), int(decided.max())) - first + 1
    axis = known["instrument"].map(codes).to_numpy(np.int64) * span + moments - first
    asked = rows["instrument"].map(codes).to_numpy(np.int64) * span + decided - first
    # Only what was decided at a moment that was read: elsewhere a newer row may lie in a session that was not.
    place = np.searchsorted(axis, asked, side="right") - 1
    here = (place >= 0) & (axis[np.maximum(place, 0)] == asked)
    if not here.any():
        return ["no decision of the sampled sessions has a row of gold/features that was known just then"]
    given = rows.loc[here, list(names)].to_numpy(float)
    should = known[list(names)].to_numpy(float)[place[here]]
    differs = ~((given == should) | (np.isnan(given) & np.isnan(should)))
    if not differs.any():
        return []
    wrong = [name for name, bad in zip(names, differs.any(axis=0), strict=True) if bad]
    lines = np.flatnonzero(here)[differs.any(axis=1)]
    told = ", ".join(wrong[:MOST]) + (f" and {len(wrong) - MOST} more" if len(wrong) > MOST else "")
    mask = np.zeros(len(rows), bool)
    mask[lines] = True
    return [f"{told}: {len(lines)} of {len(given)} rows are not what was known at the decision, {_first(rows, mask)}"]


def _first(rows: pd.DataFrame, where: np.ndarray) -> str:
    row = rows.iloc[int(np.argmax(where))]
    return f"the first of {row['instrument']} at {row['decision_time'].isoformat()}"
