"""Fetching a session from the configured sources, in their order."""

from datetime import UTC, datetime

import pytest

from fx_assets.bronze.fetch import fetch_candles, fetch_news, fetch_table, summary
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.configuration import Instrument
from fx_assets.errors import ConfigError, StoreError
from fx_assets.sessions import news_bounds, session_bounds
from fx_assets.sources import candle_source, news_source

NOW = datetime(2021, 3, 2, 22, tzinfo=UTC)


def instrument(*sources: str, granularity: str = "H1") -> Instrument:
    return Instrument.model_validate({"sources": sources, "typical_spread": 1e-4, "granularity": granularity})


def test_the_sample_answers_with_the_bars_of_the_session(tmp_path):
    bronze = Bronze(tmp_path)
    fetched = fetch_candles(bronze, "GBP_USD", instrument("sample"), "2021-03-01", NOW)
    assert fetched is not None
    back = bronze.read(CANDLES, ["2021-03-01"], ["GBP_USD"])
    start, end = session_bounds("2021-03-01")
    assert len(back) == fetched.rows == 24
    assert (back["time"].min(), back["time"].max() < end) == (start, True)


def test_christmas_is_a_session_without_rows(tmp_path):
    fetched = fetch_candles(Bronze(tmp_path), "GBP_USD", instrument("sample"), "2020-12-24", NOW)
    assert fetched is not None
    assert fetched.rows == 0


def test_imported_history_is_not_fetched(tmp_path):
    assert fetch_candles(Bronze(tmp_path), "EUR_USD", instrument("import"), "2021-03-01", NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_the_next_source_is_asked_and_if_none_answers_all_are_quoted(tmp_path):
    bronze = Bronze(tmp_path)
    assert fetch_candles(bronze, "EUR_USD", instrument("sample", "import"), "2021-03-01", NOW) is None
    with pytest.raises(StoreError) as caught:
        fetch_candles(bronze, "GBP_USD", instrument("sample", granularity="M5"), "2021-03-01", NOW)
    assert "GBP_USD, session 2021-03-01: no source answered. sample: no M5 candles of GBP_USD" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_sunday_fetches_the_news_of_the_weekend(tmp_path):
    bronze = Bronze(tmp_path)
    (fetched,) = fetch_news(bronze, ["sample"], "2021-03-07", NOW)
    seen = bronze.read(NEWS, ["2021-03-07"], [ALL_NEWS])["first_seen"]
    start, end = news_bounds("2021-03-07")
    assert fetched.rows == len(seen) > 0
    assert (seen.min() >= start, seen.max() < end, seen.min() < session_bounds("2021-03-07")[0]) == (True,) * 3


def test_an_unknown_source_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'oandaa' is not a candle source. Use one of sample, import"):
        candle_source("oandaa")
    with pytest.raises(ConfigError, match=r"'import' is not a news source. Use one of sample\."):
        news_source("import")
    assert candle_source("import").name == "import"


def test_the_table_of_fetches_shows_the_newest_sessions():
    counts = {f"2021-03-{day:02}": {"files": 2, "rows": day} for day in range(1, 15)}
    assert fetch_table(counts).splitlines()[2:4] == ["| 2021-03-14 | 2 | 14 |", "| 2021-03-13 | 2 | 13 |"]
    assert len(fetch_table(counts).splitlines()) == 12
    assert summary([None]) == {"files": 0, "rows": 0}
