"""The microstructure group, of one tile. What each value means is said beside its declaration in
features/microstructure.py."""

from __future__ import annotations

from math import sqrt

from fx_assets.features.kernels.arithmetic import bounded, positive, ratio, tanh
from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import ladder, moments, rank, stretch
from fx_assets.features.kernels.series import (
    ASK,
    BID,
    CLOSE,
    HALO,
    HIGH,
    LOG_CLOSE,
    LOG_HIGH,
    LOG_LOW,
    LOG_OPEN,
    LOG_VOLUME,
    LOW,
    OPEN,
    PRODUCT_24,
    RETURN,
    SIZE,
    SQUARE_24,
    VOLUME,
    VOLUME_24,
)
from fx_assets.features.microstructure import SPECS
from fx_assets.features.spec import positions

ROW = positions(SPECS)
CORWIN = 3.0 - 2.0 * sqrt(2.0)
# Corwin and Schultz' alpha: (sqrt(2 beta) - sqrt(beta)) / CORWIN - sqrt(gamma / CORWIN)
BETA_FACTOR, GAMMA_FACTOR = (sqrt(2.0) - 1.0) / CORWIN, 1.0 / sqrt(CORWIN)


@kernel()
def _prices(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    opened, high, low, close = series[OPEN][HALO:], series[HIGH][HALO:], series[LOW][HALO:], series[CLOSE][HALO:]
    position, body = out[rows[ROW.range_position], at:till], out[rows[ROW.body_position], at:till]
    for j in range(len(position)):
        position[j] = ratio(close[j] - low[j], high[j] - low[j], 0.5)
    for j in range(len(body)):
        body[j] = ratio(close[j] - opened[j], high[j] - low[j], 0.0)
    gap, log_open, log_before = (
        out[rows[ROW.gap], at:till],
        series[LOG_OPEN][HALO:],
        series[LOG_CLOSE][HALO - 1 : n - 1],
    )
    for j in range(len(gap)):
        gap[j] = log_open[j] - log_before[j]
    # Roll: covariance of a return with the one before; their sums are differences of log closes.
    products, logged, roll = series[PRODUCT_24][HALO:], series[LOG_CLOSE], out[rows[ROW.roll_spread_24], at:till]
    now, last, before, first = logged[HALO:], logged[HALO - 1 :], logged[HALO - 24 :], logged[HALO - 25 :]
    for j in range(len(roll)):
        means = ((now[j] - before[j]) * (1.0 / 24.0)) * ((last[j] - first[j]) * (1.0 / 24.0))
        roll[j] = 2.0 * sqrt(positive(means - products[j] * (1.0 / 24.0)))
    a, b, total, still, move = scratch[0], scratch[1], scratch[2], scratch[3], series[RETURN]
    for j in range(n):
        still[j] = 1.0 if move[j] == 0.0 else 0.0
    ladder(still, 1.0, 24, a, b, total)
    share, count = out[rows[ROW.zero_return_share_24], at:till], total[HALO:]
    for j in range(len(share)):
        share[j] = count[j] / 24.0


@kernel()
def _implied_spreads(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    high, low, logged = series[LOG_HIGH], series[LOG_LOW], series[LOG_CLOSE]
    a, b, values, total = scratch[0], scratch[1], scratch[2], scratch[3]
    values[0] = 0.0
    to, highs, lows, high_before, low_before = values[1:], high[1:], low[1:], high[:-1], low[:-1]
    for j in range(n - 1):
        newer, older = highs[j] - lows[j], high_before[j] - low_before[j]
        top = highs[j] if highs[j] > high_before[j] else high_before[j]
        bottom = lows[j] if lows[j] < low_before[j] else low_before[j]
        to[j] = BETA_FACTOR * sqrt(newer * newer + older * older) - GAMMA_FACTOR * abs(top - bottom)
    # 2 (e^alpha - 1) / (1 + e^alpha), written so that a large alpha cannot overflow
    for j in range(n):
        values[j] = positive(2.0 * tanh(0.5 * values[j]))
    ladder(values, 1.0, 24, a, b, total)
    corwin, sums = out[rows[ROW.corwin_schultz_24], at:till], total[HALO:]
    for j in range(len(corwin)):
        corwin[j] = sums[j] * (1.0 / 24.0)
    before = logged[:-1]
    for j in range(n - 1):
        middle, middle_before = 0.5 * (highs[j] + lows[j]), 0.5 * (high_before[j] + low_before[j])
        to[j] = (before[j] - middle_before) * (before[j] - middle)
    ladder(values, 1.0, 24, a, b, total)
    abdi = out[rows[ROW.abdi_ranaldo_24], at:till]
    for j in range(len(abdi)):
        abdi[j] = 2.0 * sqrt(positive(sums[j] * (1.0 / 24.0)))


@kernel()
def _activity(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    volume, size, a, b = series[VOLUME], series[SIZE], scratch[0], scratch[1]
    values, total, traded = scratch[2], scratch[3], scratch[4]
    sums, day = total[HALO:], series[VOLUME_24][HALO:]
    for j in range(n):
        values[j] = ratio(1e6 * size[j], volume[j], 0.0)
    ladder(values, 1.0, 24, a, b, total)
    amihud = out[rows[ROW.amihud_24], at:till]
    for j in range(len(amihud)):
        amihud[j] = sums[j] * (1.0 / 24.0)
    mean, square = moments(series[LOG_VOLUME], 120, scratch[5:7], scratch[7:9])
    logged, middle, squares = series[LOG_VOLUME][HALO:], mean[HALO:], square[HALO:]
    score = out[rows[ROW.volume_zscore_120], at:till]
    for j in range(len(score)):
        score[j] = ratio(logged[j] - middle[j], sqrt(positive(squares[j]) * (1.0 / 120.0)), 0.0)
    ladder(volume, 1.0, 6, a, b, total)
    velocity = out[rows[ROW.volume_velocity], at:till]
    for j in range(len(velocity)):
        velocity[j] = ratio(4.0 * sums[j], day[j], 0.0)
    # Chaikin: where the bar closed in its range, as -1..1.
    high, low, close = series[HIGH], series[LOW], series[CLOSE]
    for j in range(n):
        place = bounded(ratio((close[j] - low[j]) - (high[j] - close[j]), high[j] - low[j], 0.0), -1.0, 1.0)
        values[j] = volume[j] * place
    ladder(values, 1.0, 20, a, b, total)
    ladder(volume, 1.0, 20, a, b, traded)
    chaikin, traded_20 = out[rows[ROW.chaikin_money_flow_20], at:till], traded[HALO:]
    for j in range(len(chaikin)):
        chaikin[j] = ratio(sums[j], traded_20[j], 0.0)


@kernel()
def _bulk(series, scratch, out, rows, at):
    # Bought less sold volume is V (2 F(z) - 1), z the return in deviations; for Student's t with 2 degrees of
    # freedom 2 F(z) - 1 = z / sqrt(2 + z^2).
    n = series.shape[1]
    till = at + n - HALO
    volume, move, variance = series[VOLUME], series[RETURN], series[SQUARE_24]
    a, b, values, total = scratch[0], scratch[1], scratch[2], scratch[3]
    sums, day, long = total[HALO:], series[VOLUME_24][HALO:], scratch[4][HALO:]
    stretch(series[VOLUME_24], 24, 5, 1.0, scratch[4])
    for j in range(n):
        values[j] = volume[j] * ratio(move[j], sqrt(variance[j] * (1.0 / 12.0) + move[j] * move[j]), 0.0)
    ladder(values, 1.0, 24, a, b, total)
    balance, vpin = out[rows[ROW.order_flow_24], at:till], out[rows[ROW.vpin_120], at:till]
    for j in range(len(balance)):
        balance[j] = ratio(sums[j], day[j], 0.0)
    for j in range(n):
        values[j] = abs(values[j])
    ladder(values, 1.0, 120, a, b, total)
    for j in range(len(vpin)):
        vpin[j] = bounded(ratio(sums[j], long[j], 0.0), 0.0, 1.0)


@kernel()
def _impact(series, scratch, out, rows, at):
    # Least squares of r on s V, s the sign of r: r s V = |r| V, and the sum of r is a difference of log closes.
    n = series.shape[1]
    till = at + n - HALO
    volume, move, size, logged = series[VOLUME], series[RETURN], series[SIZE], series[LOG_CLOSE]
    a, b, values = scratch[0], scratch[1], scratch[2]
    products, flows, squares = scratch[3], scratch[4], scratch[5]
    for j in range(n):
        values[j] = size[j] * volume[j]
    ladder(values, 1.0, 120, a, b, products)
    for j in range(n):
        values[j] = volume[j] if move[j] > 0.0 else (-volume[j] if move[j] < 0.0 else 0.0)
    ladder(values, 1.0, 120, a, b, flows)
    for j in range(n):
        values[j] = values[j] * values[j]
    ladder(values, 1.0, 120, a, b, squares)
    to, now, before = out[rows[ROW.kyle_lambda_120], at:till], logged[HALO:], logged[HALO - 120 :]
    rv, flow, square = products[HALO:], flows[HALO:], squares[HALO:]
    for j in range(len(to)):
        mean = flow[j] * (1.0 / 120.0)
        spread = square[j] - flow[j] * mean
        # A spread that is rounding only is none.
        spread = spread if spread > 1e-9 * square[j] else 0.0
        to[j] = ratio(1e6 * (rv[j] - (now[j] - before[j]) * mean), spread, 0.0)


@kernel()
def _quotes(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    bid, ask, a, b, spread, total = series[BID], series[ASK], scratch[0], scratch[1], scratch[2], scratch[3]
    for j in range(n):
        spread[j] = ratio(1e4 * (ask[j] - bid[j]), (ask[j] + bid[j]) * 0.5, 0.0)
    now, sums = spread[HALO:], total[HALO:]
    out[rows[ROW.spread_bps], at:till] = now
    rank(spread, 120, a, out[rows[ROW.spread_rank_120], at:till])
    ladder(spread, 1.0, 24, a, b, total)
    relative = out[rows[ROW.spread_ratio_24], at:till]
    for j in range(len(relative)):
        relative[j] = ratio(24.0 * now[j], sums[j], 1.0)


# Each writes its features of a tile into out[rows[ROW.name], at : at + size].
OF_PRICES = (_prices, _implied_spreads)
OF_VOLUME = (_activity, _bulk, _impact)
OF_QUOTES = (_quotes,)
