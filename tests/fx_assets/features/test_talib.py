"""TA-Lib as the oracle of every indicator it has, on the real bars of all four pairs.

TA-Lib's exponential means never end and begin with a plain mean; the comparison starts when that has faded.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import compute_features, feature_names
from tests.fx_assets.features.conftest import PAIRS, quoted, sample_bars

#: Rows after which neither TA-Lib's seed nor the end of our means tells: 1e-12 of a mean of 50 bars is left by then.
SETTLED = 1200
TOLERANCE = 1e-6

Oracle = Callable[[ModuleType, pd.DataFrame], np.ndarray | pd.Series]


def _bands(talib: ModuleType, b: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return talib.BBANDS(b.close, 20, 2.0, 2.0)


def _band_position(talib: ModuleType, b: pd.DataFrame) -> np.ndarray:
    top, _, bottom = _bands(talib, b)
    return (b.close - bottom) / (top - bottom)


def _band_width(talib: ModuleType, b: pd.DataFrame) -> np.ndarray:
    top, middle, bottom = _bands(talib, b)
    return (top - bottom) / middle


def _macd(talib: ModuleType, b: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(line / b.close for line in talib.MACD(b.close, 12, 26, 9))


def _obv(talib: ModuleType, b: pd.DataFrame, k: int) -> pd.Series:
    return pd.Series(talib.OBV(b.close, b.volume)).diff(k) / (k * talib.SMA(b.volume, k))


def _vwap(talib: ModuleType, b: pd.DataFrame, k: int) -> pd.Series:
    money = talib.TYPPRICE(b.high, b.low, b.close) * b.volume
    return b.close * talib.SMA(b.volume, k) / talib.SMA(money, k) - 1


def _channel(talib: ModuleType, b: pd.DataFrame, k: int) -> pd.Series:
    top, bottom = talib.MAX(b.high, k), talib.MIN(b.low, k)
    return (b.close - bottom) / (top - bottom)


ORACLES: dict[str, Oracle] = {
    "rsi_14": lambda t, b: t.RSI(b.close, 14),
    "macd": lambda t, b: _macd(t, b)[0],
    "macd_signal": lambda t, b: _macd(t, b)[1],
    "macd_histogram": lambda t, b: _macd(t, b)[2],
    "bollinger_position": _band_position,
    "bollinger_width": _band_width,
    **{f"sma_distance_{k}": lambda t, b, k=k: b.close / t.SMA(b.close, k) - 1 for k in (20, 50, 200)},
    **{f"ema_distance_{k}": lambda t, b, k=k: b.close / t.EMA(b.close, k) - 1 for k in (12, 26, 50)},
    "kama_distance_10": lambda t, b: b.close / t.KAMA(b.close, 10) - 1,
    "atr_14": lambda t, b: t.ATR(b.high, b.low, b.close, 14) / b.close,
    "adx_14": lambda t, b: t.ADX(b.high, b.low, b.close, 14),
    "plus_di_14": lambda t, b: t.PLUS_DI(b.high, b.low, b.close, 14),
    "minus_di_14": lambda t, b: t.MINUS_DI(b.high, b.low, b.close, 14),
    "stochastic_k": lambda t, b: t.STOCHF(b.high, b.low, b.close, 14, 3)[0],
    "stochastic_d": lambda t, b: t.STOCHF(b.high, b.low, b.close, 14, 3)[1],
    "cci_20": lambda t, b: t.CCI(b.high, b.low, b.close, 20),
    "williams_r_28": lambda t, b: t.WILLR(b.high, b.low, b.close, 28),
    "roc_10": lambda t, b: t.ROC(b.close, 10) / 100,
    "aroon_25": lambda t, b: t.AROONOSC(b.high, b.low, 25),
    "aroon_up_25": lambda t, b: t.AROON(b.high, b.low, 25)[1],
    "aroon_down_25": lambda t, b: t.AROON(b.high, b.low, 25)[0],
    **{f"donchian_position_{k}": lambda t, b, k=k: _channel(t, b, k) for k in (20, 55)},
    "mfi_14": lambda t, b: t.MFI(b.high, b.low, b.close, b.volume, 14),
    **{f"obv_{k}": lambda t, b, k=k: _obv(t, b, k) for k in (24, 120)},
    **{f"vwap_distance_{k}": lambda t, b, k=k: _vwap(t, b, k) for k in (24, 120)},
    **{f"log_return_{k}": lambda t, b, k=k: t.LN(t.ROCR(b.close, k)) for k in (1, 24, 360)},
    "trend_slope_64": lambda t, b: t.LINEARREG_SLOPE(np.log(b.close), 64),
    "trend_r2_64": lambda t, b: t.CORREL(np.log(b.close), np.arange(len(b), dtype=float), 64) ** 2,
    "drawdown_120": lambda t, b: b.close / t.MAX(b.high, 120) - 1,
    "runup_120": lambda t, b: b.close / t.MIN(b.low, 120) - 1,
}


@pytest.fixture(scope="module")
def talib() -> ModuleType:
    return pytest.importorskip("talib", reason="TA-Lib is not installed: pip install TA-Lib")


@pytest.fixture(scope="module")
def cases() -> list[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Pair, its bars, its features."""
    bars = quoted(sample_bars(PAIRS, 2600))
    return [
        (str(pair), part.reset_index(drop=True), compute_features(part)) for pair, part in bars.groupby("instrument")
    ]


@pytest.mark.parametrize("name", list(ORACLES))
def test_an_indicator_is_what_ta_lib_says(talib, cases, name):
    assert len(cases) == len(PAIRS)
    for pair, bars, features in cases:
        expected = np.asarray(ORACLES[name](talib, bars), float)[SETTLED:]
        actual = features[name].to_numpy()[SETTLED:]
        told = ~np.isnan(expected)
        scale = np.abs(expected[told]).mean()
        assert told.mean() > 0.95
        assert scale > 0
        tolerance = TOLERANCE * scale
        np.testing.assert_allclose(actual[told], expected[told], rtol=0, atol=tolerance, err_msg=f"{name} {pair}")


def bars_in_points(rows: int = 3000) -> pd.DataFrame:
    """Prices in few whole points of 0.01: typical prices are often the same, or off by a rounding."""
    rng = np.random.default_rng(5)
    close = 10_000 + np.cumsum(rng.integers(-1, 2, rows))
    opened = np.concatenate([close[:1], close[:-1]])
    prices = {"open": opened, "close": close}
    prices["high"] = np.maximum(opened, close) + rng.integers(0, 2, rows)
    prices["low"] = np.minimum(opened, close) - rng.integers(0, 2, rows)
    time = pd.date_range("2021-01-04", periods=rows, freq="1min", tz="UTC")
    frame = pd.DataFrame({"instrument": "XAU_USD", "time": time, "volume": 1.0})
    return frame.assign(**{name: values / 100 for name, values in prices.items()})


def test_money_flow_takes_no_rounding_for_a_move(talib):
    bars = bars_in_points()
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    change = typical.diff().abs()
    assert ((change > 0) & (change < 1e-9)).sum() > 20
    expected = talib.MFI(bars["high"], bars["low"], bars["close"], bars["volume"], 14)
    found = compute_features(bars, ["technical"])["mfi_14"]
    np.testing.assert_allclose(found[14:], expected[14:], rtol=0, atol=1e-9)
    prices = ["open", "high", "low", "close"]
    scaled = compute_features(bars.assign(**(bars[prices] * 1e5)), ["technical"])["mfi_14"]
    np.testing.assert_allclose(scaled[14:], found[14:], rtol=0, atol=1e-9)


def test_every_oracle_belongs_to_a_feature():
    assert set(ORACLES) <= set(feature_names())
