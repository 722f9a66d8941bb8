"""Indicator values against plain formulas written independently with pandas."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import compute_features

AT = slice(600, 1600)


@pytest.fixture(scope="module")
def case(real_bars):
    bars = real_bars[real_bars["instrument"] == "GBP_USD"].reset_index(drop=True)
    return bars, compute_features(bars)


def close_to(actual: pd.Series, expected: pd.Series, rtol: float = 1e-8, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual.to_numpy()[AT], expected.to_numpy(float)[AT], rtol=rtol, atol=atol)


def wilder(series: pd.Series, period: int) -> pd.Series:
    return series.ewm(alpha=1 / period, adjust=True).mean()


def test_log_returns(case):
    bars, f = case
    for k in (1, 2, 3, 6, 12, 24, 48, 120):
        close_to(f[f"log_return_{k}"], np.log(bars.close).diff(k), atol=1e-14)


def test_rsi_is_wilders_up_to_the_stated_truncation(case):
    bars, f = case
    change = bars.close.diff()
    up, down = wilder(change.clip(lower=0), 14), wilder((-change).clip(lower=0), 14)
    close_to(f["rsi_14"], 100 - 100 / (1 + up / down), rtol=0, atol=0.1)


def test_atr_and_adx_are_wilders_up_to_the_stated_truncation(case):
    bars, f = case
    before = bars.close.shift()
    spans = [bars.high - bars.low, (bars.high - before).abs(), (bars.low - before).abs()]
    true_range = pd.concat(spans, axis=1).max(axis=1).where(before.notna())
    atr = wilder(true_range, 14)
    close_to(f["atr_14"], atr / bars.close, rtol=2e-3)
    up, down = bars.high.diff(), -bars.low.diff()
    plus = 100 * wilder(up.where((up > down) & (up > 0), 0.0)[1:], 14) / atr
    minus = 100 * wilder(down.where((down > up) & (down > 0), 0.0)[1:], 14) / atr
    adx = wilder(100 * (plus - minus).abs() / (plus + minus), 14)
    close_to(f["adx_14"], adx, rtol=0, atol=0.2)


def test_moving_averages_and_macd(case):
    bars, f = case
    for k in (20, 50, 200):
        close_to(f[f"sma_distance_{k}"], bars.close / bars.close.rolling(k).mean() - 1, atol=1e-12)
    ema = {k: bars.close.ewm(span=k).mean() for k in (12, 26, 50)}
    for k in (12, 26, 50):
        close_to(f[f"ema_distance_{k}"], bars.close / ema[k] - 1, rtol=0, atol=2e-5)
    macd = (ema[12] - ema[26]) / bars.close
    close_to(f["macd"], macd, rtol=0, atol=2e-5)
    close_to(f["macd_signal"], macd.ewm(span=9).mean(), rtol=0, atol=2e-5)


def test_bollinger(case):
    bars, f = case
    mean, deviation = bars.close.rolling(20).mean(), bars.close.rolling(20).std(ddof=0)
    close_to(f["bollinger_position"], (bars.close - (mean - 2 * deviation)) / (4 * deviation), rtol=1e-6)
    close_to(f["bollinger_width"], 4 * deviation / mean, rtol=1e-6)


def test_oscillators(case):
    bars, f = case
    top, bottom = bars.high.rolling(14).max(), bars.low.rolling(14).min()
    k = 100 * (bars.close - bottom) / (top - bottom)
    close_to(f["stochastic_k"], k, atol=1e-9)
    close_to(f["stochastic_d"], k.rolling(3).mean(), atol=1e-8)
    typical = (bars.high + bars.low + bars.close) / 3
    spread = typical.rolling(20).apply(lambda x: np.abs(x - x.mean()).mean(), raw=True)
    close_to(f["cci_20"], (typical - typical.rolling(20).mean()) / (0.015 * spread), rtol=1e-6, atol=1e-6)
    top, bottom = bars.high.rolling(28).max(), bars.low.rolling(28).min()
    close_to(f["williams_r_28"], -100 * (top - bars.close) / (top - bottom), atol=1e-9)
    close_to(f["roc_10"], bars.close.pct_change(10), atol=1e-12)
    since_high = bars.high.rolling(26).apply(lambda x: np.argmax(x[::-1]), raw=True)
    since_low = bars.low.rolling(26).apply(lambda x: np.argmin(x[::-1]), raw=True)
    close_to(f["aroon_25"], 100 * (25 - since_high) / 25 - 100 * (25 - since_low) / 25, atol=1e-9)


def test_range_volatilities(case):
    bars, f = case
    o, h, low, c = (np.log(bars[x]) for x in ("open", "high", "low", "close"))
    close_to(f["parkinson_24"], np.sqrt(((h - low) ** 2).rolling(24).mean() / (4 * np.log(2))), rtol=1e-7)
    garman = 0.5 * (h - low) ** 2 - (2 * np.log(2) - 1) * (c - o) ** 2
    close_to(f["garman_klass_24"], np.sqrt(garman.rolling(24).mean()), rtol=1e-6)
    rogers = (h - c) * (h - o) + (low - c) * (low - o)
    close_to(f["rogers_satchell_24"], np.sqrt(rogers.rolling(24).mean()), rtol=1e-6)
    k = 0.34 / (1.34 + 25 / 23)
    overnight = (o - c.shift()).rolling(24).var()
    yang = overnight + k * (c - o).rolling(24).var() + (1 - k) * rogers.rolling(24).mean()
    close_to(f["yang_zhang_24"], np.sqrt(yang), rtol=1e-6)


def test_return_volatilities(case):
    bars, f = case
    r = np.log(bars.close).diff()
    for k in (6, 24, 120):
        close_to(f[f"realised_{k}"], np.sqrt((r**2).rolling(k).mean()), rtol=1e-7)
    close_to(f["ewma_volatility"], np.sqrt((r**2).ewm(alpha=0.06).mean()), rtol=2e-2)
    bipower = np.pi / 2 * (r.abs() * r.abs().shift()).rolling(24).mean()
    close_to(f["bipower_24"], np.sqrt(bipower), rtol=1e-7)
    close_to(f["jump_share_24"], (1 - bipower / (r**2).rolling(24).mean()).clip(0, 1), atol=1e-8)
    close_to(f["volatility_ratio_6_120"], f["realised_6"] / f["realised_120"], rtol=1e-12)


def test_hour_adjusted_move_uses_sixteen_earlier_bars_of_the_same_hour(case):
    bars, f = case
    size = np.log(bars.close).diff().abs()
    hour = bars.time.dt.tz_convert("America/New_York").dt.hour
    for row in (700, 911, 1203, 1555):
        window = range(row - 384, row)
        earlier = [j for j in window if hour[j] == hour[row]][-16:]
        assert f.at[row, "move_adjusted"] == pytest.approx(min(size[row] / size[earlier].median(), 10.0), rel=1e-9)
        following = [j + 1 for j in earlier]
        recent, usual = size[following[-4:]].mean(), size[following].median()
        assert f.at[row, "next_move_recent"] == pytest.approx(min(recent / usual, 10.0), rel=1e-9)


def test_microstructure(case):
    bars, f = case
    close_to(f["range_position"], ((bars.close - bars.low) / (bars.high - bars.low)).fillna(0.5), atol=1e-12)
    close_to(f["gap"], np.log(bars.open / bars.close.shift()), atol=1e-14)
    r = np.log(bars.close).diff()
    covariance = (r * r.shift()).rolling(24).mean() - r.rolling(24).mean() * r.shift().rolling(24).mean()
    close_to(f["roll_spread_24"], 2 * np.sqrt((-covariance).clip(lower=0)), rtol=1e-5, atol=1e-8)
    close_to(f["amihud_24"], (1e6 * r.abs() / bars.volume).rolling(24).mean(), rtol=1e-8)
    logged = np.log1p(bars.volume)
    expected = (logged - logged.rolling(120).mean()) / logged.rolling(120).std(ddof=0)
    close_to(f["volume_zscore_120"], expected, rtol=1e-6, atol=1e-9)
    close_to(f["spread_bps"], 1e4 * (bars.ask_close - bars.bid_close) / (bars.ask_close + bars.bid_close) * 2)
    assert f["spread_rank_120"].iloc[200:].between(0, 1).all()


def test_corwin_schultz_against_the_published_steps(case):
    bars, f = case
    root = 3 - 2 * np.sqrt(2)
    values = []
    for i in range(1, len(bars)):
        pair = bars.iloc[i - 1 : i + 1]
        beta = (np.log(pair.high / pair.low) ** 2).sum()
        gamma = np.log(pair.high.max() / pair.low.min()) ** 2
        alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / root - np.sqrt(gamma / root)
        values.append(max(2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)), 0.0))
    expected = pd.Series([np.nan, *values]).rolling(24).mean()
    close_to(f["corwin_schultz_24"], expected, rtol=1e-7, atol=1e-12)


def test_calendar_follows_daylight_saving():
    # Friday before and after the US change of 14 March 2021 (Europe changed two weeks later).
    times = pd.to_datetime(["2021-03-12 21:00", "2021-03-19 20:00", "2021-03-19 12:00", "2021-03-21 21:00"], utc=True)
    bars = pd.DataFrame({"instrument": "X", "time": times, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0})
    f = compute_features(bars, ["calendar"]).set_index("time")
    assert f.loc[times[:2], "minutes_to_week_close"].tolist() == [60.0, 60.0]
    assert f.loc[times[:2], "minutes_to_session_close"].tolist() == [60.0, 60.0]
    assert f.loc[times[2:3], ["london_open", "new_york_open", "london_new_york_overlap"]].to_numpy().all()
    # Sunday 17:00 New York opens the week: a whole session and five days lie ahead.
    assert f.loc[times[3], "minutes_to_session_close"] == 1440
    assert f.loc[times[3], "minutes_to_week_close"] == 5 * 1440
    assert f.loc[times[3], "week_of_month"] == 3
