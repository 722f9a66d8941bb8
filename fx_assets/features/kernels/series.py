"""The series of a tile that several groups use: which row of the `series` array holds which, and how they are made.

A tile is `size` neighbouring bars and the HALO bars before them, so that every window of the tile lies within it; a
history that begins later is filled up with its first price, and the engine makes the values that saw it missing.
"""

from __future__ import annotations

from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import ladder, larger, smaller, stretch
from fx_assets.features.spec import MAX_WINDOW

HALO = MAX_WINDOW

OPEN, HIGH, LOW, CLOSE, LOG_OPEN, LOG_HIGH, LOG_LOW, LOG_CLOSE = range(8)
VOLUME, LOG_VOLUME, BID, ASK = range(8, 12)
# Change of the close, log return, its size and square, and its product with the return before it.
CHANGE, RETURN, SIZE, SQUARE, PRODUCT = range(12, 17)
# Sums over so many bars.
SQUARE_6, SQUARE_24, SQUARE_120, SIZE_24, SIZE_120, PRODUCT_24, VOLUME_24 = range(17, 24)
# Highest high and lowest low of 2, 4, 8, 16, 32 and 64 bars.
TOPS, BOTTOMS = 24, 30
SERIES = 36
SCRATCH = 16


@kernel()
def prepare(columns, at, series, scratch):
    """Fill `series` (SERIES, HALO + size) for the tile that starts at bar `at`.

    columns: float64 (12, n) in the order of the rows OPEN to ASK; what is not there is zero.
    """
    n = series.shape[1]
    first = at - HALO
    missing = max(0, -first)
    for row in range(ASK + 1):
        series[row, missing:] = columns[row, first + missing : first + n]
        # Flat prices and no trade before the history: neutral in every formula.
        series[row, :missing] = (
            0.0 if row in (VOLUME, LOG_VOLUME) else columns[row - row % 4 + 3 if row < 8 else row, 0]
        )
    _changes(series)
    square, size, product = series[SQUARE], series[SIZE], series[PRODUCT]
    ladder(square, 1.0, 6, scratch[0], scratch[1], series[SQUARE_6])
    stretch(series[SQUARE_6], 6, 4, 1.0, series[SQUARE_24])
    stretch(series[SQUARE_24], 24, 5, 1.0, series[SQUARE_120])
    ladder(size, 1.0, 24, scratch[0], scratch[1], series[SIZE_24])
    stretch(series[SIZE_24], 24, 5, 1.0, series[SIZE_120])
    ladder(product, 1.0, 24, scratch[0], scratch[1], series[PRODUCT_24])
    ladder(series[VOLUME], 1.0, 24, scratch[0], scratch[1], series[VOLUME_24])
    larger(series[HIGH], 1, series[TOPS])
    smaller(series[LOW], 1, series[BOTTOMS])
    for level in range(1, 6):
        larger(series[TOPS + level - 1], 1 << level, series[TOPS + level])
        smaller(series[BOTTOMS + level - 1], 1 << level, series[BOTTOMS + level])


@kernel()
def _changes(series):
    close, logged = series[CLOSE], series[LOG_CLOSE]
    change, move, size, square = series[CHANGE], series[RETURN], series[SIZE], series[SQUARE]
    change[0] = 0.0
    move[0] = 0.0
    later, before, log_later, log_before = close[1:], close[:-1], logged[1:], logged[:-1]
    to_change, to_move = change[1:], move[1:]
    for j in range(len(later)):
        to_change[j] = later[j] - before[j]
    for j in range(len(later)):
        to_move[j] = log_later[j] - log_before[j]
    for j in range(len(move)):
        size[j] = abs(move[j])
    for j in range(len(move)):
        square[j] = move[j] * move[j]
    product = series[PRODUCT]
    product[0] = 0.0
    to_product, newer, older = product[1:], move[1:], move[:-1]
    for j in range(len(newer)):
        to_product[j] = newer[j] * older[j]
