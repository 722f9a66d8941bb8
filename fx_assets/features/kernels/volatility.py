"""The volatility group but for its figures against their hour, of one tile. What each value means is said beside its
declaration in features/volatility.py."""

from __future__ import annotations

from math import log, pi, sqrt

from fx_assets.features.kernels.arithmetic import bounded, positive, ratio
from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import ladder, moments, rank, stretch
from fx_assets.features.kernels.series import (
    HALO,
    LOG_CLOSE,
    LOG_HIGH,
    LOG_LOW,
    LOG_OPEN,
    PRODUCT,
    RETURN,
    SIZE,
    SIZE_24,
    SIZE_120,
    SQUARE,
    SQUARE_6,
    SQUARE_24,
    SQUARE_120,
)
from fx_assets.features.spec import positions
from fx_assets.features.volatility import EWMA_DECAY, EWMA_TAPS, SPECS

ROW = positions(SPECS)
EWMA_SHARE = (1.0 - EWMA_DECAY) / (1.0 - EWMA_DECAY**EWMA_TAPS)
PARKINSON = 1.0 / (4.0 * log(2.0))
GARMAN = 2.0 * log(2.0) - 1.0
YANG = 0.34 / (1.34 + 25.0 / 23.0)


@kernel("void(f8[::1], f8, f8[::1])")
def _root(total, share, to):
    for j in range(len(to)):
        to[j] = sqrt(positive(total[j] * share))


@kernel()
def _realised(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    a, b, total, longer, speed = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    six, day, week = out[rows[ROW.realised_6], at:till], series[SQUARE_24], out[rows[ROW.realised_120], at:till]
    _root(series[SQUARE_24][HALO:], 1.0 / 24.0, out[rows[ROW.realised_24], at:till])
    _root(series[SQUARE_120][HALO:], 1.0 / 120.0, week)
    stretch(day, 24, 2, 1.0, total)
    _root(total[HALO:], 1.0 / 48.0, out[rows[ROW.realised_48], at:till])
    stretch(series[SQUARE_120], 120, 2, 1.0, longer)
    _root(longer[HALO:], 1.0 / 240.0, out[rows[ROW.realised_240], at:till])
    _root(series[SQUARE_6], 1.0 / 6.0, speed)
    six[:] = speed[HALO:]
    mean, square = moments(speed, 24, scratch[5:7], scratch[7:9])
    middle, squares, unrest = mean[HALO:], square[HALO:], out[rows[ROW.volatility_of_volatility], at:till]
    for j in range(len(unrest)):
        unrest[j] = ratio(sqrt(positive(squares[j]) * (1.0 / 24.0)), middle[j], 0.0)
    share = out[rows[ROW.volatility_ratio_6_120], at:till]
    for j in range(len(share)):
        share[j] = ratio(six[j], week[j], 0.0)
    # Ranks of sums of squares are those of their roots.
    rank(day, 240, a, out[rows[ROW.volatility_rank_240], at:till])
    ladder(series[SQUARE], EWMA_DECAY, EWMA_TAPS, a, b, total)
    ewma = out[rows[ROW.ewma_volatility], at:till]
    _root(total[HALO:], EWMA_SHARE, ewma)
    for k in range(1, 4):
        before = series[SIZE][HALO - k : n - k]
        to = out[rows[ROW.absolute_return_lag_1 + k - 1], at:till]
        for j in range(len(to)):
            to[j] = ratio(before[j], ewma[j], 0.0)


@kernel()
def _jumps(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    a, b, values, total = scratch[0], scratch[1], scratch[2], scratch[3]
    product, move, square = series[PRODUCT], series[RETURN], series[SQUARE]
    sums, whole = total[HALO:], series[SQUARE_24][HALO:]
    for j in range(n):
        values[j] = abs(product[j])
    ladder(values, 1.0, 24, a, b, total)
    bipower, jumps = out[rows[ROW.bipower_24], at:till], out[rows[ROW.jump_share_24], at:till]
    _root(sums, 0.5 * pi / 24.0, bipower)
    for j in range(len(jumps)):
        jumps[j] = bounded(ratio(whole[j] - 0.5 * pi * sums[j], whole[j], 0.0), 0.0, 1.0)
    for j in range(n):
        values[j] = square[j] if move[j] < 0.0 else 0.0
    ladder(values, 1.0, 24, a, b, total)
    downside, upside = out[rows[ROW.downside_24], at:till], out[rows[ROW.upside_24], at:till]
    _root(sums, 1.0 / 24.0, downside)
    for j in range(n):
        values[j] = square[j] if move[j] > 0.0 else 0.0
    rises = scratch[4]
    ladder(values, 1.0, 24, a, b, rises)
    ups, balance = rises[HALO:], out[rows[ROW.semivariance_balance_24], at:till]
    _root(ups, 1.0 / 24.0, upside)
    for j in range(len(balance)):
        balance[j] = ratio(ups[j] - sums[j], ups[j] + sums[j], 0.0)


@kernel()
def _ranges(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    opened, high, low, close = series[LOG_OPEN], series[LOG_HIGH], series[LOG_LOW], series[LOG_CLOSE]
    a, b, values, spans, garman, drift_free = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    for j in range(n):
        values[j] = (high[j] - low[j]) * (high[j] - low[j])
    ladder(values, 1.0, 24, a, b, spans)
    _root(spans[HALO:], PARKINSON / 24.0, out[rows[ROW.parkinson_24], at:till])
    for j in range(n):
        body = close[j] - opened[j]
        values[j] = 0.5 * values[j] - GARMAN * (body * body)
    ladder(values, 1.0, 24, a, b, garman)
    _root(garman[HALO:], 1.0 / 24.0, out[rows[ROW.garman_klass_24], at:till])
    for j in range(n):
        up, down = high[j] - opened[j], low[j] - opened[j]
        values[j] = up * (high[j] - close[j]) + down * (low[j] - close[j])
    ladder(values, 1.0, 24, a, b, drift_free)
    satchell, yang = drift_free[HALO:], out[rows[ROW.yang_zhang_24], at:till]
    _root(satchell, 1.0 / 24.0, out[rows[ROW.rogers_satchell_24], at:till])
    values[0] = 0.0
    to, opens, before = values[1:], opened[1:], close[:-1]
    for j in range(n - 1):
        to[j] = opens[j] - before[j]
    _, overnight = moments(values, 24, scratch[6:8], scratch[8:10])
    nights = overnight[HALO:]
    for j in range(len(yang)):
        yang[j] = nights[j] * (1.0 / 23.0) + (1.0 - YANG) * positive(satchell[j] * (1.0 / 24.0))
    for j in range(n):
        values[j] = close[j] - opened[j]
    _, bodies = moments(values, 24, scratch[6:8], scratch[8:10])
    days = bodies[HALO:]
    for j in range(len(yang)):
        yang[j] = sqrt(positive(yang[j] + YANG * days[j] * (1.0 / 23.0)))


@kernel()
def _levels(series, scratch, out, rows, at):
    # Mean size of moves of 24 and 120 bars over that of 480.
    till = at + series.shape[1] - HALO
    level = scratch[0]
    stretch(series[SIZE_120], 120, 4, 1.0, level)
    whole, day, week = level[HALO:], series[SIZE_24][HALO:], series[SIZE_120][HALO:]
    short, long = out[rows[ROW.move_level_24], at:till], out[rows[ROW.move_level_120], at:till]
    for j in range(len(short)):
        short[j] = ratio(20.0 * day[j], whole[j], 0.0)
    for j in range(len(long)):
        long[j] = ratio(4.0 * week[j], whole[j], 0.0)


# Each writes its features of a tile into out[rows[ROW.name], at : at + size].
OF_PRICES = (_realised, _jumps, _ranges, _levels)
