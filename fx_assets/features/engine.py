"""All feature groups in one pass over the bars. Formulas are in the group files and in kernels/."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd

from fx_assets.cores import cores
from fx_assets.features import bar_length, calendar, cross, economic, rates
from fx_assets.features.blocks import OPTIONAL, PRICES, Bars, Block, values_of
from fx_assets.features.reference import Reference
from fx_assets.features.registry import BY_NAME, available_features, specs
from fx_assets.features.spec import GROUPS

MARKET = ("technical", "microstructure", "volatility", "regime")
_WORTH_THREADS = 20_000  # rows
_CROSS_BARS = 130  # more than the longest window of the group cross


def compute_features(
    bars: pd.DataFrame, groups: Iterable[str] | None = None, reference: Reference | None = None, bar_us: int = 0
) -> pd.DataFrame:
    """Features of one or several instruments.

    bars: instrument, time (tz-aware bar open), open, high, low, close; optional volume, bid_close, ask_close, of which
        a missing figure counts as zero.
    groups: names of feature groups; None for all. reference: releases and policy rates, for the groups economic and
        rates; None leaves them out. bar_us: length of a bar in microseconds: what of the reference is known at a bar
        is what was known at its close; 0 takes its open. With 0, instruments whose bars differ in length, by the rule
        of bar_length.py, do not see each other in the group cross.
    Returns instrument, time and the supported features (see `available_features`) in canonical order,
    float64, sorted by (instrument, time). NaN only in a feature's warm-up.
    Raises ValueError for unknown groups, DataError for bars that `blocks.Bars.read` refuses.
    """
    return features_of(Bars.read(bars), groups, reference, bar_us)


def latest_features(tail: pd.DataFrame, reference: Reference | None = None, bar_us: int = 0) -> pd.DataFrame:
    """The features of each instrument's newest bar, to the last bit those of `compute_features`.

    tail: should hold max_window() bars per instrument; other arguments and errors as there.
    """
    return features_of(Bars.read(tail), None, reference, bar_us, newest=True)


def features_of(
    bars: Bars,
    groups: Iterable[str] | None = None,
    reference: Reference | None = None,
    bar_us: int = 0,
    newest: bool = False,
) -> pd.DataFrame:
    """`compute_features` of bars that are read already, or, of each instrument's newest bar only, `latest_features`."""
    wanted = GROUPS if groups is None else tuple(groups)
    supported = set(available_features(bars.frame.columns, bars.names, reference)[0])
    names = [spec.name for group in wanted for spec in specs(group) if spec.name in supported]
    starts = [max(0, len(block.close) - 1) if newest else 0 for block in bars.blocks]
    counts = [len(block.close) - start for block, start in zip(bars.blocks, starts, strict=True)]
    ends = np.cumsum(counts).tolist()
    out = np.empty((len(names), ends[-1]))
    rows = {name: row for row, name in enumerate(names)}
    across = _across(bars.blocks, rows, bar_us, newest)

    def fill(part: int) -> None:
        block, start, at = bars.blocks[part], starts[part], ends[part] - counts[part]
        found = _columns(block, wanted, rows, reference, bar_us, start) | across.get(block.instrument, {})
        for name, values in found.items():
            if name in rows:
                out[rows[name], at : ends[part]] = values[len(values) - counts[part] :]
        market = [group for group in MARKET if group in wanted]
        if market and len(block.close):
            from fx_assets.features.market import write

            write(block, market, rows, out, at, start)
        for row, name in enumerate(names):
            if (unknown := min(BY_NAME[name].warmup - start, counts[part])) > 0:
                out[row, at : at + unknown] = np.nan

    # The kernels leave the interpreter to others: instruments are worked on side by side where it pays.
    threads = min(len(counts), cores()) if len(bars.frame) >= _WORTH_THREADS else 1
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(len(counts))))
    else:
        for part in range(len(counts)):
            fill(part)
    keys = bars.frame if not newest else bars.frame.iloc[[end - 1 for end in bars.ends if end]]
    table = pd.DataFrame(out.T, columns=pd.Index(names), copy=False)
    table.insert(0, "time", values_of(keys["time"]))
    table.insert(0, "instrument", values_of(keys["instrument"]))
    return table


def _across(blocks: list[Block], rows: dict[str, int], bar_us: int, newest: bool) -> dict[str, dict[str, np.ndarray]]:
    """The cross features of every instrument, where any is asked for; of the newest bars at least the last one's."""
    if not any(spec.name in rows for spec in cross.SPECS):
        return {}
    lengths = bar_us or bar_length.lengths({block.instrument: block.time_us for block in blocks})
    if newest:
        blocks = _recent(blocks)
    return cross.compute({block.instrument: block for block in blocks}, lengths)


def _recent(blocks: list[Block]) -> list[Block]:
    """The bars since the first that any instrument's newest cross features look at."""
    begin = min((int(block.time_us[-_CROSS_BARS:][0]) for block in blocks if len(block.close)), default=0)
    short = []
    for block in blocks:
        first = int(np.searchsorted(block.time_us, begin))
        names = ("time_us", *PRICES, *(name for name in OPTIONAL if getattr(block, name) is not None))
        short.append(replace(block, **{name: getattr(block, name)[first:] for name in names}) if first else block)
    return short


def _columns(
    block: Block,
    groups: tuple[str, ...],
    rows: dict[str, int],
    reference: Reference | None,
    bar_us: int,
    start: int,
) -> dict[str, np.ndarray]:
    """The features of the groups that give columns of their own."""
    found: dict[str, np.ndarray] = {}
    if "calendar" in groups:
        found |= calendar.compute(block)
    if reference is not None:
        if "economic" in groups and economic.SPECS[0].name in rows:
            found |= economic.compute(block, block.instrument, reference, bar_us)
        if "rates" in groups and rates.SPECS[0].name in rows:
            found |= rates.compute(block, block.instrument, reference, bar_us)
    return found
