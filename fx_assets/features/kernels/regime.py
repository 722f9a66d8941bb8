"""The regime group, of one tile. What each value means is said beside its declaration in features/regime.py."""

from __future__ import annotations

from math import log2, sqrt

import numpy as np

from fx_assets.features.kernels.arithmetic import bounded, ratio
from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import ladder, larger, smaller, stretch
from fx_assets.features.kernels.series import (
    BOTTOMS,
    CLOSE,
    HALO,
    LOG_CLOSE,
    PRODUCT,
    PRODUCT_24,
    RETURN,
    SIZE_24,
    SIZE_120,
    SQUARE,
    SQUARE_24,
    SQUARE_120,
    TOPS,
)
from fx_assets.features.regime import SPECS, TREND
from fx_assets.features.spec import positions

ROW = positions(SPECS)
# Sum of squared distances of the bars' numbers from their mean.
TREND_SQUARES = (TREND**3 - TREND) / 12.0
# Squares whose spread around the mean is smaller than this share of them are rounding.
ROUNDING = 1e-9
BARS, PATTERNS = 120, 8
# Share of the entropy that a pattern seen k times of BARS contributes, of at most log2(PATTERNS).
SURPRISE = np.array([0.0, *(k / BARS * log2(BARS / k) / log2(PATTERNS) for k in range(1, BARS + 1))])


@kernel()
def _reach(series, scratch, out, rows, at):
    till = at + series.shape[1] - HALO
    top, bottom, close = scratch[0], scratch[1], series[CLOSE][HALO:]
    larger(series[TOPS + 5], 56, top)
    smaller(series[BOTTOMS + 5], 56, bottom)
    highest, lowest = top[HALO:], bottom[HALO:]
    drawdown, runup = out[rows[ROW.drawdown_120], at:till], out[rows[ROW.runup_120], at:till]
    for j in range(len(close)):
        drawdown[j] = ratio(close[j] - highest[j], highest[j], 0.0)
    for j in range(len(close)):
        runup[j] = ratio(close[j] - lowest[j], lowest[j], 0.0)


@kernel()
def _trend(series, scratch, out, rows, at):
    # Windows are doubled: mean, squared deviations, and products of the deviations of price and time. Joining two of
    # w bars, whose means are w bars and d apart in time and price, adds w d^2 / 2 and w^2 d / 2.
    n = series.shape[1]
    till = at + n - HALO
    mean, square, product = series[LOG_CLOSE], scratch[0], scratch[1]
    mean_to, square_to, product_to = scratch[2], scratch[3], scratch[4]
    spare = scratch[5]
    square[:] = 0.0
    product[:] = 0.0
    w = 1
    while w < TREND:
        mean_to[:w] = mean[:w]
        square_to[:w] = 0.0
        product_to[:w] = 0.0
        m0, m1, q0, q1 = mean[w:], mean[: n - w], square[w:], square[: n - w]
        p0, p1 = product[w:], product[: n - w]
        mt, qt, pt = mean_to[w:], square_to[w:], product_to[w:]
        half, area = 0.5 * w, 0.5 * w * w
        for j in range(n - w):
            mt[j] = m1[j] + 0.5 * (m0[j] - m1[j])
        for j in range(n - w):
            d = m0[j] - m1[j]
            qt[j] = q0[j] + q1[j] + half * (d * d)
        for j in range(n - w):
            pt[j] = p0[j] + p1[j] + area * (m0[j] - m1[j])
        square, square_to = square_to, square
        product, product_to = product_to, product
        if w == 1:
            mean, mean_to = mean_to, spare
        else:
            mean, mean_to = mean_to, mean
        w *= 2
    slope, share = out[rows[ROW.trend_slope_64], at:till], out[rows[ROW.trend_r2_64], at:till]
    products, squares = product[HALO:], square[HALO:]
    for j in range(len(slope)):
        slope[j] = products[j] / TREND_SQUARES
    for j in range(len(slope)):
        share[j] = bounded(ratio(products[j] * slope[j], squares[j], 0.0), 0.0, 1.0)


@kernel()
def _efficiency(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    logged, move, a, b, values, total = (
        series[LOG_CLOSE],
        series[RETURN],
        scratch[0],
        scratch[1],
        scratch[2],
        scratch[3],
    )
    now = logged[HALO:]
    for side in range(2):
        bars = 24 if side == 0 else 120
        before = logged[HALO - bars : n - bars]
        sizes = series[SIZE_24 if side == 0 else SIZE_120][HALO:]
        squares = series[SQUARE_24 if side == 0 else SQUARE_120][HALO:]
        ratios, scaled = (
            out[rows[ROW.efficiency_ratio_24 + side], at:till],
            out[rows[ROW.scaled_momentum_24 + side], at:till],
        )
        for j in range(len(now)):
            ratios[j] = bounded(ratio(abs(now[j] - before[j]), sizes[j], 0.0), 0.0, 1.0)
        for j in range(len(now)):
            scaled[j] = ratio(now[j] - before[j], sqrt(squares[j]), 0.0)
    for j in range(n):
        values[j] = 1.0 if move[j] > 0.0 else (0.0 if move[j] < 0.0 else 0.5)
    ladder(values, 1.0, 24, a, b, total)
    ups, sums = out[rows[ROW.up_share_24], at:till], total[HALO:]
    for j in range(len(ups)):
        ups[j] = sums[j] / 24.0


@kernel()
def _memory(series, scratch, out, rows, at):
    # Sums of squared returns of 2, 4, 8 and 16 bars, 120 overlapping ones each, in scratch[4:8].
    n = series.shape[1]
    till = at + n - HALO
    logged, a, b, values = series[LOG_CLOSE], scratch[0], scratch[1], scratch[2]
    for level in range(4):
        bars = 2 << level
        values[:bars] = 0.0
        to, newer, older = values[bars:], logged[bars:], logged[: n - bars]
        for j in range(n - bars):
            d = newer[j] - older[j]
            to[j] = d * d
        ladder(values, 1.0, 120, a, b, scratch[4 + level])
    one, two, four = series[SQUARE_120][HALO:], scratch[4][HALO:], scratch[5][HALO:]
    eight, sixteen = scratch[6][HALO:], scratch[7][HALO:]
    short, long = out[rows[ROW.variance_ratio_4], at:till], out[rows[ROW.variance_ratio_16], at:till]
    for j in range(len(short)):
        short[j] = ratio(0.25 * four[j], one[j], 1.0)
    for j in range(len(long)):
        long[j] = ratio(0.0625 * sixteen[j], one[j], 1.0)
    # The slope of log2(v(2^k)) on k = 0..4 is (2 (l4 - l0) + l3 - l1) / 10; half of it is the exponent. Here only what
    # its logarithm is taken of, by numpy: `LOGARITHMS` in the engine.
    hurst = out[rows[ROW.hurst_120], at:till]
    for j in range(len(hurst)):
        far = sixteen[j] / one[j] if one[j] > 0.0 else 0.0
        near = eight[j] / two[j] if two[j] > 0.0 else 0.0
        value = far * far * near
        hurst[j] = bounded(value, 1e-30, 1e30) if value > 0.0 else 1024.0


@kernel()
def _entropy(series, scratch, out, rows, at):
    # The counts of the 8 patterns of 3 bars lie side by side in one integer, 8 bits each; at most BARS of each.
    n = series.shape[1]
    till = at + n - HALO
    move = series[RETURN]
    a, b = np.empty(n, np.int64), np.empty(n, np.int64)
    a[:2] = 0
    for j in range(2, n):
        pattern = (4 if move[j] > 0.0 else 0) + (2 if move[j - 1] > 0.0 else 0) + (1 if move[j - 2] > 0.0 else 0)
        a[j] = np.int64(1) << np.int64(8 * pattern)
    w, rest = 1, BARS
    while rest > 1:
        radix = 2 if rest % 2 == 0 else 3 if rest % 3 == 0 else 5
        h = (radix - 1) * w
        b[:h] = 0
        to = b[h:]
        to[:] = a[h:]
        for k in range(1, radix):
            older = a[h - k * w : n - k * w]
            for j in range(n - h):
                to[j] += older[j]
        a, b = b, a
        w, rest = w * radix, rest // radix
    counts, entropy = a[HALO:], out[rows[ROW.entropy_120], at:till]
    for j in range(len(entropy)):
        packed = counts[j]
        total = 0.0
        for k in range(PATTERNS):
            total += SURPRISE[(packed >> (8 * k)) & 255]
        entropy[j] = total


@kernel()
def _variance(square, total):
    """Mean squared deviation of BARS values from their sum of squares and sum, zero where it is rounding only."""
    variance = (square - total * total * (1.0 / BARS)) * (1.0 / BARS)
    return variance if variance * BARS > ROUNDING * square else 0.0


@kernel()
def _correlation(product, square, square_before, total, total_before):
    """Of BARS values and those before them, from sums of products, squares and values; 0 where either is constant."""
    both = sqrt(_variance(square, total)) * sqrt(_variance(square_before, total_before))
    return bounded(ratio((product - total * total_before * (1.0 / BARS)) * (1.0 / BARS), both, 0.0), -1.0, 1.0)


@kernel()
def _shape(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    logged, move, square, product = series[LOG_CLOSE], series[RETURN], series[SQUARE], series[PRODUCT]
    a, b, values = scratch[0], scratch[1], scratch[2]
    products, sizes, cubes, fourths = scratch[3], scratch[4], scratch[5], scratch[6]
    now, last, before, first = logged[HALO:], logged[HALO - 1 :], logged[HALO - 120 :], logged[HALO - 121 :]
    squares, share = series[SQUARE_120][HALO:], 1.0 / 120.0
    stretch(series[PRODUCT_24], 24, 5, 1.0, products)
    sums, auto, squares_before = (
        products[HALO:],
        out[rows[ROW.autocorrelation_120], at:till],
        series[SQUARE_120][HALO - 1 :],
    )
    for j in range(len(auto)):
        auto[j] = _correlation(sums[j], squares[j], squares_before[j], now[j] - before[j], last[j] - first[j])
    for j in range(n):
        values[j] = abs(product[j])
    ladder(values, 1.0, 120, a, b, sizes)
    joint, total, total_before = sizes[HALO:], series[SIZE_120][HALO:], series[SIZE_120][HALO - 1 :]
    size_auto = out[rows[ROW.size_autocorrelation_120], at:till]
    for j in range(len(size_auto)):
        size_auto[j] = _correlation(joint[j], squares[j], squares_before[j], total[j], total_before[j])
    for j in range(n):
        values[j] = square[j] * move[j]
    ladder(values, 1.0, 120, a, b, cubes)
    for j in range(n):
        values[j] = square[j] * square[j]
    ladder(values, 1.0, 120, a, b, fourths)
    thirds, quarters = cubes[HALO:], fourths[HALO:]
    skewness, kurtosis = out[rows[ROW.skewness_120], at:till], out[rows[ROW.kurtosis_120], at:till]
    for j in range(len(skewness)):
        mean, second = (now[j] - before[j]) * share, squares[j] * share
        variance = _variance(squares[j], now[j] - before[j])
        third = thirds[j] * share - mean * (3.0 * second - 2.0 * mean * mean)
        skewness[j] = ratio(third, variance * sqrt(variance), 0.0)
    for j in range(len(kurtosis)):
        mean, second = (now[j] - before[j]) * share, squares[j] * share
        variance = _variance(squares[j], now[j] - before[j])
        m = mean * mean
        fourth = quarters[j] * share - 4.0 * mean * (thirds[j] * share) + 6.0 * m * second - 3.0 * m * m
        kurtosis[j] = ratio(fourth, variance * variance, 3.0) - 3.0


# Each writes its features of a tile into out[rows[ROW.name], at : at + size].
OF_PRICES = (_reach, _trend, _efficiency, _memory, _entropy, _shape)
