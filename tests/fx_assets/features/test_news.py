"""Headline sentiment and what it adds up to at a decision time."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.features.news import AGE_CAP_MINUTES, NEWS_SIGNALS, news_signals, score_headlines


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(texts), utc=True))


def test_headlines_are_ordered_as_a_trader_would():
    good, bad, plain, empty = score_headlines(
        [
            "Sterling rallies as growth beats forecasts",
            "Stocks plunge on recession fears",
            "Shares and bond interest",
            "",
        ]
    )
    assert good > 0.4
    assert bad < -0.6
    assert plain == 0.0
    assert empty == 0.0
    assert score_headlines([]).shape == (0,)


def test_windows_hold_only_what_was_known():
    news = pd.DataFrame(
        {
            "available_at": utc("2021-01-04 10:00", "2021-01-04 11:30", "2021-01-04 12:00", "2021-01-04 12:01"),
            "sentiment": [0.5, -0.5, 1.0, -1.0],
            "article_count": [3, 1, 2, 9],
        }
    )
    at = utc("2021-01-04 12:00", "2021-01-04 09:59", "2021-01-09 00:00")
    signals = news_signals(news, at)
    assert list(signals.columns) == list(NEWS_SIGNALS)
    first = signals.iloc[0].to_dict()
    assert first["news_count_1h"] == 3  # 11:30 and 12:00; 12:01 is not known yet
    assert first["news_sentiment_1h"] == pytest.approx((-0.5 + 2 * 1.0) / 3)
    assert first["news_count_6h"] == 6
    mean = (3 * 0.5 - 0.5 + 2 * 1.0) / 6
    variance = (3 * (0.5 - mean) ** 2 + (-0.5 - mean) ** 2 + 2 * (1 - mean) ** 2) / 6
    assert first["news_dispersion_6h"] == pytest.approx(np.sqrt(variance))
    assert first["news_age_minutes"] == 0
    weights = np.array([3 * 0.5 ** (2 / 6), 0.5 ** (0.5 / 6), 2.0])
    assert first["news_sentiment_decayed"] == pytest.approx(weights @ [0.5, -0.5, 1.0] / weights.sum())
    for quiet in signals.iloc[1:].to_dict("records"):
        assert quiet.pop("news_age_minutes") == AGE_CAP_MINUTES
        assert set(quiet.values()) == {0.0}


def test_old_news_and_row_order_leave_no_trace():
    rng = np.random.default_rng(4)
    start = pd.Timestamp("2021-01-04", tz="UTC")
    stamps = pd.DatetimeIndex(start + pd.to_timedelta(rng.integers(0, 10 * 1440, 500), unit="min"))
    news = pd.DataFrame({"available_at": stamps, "sentiment": rng.uniform(-1, 1, 500)})
    at = pd.date_range("2021-01-12", periods=40, freq="1h", tz="UTC")
    whole = news_signals(news, at)
    recent = news[news["available_at"] > at[0] - pd.Timedelta(hours=72)].sample(frac=1, random_state=1)
    assert news_signals(recent, at).equals(whole)
    known = news[news["available_at"] <= at[20]]
    assert news_signals(known, at[:21]).equals(whole.iloc[:21])


def test_no_news_at_all_and_bad_frames():
    at = utc("2021-01-04 12:00")
    empty = pd.DataFrame({"available_at": utc(), "sentiment": np.empty(0)})
    assert news_signals(empty, at)["news_age_minutes"].tolist() == [AGE_CAP_MINUTES]
    with pytest.raises(DataError, match="sentiment missing"):
        news_signals(empty.drop(columns="sentiment"), at)
    with pytest.raises(DataError, match="time zone"):
        news_signals(empty, at.tz_localize(None))
