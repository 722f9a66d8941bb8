"""Joins by position must be what joins by key are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.features.news import NEWS_SIGNALS, news_signals
from fx_assets.gold.join import KEYS, decision_times, known_news, lags, side_by_side
from fx_assets.gold.signals import signal_table
from fx_assets.sessions import session_bounds

DAYS = ["2021-03-01", "2021-03-02", "2021-03-03"]


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


def test_news_is_the_newest_row_known_at_the_close():
    news = pd.DataFrame({"available_at": bars()["available_at"].iloc[10:20] - pd.Timedelta("30min"), "n": range(10)})
    news = pd.concat([news, news.tail(1).assign(n=77)])  # of equal times the last one
    found = known_news(bars(), news.astype({"n": float}), ["n"])
    ordered = bars().sort_values("available_at", kind="stable")
    expected = pd.merge_asof(ordered, news.astype({"n": float}), on="available_at").sort_index()
    assert found["n"].isna().any()
    assert (found["n"] == 77).any()
    pd.testing.assert_frame_equal(
        found.sort_values(KEYS, ignore_index=True), expected.sort_values(KEYS, ignore_index=True)[found.columns]
    )


def test_signals_of_several_sessions_are_those_of_each_with_all_the_news_before_its_end():
    rng = np.random.default_rng(5)
    starts = pd.Timestamp(session_bounds("2021-02-24")[0])
    known = starts + pd.to_timedelta(rng.integers(0, 9 * 24 * 60, 400), unit="min")
    ends = pd.DatetimeIndex([session_bounds(day)[1] for day in DAYS])  # a headline of the very end of a session
    known = pd.DatetimeIndex([*known, *ends]).as_unit("us")
    news = pd.DataFrame({"available_at": known, "sentiment": rng.normal(size=len(known)), "article_count": 2})
    found = signal_table(news.sample(frac=1, random_state=1), DAYS, 60)
    parts = []
    for start, end in map(session_bounds, DAYS):
        times = decision_times(pd.Timestamp(start), pd.Timestamp(end), 60)
        parts.append(news_signals(news[news["available_at"] < pd.Timestamp(end)], times))
    expected = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(found[list(NEWS_SIGNALS)], expected, check_exact=True)
    assert (found["available_at"] - found["time"] == pd.Timedelta("1h")).all()
    assert len(found) == 3 * 24
