"""What has to be fetched: by what there is, when it was fetched, and the data clock."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fx_assets.bronze.due import Newest, due, fetched_by_us, newest_fetches
from fx_assets.bronze.files import CANDLES, NEWS, Bronze
from fx_assets.configuration import load_configuration
from fx_assets.sessions import session_bounds
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

MONDAY, TUESDAY, WEDNESDAY = "2021-03-01", "2021-03-02", "2021-03-03"
DAYS = [MONDAY, TUESDAY, WEDNESDAY]
NOON = datetime(2021, 3, 3, 17, tzinfo=UTC)  # within Tuesday's session


@pytest.fixture(autouse=True)
def wall_clock(monkeypatch):
    monkeypatch.delenv("FX_CLOCK", raising=False)


def at(moment: datetime) -> Newest:
    """Fetched then, by a fetch that is not marked as a part."""
    return Newest(moment, moment)


def test_what_was_never_fetched_is_due_and_what_has_not_begun_is_not():
    assert due(DAYS, ["EUR_USD"], {}, NOON, NOON) == {MONDAY: ["EUR_USD"], TUESDAY: ["EUR_USD"]}


def test_the_running_session_is_always_due():
    had = {"EUR_USD": {MONDAY: at(NOON), TUESDAY: at(NOON)}}
    assert due(DAYS, ["EUR_USD"], had, NOON, NOON) == {TUESDAY: ["EUR_USD"]}


def test_only_the_instrument_that_lacks_it():
    had = {"EUR_USD": dict.fromkeys(DAYS, at(NOON + timedelta(days=5)))}
    later = NOON + timedelta(days=6)
    assert due(DAYS, ["EUR_USD", "GBP_USD"], had, later, later) == {key: ["GBP_USD"] for key in DAYS}


def test_a_session_fetched_before_it_was_over_is_due_until_it_is_fetched_after_its_end():
    end = session_bounds(MONDAY)[1]
    for fetched, again in [
        (end - timedelta(hours=5), True),
        (end + timedelta(seconds=5), True),  # the last candle may not have been published
        (end + timedelta(minutes=2), False),
    ]:
        found = due([MONDAY], ["EUR_USD"], {"EUR_USD": {MONDAY: at(fetched)}}, NOON, NOON)
        assert bool(found) == again, fetched


def test_a_replayed_market_is_judged_by_its_own_clock(monkeypatch):
    end = session_bounds(MONDAY)[1]
    wall = datetime(2026, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setenv("FX_CLOCK", "2021-03-01T00:00:00Z@2026-01-01T00:00:00Z")
    now = end + timedelta(hours=1)
    before = {"EUR_USD": {MONDAY: at(wall - timedelta(hours=3))}}  # two hours before the session's end
    after = {"EUR_USD": {MONDAY: at(wall - timedelta(minutes=5))}}
    assert due([MONDAY], ["EUR_USD"], before, now, wall) == {MONDAY: ["EUR_USD"]}
    assert due([MONDAY], ["EUR_USD"], after, now, wall) == {}


def test_a_clock_that_stands_still_says_nothing_about_fetches(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T22:00:00Z")
    now = datetime(2021, 3, 10, 22, tzinfo=UTC)
    had = {"EUR_USD": {MONDAY: at(datetime(2026, 1, 1, tzinfo=UTC))}}
    assert due([MONDAY, TUESDAY], ["EUR_USD"], had, now) == {TUESDAY: ["EUR_USD"]}


@pytest.mark.parametrize("clock", ["2021-03-05T12:00:00Z", "2021-03-05T12:00:00Z@2026-01-01T00:05:00Z", ""])
def test_a_session_fetched_in_part_is_due_once_it_is_over_whatever_the_clocks_say(monkeypatch, clock):
    """A home that was run under an earlier replay clock: by the wall clock, that was five minutes ago."""
    monkeypatch.setenv("FX_CLOCK", clock)
    now, wall = datetime(2021, 3, 5, 12, tzinfo=UTC), datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    before = wall - timedelta(minutes=5)
    had = {"EUR_USD": {MONDAY: at(before), TUESDAY: Newest(before, None)}}
    assert due(DAYS[:2], ["EUR_USD"], had, now, wall) == {TUESDAY: ["EUR_USD"]}
    again = {"EUR_USD": {MONDAY: at(before), TUESDAY: Newest(wall, wall)}}
    assert due(DAYS[:2], ["EUR_USD"], again, now, wall) == {}


def test_a_clock_that_stands_still_at_the_end_of_a_session_does_not_make_it_due_for_ever(monkeypatch):
    end = session_bounds(MONDAY)[1]
    monkeypatch.setenv("FX_CLOCK", end.isoformat())
    had = {"EUR_USD": {MONDAY: Newest(NOON, None)}}
    assert due([MONDAY], ["EUR_USD"], had, end) == {}


def test_imported_instruments_are_not_fetched(tmp_path, monkeypatch):
    instruments = changed(
        INSTRUMENTS,
        instruments__EUR_USD={"typical_spread": 0.0001, "sources": ["import"]},
        news__sources=[],
    )
    configuration = configuration_of(write_config(tmp_path, instruments), monkeypatch)
    assert fetched_by_us(configuration, CANDLES) == ["GBP_USD", "USD_JPY"]
    assert fetched_by_us(configuration, NEWS) == []
    assert fetched_by_us(load_configuration(), NEWS) == ["all"]


ROWS = pd.DataFrame({"time": pd.to_datetime(["2021-03-01T23:00Z"]), "open": [1.0]})


def test_the_newest_fetch_counts(tmp_path):
    bronze, rows = Bronze(tmp_path), ROWS
    early, late = datetime(2021, 3, 2, tzinfo=UTC), datetime(2021, 3, 4, 1, 2, 3, 456, tzinfo=UTC)
    for moment in (late, early):
        bronze.append(CANDLES, "EUR_USD", MONDAY, "sample", rows, moment)
    bronze.append(CANDLES, "EUR_USD", TUESDAY, "sample", rows.iloc[:0], early)
    assert newest_fetches(bronze, CANDLES) == {"EUR_USD": {MONDAY: at(late), TUESDAY: at(early)}}
    assert newest_fetches(bronze, NEWS) == {}


def test_parts_and_the_bars_of_a_stream_are_told_from_whole_fetches_by_their_names(tmp_path):
    bronze = Bronze(tmp_path)
    first, second, third = (NOON + timedelta(hours=hours) for hours in range(3))
    bronze.append(CANDLES, "EUR_USD", MONDAY, "sample", ROWS, first, part=True)
    bronze.append(CANDLES, "EUR_USD", MONDAY, "oanda_stream", ROWS, second)
    assert newest_fetches(bronze, CANDLES) == {"EUR_USD": {MONDAY: Newest(second, None)}}
    bronze.append(CANDLES, "EUR_USD", MONDAY, "sample", ROWS, second)
    bronze.append(CANDLES, "EUR_USD", MONDAY, "sample", ROWS, third, part=True)
    assert newest_fetches(bronze, CANDLES) == {"EUR_USD": {MONDAY: Newest(third, second)}}
