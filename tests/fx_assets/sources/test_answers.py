"""The checks that every candle source's answer passes, and what needs of a source are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from fx_assets.sources import SourceError, SourceRefused, answers, needs

START, END = datetime(2025, 6, 10, tzinfo=UTC), datetime(2025, 6, 11, tzinfo=UTC)


def bars(**changed) -> pd.DataFrame:
    times = pd.date_range(START, END, freq="1h", inclusive="left")
    columns = {name: np.linspace(1.1, 1.2, 24) for name in answers.MIDDLE} | {"volume": np.arange(24.0)}
    frame = answers.frame(times, columns)
    for column, (row, value) in changed.items():
        frame.loc[row, column] = value
    return frame


def check(frame: pd.DataFrame, granularity: str = "H1") -> pd.DataFrame:
    return answers.checked("here", "EUR_USD", frame, granularity, START, END)


def test_a_good_answer_passes_as_it_is():
    frame = bars()
    assert check(frame) is frame
    assert check(frame.iloc[:0]).empty
    assert list(frame.columns) == ["time", *answers.MIDDLE, "volume"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"close": (3, np.nan)}, "close is not a possible figure at 2025-06-10 03:00"),
        ({"close": (3, np.inf)}, "close is not a possible figure"),
        ({"open": (0, 0.0)}, "open is not a possible figure"),
        ({"low": (23, -1.0)}, "low is not a possible figure"),
        ({"volume": (4, -1.0)}, "volume is not a possible figure"),
        ({"time": (23, pd.Timestamp(END))}, "a bar outside"),
        ({"time": (0, pd.Timestamp(START) - pd.Timedelta(hours=1))}, "a bar outside"),
        ({"time": (5, pd.Timestamp(START))}, "a bar not after the one before it"),
        ({"time": (5, pd.Timestamp(START) + pd.Timedelta(hours=4))}, "a bar not after the one before it"),
        ({"time": (5, pd.Timestamp(START) + pd.Timedelta(hours=5, seconds=1))}, "a bar off the grid of H1"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_where(changed, words):
    with pytest.raises(SourceError, match=words) as caught:
        check(bars(**changed))
    assert str(caught.value).startswith("here: EUR_USD: ")


def test_long_bars_may_hang_on_the_sources_own_day():
    frame = bars().iloc[[1, 5, 9]]
    assert len(check(frame, "H4")) == 3


def test_bars_are_whole_when_they_have_closed(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2025-06-10T12:59:59Z")
    assert len(answers.whole(bars(), "H1", START, END)) == 12
    monkeypatch.setenv("FX_CLOCK", "2025-06-10T13:00:00Z")
    assert len(answers.whole(bars(), "H1", START, END)) == 13


def test_moments_of_any_zone_are_the_same_microsecond():
    moment = datetime(2025, 6, 10, 14, 30, 0, 1, tzinfo=timezone(timedelta(hours=2)))
    assert answers.micros(moment) == answers.micros(moment.astimezone(UTC)) == 1_749_558_600_000_001


PAIRS = {"EUR_USD": ("EUR", "USD"), "BTC_USDT": ("BTC", "USDT")}


@pytest.mark.parametrize("text", [*PAIRS, "SPX500", "^GSPC", "eur_usd", "STK:SPY:ARCA:USD"])
def test_pairs_are_told_from_symbols(text):
    assert answers.pair(text) == PAIRS.get(text)


def test_a_missing_key_is_refused_with_its_variable(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "  ")
    with pytest.raises(SourceRefused, match="SOME_KEY is not set"):
        needs.secret("here", "SOME_KEY")
    monkeypatch.setenv("SOME_KEY", " value ")
    assert needs.secret("here", "SOME_KEY") == "value"


def test_every_kind_that_may_be_configured_has_a_class():
    from fx_assets.sources.base import CLASSES
    from fx_assets.sources.options import KINDS

    assert set(CLASSES) == set(KINDS)
