"""Compiled loops of the cross group. Import this module inside functions (numba is heavy).

Bars are worked on in tiles of TILE rows behind a halo of HALO rows, so that everything between the prices and the
features stays in the nearest cache. A sum over a window is put together from sums over 2, 4, 8, ... rows, each taken
in an order fixed relative to its own last row: it depends on the values in its window and on nothing else, to the last
bit, wherever the tile, the range or the history begins. Plain sums are enough for moments: returns scatter around zero
far more than their mean is away from it, and a variance below ROUNDING of the mean square is taken for zero.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.kernels.compiled import stored

TILE = 1024
HALO = 128
LONG = 120
FEWEST = 30  # rows with others that a correlation, beta or z-score must stand on
ROUNDING = 1e-10
SMALLEST = 1e-9  # a deviation of log prices below this is rounding
LIMIT = 10.0

# Rows of `series`: one value for each bar of a tile and its halo.
# fmt: off
(OWN, BASE, QUOTE, BASKET, SQUARE, SPREAD_OUT, THERE, RESIDUAL, CROSSED, COUNT_BASE, COUNT_QUOTE, COUNT,
 ALIGNED, PRODUCT, LADDER, SPARE) = range(16)
(N, X, B, XX, BB, XB, X1, XX1, XB1, Q, X24, B24, D24, T24, R, RR, RN) = range(16, 33)
SERIES = 33
# Rows of `out`, in the order of cross.SPECS.
(BASE_STRENGTH, QUOTE_STRENGTH, DIFFERENCE, CORRELATION, BETA, NEW_RESIDUAL, RESIDUAL_24, LEAD, DISPERSION_24,
 VOLATILITY, CROSS_RESIDUAL, CROSS_ZSCORE) = (0, 4, 8, 12, 13, 14, 15, 16, 17, 18, 19, 20)
# fmt: on


@stored()
def place(grid: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Position of each of `times` in `grid`, which holds all of them; both rise."""
    out = np.empty(times.shape[0], np.int64)
    at = 0
    for i in range(times.shape[0]):
        while grid[at] < times[i]:
            at += 1
        out[i] = at
    return out


@stored()
def _window_sum(values: np.ndarray, window: int, ladder: np.ndarray, spare: np.ndarray, out: np.ndarray) -> None:
    """out[i] = sum of the `window` values up to values[i], exact in order for i >= window - 1; all of one length.

    The window is cut into powers of two, the smallest over the oldest values; ladder and spare are scratch.
    """
    n = values.shape[0]
    for i in range(n):
        ladder[i] = values[i]
        out[i] = 0.0
    width = 1
    covered = 0  # how many of the oldest values the pieces account for
    while True:
        if window & width:
            covered += width
            back = window - covered
            newer = out[back:]
            for i in range(n - back):
                newer[i] += ladder[i]
        if 2 * width > window:
            return
        doubled, older, newest = spare[width:], ladder[: n - width], ladder[width:]
        for i in range(n - width):
            doubled[i] = newest[i] + older[i]
        ladder, spare = spare, ladder
        width *= 2


@stored()
def _returns(logs, places, own, first, lenders, on_base, on_quote, series):
    """Own return, and the others' means for each bar of the tile from row `first` of the instrument on.

    A row that does not exist (negative), and the first one, which has no return, count as without others.
    """
    size = series.shape[1]
    for name in (OWN, BASE, QUOTE, BASKET, SQUARE, COUNT_BASE, COUNT_QUOTE, COUNT):
        series[name, :] = 0.0
    begin = max(first, 1) - first
    aligned, change = series[ALIGNED], series[PRODUCT]
    for k in range(-1, lenders.shape[0]):
        other = logs[own if k < 0 else lenders[k]]
        for at in range(begin, size):
            aligned[at] = other[places[first + at]]
        previous = other[places[first + begin - 1]] if begin < size else 0.0
        for at in range(begin + 1, size):
            change[at] = aligned[at] - aligned[at - 1]
        if begin < size:
            change[begin] = aligned[begin] - previous
        if k < 0:
            series[OWN, begin:] = change[begin:]
        else:
            # The basket moves as the instrument would: the side of the shared currency in both decides.
            sign = on_base[k] if on_base[k] != 0.0 else -on_quote[k]
            _add(change, begin, on_base[k], on_quote[k], sign, series)
    there, spread_out = series[THERE], series[SPREAD_OUT]
    base, quote, basket, square = series[BASE], series[QUOTE], series[BASKET], series[SQUARE]
    count_base, count_quote, count = series[COUNT_BASE], series[COUNT_QUOTE], series[COUNT]
    for at in range(size):
        base[at] = base[at] / max(count_base[at], 1.0)
        quote[at] = quote[at] / max(count_quote[at], 1.0)
        basket[at] = basket[at] / max(count[at], 1.0)
        square[at] = square[at] / max(count[at], 1.0)
        variance = square[at] - basket[at] * basket[at]
        spread_out[at] = np.sqrt(variance) if variance > ROUNDING * square[at] else 0.0
        there[at] = 1.0 if count[at] > 0.0 else 0.0


@stored()
def _add(change, begin, sign_base, sign_quote, sign, series):
    """Add one other's return, where it has one, to the sums over the others."""
    base, quote, basket, square = series[BASE], series[QUOTE], series[BASKET], series[SQUARE]
    count_base, count_quote, count = series[COUNT_BASE], series[COUNT_QUOTE], series[COUNT]
    for at in range(begin, change.shape[0]):
        there = change[at] == change[at]  # no number where either bar is missing
        value = change[at] if there else 0.0
        known = 1.0 if there else 0.0
        basket[at] += sign * value
        square[at] += value * value
        count[at] += known
        base[at] += sign_base * value
        quote[at] += sign_quote * value
        count_base[at] += abs(sign_base) * known
        count_quote[at] += abs(sign_quote) * known


@stored()
def _crosses(logs, places, own, first, crosses, signs, series):
    """Log own close less that of the product of two others: the mean over those that have a bar at that time."""
    residual, count = series[RESIDUAL], series[CROSSED]
    residual[:] = 0.0
    count[:] = 0.0
    begin = max(first, 0) - first
    for k in range(crosses.shape[0]):
        left, right = logs[crosses[k, 0]], logs[crosses[k, 1]]
        for at in range(begin, series.shape[1]):
            row = places[first + at]
            product = signs[k, 0] * left[row] + signs[k, 1] * right[row]
            there = product == product
            residual[at] += logs[own, row] - product if there else 0.0
            count[at] += 1.0 if there else 0.0
    for at in range(series.shape[1]):
        residual[at] = residual[at] / max(count[at], 1.0)
        count[at] = 1.0 if count[at] > 0.0 else 0.0


@stored()
def _summed(left, right, window, series, target):
    """series[target] = the window's sums of series[left] * series[right]; right -1: of series[left]."""
    product = series[PRODUCT]
    a = series[left]
    b = series[max(right, 0)]
    for at in range(product.shape[0]):
        product[at] = a[at] * b[at] if right >= 0 else a[at]
    _window_sum(product, window, series[LADDER], series[SPARE], series[target])


@stored()
def _strengths(series, out):
    size = out.shape[1]
    for name, first in ((BASE, BASE_STRENGTH), (QUOTE, QUOTE_STRENGTH)):
        for step, bars in enumerate((1, 6, 24, LONG)):
            _window_sum(series[name], bars, series[LADDER], series[SPARE], series[PRODUCT])
            sums = series[PRODUCT, HALO:]
            row = out[first + step]
            for at in range(size):
                row[at] = sums[at]
    for step in range(4):
        base, quote, difference = out[BASE_STRENGTH + step], out[QUOTE_STRENGTH + step], out[DIFFERENCE + step]
        for at in range(size):
            difference[at] = base[at] - quote[at]


@stored()
def _variance(count, total, squares):
    """Sum of squared distances from the mean; 0 where only rounding is left of it."""
    apart = squares - total * total / max(count, 1.0)
    return apart if apart > ROUNDING * squares else 0.0


@stored()
def _correlation(count, x, y, xx, yy, xy):
    left, right = _variance(count, x, xx), _variance(count, y, yy)
    scale = np.sqrt(left) * np.sqrt(right)
    if count < FEWEST or scale <= 0.0:
        return 0.0
    return min(1.0, max(-1.0, (xy - x * y / count) / scale))


@stored()
def _basket(series, out):
    # The own return counts where the basket has one: now, and, for the lead, one bar earlier.
    own, here = series[ALIGNED], series[THERE]
    for at in range(own.shape[0]):
        own[at] = series[OWN, at] * here[at]
    for left, right, target in (
        *((THERE, -1, N), (ALIGNED, -1, X), (BASKET, -1, B), (ALIGNED, ALIGNED, XX), (BASKET, BASKET, BB)),
        *((ALIGNED, BASKET, XB), (SQUARE, -1, Q)),
    ):
        _summed(left, right, LONG, series, target)
    for left, target in ((ALIGNED, X24), (BASKET, B24), (SPREAD_OUT, D24), (THERE, T24)):
        _summed(left, -1, 24, series, target)
    earlier = series[COUNT]
    earlier[0] = 0.0
    own[0] = 0.0
    for at in range(1, own.shape[0]):
        own[at] = series[OWN, at] * here[at - 1]
        earlier[at] = series[BASKET, at - 1]
    for left, right, target in ((ALIGNED, -1, X1), (ALIGNED, ALIGNED, XX1), (OWN, COUNT, XB1)):
        _summed(left, right, LONG, series, target)
    for row in range(out.shape[1]):
        at = HALO + row
        count, x, b = series[N, at], series[X, at], series[B, at]
        variance = _variance(count, b, series[BB, at])
        beta = 0.0
        if count >= FEWEST and variance > 0.0:
            beta = min(LIMIT, max(-LIMIT, (series[XB, at] - x * b / count) / variance))
        known = count >= FEWEST and variance > 0.0
        out[CORRELATION, row] = _correlation(count, x, b, series[XX, at], series[BB, at], series[XB, at])
        out[BETA, row] = beta
        fresh = known and here[at] > 0.0
        out[NEW_RESIDUAL, row] = series[OWN, at] - beta * series[BASKET, at] if fresh else 0.0
        out[RESIDUAL_24, row] = series[X24, at] - beta * series[B24, at] if known else 0.0
        out[LEAD, row] = _correlation(
            series[N, at - 1], series[X1, at], series[B, at - 1], series[XX1, at], series[BB, at - 1], series[XB1, at]
        )
        out[DISPERSION_24, row] = series[D24, at] / max(series[T24, at], 1.0)
        relative = 1.0
        if count >= FEWEST and (series[Q, at] > 0.0 or series[XX, at] > 0.0):
            most = LIMIT * np.sqrt(series[Q, at])
            size = np.sqrt(series[XX, at])
            relative = LIMIT if size >= most else size / np.sqrt(series[Q, at])
        out[VOLATILITY, row] = relative


@stored()
def _cross_rates(series, out):
    for left, right, target in ((RESIDUAL, -1, R), (RESIDUAL, RESIDUAL, RR), (CROSSED, -1, RN)):
        _summed(left, right, LONG, series, target)
    for row in range(out.shape[1]):
        at = HALO + row
        residual, count = series[RESIDUAL, at], series[RN, at]
        out[CROSS_RESIDUAL, row] = residual
        deviation = np.sqrt(_variance(count, series[R, at], series[RR, at]) / max(count, 1.0))
        known = count >= FEWEST and series[CROSSED, at] > 0.0 and deviation >= SMALLEST
        score = (residual - series[R, at] / max(count, 1.0)) / max(deviation, SMALLEST)
        out[CROSS_ZSCORE, row] = min(LIMIT, max(-LIMIT, score)) if known else 0.0


@stored()
def cross_rows(logs, places, own, lenders, on_base, on_quote, crosses, signs, out):
    """Fill out (21, n) with one instrument's features, warm-up rows included (the caller makes these NaN).

    logs: (instruments, times) log closes on a grid of all times, NaN where a bar is missing. places: (n,) the grid's
    column of each bar of the instrument, which is row `own` of logs. lenders: rows of the others that share one of its
    currencies, in the order they are added; on_base, on_quote: +1 where its base (quote) currency is their base, -1
    where it is their quote, else 0. crosses: (m, 2) rows whose log closes times signs (m, 2) make its own.
    """
    n = places.shape[0]
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        series = np.empty((SERIES, HALO + stop - start))
        part = out[:, start:stop]
        if lenders.shape[0]:
            _returns(logs, places, own, start - HALO, lenders, on_base, on_quote, series)
            _strengths(series, part)
            _basket(series, part)
        else:
            part[:CROSS_RESIDUAL] = 0.0
            part[VOLATILITY] = 1.0
        if crosses.shape[0]:
            _crosses(logs, places, own, start - HALO, crosses, signs, series)
            _cross_rates(series, part)
        else:
            part[CROSS_RESIDUAL:] = 0.0
