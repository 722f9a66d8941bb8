"""A broken feed is told from another market: what is missing, stuck, impossible, old, or one instrument's alone."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.market_hours import market_hours
from fx_monitoring.configuration import FeedLimits
from fx_monitoring.drift.feed import alone, data_age_h, evidence, frozen, open_time, quarantined, repeats
from fx_monitoring.drift.report import by_instrument, drift_figures

NAMES = ["rsi_14", "realised_24", "news_count"]
SYMBOLS = ["AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY"]
LIMITS = FeedLimits()


def market(rows: int, seed: int, wilder: float = 1.0, busier: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "instrument": np.tile(SYMBOLS, rows // 4),
            "rsi_14": rng.normal(50, 10, rows),
            "realised_24": wilder * rng.lognormal(-7, 0.4, rows),
            "news_count": rng.poisson(6 * busier, rows).astype(float),
        }
    )


REFERENCE = market(4_000, 0)


def found(window: pd.DataFrame) -> list[str]:
    report = drift_figures(REFERENCE, window, NAMES)
    instruments = by_instrument(REFERENCE, window, NAMES, 100)
    return [*evidence(report, REFERENCE, window, LIMITS), *alone(instruments)]


@pytest.mark.parametrize("changed", [{}, {"wilder": 2.5}, {"busier": 3.0}, {"wilder": 4.0, "busier": 0.2}])
def test_another_market_or_another_news_regime_is_no_broken_feed(changed):
    assert found(market(2_000, 1, **changed)) == []


def test_values_left_out():
    window = market(2_000, 1)
    window.loc[::5, "news_count"] = np.nan
    assert found(window) == ["missing news_count: 20%"]
    few = market(2_000, 1)
    few.loc[::39, "news_count"] = np.nan
    assert found(few) == []


def test_a_value_that_no_longer_changes():
    window = market(2_000, 1)
    window.loc[window["instrument"] == "GBP_USD", "rsi_14"] = 50.0
    told = found(window)
    assert told[0] == "stale of GBP_USD: rsi_14 repeat their last value in 100% of the rows"


def test_values_that_no_market_makes():
    told = found(market(2_000, 1, wilder=100.0))
    assert len(told) == 1
    assert told[0].startswith("implausible values of realised_24: ")


def test_one_instrument_alone():
    window = market(2_000, 1)
    window.loc[window["instrument"] == "USD_JPY", "realised_24"] *= 2.5
    assert found(window) == ["USD_JPY alone drifts (critical); AUD_USD, GBP_USD, USD_CAD do not"]


def test_too_few_rows_say_nothing():
    assert found(market(40, 1).assign(rsi_14=np.nan)) == []


def test_counts_and_flags_may_repeat():
    shares = repeats(REFERENCE, NAMES)
    assert shares["news_count"].min() > 0.05
    assert shares["rsi_14"].max() == 0
    window = market(2_000, 1).assign(news_count=3.0)
    assert found(window) == []


def asked(minutes: list[float], age_minutes: float, symbol: str = "GBP_USD", start: str = "2022-03-03T12:00Z"):
    times = pd.Timestamp(start) + pd.to_timedelta(minutes, unit="min")
    return pd.DataFrame(
        {
            "instrument": symbol,
            "timestamp": times,
            "feature_time": times - pd.Timedelta(minutes=age_minutes),
            "overridden": 0,
        }
    )


def test_age_counts_open_hours_of_the_newest_prediction_of_each_instrument():
    def hours(symbol):
        return market_hours("fx")

    both = pd.concat([asked([0, 60], 30), asked([0], 150, "USD_JPY")])
    assert data_age_h(both, hours) == pytest.approx(2.5)
    # Sunday 23:00 UTC in winter is one hour after the week began; the bar before it closed on Friday evening.
    weekend = asked([0], 49 * 60 + 30, start="2022-03-06T23:00Z")
    assert data_age_h(weekend, hours) == pytest.approx(1.5)
    assert data_age_h(both.assign(overridden=3), hours) is None
    assert data_age_h(both.assign(feature_time=pd.Series(pd.NaT, both.index)), hours) is None
    assert data_age_h(asked([0], -60), hours) == 0


def test_open_time_leaves_the_weekend_out():
    hours = market_hours("fx")
    friday, monday = pd.Timestamp("2022-03-04T12:00Z"), pd.Timestamp("2022-03-07T12:00Z")
    assert open_time(hours, friday, monday) == pytest.approx(10 + 14)
    assert open_time(market_hours("always"), friday, monday) == 72
    assert open_time(hours, monday, friday) == 0


def test_inputs_that_never_change_are_frozen():
    def hours(symbol):
        return market_hours("fx")

    many = pd.concat([asked([5.0 * n for n in range(100)], 5), asked([5.0 * n for n in range(100)], 5, "USD_JPY")])
    rows = pd.DataFrame({"instrument": ["GBP_USD"] + ["USD_JPY"] * 8})
    assert frozen(many, rows, hours, 6) == ["GBP_USD: the same inputs from 2022-03-03 12:00 to 20:15 UTC"]
    assert frozen(many, rows, hours, 9) == []
    assert frozen(many.drop(columns="instrument").iloc[:0], rows, hours, 1) == []


def test_quarantine():
    assert quarantined(96, 4, 0.05) == []
    assert quarantined(90, 10, 0.05) == ["10% of the session's candles are in quarantine"]
    assert quarantined(0, 0, 0.05) == []
