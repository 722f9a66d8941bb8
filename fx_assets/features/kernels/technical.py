"""The technical group, of one tile. What each value means is said beside its declaration in features/technical.py."""

from __future__ import annotations

from math import sqrt

from fx_assets.features.kernels.arithmetic import bounded, positive, ratio
from fx_assets.features.kernels.compiled import kernel
from fx_assets.features.kernels.ladder import age, average, ladder, larger, moments, smaller, stretch
from fx_assets.features.kernels.series import (
    BOTTOMS,
    CHANGE,
    CLOSE,
    HALO,
    HIGH,
    LOG_CLOSE,
    LOW,
    TOPS,
    VOLUME,
    VOLUME_24,
)
from fx_assets.features.spec import positions
from fx_assets.features.technical import EXPONENTIAL, KAMA_TAPS, RETURNS, SIGNAL_TAPS, SPECS, WILDER_TAPS

ROW = positions(SPECS)
FIRST_RETURN = ROW.log_return_1
EMA_12, EMA_26, EMA_50, SIGNAL = 11.0 / 13.0, 25.0 / 27.0, 49.0 / 51.0, 0.8
TAPS_12, TAPS_26, TAPS_50 = EXPONENTIAL[12], EXPONENTIAL[26], EXPONENTIAL[50]
SIGNAL_SHARE = (1.0 - SIGNAL) / (1.0 - SIGNAL**SIGNAL_TAPS)
WILDER = 13.0 / 14.0
WILDER_SHARE = (1.0 - WILDER) / (1.0 - WILDER**WILDER_TAPS)
# Smoothing constants of an EMA of 2 and of 30 bars.
KAMA_FAST, KAMA_SLOW = 2.0 / 3.0, 2.0 / 31.0
ROUNDING = 1e-12  # of a price


@kernel()
def _returns(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    logged = series[LOG_CLOSE]
    now = logged[HALO:]
    for q in range(len(RETURNS)):
        before = logged[HALO - RETURNS[q] : n - RETURNS[q]]
        move = out[rows[FIRST_RETURN + q], at:till]
        for j in range(len(move)):
            move[j] = now[j] - before[j]


@kernel()
def _exponentials(series, scratch, out, rows, at):
    # An exponential mean minus the newest price follows d(i) = f (d(i - 1) - change(i)): a weighted sum of changes,
    # zero where nothing changes, and only its distance from an earlier price is cut off, not that price's weight.
    n = series.shape[1]
    till = at + n - HALO
    change, close = series[CHANGE], series[CLOSE][HALO:]
    a, b, line, slow, signal = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    ladder(change, EMA_12, TAPS_12, a, b, line)
    ladder(change, EMA_26, TAPS_26, a, b, slow)
    _distance(line, EMA_12, close, out[rows[ROW.ema_distance_12], at:till])
    _distance(slow, EMA_26, close, out[rows[ROW.ema_distance_26], at:till])
    for j in range(n):
        line[j] = EMA_26 * slow[j] - EMA_12 * line[j]
    ladder(line, SIGNAL, SIGNAL_TAPS, a, b, signal)
    ladder(change, EMA_50, TAPS_50, a, b, slow)
    _distance(slow, EMA_50, close, out[rows[ROW.ema_distance_50], at:till])
    macd, smooth = line[HALO:], signal[HALO:]
    to_line, to_signal = out[rows[ROW.macd], at:till], out[rows[ROW.macd_signal], at:till]
    histogram = out[rows[ROW.macd_histogram], at:till]
    for j in range(len(close)):
        to_line[j] = macd[j] / close[j]
    for j in range(len(close)):
        to_signal[j] = SIGNAL_SHARE * smooth[j] / close[j]
    for j in range(len(close)):
        histogram[j] = to_line[j] - to_signal[j]


@kernel()
def _distance(total, f, close, to):
    total = total[HALO:]
    for j in range(len(close)):
        to[j] = ratio(f * total[j], close[j] - f * total[j], 0.0)


@kernel()
def _adaptive(series, scratch, out, rows, at):
    # KAMA is y(i) = k y(i - 1) + (1 - k) close(i) with its own k for each bar. Its gap to the close is
    # g(i) = k (g(i - 1) - change(i)), so a bar is the map g -> k g - k change, and a ladder joins such maps.
    n = series.shape[1]
    change, close = series[CHANGE], series[CLOSE]
    a, b, path, keep, shift = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    for j in range(n):
        b[j] = abs(change[j])
    ladder(b, 1.0, 10, a, keep, path)
    keep[:10] = 0.0
    to, newer, older, total = keep[10:], close[10:], close[: n - 10], path[10:]
    for j in range(n - 10):
        efficiency = bounded(ratio(abs(newer[j] - older[j]), total[j], 1.0), 0.0, 1.0)
        weight = efficiency * (KAMA_FAST - KAMA_SLOW) + KAMA_SLOW
        to[j] = 1.0 - weight * weight
    for j in range(n):
        shift[j] = -keep[j] * change[j]
    w = 1
    while w < KAMA_TAPS:
        h = 3 * w
        k0, k1, k2, k3 = keep[h:], keep[h - w : n - w], keep[h - 2 * w : n - 2 * w], keep[: n - h]
        s0, s1, s2, s3 = shift[h:], shift[h - w : n - w], shift[h - 2 * w : n - 2 * w], shift[: n - h]
        to_shift, to_keep = a[h:], b[h:]
        a[:h] = shift[:h]
        b[:h] = keep[:h]
        for j in range(n - h):
            to_shift[j] = s0[j] + k0[j] * (s1[j] + k1[j] * (s2[j] + k2[j] * s3[j]))
        for j in range(n - h):
            to_keep[j] = (k0[j] * k1[j]) * (k2[j] * k3[j])
        shift, a = a, shift
        keep, b = b, keep
        w *= 4
    target = out[rows[ROW.kama_distance_10], at : at + n - HALO]
    gap, now = shift[HALO:], close[HALO:]
    for j in range(len(target)):
        target[j] = ratio(-gap[j], now[j] + gap[j], 0.0)


@kernel()
def _averages(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    close = series[CLOSE]
    now = close[HALO:]
    mean, square = moments(close, 20, scratch[0:2], scratch[2:4])
    middle, total = mean[HALO:], square[HALO:]
    position, width = out[rows[ROW.bollinger_position], at:till], out[rows[ROW.bollinger_width], at:till]
    for j in range(len(now)):
        deviation = sqrt(positive(total[j]) * 0.05)
        position[j] = ratio(now[j] - middle[j] + 2.0 * deviation, 4.0 * deviation, 0.5)
    for j in range(len(now)):
        width[j] = ratio(4.0 * sqrt(positive(total[j]) * 0.05), middle[j], 0.0)
    _simple(now, middle, out[rows[ROW.sma_distance_20], at:till])
    average(mean, 20, 2, scratch[4])
    average(scratch[4], 40, 5, scratch[5])
    _simple(now, scratch[5][HALO:], out[rows[ROW.sma_distance_200], at:till])
    average(close, 1, 2, scratch[4])
    average(scratch[4], 2, 5, scratch[5])
    average(scratch[5], 10, 5, scratch[4])
    _simple(now, scratch[4][HALO:], out[rows[ROW.sma_distance_50], at:till])
    before = close[HALO - 10 : n - 10]
    change = out[rows[ROW.roc_10], at:till]
    for j in range(len(now)):
        change[j] = ratio(now[j] - before[j], before[j], 0.0)


@kernel()
def _simple(now, mean, to):
    for j in range(len(now)):
        to[j] = ratio(now[j] - mean[j], mean[j], 0.0)


@kernel()
def _strength(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    change = series[CHANGE]
    a, b, gain, loss, up, down = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    for j in range(n):
        gain[j] = positive(change[j])
    for j in range(n):
        loss[j] = positive(-change[j])
    ladder(gain, WILDER, WILDER_TAPS, a, b, up)
    ladder(loss, WILDER, WILDER_TAPS, a, b, down)
    rises, falls, rsi = up[HALO:], down[HALO:], out[rows[ROW.rsi_14], at:till]
    for j in range(len(rsi)):
        rsi[j] = ratio(100.0 * rises[j], rises[j] + falls[j], 50.0)
    # The commodity channel index: typical price against its mean, over the mean absolute deviation.
    high, low, close, typical, total = series[HIGH], series[LOW], series[CLOSE], scratch[0], scratch[1]
    for j in range(n):
        typical[j] = (high[j] + low[j] + close[j]) / 3.0
    average(typical, 1, 4, scratch[2])
    average(scratch[2], 4, 5, scratch[3])
    mean, deviation, newest = scratch[3][HALO:], total[HALO:], typical[HALO:]
    deviation[:] = 0.0
    for k in range(0, 20, 4):
        x0, x1 = typical[HALO - k : n - k], typical[HALO - k - 1 : n - k - 1]
        x2, x3 = typical[HALO - k - 2 : n - k - 2], typical[HALO - k - 3 : n - k - 3]
        for j in range(len(mean)):
            v = mean[j]
            deviation[j] += abs(x0[j] - v) + abs(x1[j] - v) + abs(x2[j] - v) + abs(x3[j] - v)
    cci = out[rows[ROW.cci_20], at:till]
    for j in range(len(mean)):
        cci[j] = ratio(newest[j] - mean[j], 0.015 * 0.05 * deviation[j], 0.0)


@kernel()
def _position(close, top, bottom, scale, default, to):
    for j in range(len(close)):
        to[j] = ratio(scale * (close[j] - bottom[j]), top[j] - bottom[j], default)


@kernel()
def _extremes(series, scratch, out, rows, at):
    till = at + series.shape[1] - HALO
    close, top, bottom, fast = series[CLOSE], scratch[0], scratch[1], scratch[2]
    now = close[HALO:]
    larger(series[TOPS + 2], 6, top)
    smaller(series[BOTTOMS + 2], 6, bottom)
    _position(close, top, bottom, 100.0, 50.0, fast)
    stretch(fast, 1, 3, 1.0, scratch[3])
    k, d, total = out[rows[ROW.stochastic_k], at:till], out[rows[ROW.stochastic_d], at:till], scratch[3][HALO:]
    k[:] = fast[HALO:]
    for j in range(len(d)):
        d[j] = total[j] * (1.0 / 3.0)
    larger(series[TOPS + 3], 12, top)
    smaller(series[BOTTOMS + 3], 12, bottom)
    highest, lowest, williams = top[HALO:], bottom[HALO:], out[rows[ROW.williams_r_28], at:till]
    for j in range(len(now)):
        williams[j] = ratio(-100.0 * (highest[j] - now[j]), highest[j] - lowest[j], -50.0)
    larger(series[TOPS + 3], 4, top)
    smaller(series[BOTTOMS + 3], 4, bottom)
    _position(now, top[HALO:], bottom[HALO:], 1.0, 0.5, out[rows[ROW.donchian_position_20], at:till])
    larger(series[TOPS + 4], 23, top)
    smaller(series[BOTTOMS + 4], 23, bottom)
    _position(now, top[HALO:], bottom[HALO:], 1.0, 0.5, out[rows[ROW.donchian_position_55], at:till])


@kernel()
def _ages(series, scratch, out, rows, at):
    till = at + series.shape[1] - HALO
    for side in range(2):
        sign = 1.0 if side == 0 else -1.0
        levels = TOPS if side == 0 else BOTTOMS
        old, new = scratch[2 * side], scratch[2 * side + 1]
        old[:] = 0.0
        age(series[HIGH if side == 0 else LOW], old, 1, sign, new)
        for level in range(3):
            old, new = new, old
            age(series[levels + level], old, 2 << level, sign, new)
        age(series[levels + 3], new, 10, sign, old)
    since_top, since_bottom = scratch[1][HALO:], scratch[3][HALO:]
    up, down = out[rows[ROW.aroon_up_25], at:till], out[rows[ROW.aroon_down_25], at:till]
    both = out[rows[ROW.aroon_25], at:till]
    for j in range(len(up)):
        up[j] = 4.0 * (25.0 - since_top[j])
    for j in range(len(up)):
        down[j] = 4.0 * (25.0 - since_bottom[j])
    for j in range(len(up)):
        both[j] = up[j] - down[j]


@kernel()
def _directional(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    high, low, close = series[HIGH], series[LOW], series[CLOSE]
    a, b, values = scratch[0], scratch[1], scratch[2]
    ranges, ups, downs = scratch[3], scratch[4], scratch[5]
    to, highs, lows = values[1:], high[1:], low[1:]
    high_before, low_before, before = high[:-1], low[:-1], close[:-1]
    values[0] = 0.0
    for j in range(n - 1):
        top = before[j] if before[j] > highs[j] else highs[j]
        bottom = before[j] if before[j] < lows[j] else lows[j]
        to[j] = top - bottom
    ladder(values, WILDER, WILDER_TAPS, a, b, ranges)
    for j in range(n - 1):
        up, down = highs[j] - high_before[j], low_before[j] - lows[j]
        up = positive(up)
        to[j] = up if up > down else 0.0
    ladder(values, WILDER, WILDER_TAPS, a, b, ups)
    for j in range(n - 1):
        up, down = highs[j] - high_before[j], low_before[j] - lows[j]
        down = positive(down)
        to[j] = down if down > up else 0.0
    ladder(values, WILDER, WILDER_TAPS, a, b, downs)
    for j in range(n):
        ups[j] = ratio(100.0 * ups[j], ranges[j], 0.0)
    for j in range(n):
        downs[j] = ratio(100.0 * downs[j], ranges[j], 0.0)
    for j in range(n):
        values[j] = ratio(100.0 * abs(ups[j] - downs[j]), ups[j] + downs[j], 0.0)
    strength = scratch[6]
    ladder(values, WILDER, WILDER_TAPS, a, b, strength)
    out[rows[ROW.plus_di_14], at:till] = ups[HALO:]
    out[rows[ROW.minus_di_14], at:till] = downs[HALO:]
    atr, adx = out[rows[ROW.atr_14], at:till], out[rows[ROW.adx_14], at:till]
    now, average_range, smooth = close[HALO:], ranges[HALO:], strength[HALO:]
    for j in range(len(now)):
        atr[j] = ratio(WILDER_SHARE * average_range[j], now[j], 0.0)
    for j in range(len(now)):
        adx[j] = WILDER_SHARE * smooth[j]


@kernel()
def _flow(series, scratch, out, rows, at):
    n = series.shape[1]
    till = at + n - HALO
    high, low, close, volume, change = series[HIGH], series[LOW], series[CLOSE], series[VOLUME], series[CHANGE]
    a, b, typical, money, total = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    for j in range(n):
        typical[j] = (high[j] + low[j] + close[j]) / 3.0
    for j in range(n):
        money[j] = typical[j] * volume[j]
    now, sold, traded = close[HALO:], scratch[6], scratch[5]
    ladder(money, 1.0, 24, a, b, total)
    _vwap(now, total[HALO:], series[VOLUME_24][HALO:], out[rows[ROW.vwap_distance_24], at:till])
    stretch(series[VOLUME_24], 24, 5, 1.0, traded)
    stretch(total, 24, 5, 1.0, a)
    _vwap(now, a[HALO:], traded[HALO:], out[rows[ROW.vwap_distance_120], at:till])
    # Money flow: typical price times volume, of rising and of falling bars. The same figures in another order add up
    # to another last bit, and prices in points are often the same: what rounding can do is no move.
    newer, older, flows = typical[1:], typical[:-1], money[1:]
    to_up, to_down = total[1:], sold[1:]
    total[0] = 0.0
    sold[0] = 0.0
    for j in range(n - 1):
        to_up[j] = flows[j] if newer[j] - older[j] > ROUNDING * newer[j] else 0.0
    for j in range(n - 1):
        to_down[j] = flows[j] if older[j] - newer[j] > ROUNDING * newer[j] else 0.0
    ladder(total, 1.0, 14, a, b, money)
    ladder(sold, 1.0, 14, a, b, total)
    ups, downs, mfi = money[HALO:], total[HALO:], out[rows[ROW.mfi_14], at:till]
    for j in range(len(mfi)):
        mfi[j] = ratio(100.0 * ups[j], ups[j] + downs[j], 50.0)
    for j in range(n):
        money[j] = volume[j] if change[j] > 0.0 else (-volume[j] if change[j] < 0.0 else 0.0)
    ladder(money, 1.0, 24, a, b, total)
    stretch(total, 24, 5, 1.0, a)
    _share(total[HALO:], series[VOLUME_24][HALO:], out[rows[ROW.obv_24], at:till])
    _share(a[HALO:], traded[HALO:], out[rows[ROW.obv_120], at:till])


@kernel()
def _vwap(close, money, volume, to):
    for j in range(len(close)):
        none = volume[j] < 1e-300
        price = close[j] if none else money[j] / (1.0 if none else volume[j])
        to[j] = ratio(close[j] - price, price, 0.0)


@kernel()
def _share(part, whole, to):
    for j in range(len(part)):
        to[j] = ratio(part[j], whole[j], 0.0)


# Each writes its features of a tile into out[rows[ROW.name], at : at + size].
OF_PRICES = (_returns, _exponentials, _adaptive, _averages, _strength, _extremes, _ages, _directional)
OF_VOLUME = (_flow,)
