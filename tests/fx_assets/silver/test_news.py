"""Which headlines there are, since when, and that nothing later changes one that is known."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.configuration.data import Sentiment
from fx_assets.inputs import DUPLICATE_LOOKBACK
from fx_assets.news import RELEVANCE
from fx_assets.news.duplicates import WINDOW_HOURS
from fx_assets.sentiment import make_scorer
from fx_assets.sessions import is_session, news_bounds, previous_session
from fx_assets.silver.news import headlines, news_table
from tests.counts import count

DAY = "2021-02-28"  # the session of 2021-03-01 until 22:00 UTC


def seen(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Bronze rows of news from (session, headline, published, first seen), the times on 2021-03-01."""
    frame = pd.DataFrame(rows, columns=["session", "headline", "published", "first_seen"])
    for name in ("published", "first_seen"):
        frame[name] = pd.to_datetime("2021-03-01T" + frame[name] + "Z", utc=True).astype("datetime64[us, UTC]")
    return frame.assign(source="wire", article_count=1, fetched_at=pd.Timestamp("2021-03-02", tz="UTC"))


def test_headlines_are_known_from_the_later_of_published_and_seen():
    known = headlines(seen([(DAY, "a", "10:00", "11:00"), (DAY, "b", "12:00", "10:30")]))
    assert dict(zip(known["headline"], known["available_at"].dt.strftime("%H:%M"), strict=True)) == {
        "a": "11:00",
        "b": "12:00",
    }
    assert headlines(seen([])).empty


def test_a_headline_that_every_fetch_brings_again_is_there_once_and_known_since_it_was_first_seen():
    polls = [(DAY, "Fed holds rates", "10:00", f"10:{minute:02}") for minute in (5, 10, 15)]
    known = headlines(seen([*polls, (DAY, "FED HOLDS RATES!", "10:20", "10:30")]))
    assert known["available_at"].dt.strftime("%H:%M").tolist() == ["10:05"]


def test_the_same_headline_of_another_session_is_another_one():
    """Otherwise a session's headlines would depend on which others are made with it."""
    rows = [(DAY, "Fed holds rates", "10:00", "10:05"), ("2021-03-01", "Fed holds rates", "22:30", "22:35")]
    assert len(headlines(seen(rows))) == 2


def test_a_headline_from_the_future_stays_in_the_session_that_saw_it():
    """A run over one session and a run over many would otherwise put it in different places, or nowhere."""
    known = headlines(seen([(DAY, "Fed holds rates", "22:30", "21:30")]))
    assert known["available_at"].tolist() == [pd.Timestamp("2021-03-01T21:59:59.999999Z")]


def test_articles_of_a_moment_add_up_and_later_ones_are_not_known_yet():
    rows = [(DAY, "Fed holds rates", "10:00", "10:05")] * 3 + [(DAY, "Fed holds rates!", "10:00", "11:00")]
    news = seen(rows).assign(source=["a", "a", "b", "c"], article_count=[2, 3, 4, 50])
    known = headlines(news)
    assert known["article_count"].tolist() == [3 + 4]


TEXTS = ("Fed holds rates", "FED HOLDS RATES!", "Dollar gains on Fed", "Dollar gains on the Fed", "Yen slips")
rows_of_news = st.lists(
    st.tuples(
        st.sampled_from(["2021-02-28", "2021-03-01", "2021-03-02"]),
        st.integers(0, 300),  # published, seconds into the session
        st.integers(0, 300),  # first seen
        st.sampled_from(TEXTS),
        st.sampled_from(["a", "b"]),
        st.integers(1, 3),
    ),
    max_size=25,
)


def bronze(rows: list[tuple]) -> pd.DataFrame:
    """Bronze rows; session starts are at 22:00 UTC."""
    frame = pd.DataFrame(rows, columns=["session", "published", "first_seen", "headline", "source", "article_count"])
    start = pd.to_datetime(frame["session"] + "T22:00Z", utc=True)
    for name in ("published", "first_seen"):
        frame[name] = (start + pd.to_timedelta(frame[name].astype("int64") * 283, unit="s")).astype(
            "datetime64[us, UTC]"
        )
    return frame


@given(rows_of_news, st.integers(0, 900), st.randoms(use_true_random=False))
def test_headlines_known_by_a_moment_are_the_same_whatever_comes_after_it_and_in_any_order(rows, minutes, random):
    moment = pd.Timestamp("2021-02-28T22:00Z") + pd.Timedelta(minutes=5 * minutes)
    whole = headlines(bronze(rows))
    shuffled = list(rows)
    random.shuffle(shuffled)
    pd.testing.assert_frame_equal(headlines(bronze(shuffled)), whole)
    if not rows:
        return
    news = bronze(rows)
    known = headlines(news[news["first_seen"] <= moment])
    if len(known):
        before = whole[whole["available_at"] <= moment].reset_index(drop=True)
        pd.testing.assert_frame_equal(known[known["available_at"] <= moment].reset_index(drop=True), before)


@pytest.mark.parametrize("all_week", [False, True])
def test_the_sessions_read_reach_back_over_the_time_in_which_headlines_repeat(all_week):
    for day in pd.date_range("2021-03-07", periods=16).strftime("%Y-%m-%d"):  # the clocks change within
        if not all_week and not is_session(day):
            continue
        first = day
        for _ in range(DUPLICATE_LOOKBACK):
            first = previous_session(first, all_week)
        reach = news_bounds(day, all_week)[0] - news_bounds(first, all_week)[0]
        assert reach >= timedelta(hours=WINDOW_HOURS)


@settings(max_examples=max(20, count("property_examples") // 5))
@given(rows_of_news)
def test_a_session_alone_is_as_in_a_range(rows):
    """With the sessions before it that DUPLICATE_LOOKBACK asks for."""
    scorer = make_scorer(Sentiment())
    news = bronze(rows)
    days = ["2021-02-28", "2021-03-01", "2021-03-02"]
    whole = news_table(news, days, scorer)
    for n, day in enumerate(days):
        alone = news_table(news[news["session"].isin(days[max(0, n - 2) : n + 1])], [day], scorer)
        own = whole[whole["session"] == day].reset_index(drop=True) if len(whole) else whole
        if len(own) or len(alone):
            pd.testing.assert_frame_equal(alone, own, check_exact=True)


def test_a_row_says_what_a_headline_is_worth():
    rows = [
        (DAY, "Sterling rallies as UK growth beats forecasts", "10:00", "10:05"),
        (DAY, "Sterling rallies as UK growth beats forecasts - Reuters", "10:00", "10:30"),
    ]
    scorer = make_scorer(Sentiment())
    found = news_table(seen(rows), [DAY], scorer)
    assert found["duplicate_of"].tolist() == ["", rows[0][1]]
    assert found["novelty"].iloc[0] == 1 > 0.3 > found["novelty"].iloc[1]
    assert (found["sentiment"] > 0.05).all()
    assert set(found["scorer"]) == {scorer.version}
    assert found["relevance_GBP"].tolist() == [1, 1]
    assert np.count_nonzero(found[list(RELEVANCE)]) == 2
