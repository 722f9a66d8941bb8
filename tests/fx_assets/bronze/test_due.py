"""What has to be fetched: by what there is, when it was fetched, and the data clock."""

from datetime import UTC, datetime, timedelta

import pytest

from fx_assets.bronze.due import due, fetched_by_us, newest_fetches
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


def fetches(**sessions: datetime) -> dict[str, dict[str, datetime | None]]:
    return {"EUR_USD": dict(sessions)}


def test_what_was_never_fetched_is_due_and_what_has_not_begun_is_not():
    assert due(DAYS, ["EUR_USD"], {}, NOON, NOON) == {MONDAY: ["EUR_USD"], TUESDAY: ["EUR_USD"]}


def test_the_running_session_is_always_due():
    had = {"EUR_USD": {MONDAY: NOON, TUESDAY: NOON}}
    assert due(DAYS, ["EUR_USD"], had, NOON, NOON) == {TUESDAY: ["EUR_USD"]}


def test_only_the_instrument_that_lacks_it():
    had = {"EUR_USD": dict.fromkeys(DAYS, NOON + timedelta(days=5))}
    later = NOON + timedelta(days=6)
    assert due(DAYS, ["EUR_USD", "GBP_USD"], had, later, later) == {key: ["GBP_USD"] for key in DAYS}


def test_a_session_fetched_before_it_was_over_is_due_until_it_is_fetched_after_its_end():
    end = session_bounds(MONDAY)[1]
    for fetched, again in [
        (end - timedelta(hours=5), True),
        (end + timedelta(seconds=5), True),  # the last candle may not have been published
        (end + timedelta(minutes=2), False),
    ]:
        found = due([MONDAY], ["EUR_USD"], {"EUR_USD": {MONDAY: fetched}}, NOON, NOON)
        assert bool(found) == again, fetched


def test_archived_sessions_are_not_missing():
    assert due([MONDAY], ["EUR_USD"], {"EUR_USD": {MONDAY: None}}, NOON, NOON) == {}


def test_a_replayed_market_is_judged_by_its_own_clock(monkeypatch):
    end = session_bounds(MONDAY)[1]
    wall = datetime(2026, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setenv("FX_CLOCK", "2021-03-01T00:00:00Z@2026-01-01T00:00:00Z")
    now = end + timedelta(hours=1)
    before = {"EUR_USD": {MONDAY: wall - timedelta(hours=3)}}  # two hours before the session's end
    after = {"EUR_USD": {MONDAY: wall - timedelta(minutes=5)}}
    assert due([MONDAY], ["EUR_USD"], before, now, wall) == {MONDAY: ["EUR_USD"]}
    assert due([MONDAY], ["EUR_USD"], after, now, wall) == {}


def test_a_clock_that_stands_still_says_nothing_about_fetches(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T22:00:00Z")
    now = datetime(2021, 3, 10, 22, tzinfo=UTC)
    had = {"EUR_USD": {MONDAY: datetime(2026, 1, 1, tzinfo=UTC)}}
    assert due([MONDAY, TUESDAY], ["EUR_USD"], had, now) == {TUESDAY: ["EUR_USD"]}


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


def test_the_newest_fetch_counts(tmp_path):
    import pandas as pd

    bronze = Bronze(tmp_path)
    rows = pd.DataFrame({"time": pd.to_datetime(["2021-03-01T23:00Z"]), "open": [1.0]})
    early, late = datetime(2021, 3, 2, tzinfo=UTC), datetime(2021, 3, 4, 1, 2, 3, 456, tzinfo=UTC)
    for moment in (late, early):
        bronze.append(CANDLES, "EUR_USD", MONDAY, "sample", rows, moment)
    bronze.append(CANDLES, "EUR_USD", TUESDAY, "sample", rows.iloc[:0], early)
    assert newest_fetches(bronze, CANDLES) == {"EUR_USD": {MONDAY: late, TUESDAY: early}}
    assert newest_fetches(bronze, NEWS) == {}
