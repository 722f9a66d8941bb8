"""Which candles can be true at all, and which headlines there are."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.silver.clean import headlines, valid_candles

GOOD = {"open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25, "volume": 5.0, "bid_close": 1.249, "ask_close": 1.251}


def fetched(*rows: dict, at: str = "2021-03-02T00:00Z", **same) -> pd.DataFrame:
    frame = pd.DataFrame([{**GOOD, "instrument": "X", "fetch_source": "s", "complete": True, **row} for row in rows])
    times = pd.date_range("2021-03-01T22:00Z", periods=len(rows), freq="1h", unit="us")
    frame["time"] = times if "time" not in frame else pd.to_datetime(frame["time"], utc=True)
    return frame.assign(fetched_at=pd.Timestamp(at), **same)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"high": 1.25, "open": 1.25, "low": 1.25}, True),
        ({"bid_close": np.nan, "ask_close": np.nan}, True),
        ({"volume": np.nan}, True),
        ({"bid_close": 1.25, "ask_close": 1.25}, True),
        ({"high": 1.05}, False),
        ({"close": 1.31}, False),
        ({"open": 1.09}, False),
        ({"low": 0.0}, False),
        ({"low": -1.0}, False),
        ({"close": np.nan}, False),
        ({"high": np.inf}, False),
        ({"bid_close": 1.252}, False),
        ({"bid_close": 0.0}, False),
        ({"volume": -1.0}, False),
    ],
)
def test_which_candles_can_be_true(change, valid):
    assert valid_candles(fetched(change)).tolist() == [valid]


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
