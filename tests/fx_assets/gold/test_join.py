"""Joins by position must be what joins by key are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.gold.join import KEYS, known_news, lags, session_numbers, side_by_side
from fx_assets.gold.signals import signal_table
from fx_assets.sessions import news_bounds, session_bounds


def bars(seed: int = 1) -> pd.DataFrame:
    times = pd.date_range("2021-03-01T22:00Z", periods=40, freq="1h", unit="us")
    rng = np.random.default_rng(seed)
    parts = [pd.DataFrame({"instrument": symbol, "time": times, "x": rng.random(40)}) for symbol in ("A", "B")]
    frame = pd.concat(parts, ignore_index=True).drop(index=[3, 50])
    return frame.assign(available_at=frame["time"] + pd.Timedelta("1h"))


@given(st.randoms(use_true_random=False), st.booleans())
def test_columns_come_beside_the_bars_they_are_of(random, lacks_some):
    left, right = bars(), bars(2).rename(columns={"x": "y"})
    right = right.sample(frac=1, random_state=random.randrange(1000)).drop(columns="available_at")
    right = right.iloc[5:] if lacks_some else right
    found = side_by_side(left, right)
    expected = left.merge(right, on=KEYS, how="inner", validate="1:1")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert len(found) == len(left) - 5 * lacks_some


def test_repeated_bars_are_refused_where_they_cannot_be_told_apart():
    twice = pd.concat([bars(), bars().head(1)], ignore_index=True)
    with pytest.raises(pd.errors.MergeError):
        side_by_side(twice, twice.rename(columns={"x": "y"}).sample(frac=1, random_state=1))


def test_a_lag_is_the_value_of_the_instruments_earlier_bar():
    shuffled = bars().sample(frac=1, random_state=3)
    found = lags(shuffled, ["x"], [1, 3, 50])
    ordered = bars().sort_values(KEYS, ignore_index=True)
    for k in (1, 3, 50):
        expected = ordered.groupby("instrument")["x"].shift(k).rename(f"x_lag{k}")
        pd.testing.assert_series_equal(found[f"x_lag{k}"], expected)
    assert list(found.columns) == [*KEYS, "x_lag1", "x_lag3", "x_lag50"]


def test_news_is_the_newest_row_of_the_instrument_known_at_the_close():
    known = bars()["available_at"].iloc[10:20] - pd.Timedelta("30min")
    news = pd.DataFrame({"instrument": "A", "available_at": known, "n": np.arange(10.0)})
    news = pd.concat([news, news.tail(1).assign(n=77), news.assign(instrument="B", n=news["n"] + 100).head(4)])
    news = news.sample(frac=1, random_state=2, ignore_index=True).sort_values(["n"], ignore_index=True)
    shuffled = bars().sample(frac=1, random_state=4)
    found = known_news(shuffled, news, ["n"])
    by = ["available_at", "n"]
    expected = pd.merge_asof(
        shuffled.sort_values("available_at", kind="stable"), news.sort_values(by), on="available_at", by="instrument"
    )
    assert found["n"].isna().any()
    assert (found["n"] == 77).any()  # of equal times the last one
    assert found["time"].tolist() == shuffled["time"].tolist()
    expected = expected.sort_values(KEYS, ignore_index=True)[found.columns]
    pd.testing.assert_frame_equal(found.sort_values(KEYS, ignore_index=True), expected)
    assert known_news(bars(), news.head(0), ["n"])["n"].isna().all()


@pytest.mark.parametrize("minutes", [240, 1440])
def test_bars_that_close_after_their_session_have_the_same_news_day_by_day_and_over_a_range(minutes):
    """On a UTC grid, over the change to summer time on 14 March 2021."""
    keys = ["2021-03-10", "2021-03-11", "2021-03-14", "2021-03-15", "2021-03-16"]
    rng = np.random.default_rng(1)
    first, last = session_bounds(keys[0])[0], session_bounds(keys[-1])[1]
    known = pd.DatetimeIndex(first + pd.to_timedelta(rng.integers(0, 7 * 1440, 300), unit="min")).as_unit("us")
    headlines = pd.DataFrame({"available_at": known, "sentiment": rng.uniform(-1, 1, 300)})
    times = pd.date_range(pd.Timestamp(first).ceil("1D"), last, freq=f"{minutes}min", unit="us", inclusive="left")
    pairs = ["GBP_USD", "USD_JPY"]
    rows = pd.DataFrame({"instrument": np.repeat(pairs, len(times)), "time": [*times, *times]})
    rows["available_at"] = rows["time"] + pd.Timedelta(minutes=minutes)

    def made(some: list[str]) -> pd.DataFrame:
        bounds = [session_bounds(key) for key in some]
        inside = np.any([(rows["time"] >= a) & (rows["time"] < b) for a, b in bounds], axis=0)
        before = headlines[headlines["available_at"] < pd.Timestamp(news_bounds(some[-1])[1])]
        news = signal_table(before, some, 60, pairs)
        numbers = session_numbers(rows[inside], some), session_numbers(news, some)
        return known_news(rows[inside], news, ["news_sentiment_24h"], numbers)

    def ordered(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sort_values(KEYS, ignore_index=True)

    whole = made(keys)
    days = [made([key]) for key in keys]
    assert all((day["available_at"] > session_bounds(key)[1]).any() for key, day in zip(keys, days, strict=True))
    assert whole["news_sentiment_24h"].notna().all()
    pd.testing.assert_frame_equal(ordered(pd.concat(days)), ordered(whole), check_exact=True)
