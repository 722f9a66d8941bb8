"""gold/news_signals: one row an instrument and interval, the same from any range of sessions."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.gold.join import decision_times
from fx_assets.gold.signals import signal_columns, signal_table
from fx_assets.inputs import NEWS_LOOKBACK
from fx_assets.news import NEWS_SIGNALS, news_signals
from fx_assets.news.spec import LONGEST_HOURS
from fx_assets.sessions import news_bounds, previous_session, session_bounds

PAIRS = ["GBP_USD", "USD_JPY"]


def sessions(first: str, count: int, all_week: bool = False) -> list[str]:
    """Some sessions in a row."""
    found, day = [], date.fromisoformat(first)
    while len(found) < count:
        if all_week or day.weekday() not in (4, 5):
            found.append(day.isoformat())
        day += timedelta(days=1)
    return found


@pytest.fixture(scope="module")
def news() -> pd.DataFrame:
    """Six weeks of headlines at random moments, and one at the very end of each session."""
    rng = np.random.default_rng(5)
    start = pd.Timestamp(session_bounds("2021-02-14")[0])
    known = start + pd.to_timedelta(rng.integers(0, 42 * 24 * 60, 2500), unit="min")
    ends = [session_bounds(day)[1] for day in sessions("2021-02-14", 30)]
    known = pd.DatetimeIndex([*known, *ends]).as_unit("us")
    rows = len(known)
    return pd.DataFrame(
        {
            "available_at": known,
            "sentiment": rng.uniform(-1, 1, rows),
            "article_count": 2,
            "novelty": rng.random(rows),
            "duplicate_of": np.where(rng.random(rows) < 0.1, "x", ""),
            **{f"relevance_{name}": rng.choice([0.0, 0.5, 1.0], rows) for name in ("GBP", "USD", "JPY")},
        }
    )


def read(news: pd.DataFrame, keys: list[str], calendar: list[str], all_week: bool = False) -> pd.DataFrame:
    """What the asset reads for some sessions: theirs and those of NEWS_LOOKBACK before each."""
    taken = {k for key in keys for k in calendar[max(0, calendar.index(key) - NEWS_LOOKBACK) : calendar.index(key) + 1]}
    edges = [news_bounds(key, all_week) for key in sorted(taken)]
    times = news["available_at"]
    inside = np.any([(times >= pd.Timestamp(a)) & (times < pd.Timestamp(b)) for a, b in edges], axis=0)
    return news[inside][signal_columns(PAIRS)]


@pytest.mark.parametrize("all_week", [False, True])
def test_day_by_day_week_by_week_and_in_one_go_are_the_same_to_the_last_bit(news, all_week):
    """Over the weekends, and over the change to summer time on 14 March."""
    calendar = sessions("2021-02-14", 38 if all_week else 28, all_week)
    wanted = calendar[-20:]

    def made(keys: list[str]) -> pd.DataFrame:
        return signal_table(read(news, keys, calendar, all_week), keys, 60, PAIRS)

    def joined(size: int) -> pd.DataFrame:
        return pd.concat([made(wanted[n : n + size]) for n in range(0, len(wanted), size)], ignore_index=True)

    whole = made(wanted)
    for size in (1, 5):
        pd.testing.assert_frame_equal(joined(size), whole, check_exact=True)
    everything = signal_table(news[signal_columns(PAIRS)], wanted, 60, PAIRS)
    pd.testing.assert_frame_equal(everything, whole, check_exact=True)


def test_rows_are_those_of_the_signals_with_the_news_known_before_each_sessions_end(news):
    days = sessions("2021-03-07", 3)
    found = signal_table(news.sample(frac=1, random_state=1), days, 30, PAIRS)
    assert list(found.columns) == ["instrument", "time", "available_at", *NEWS_SIGNALS]
    assert len(found) == 2 * 3 * 48
    assert (found["available_at"] - found["time"] == pd.Timedelta("30min")).all()
    for pair in PAIRS:
        parts = []
        for start, end in map(session_bounds, days):
            times = decision_times(pd.Timestamp(start), pd.Timestamp(end), 30)
            parts.append(news_signals(news[news["available_at"] < pd.Timestamp(end)], times, pair))
        own = found.loc[found["instrument"] == pair, list(NEWS_SIGNALS)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, pd.concat(parts, ignore_index=True), check_exact=True)


def test_cutting_later_news_changes_nothing_before_it(news):
    days = sessions("2021-03-07", 5)
    whole = signal_table(news, days, 60, PAIRS)
    for moment in pd.date_range("2021-03-08T03:30Z", periods=6, freq="17h"):
        cut = signal_table(news[news["available_at"] <= moment], days, 60, PAIRS)
        known = (whole["available_at"] <= moment).to_numpy()
        assert known.sum() >= 10
        pd.testing.assert_frame_equal(cut[known], whole[known], check_exact=True)
        assert not cut[~known].equals(whole[~known])


@pytest.mark.parametrize("all_week", [False, True])
def test_the_sessions_read_reach_back_over_the_longest_window(all_week):
    for day in sessions("2021-02-28", 30, all_week):  # the clocks change within
        first = day
        for _ in range(NEWS_LOOKBACK):
            first = previous_session(first, all_week)
        reach = session_bounds(day)[0] - news_bounds(first, all_week)[0]
        assert reach >= timedelta(hours=LONGEST_HOURS)


def test_columns_are_those_of_the_instruments_currencies():
    names = signal_columns(["GBP_USD", "SPX500_USD", "XYZ_USD"])
    assert [n for n in names if n.startswith("relevance_")] == ["relevance_USD", "relevance_GBP", "relevance_SPX"]
