"""Any label of any candles: the one place that knows which function makes which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fx_assets.cores import cores
from fx_assets.features.blocks import MINUTE_US, Bars, time_us
from fx_assets.labels import barriers, fixed
from fx_assets.labels.columns import both_sides, everything, gold_names
from fx_assets.labels.horizon import Horizon
from fx_assets.labels.series import NEVER, Series

if TYPE_CHECKING:
    from fx_assets.configuration import Label

Columns = dict[str, np.ndarray]
_WORTH_THREADS = 20_000  # rows
_FIXED = {"direction": fixed.direction, "large_move": fixed.large_move, "return": fixed.future_return}


def compute_columns(series: Series, label: Label) -> Columns:
    """The columns of one label for one instrument, by the names that `gold_names` lists.

    Times are int64 microseconds UTC, NEVER where there is none. Raises ValueError for a horizon that bars cannot have.
    """
    if label.kind in _FIXED:
        horizon = Horizon(series.bar_minutes, label.horizon_minutes, label.horizon_bars)
        return _FIXED[label.kind](series, horizon)
    if label.timeout_bars is None:
        raise ValueError(f"{label.column}: a label with barriers needs timeout_bars.")
    trade = (label.up, label.down, label.timeout_bars, label.volatility_span)
    if label.kind == "triple_barrier":
        return barriers.triple_barrier(series, *trade)
    if not both_sides(label):
        return barriers.meta_label(series, barriers.last_sign(series), *trade)
    found: Columns = {}
    for name, side in (("long", 1.0), ("short", -1.0)):
        made = barriers.meta_label(series, np.full(len(series), side), *trade)
        found |= {name: made["label"], f"{name}_end": made["label_end"], f"{name}_return": made["forward_return"]}
        found["width"] = made["width"]
    return found


def label_frame(
    bars: pd.DataFrame, labels: Sequence[Label], bar_minutes: int | Mapping[str, int]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Every label side by side under its names in gold/labels, beside all columns of `bars`.

    bars: instrument, time (tz-aware bar open), the four prices and more; any order, several instruments.
    bar_minutes: length of a bar, of all or by instrument. An instrument whose bars a label's minutes are no multiple of
    has no such label: a model that covers it cannot ask for one.
    Returns the rows sorted by (instrument, time), and the length of each row's bar.
    Raises DataError for bars that cannot be used (see Bars.read).
    """
    read = Bars.read(bars)
    starts = [0, *read.ends[:-1]]
    counts = [end - start for start, end in zip(starts, read.ends, strict=True)]
    # A frame without rows is one block without instrument.
    lengths = [_length(bar_minutes, block.instrument) if len(block.close) else 1 for block in read.blocks]
    names = {label: gold_names(label) for label in labels}
    moments = {name for given in names.values() for inner, name in given.items() if inner.endswith("_end")}
    wanted = dict.fromkeys(name for given in names.values() for name in given.values())
    total = read.ends[-1]
    out = {name: np.full(total, NEVER if name in moments else np.nan) for name in wanted}

    def fill(part: int) -> None:
        series = Series(read.blocks[part], lengths[part])
        for label in labels:
            if label.horizon_minutes is None or label.horizon_minutes % lengths[part] == 0:
                for inner, values in compute_columns(series, label).items():
                    out[names[label][inner]][starts[part] : read.ends[part]] = values

    side_by_side(fill, len(counts), total)
    frame = read.frame.reset_index(drop=True)
    columns = {name: _utc(values) if name in moments else values for name, values in out.items()}
    made = pd.DataFrame({**{str(name): frame[name].array for name in frame.columns}, **columns}, copy=False)
    return made, np.repeat(np.array(lengths, np.int64), counts)


def side_by_side(work: Callable[[int], None], parts: int, rows: int) -> None:
    """Instruments in threads where there are many rows: the kernels leave the interpreter to others."""
    threads = min(parts, cores()) if rows >= _WORTH_THREADS else 1
    if threads <= 1:
        for part in range(parts):
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(parts)))


def compute(
    bars: pd.DataFrame, label: Label, bar_minutes: int | Mapping[str, int], sides: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One label of any candles under names that do not depend on it.

    As label_frame; sides: as of `outcome`, for a meta label that follows a model.
    Returns instrument, time, decision_time (the bar's close), label, label_end, forward_return, and by kind threshold
    and persistence, barrier and width, and side; sorted by (instrument, time), missing labels as NaN.
    Raises ValueError where the label's minutes are no multiple of an instrument's bar.
    """
    if label.horizon_minutes is not None:
        for symbol in bars["instrument"].unique():
            Horizon(_length(bar_minutes, symbol), label.horizon_minutes)
    frame, lengths = label_frame(bars[["instrument", "time", "open", "high", "low", "close"]], [label], bar_minutes)
    closes = time_us(frame["time"]) + lengths * MINUTE_US
    return everything(frame.assign(available_at=_utc(closes)), label, sides)


def _length(bar_minutes: int | Mapping[str, int], symbol: str) -> int:
    return bar_minutes if isinstance(bar_minutes, int) else bar_minutes[symbol]


def _utc(values: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(values.view("datetime64[us]")).tz_localize("UTC")
