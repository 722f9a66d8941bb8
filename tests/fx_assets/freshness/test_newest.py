"""How far the newest rows are behind the market: over weekends, holidays, exchanges; the check and the schedule."""

import os
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from fx_assets.freshness.newest import NEWS, lag_table, newest_rows, table_lags
from fx_assets.lake import Lake
from fx_assets.schemas import UTC_TIME
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, checks, configuration_of, write_config

CANDLES = "silver/candles"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def put(lake: Lake, table: str, session: str, **newest: str) -> None:
    """A partition whose newest rows are at these times; of news, of available_at."""
    times = pd.to_datetime(list(newest.values()), utc=True).astype(UTC_TIME)
    name = "available_at" if table == NEWS else "time"
    lake.write(table, {session: pd.DataFrame({"instrument": list(newest), name: times})})


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def configured(tmp_path, monkeypatch):
    def make(**paths):
        folder = tmp_path / f"config{len(list(tmp_path.iterdir()))}"
        instruments = changed(INSTRUMENTS, sessions={"start": "2021-03-01"}, **paths)
        write_config(folder, instruments)
        (folder / "data.yaml").write_text(
            "freshness: {default: {max_lag_minutes: 90}, silver/news_sentiment: {max_lag_minutes: 600}}\n"
        )
        return configuration_of(folder, monkeypatch)

    return make


def lags(lake, configuration, now: str, table: str = CANDLES) -> dict[str, tuple]:
    return {x.instrument: (x.lag_minutes, x.verdict) for x in table_lags(lake, configuration, table, at(now))}


def test_each_missing_bar_counts_with_its_length(lake, configured):
    put(lake, CANDLES, "2021-03-09", GBP_USD="2021-03-10T11:00", USD_JPY="2021-03-10T09:00")
    found = lags(lake, configured(), "2021-03-10 12:30")
    assert found == {"GBP_USD": (0, "fresh"), "USD_JPY": (120, "late")}


def test_the_limit_is_the_tables_own(lake, configured):
    put(lake, CANDLES, "2021-03-09", GBP_USD="2021-03-10T10:00", USD_JPY="2021-03-10T11:00")
    assert lags(lake, configured(), "2021-03-10 12:30")["GBP_USD"] == (60, "fresh")
    put(lake, NEWS, "2021-03-09", all="2021-03-10T03:00")
    assert lags(lake, configured(), "2021-03-10 12:30", NEWS) == {"news": (570, "fresh")}
    assert lags(lake, configured(), "2021-03-10 13:30", NEWS) == {"news": (630, "late")}


def test_a_weekend_makes_nothing_late(lake, configured):
    put(lake, CANDLES, "2021-03-11", GBP_USD="2021-03-12T21:00", USD_JPY="2021-03-12T21:00")
    put(lake, NEWS, "2021-03-11", all="2021-03-12T20:00")
    everything = configured()
    assert lags(lake, everything, "2021-03-13 12:00")["GBP_USD"] == (0, "fresh")
    assert lags(lake, everything, "2021-03-14 21:30")["GBP_USD"] == (0, "fresh")
    assert lags(lake, everything, "2021-03-14 22:00")["GBP_USD"] == (60, "fresh")
    assert lags(lake, everything, "2021-03-14 23:00")["GBP_USD"] == (120, "late")
    assert lags(lake, everything, "2021-03-14 21:30", NEWS) == {"news": (150, "fresh")}


def test_every_instrument_has_its_own_market_and_bar(lake, configured):
    exchange = {"typical_spread": 0.5, "calendar": "XNYS", "granularity": "M5", "sources": ["import"]}
    configuration = configured(instruments={"GBP_USD": {"typical_spread": 0.1}, "SPX500": exchange})
    put(lake, CANDLES, "2021-03-09", GBP_USD="2021-03-10T11:00", SPX500="2021-03-09T20:55")
    assert lags(lake, configuration, "2021-03-10 12:00")["SPX500"] == (0, "fresh")
    put(lake, CANDLES, "2021-03-10", GBP_USD="2021-03-10T14:00")
    late = table_lags(lake, configuration, CANDLES, at("2021-03-10 15:00"))[1]
    assert (late.lag_minutes, late.is_open, late.expected) == (30, True, at("2021-03-10 14:55"))


def test_without_rows_it_is_empty_and_an_instrument_left_behind_is_found_further_back(lake, configured):
    assert set(lags(lake, configured(), "2021-03-10 12:30").values()) == {(None, "empty")}
    put(lake, CANDLES, "2021-03-04", GBP_USD="2021-03-05T11:00", USD_JPY="2021-03-05T11:00")
    put(lake, CANDLES, "2021-03-07", GBP_USD="2021-03-08T11:00")
    lake.write(CANDLES, {"2021-03-08": pd.DataFrame({"instrument": [], "time": pd.Series([], dtype=UTC_TIME)})})
    found = newest_rows(lake, CANDLES, ["GBP_USD", "USD_JPY"])
    assert found == {"GBP_USD": at("2021-03-08 11:00"), "USD_JPY": at("2021-03-05 11:00")}


def test_the_table_for_people_states_lag_limit_and_verdict(lake, configured):
    put(lake, CANDLES, "2021-03-09", GBP_USD="2021-03-10T09:00")
    text = lag_table(table_lags(lake, configured(), CANDLES, at("2021-03-10 12:30")))
    assert "| GBP_USD | 2021-03-10 09:00 | 2021-03-10 11:00 | 120 | 90 | late |" in text
    assert "| USD_JPY | - | 2021-03-10 11:00 | - | 90 | empty |" in text


@pytest.fixture
def platform(tmp_path, configured, monkeypatch, instance) -> Platform:
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T12:30:00Z")
    return Platform(tmp_path, configured(), instance)


def test_the_checks_say_late_as_a_warning_and_pass_when_fresh(platform):
    put(platform.lake, CANDLES, "2021-03-09", GBP_USD="2021-03-10T11:00", USD_JPY="2021-03-10T09:00")
    put(platform.lake, "gold/features", "2021-03-09", GBP_USD="2021-03-10T11:00", USD_JPY="2021-03-10T10:00")
    put(platform.lake, NEWS, "2021-03-09", all="2021-03-10T11:40")
    job = platform.definitions.resolve_job_def("freshness")
    found = checks(job.execute_in_process(instance=platform.instance, raise_on_error=True))
    assert {name: check.passed for name, check in found.items()} == {
        "silver/candles/newest_bar": False,
        "gold/features/newest_bar": True,
        "silver/news_sentiment/newest_bar": True,
    }
    late = found["silver/candles/newest_bar"]
    assert late.severity == dg.AssetCheckSeverity.WARN
    assert late.metadata["late"].value == ["USD_JPY"]
    assert late.metadata["lag_minutes"].value == 120


def test_the_hourly_schedule_ticks_only_while_a_market_is_open(platform, tmp_path):
    schedule = platform.definitions.resolve_schedule_def("hourly_freshness")

    def tick(clock: str):
        os.environ["FX_CLOCK"] = f"{clock}@{datetime.now(UTC).isoformat()}"  # undone with the fixture's
        with dg.DagsterInstance.local_temp(str(tmp_path)) as kept:  # schedules reach no other by their context
            return schedule.evaluate_tick(
                dg.build_schedule_context(kept, scheduled_execution_time=at("2026-11-21 10:07"))
            )

    (request,) = tick("2021-03-10T12:30:00Z").run_requests
    assert request.run_key == "hourly_freshness-2026-11-21T10:07:00+00:00"
    closed = tick("2021-03-13T12:30:00Z")
    assert not closed.run_requests
    assert closed.skip_message.endswith("the next opens at 2021-03-14 21:00 UTC (Sun 17:00 New York)")
    assert "every market is closed" in tick("2021-12-25T12:30:00Z").skip_message
