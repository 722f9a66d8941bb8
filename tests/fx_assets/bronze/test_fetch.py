"""Fetching a session from the configured sources, in their order: what is an answer, and what happens without one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.bronze.due import due, newest_fetches
from fx_assets.bronze.fetch import Moment, fetch_candles, fetch_news
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.bronze.report import failures_table, fetch_table, summary
from fx_assets.errors import StoreError
from fx_assets.sessions import news_bounds, session_bounds
from fx_assets.sources import SourceError, SourceRefused
from tests.fx_assets.bronze.answers import NOW, SESSION, asked, bars, dead, instrument, sources

MOMENT = Moment(now=NOW + timedelta(days=1), wall=NOW)


@pytest.fixture
def bronze(tmp_path):
    return Bronze(tmp_path / "lake")


def fetch(bronze: Bronze, made, *names: str, session: str = SESSION, moment: Moment = MOMENT, **more):
    return fetch_candles(bronze, made, "GBP_USD", instrument(*names, **more), session, moment)


def test_the_sample_answers_with_the_bars_of_the_session(bronze):
    (file,) = fetch(bronze, sources(), "sample").files
    back = bronze.read(CANDLES, [SESSION], ["GBP_USD"])
    start, end = session_bounds(SESSION)
    assert len(back) == file.rows == 24
    assert (back["time"].min(), back["time"].max() < end) == (start, True)


def test_christmas_is_a_session_without_rows(bronze):
    (file,) = fetch(bronze, sources(), "sample", session="2020-12-24").files
    assert file.rows == 0


def test_imported_history_is_not_fetched(bronze, tmp_path):
    assert fetch(bronze, sources(), "import").files == ()
    assert not (tmp_path / "lake").exists()


def test_the_running_session_is_fetched_up_to_now_and_a_coming_one_not_at_all(bronze):
    start, _ = session_bounds(SESSION)
    now = start + timedelta(hours=5, minutes=20)
    made = sources(binance=bars(count=5))
    (file,) = fetch(bronze, made, "binance", moment=Moment(now, NOW)).files
    assert file.rows == 5
    assert asked(made, "binance") == [("GBP_USD", start, now)]
    for moment in (start, start - timedelta(days=3)):
        assert fetch(bronze, made, "binance", moment=Moment(moment, NOW)).files == ()
        assert fetch_news(bronze, made, ["binance"], "2021-03-02", Moment(moment, NOW)).files == ()
    assert len(asked(made, "binance")) == 1


def test_a_poll_asks_only_for_what_is_new_and_a_little_before_it(bronze):
    start, _ = session_bounds(SESSION)
    made = sources(binance=lambda _, first, last: bars(str(first), int((last - first).total_seconds()) // 3600))

    def poll(hours: float, poll: bool = True) -> tuple[datetime, datetime]:
        now = start + timedelta(hours=hours)
        fetch(bronze, made, "binance", moment=Moment(now, NOW + timedelta(hours=hours), poll))
        return asked(made, "binance")[-1][1:]

    assert poll(12.5) == (start, start + timedelta(hours=12.5))
    bronze.append(CANDLES, "GBP_USD", SESSION, "binance_stream", bars(count=13).tail(1), NOW + timedelta(hours=13))
    # Ten bars before the newest one of the last answer, not of the stream.
    assert poll(15) == (start + timedelta(hours=1), start + timedelta(hours=15))
    assert poll(16, poll=False)[0] == start
    assert poll(24)[0] == start, "a session that is over is fetched as a whole"
    assert bronze.read(CANDLES, [SESSION], ["GBP_USD"])["time"].nunique() == 24


def test_each_source_is_asked_by_its_own_symbol(bronze):
    made = sources(oanda=dead("oanda"), binance=bars())
    fetch(bronze, made, "oanda", "binance", symbols={"binance": "GBPUSDT"})
    assert [asked(made, name)[0][0] for name in ("oanda", "binance")] == ["GBP_USD", "GBPUSDT"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (dead("oanda"), "does not answer"),
        (SourceRefused("oanda: 401, the token is not valid. Set OANDA_TOKEN."), "401"),
        (bars(high=1.0), "24 of 24 candles of GBP_USD are impossible"),
        (bars(close=np.where(np.arange(24) < 13, np.nan, 1.25)), "13 of 24 candles"),
        (bars().drop(columns="close"), "have no column close"),
        (bars(open="1.2 USD"), "are not numbers"),
        (bars("2021-03-02T22:00Z"), "answered with candles of 2021-03-02 22:00"),
        (bars().assign(time=bars()["time"].dt.tz_localize(None)), "no time zone"),
    ],
    ids=["dead", "refused", "garbage", "half garbage", "columns", "texts", "another day", "zone"],
)
def test_what_is_no_answer_is_passed_over_and_told(bronze, answer, why):
    made = sources(oanda=answer, binance=bars())
    done = fetch(bronze, made, "oanda", "binance")
    assert [file.source for file in done.files] == ["binance"]
    assert set(bronze.read(CANDLES, [SESSION], ["GBP_USD"])["fetch_source"]) == {"binance"}
    (said,) = done.failed
    assert why in said
    assert [entry["source"] for entry in made.passed_over()] == ["oanda"]


def test_a_few_impossible_candles_are_kept_for_silver_to_put_aside(bronze):
    made = sources(oanda=bars(high=np.where(np.arange(24) < 12, 1.0, 1.3)), binance=bars())
    (file,) = fetch(bronze, made, "oanda", "binance").files
    assert (file.source, file.rows) == ("oanda", 24)


def test_a_source_without_candles_while_the_market_was_open_is_followed_by_the_next(bronze):
    none = bars().iloc[:0]
    (file,) = fetch(bronze, sources(oanda=none, binance=bars()), "oanda", "binance").files
    assert file.source == "binance"
    made = sources(oanda=none, binance=SourceRefused("binance: no GBP_USD (400)."))
    (file,) = fetch(bronze, made, "oanda", "binance", session="2021-03-02").files
    assert (file.source, file.rows) == ("oanda", 0), "an answer without candles is better than none"
    made = sources(oanda=none, binance=bars())
    assert fetch(bronze, made, "oanda", "binance", session="2020-12-24").files[0].rows == 0
    assert asked(made, "binance") == [], "at Christmas nobody else has to be asked"


def test_no_candles_are_not_an_answer_while_another_source_may_still_have_them(bronze):
    none, wall = bars().iloc[:0], NOW + timedelta(days=1)
    made = sources(oanda=none, binance=dead("binance"))
    with pytest.raises(StoreError, match=r"binance: does not answer.* \| oanda: has no candles of it"):
        fetch(bronze, made, "oanda", "binance")
    assert bronze.sessions(CANDLES) == {}
    running = Moment(session_bounds(SESSION)[0] + timedelta(hours=5), NOW)
    (file,) = fetch(bronze, made, "oanda", "binance", moment=running).files
    assert (file.source, file.rows) == ("oanda", 0), "the running session is asked for again anyway"
    made = sources(oanda=none, binance=bars())
    assert fetch(bronze, made, "oanda", "binance", moment=Moment(MOMENT.now, wall)).files[0].rows == 24


def test_a_session_that_was_half_fetched_under_an_earlier_clock_is_fetched_as_a_whole(bronze, monkeypatch):
    def backfill(now: str) -> dict[str, list[str]]:
        """What is due by a data clock that stands still, all of it fetched."""
        monkeypatch.setenv("FX_CLOCK", now)
        moment = Moment(datetime.fromisoformat(now), datetime.now(UTC))
        lacking = due(["2021-03-01", "2021-03-02"], ["GBP_USD"], newest_fetches(bronze, CANDLES), moment.now)
        for session in lacking:
            fetch(bronze, sources(), "sample", session=session, moment=moment)
        return lacking

    both = {session: ["GBP_USD"] for session in ("2021-03-01", "2021-03-02")}
    assert backfill("2021-03-03T12:00+00:00") == both
    assert backfill("2021-03-05T12:00+00:00") == {"2021-03-02": ["GBP_USD"]}
    assert bronze.read(CANDLES, ["2021-03-02"], ["GBP_USD"])["time"].nunique() == 24
    assert backfill("2021-03-05T12:00+00:00") == {}


def test_when_nobody_answers_nothing_is_written_and_all_are_quoted(bronze, tmp_path):
    made = sources(oanda=dead("oanda"), binance=bars(low=2.0))
    with pytest.raises(StoreError) as caught:
        fetch(bronze, made, "oanda", "binance", "sample", granularity="M5")
    told = str(caught.value)
    assert (
        "GBP_USD, session 2021-03-01: no source answered. oanda: does not answer. Check the network | binance: " in told
    )
    assert "sample: no M5 candles of GBP_USD" in told
    assert "add another source to its list in instruments.yaml" in told
    assert not (tmp_path / "lake").exists()


def test_secrets_in_what_a_source_says_do_not_get_anywhere(bronze):
    loud = SourceError("oanda: https://user:hunter2@host/v3/candles?token=hunter2&x=1 timed out. Try again.")
    made = sources(oanda=loud, binance=bars())
    done = fetch(bronze, made, "oanda", "binance")
    assert done.failed == ("oanda: https://host/v3/candles timed out. Try again.",)
    with pytest.raises(StoreError) as caught:
        fetch(bronze, sources(oanda=loud), "oanda")
    assert "hunter2" not in str(caught.value) + str(made.passed_over())


def test_sunday_fetches_the_news_of_the_weekend(bronze):
    (file,) = fetch_news(bronze, sources(), ["sample"], "2021-03-07", Moment(datetime.now(UTC), NOW)).files
    seen = bronze.read(NEWS, ["2021-03-07"], [ALL_NEWS])["first_seen"]
    start, end = news_bounds("2021-03-07")
    assert file.rows == len(seen) > 0
    assert (seen.min() >= start, seen.max() < end, seen.min() < session_bounds("2021-03-07")[0]) == (True,) * 3


def headlines(text: str) -> pd.DataFrame:
    stamp = pd.DatetimeIndex(["2021-03-02T10:00Z"]).as_unit("us")
    return pd.DataFrame({"published": stamp, "first_seen": stamp, "headline": [text], "source": ["x"]})


def test_news_sources_complete_each_other(bronze):
    made = sources(
        rss=headlines("a"), finnhub=dead("finnhub"), alpha_vantage=headlines("b"), file=pd.DataFrame({"x": []})
    )
    done = fetch_news(bronze, made, ["rss", "finnhub", "alpha_vantage", "file"], SESSION, MOMENT)
    assert [file.source for file in done.files] == ["rss", "alpha_vantage"]
    assert [words.partition(":")[0] for words in done.failed] == ["finnhub", "file"]
    assert sorted(bronze.read(NEWS, [SESSION], [ALL_NEWS])["headline"]) == ["a", "b"]
    with pytest.raises(StoreError, match="news, session 2021-03-01: no source answered"):
        fetch_news(bronze, made, ["finnhub"], SESSION, MOMENT)
    assert fetch_news(bronze, made, [], SESSION, MOMENT).files == ()


def test_news_that_one_source_failed_to_give_for_now_are_asked_for_again(bronze):
    def fetch_and_ask_what_is_due(names: list[str], **answers) -> list[str]:
        moment = Moment(MOMENT.now, datetime.now(UTC))
        fetch_news(bronze, sources(**answers), names, SESSION, moment)
        return list(due([SESSION], [ALL_NEWS], newest_fetches(bronze, NEWS), moment.now))

    names = ["rss", "finnhub"]
    assert fetch_and_ask_what_is_due(names, rss=headlines("a"), finnhub=dead("finnhub")) == [SESSION]
    refused = SourceRefused("finnhub: 401. Set FINNHUB_API_KEY.")
    assert fetch_and_ask_what_is_due(names, rss=headlines("a"), finnhub=refused) == []
    assert fetch_and_ask_what_is_due(names, rss=headlines("a"), finnhub=headlines("b")) == []


def test_the_table_of_fetches_shows_the_newest_sessions():
    counts = {f"2021-03-{day:02}": {"files": 2, "rows": day} for day in range(1, 15)}
    assert fetch_table(counts).splitlines()[2:4] == ["| 2021-03-14 | 2 | 14 |", "| 2021-03-13 | 2 | 13 |"]
    assert len(fetch_table(counts).splitlines()) == 12
    assert summary([]) == {"files": 0, "rows": 0}
    said = [{"source": "oanda", "what": "EUR_USD", "words": "a | b\nc", "times": 3}]
    assert failures_table(said).splitlines()[2] == "| oanda | EUR_USD | 3 | a / b c |"
