"""Formulas as published, worked out bar by bar for a few rows of real data, with numpy and scipy only."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fx_assets.features import compute_features

ROWS = (1311, 1402, 1555, 1999)


@pytest.fixture(scope="module")
def case(real_bars) -> tuple[pd.DataFrame, pd.DataFrame]:
    bars = real_bars[real_bars["instrument"] == "GBP_USD"].reset_index(drop=True)
    return bars, compute_features(bars)


@pytest.fixture(params=ROWS)
def at(request, case):
    """at(window) -> the last `window` bars up to the row; and the row's features."""
    bars, features = case
    return (lambda window: bars.iloc[request.param - window + 1 : request.param + 1]), features.iloc[request.param]


def logs(bars: pd.DataFrame, name: str) -> np.ndarray:
    return np.log(bars[name].to_numpy())


def same(actual: float, expected: float | np.floating, scale: float = 0.0) -> None:
    assert actual == pytest.approx(float(expected), rel=1e-9, abs=1e-12 * scale)


def test_parkinson_garman_klass_rogers_satchell_and_yang_zhang(at):
    window, row = at
    o, h, low, c = (logs(window(24), name) for name in ("open", "high", "low", "close"))
    before = logs(window(25), "close")[:-1]
    same(row["parkinson_24"], math.sqrt(sum((h - low) ** 2) / (24 * 4 * math.log(2))))
    same(row["garman_klass_24"], math.sqrt(np.mean(0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2)))
    rogers = np.mean((h - c) * (h - o) + (low - c) * (low - o))
    same(row["rogers_satchell_24"], math.sqrt(rogers))
    k = 0.34 / (1.34 + 25 / 23)
    opening, inside = np.var(o - before, ddof=1), np.var(c - o, ddof=1)
    same(row["yang_zhang_24"], math.sqrt(opening + k * inside + (1 - k) * rogers))


def test_roll_and_corwin_schultz_and_abdi_ranaldo(at):
    window, row = at
    change = np.diff(logs(window(26), "close"))
    covariance = np.cov(change[1:], change[:-1], ddof=0)[0, 1]
    same(row["roll_spread_24"], 2 * math.sqrt(max(-covariance, 0)))
    bars, spreads, root = window(25), [], 3 - 2 * math.sqrt(2)
    for i in range(1, 25):
        pair = bars.iloc[i - 1 : i + 1]
        beta = float((np.log(pair["high"] / pair["low"]) ** 2).sum())
        gamma = math.log(pair["high"].max() / pair["low"].min()) ** 2
        alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / root - math.sqrt(gamma / root)
        spreads.append(max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0))
    same(row["corwin_schultz_24"], np.mean(spreads))
    middle, close = (logs(bars, "high") + logs(bars, "low")) / 2, logs(bars, "close")
    apart = [(close[i] - middle[i]) * (close[i] - middle[i + 1]) for i in range(24)]
    same(row["abdi_ranaldo_24"], 2 * math.sqrt(max(np.mean(apart), 0.0)), 1e-3)


def test_amihud_and_kyle(at):
    window, row = at
    bars = window(25)
    same(row["amihud_24"], np.mean(1e6 * np.abs(np.diff(logs(bars, "close"))) / bars["volume"].to_numpy()[1:]))
    bars = window(121)
    change = np.diff(logs(bars, "close"))
    signed = np.sign(change) * bars["volume"].to_numpy()[1:]
    same(row["kyle_lambda_120"], 1e6 * np.polyfit(signed, change, 1)[0])


def test_bulk_classified_flow(at):
    window, row = at
    bars = window(144)
    change, volume = np.diff(logs(bars, "close")), bars["volume"].to_numpy()[1:]
    share = []
    for i in range(23, len(change)):
        deviation = math.sqrt(np.mean(change[i - 23 : i + 1] ** 2))
        share.append(2 * stats.t.cdf(change[i] / deviation, 2) - 1)
    bought, volume = np.array(share) * volume[23:], volume[23:]
    same(row["order_flow_24"], bought[-24:].sum() / volume[-24:].sum(), 1.0)
    same(row["vpin_120"], np.abs(bought[-120:]).sum() / volume[-120:].sum())


def test_bipower_variation_and_its_jumps(at):
    window, row = at
    change = np.abs(np.diff(logs(window(26), "close")))
    bipower = math.pi / 2 * np.mean(change[1:] * change[:-1])
    same(row["bipower_24"], math.sqrt(bipower))
    same(row["jump_share_24"], max(0.0, 1 - bipower / np.mean(change[1:] ** 2)), 1.0)


def test_variance_ratio_and_hurst(at):
    window, row = at
    close = logs(window(136), "close")
    square = {k: np.mean([(close[-i] - close[-i - k]) ** 2 for i in range(1, 121)]) for k in (1, 2, 4, 8, 16)}
    for k in (4, 16):
        same(row[f"variance_ratio_{k}"], square[k] / (k * square[1]))
    same(row["hurst_120"], np.polyfit(np.log(list(square)), np.log(list(square.values())), 1)[0] / 2)


def test_shape_of_returns(at):
    window, row = at
    change = np.diff(logs(window(121), "close"))
    same(row["skewness_120"], stats.skew(change), 1.0)
    same(row["kurtosis_120"], stats.kurtosis(change), 10.0)
    change = np.diff(logs(window(122), "close"))
    for name, values in (("autocorrelation_120", change), ("size_autocorrelation_120", np.abs(change))):
        same(row[name], np.corrcoef(values[1:], values[:-1])[0, 1], 1.0)
    up = np.diff(logs(window(123), "close")) > 0
    patterns = [tuple(up[i : i + 3]) for i in range(120)]
    shares = [patterns.count(which) / 120 for which in set(patterns)]
    same(row["entropy_120"], -sum(share * math.log(share, 8) for share in shares))


def test_trend(at):
    window, row = at
    close, clock = logs(window(64), "close"), np.arange(64.0)
    same(row["trend_slope_64"], np.polyfit(clock, close, 1)[0], 1e-3)
    same(row["trend_r2_64"], np.corrcoef(clock, close)[0, 1] ** 2, 1.0)


def test_moves_against_their_hour_use_sixteen_earlier_bars_of_the_same_hour(case):
    bars, features = case
    size = np.log(bars["close"]).diff().abs()
    hour = bars["time"].dt.tz_convert("America/New_York").dt.hour
    for row in ROWS:
        earlier = [j for j in range(row - 384, row) if hour[j] == hour[row]][-16:]
        same(features.at[row, "move_adjusted"], min(size[row] / size[earlier].median(), 10.0))
        following = [j + 1 for j in earlier]
        recent, usual = size[following[-4:]].mean(), size[following].median()
        same(features.at[row, "next_move_recent"], min(recent / usual, 10.0))
