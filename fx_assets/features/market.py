"""One instrument's technical, microstructure, volatility and regime features, tile by tile, into rows of an array.

The formulas are in kernels/; here is only which of them run over which bars. Import this module inside functions: it
loads the compiled kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import ModuleType

import numpy as np

from fx_assets.features import microstructure, regime, technical, volatility
from fx_assets.features.blocks import Block
from fx_assets.features.kernels import microstructure as microstructure_kernels
from fx_assets.features.kernels import regime as regime_kernels
from fx_assets.features.kernels import same_slot
from fx_assets.features.kernels import series as tiles
from fx_assets.features.kernels import technical as technical_kernels
from fx_assets.features.kernels import volatility as volatility_kernels

SPECS = {
    "technical": technical.SPECS,
    "microstructure": microstructure.SPECS,
    "volatility": volatility.SPECS,
    "regime": regime.SPECS,
}
KERNELS = {
    "technical": technical_kernels,
    "microstructure": microstructure_kernels,
    "volatility": volatility_kernels,
    "regime": regime_kernels,
}
# Bars worked on together: their series and the scratch stay in the second cache.
TILE = 2048
_LARGEST_PRICE = 1e100
_LONGEST_MEAN = max(taps for _, taps in volatility.SPEEDS.values())


def write(block: Block, groups: Collection[str], rows: Mapping[str, int], out: np.ndarray, at: int, start: int) -> None:
    """Write the groups' features of the bars from `start` on into out[rows[name], at:]; warm-ups are not marked.

    rows: of every feature of these groups that the block's columns allow. out: float64 (features, n), C order.
    """
    n = len(block.close)
    columns = _columns(block)
    hours = _hours(block, columns, groups, start)
    where = {g: np.array([rows.get(spec.name, -1) for spec in SPECS[g]], np.int64) for g in groups}
    parts = {group: _parts(KERNELS[group], block) for group in groups}
    for position in range(start, n, TILE):
        size = min(TILE, n - position)
        if position == start or size < TILE:
            series = np.empty((tiles.SERIES, tiles.HALO + size))
            scratch = np.zeros((tiles.SCRATCH, tiles.HALO + size))
        tiles.prepare(columns, position, series, scratch)
        for group in groups:
            tile = (series, scratch, out, where[group], at + position - start)
            for part in parts[group]:
                part(*tile)
            if group == "microstructure" and block.volume is not None:
                same_slot.volume_against_hour(hours, *tile, position)
            if group == "volatility":
                same_slot.moves_against_hour(hours, *tile, position)
    if "regime" in groups:
        # Logarithms of whole rows are numpy's.
        exponent = out[rows["hurst_120"], at : at + n - start]
        np.log2(exponent, out=exponent)
        exponent *= 0.05


def _parts(kernels: ModuleType, block: Block) -> list[Callable[..., None]]:
    """A group's kernels for which the block has the columns."""
    parts = list(kernels.OF_PRICES)
    if block.volume is not None:
        parts += getattr(kernels, "OF_VOLUME", ())
    if block.bid_close is not None and block.ask_close is not None:
        parts += getattr(kernels, "OF_QUOTES", ())
    return parts


def _columns(block: Block) -> np.ndarray:
    """The columns that `kernels.series.prepare` takes, float64 (12, n)."""
    columns = np.empty((tiles.ASK + 1, len(block.close)))
    columns[tiles.OPEN], columns[tiles.HIGH] = block.open, block.high
    columns[tiles.LOW], columns[tiles.CLOSE] = block.low, block.close
    np.log(columns[tiles.OPEN : tiles.CLOSE + 1], out=columns[tiles.LOG_OPEN : tiles.LOG_CLOSE + 1])
    _rescale(columns[tiles.OPEN : tiles.CLOSE + 1])
    columns[tiles.VOLUME] = 0.0 if block.volume is None else block.volume
    np.log1p(columns[tiles.VOLUME], out=columns[tiles.LOG_VOLUME])
    columns[tiles.BID] = 0.0 if block.bid_close is None else block.bid_close
    columns[tiles.ASK] = 0.0 if block.ask_close is None else block.ask_close
    return columns


def _rescale(prices: np.ndarray) -> None:
    """Bring prices whose squares would be no numbers near one, in place.

    By a power of two, to which every feature is blind to the last bit; what is still out of bounds is cut off.
    """
    if prices.size and (prices.min() < 1.0 / _LARGEST_PRICE or prices.max() > _LARGEST_PRICE):
        np.ldexp(prices, -int(np.frexp(prices[0, 0])[1]), out=prices)
        np.clip(prices, 1.0 / _LARGEST_PRICE, _LARGEST_PRICE, out=prices)


def _hours(block: Block, columns: np.ndarray, groups: Collection[str], start: int) -> np.ndarray:
    """Figures against their time of day, float64 (HOURS, n), of the groups and from where a mean looks back to."""
    n = columns.shape[1]
    volume = "microstructure" in groups and block.volume is not None
    if "volatility" not in groups and not volume:
        return np.zeros((same_slot.HOURS, 0))
    hours = np.zeros((same_slot.HOURS, n))
    begin = max(0, start - _LONGEST_MEAN)
    before = same_slot.same_slot_before(block.slot)
    if "volatility" in groups:
        logged = columns[tiles.LOG_CLOSE]
        size = np.zeros(n)
        np.abs(np.subtract(logged[1:], logged[:-1], out=size[1:]), out=size[1:])
        to = hours[same_slot.MOVE], hours[same_slot.NEXT_MOVE], hours[same_slot.NEXT_MOVE_RECENT]
        same_slot.yardsticks(size, before, 1, begin, *to)
        span = columns[tiles.LOG_HIGH] - columns[tiles.LOG_LOW]
        to = hours[same_slot.RANGE], size, hours[same_slot.NEXT_RANGE_RECENT]
        same_slot.yardsticks(span, before, 0, begin, *to)
    if volume:
        spare = np.empty((2, n))
        same_slot.yardsticks(columns[tiles.VOLUME], before, 0, begin, hours[same_slot.VOLUME], spare[0], spare[1])
    return hours
