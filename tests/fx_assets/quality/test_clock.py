"""Feeds, and news, whose clock is off."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.quality.market import Listed, Market
from fx_assets.quality.news_clock import ALL, news_clocks
from fx_assets.quality.report import RunReport, week_of
from fx_assets.quality.screen import screen
from tests.fx_assets.quality.market_data import NOW, fetched, hours, market_of, reasons, recorded, screened


def moved(rows: pd.DataFrame, symbol: str, by: str) -> pd.DataFrame:
    """One instrument's candles under another time, as an imported file with a wrong clock gives them."""
    rows = rows.copy()
    rows.loc[rows["instrument"] == symbol, "time"] += pd.Timedelta(by)
    return fetched(rows)


def test_a_recorded_feed_one_hour_behind_is_found_beside_two_that_are_right():
    """In the week between the European and American clock changes of 2018, the file of AUD_USD lags by an hour."""
    rows = recorded("hours_2018-10-28")
    found = screened(rows)
    guilty = found.quarantined[found.quarantined["reason"] == "feed_clock"]
    assert set(guilty["instrument"]) == {"AUD_USD"}
    assert sorted(found.problems) == ["2018-10-30", "2018-10-31", "2018-11-01"]
    (words,) = [w for w in found.problems["2018-10-31"] if "clock" in w and "minutes" in w]
    assert words.startswith("AUD_USD, session 2018-10-31: its clock is about 60 minutes behind")
    # A single session of hours cannot always tell; the whole week can.
    report = RunReport(market_of(rows))
    report.add(sorted(rows["session"].unique()), found)
    assert report.week_shifts() == [
        "AUD_USD, week of 2018-10-28: its clock is 60 minutes behind the related instruments'"
    ]


def test_a_good_week_has_no_clock_off_and_a_moved_one_has():
    rows = recorded("hours_2018-10-14")
    for by, minutes in (("1h", "60 minutes ahead of"), ("-3h", "180 minutes behind")):
        shifted = moved(rows, "EUR_USD", by)
        shifted = shifted[shifted["session"].isin(rows["session"])]
        report = RunReport(market_of(rows))
        keys = sorted(rows["session"].unique())
        report.add(keys, screen(shifted, keys, market_of(rows), NOW))
        assert report.week_shifts() == [f"EUR_USD, week of 2018-10-14: its clock is {minutes} the related instruments'"]


def test_the_week_is_the_same_however_it_is_cut():
    rows = recorded("hours_2018-10-28")
    keys = sorted(rows["session"].unique())
    whole, cut = RunReport(market_of(rows)), RunReport(market_of(rows))
    whole.add(keys, screen(rows, keys, market_of(rows), NOW))
    for part in (keys[:2], keys[2:]):
        cut.add(part, screen(rows[rows["session"].isin(part)], part, market_of(rows), NOW))
    assert cut.week_shifts() == whole.week_shifts() != []


@pytest.mark.parametrize(
    ("by", "words"),
    [("24h", "about 1440 minutes ahead"), ("1h", "about 60 minutes ahead"), ("-1h", "about 60 minutes behind"),
     ("-24h", "about 1440 minutes behind")],
)  # fmt: skip
def test_the_opening_of_the_week_shows_a_lone_feed_an_hour_or_a_day_off(by, words):
    weeks = [recorded("oanda_usdsgd_h1_2025-03-02")]
    # The week before it, so that its Friday can reach into the weekend.
    weeks.insert(0, weeks[0].assign(time=weeks[0]["time"] - pd.Timedelta("7D")))
    rows = fetched(pd.concat(weeks, ignore_index=True).drop(columns=["session"]))
    rows = moved(rows, "USD_SGD", by)
    found = screened(rows[rows["session"] >= "2025-03-02"].reset_index(drop=True))
    told = found.problems["2025-03-02"]
    assert any(words in text and "the opening of the week" in text for text in told), told
    assert not (found.good["time"] < pd.Timestamp("2025-03-03T22:00Z")).any()
    assert reasons(found)["feed_clock"] >= 24


def test_quotes_of_some_hours_before_the_opening_are_no_shifted_clock():
    found = screened(recorded("fxcm_eurusd_m1_2014-05-04"), minutes=1)
    assert "feed_clock" not in reasons(found)


def test_unrelated_instruments_say_nothing_about_each_other():
    rows = hours(symbols=("EUR_USD", "AUD_JPY"))
    found = screened(moved(rows, "AUD_JPY", "0h"))
    assert all(not agreement.pairs for agreement in found.agreements)


def test_a_minute_feed_an_hour_off_is_found_within_one_session():
    rng = np.random.default_rng(3)
    times = pd.date_range("2021-03-02T22:00Z", periods=1440, freq="min", unit="us")
    dollar = rng.normal(0, 1e-4, 1440 + 60)
    parts = []
    for symbol, late in (("EUR_USD", 0), ("GBP_USD", 0), ("AUD_USD", 60)):
        moves = dollar[60 - late : 1500 - late] + rng.normal(0, 1e-4, 1440)
        close = 1.2 * np.exp(np.cumsum(moves))
        open_ = np.concatenate([[1.2], close[:-1]])
        candle = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
        parts.append(pd.DataFrame({"instrument": symbol, "time": times, **candle}))
    rows = fetched(pd.concat(parts, ignore_index=True))
    market = Market(tuple(Listed(s, 1, "fx", 0.0001) for s in ("EUR_USD", "GBP_USD", "AUD_USD")))
    found = screened(rows, market)
    assert set(found.quarantined["instrument"]) == {"AUD_USD"}
    assert "about 60 minutes ahead" in " ".join(found.problems["2021-03-02"])


def test_a_week_begins_on_sunday():
    assert {week_of(k) for k in ("2021-02-28", "2021-03-04", "2021-03-06")} == {"2021-02-28"}
    assert week_of("2021-03-07") == "2021-03-07"


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    from fx_assets.sources.sample import FOLDER

    return pd.read_parquet(FOLDER / "GBP_USD_H1.parquet").assign(instrument="GBP_USD")


def headlines(candles: pd.DataFrame, shift: int, seed: int = 2) -> pd.DataFrame:
    """Headlines that come in the hours in which the real candles moved most, more of them the more they moved."""
    rng = np.random.default_rng(seed)
    size = np.abs(np.log(candles["close"].to_numpy() / candles["open"].to_numpy()))
    count = rng.poisson(0.5 + size / size.mean())
    rows = candles[["time"]].assign(article_count=count)[count > 0]
    return pd.DataFrame(
        {
            "published": rows["time"] + pd.Timedelta(hours=shift),
            "source": "wire",
            "article_count": rows["article_count"],
        }
    )


@pytest.mark.parametrize("shift", [-5, -1, 0, 1, 3])
def test_the_hour_by_which_a_news_source_is_off_is_found(candles, shift):
    for clock in news_clocks(headlines(candles, shift), candles):
        assert (clock.verdict, clock.hours) == ("off" if shift else "right", shift)
        assert ("come" in clock.words) is (shift != 0)


def test_headlines_that_have_nothing_to_do_with_moves_are_inconclusive(candles):
    rng = np.random.default_rng(5)
    news = headlines(candles, 0)
    news = news.assign(published=rng.choice(candles["time"].to_numpy(), len(news)))
    news["published"] = pd.to_datetime(news["published"], utc=True)
    assert {clock.verdict for clock in news_clocks(news, candles)} == {"inconclusive"}


def test_a_few_headlines_are_inconclusive_however_well_they_fit(candles):
    few = headlines(candles, 2).head(200)
    (clock,) = news_clocks(few, candles)
    assert (clock.source, clock.verdict) == (ALL, "inconclusive")
    assert "200 headlines" in clock.words or "headlines" in clock.words
