"""Opening, closing, expected bars and holidays of the three kinds of market."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from fx_assets.errors import ConfigError
from fx_assets.market_hours import market_hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bars(calendar: str, start: str, end: str, minutes: int) -> list[str]:
    return [f"{t:%d %H:%M}" for t in market_hours(calendar).expected_bars(at(start), at(end), minutes)]


def holidays(calendar: str, start: str, end: str) -> list[tuple]:
    rows = market_hours(calendar).holidays(at(start), at(end)).itertuples(index=False)
    return [(row.name, row.kind, f"{row.start:%d %H:%M}", f"{row.end:%d %H:%M}") for row in rows]


def test_the_week_opens_on_sunday_and_closes_on_friday_at_five_in_new_york():
    fx = market_hours("fx")
    assert not fx.is_open(at("2026-03-08 20:59:59"))  # the first Sunday of summer time: 21:00 UTC is 17:00
    assert fx.is_open(at("2026-03-08 21:00"))
    assert fx.is_open(at("2026-03-06 21:59"))
    assert not fx.is_open(at("2026-03-06 22:00"))
    assert fx.next_open(at("2026-03-06 22:00")) == at("2026-03-08 21:00")
    assert fx.next_open(at("2026-03-10 12:00")) == at("2026-03-10 12:00")
    assert fx.next_close(at("2026-03-10 12:00")) == at("2026-03-13 21:00")
    assert fx.next_close(at("2026-03-07 12:00")) is None


def test_intervals_are_cut_at_the_range():
    found = market_hours("fx").open_intervals(at("2026-03-06 12:00"), at("2026-03-09 00:00"))
    assert found["open"].tolist() == [pd.Timestamp("2026-03-06 12:00Z"), pd.Timestamp("2026-03-08 21:00Z")]
    assert found["close"].tolist() == [pd.Timestamp("2026-03-06 22:00Z"), pd.Timestamp("2026-03-09 00:00Z")]
    assert market_hours("fx").open_intervals(at("2026-03-07 00:00"), at("2026-03-08 00:00")).empty
    assert market_hours("fx").open_intervals(at("2026-03-09 00:00"), at("2026-03-09 00:00")).empty


def test_christmas_by_the_rule_on_a_weekday_a_saturday_and_a_sunday():
    assert holidays("fx", "2026-12-20", "2026-12-30") == [
        ("Christmas", "early close", "24 19:00", "24 22:00"),
        ("Christmas", "holiday", "24 22:00", "25 22:00"),
    ]
    assert holidays("fx", "2027-12-20", "2027-12-30") == [("Christmas", "early close", "24 19:00", "24 22:00")]
    assert holidays("fx", "2033-12-20", "2033-12-30") == [
        ("Christmas", "holiday", "25 22:00", "26 22:00"),
        ("Christmas", "late open", "26 22:00", "27 00:00"),
    ]
    fx = market_hours("fx")
    assert fx.next_open(at("2024-12-24 19:00")) == at("2024-12-25 22:00")
    assert fx.next_open(at("2027-12-24 19:00")) == at("2027-12-26 22:00")


def test_a_recorded_holiday_is_as_it_was():
    fx = market_hours("fx")
    assert fx.is_open(at("2008-12-25 08:59"))
    assert not fx.is_open(at("2008-12-25 09:00"))
    assert fx.next_open(at("2012-12-24 20:00")) == at("2012-12-26 13:00")
    assert holidays("fx", "2011-12-20", "2012-01-10") == []  # both Sundays; trading began that evening


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (60, ["13 20:00", "15 21:00", "15 22:00"]),
        (240, ["15 21:00"]),
        (1440, ["15 21:00"]),
    ],
)
def test_bars_of_an_fx_weekend(minutes, expected):
    assert bars("fx", "2026-03-13 20:00", "2026-03-15 23:00", minutes) == expected


def test_four_hour_and_daily_bars_start_with_the_session_in_winter_and_summer():
    assert bars("fx", "2026-01-06 00:00", "2026-01-06 23:59", 240)[:3] == ["06 02:00", "06 06:00", "06 10:00"]
    assert bars("fx", "2026-07-07 00:00", "2026-07-07 23:59", 240)[:3] == ["07 01:00", "07 05:00", "07 09:00"]
    assert bars("always", "2026-07-07 00:00", "2026-07-07 23:59", 240)[:2] == ["07 00:00", "07 04:00"]


def test_a_bar_that_an_early_close_cuts_is_expected_and_those_behind_it_are_not():
    assert bars("fx", "2024-12-24 17:00", "2024-12-25 23:00", 60) == ["24 17:00", "24 18:00", "25 22:00"]
    assert bars("fx", "2024-12-24 10:00", "2024-12-25 23:00", 240) == ["24 10:00", "24 14:00", "24 18:00", "25 22:00"]


def test_the_newest_closed_bar_waits_for_the_bars_end_and_reaches_over_the_weekend():
    fx = market_hours("fx")
    assert fx.newest_closed_bar(at("2026-03-10 12:59:59"), 60) == at("2026-03-10 11:00")
    assert fx.newest_closed_bar(at("2026-03-10 13:00"), 60) == at("2026-03-10 12:00")
    assert fx.newest_closed_bar(at("2026-03-10 12:00:59"), 1) == at("2026-03-10 11:59")
    assert fx.newest_closed_bar(at("2026-03-08 21:30"), 60) == at("2026-03-06 21:00")
    assert market_hours("XNYS").newest_closed_bar(at("2026-11-27 14:00"), 60) == at("2026-11-25 20:00")


def test_an_exchange_has_its_holidays_early_closes_and_lunch_breaks():
    assert holidays("XNYS", "2025-11-20", "2025-12-10") == [
        ("Thanksgiving", "holiday", "27 14:30", "27 21:00"),
        ("early close", "early close", "28 18:00", "28 21:00"),
    ]
    assert bars("XNYS", "2025-11-27 00:00", "2025-11-29 00:00", 60) == ["28 14:00", "28 15:00", "28 16:00", "28 17:00"]
    hong_kong = market_hours("XHKG")
    assert not hong_kong.is_open(at("2025-02-04 04:30"))
    assert hong_kong.next_open(at("2025-02-04 04:30")) == at("2025-02-04 05:00")
    assert holidays("XTKS", "2025-07-20", "2025-07-22") == [
        ("Marine Day (2022 onwards)", "holiday", "21 00:00", "21 06:30")
    ]


def test_an_exchange_without_pause_between_its_days_is_open_for_the_whole_week():
    week = market_hours("CMES").open_intervals(at("2025-02-02 00:00"), at("2025-02-09 00:00"))
    assert week["open"].tolist() == [pd.Timestamp("2025-02-02 23:00Z")]
    assert week["close"].tolist() == [pd.Timestamp("2025-02-07 23:00Z")]


def test_always_is_always():
    always = market_hours("always")
    assert always.is_open(at("2026-12-25 12:00"))
    assert always.next_close(at("2026-12-25 12:00")) is None
    assert len(bars("always", "2026-12-25 00:00", "2026-12-26 00:00", 1)) == 1440
    assert holidays("always", "2026-12-01", "2027-01-10") == []


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ConfigError, match="calendar 'XMOON' is not known"):
        market_hours("XMOON")
    with pytest.raises(TypeError, match="time zone"):
        market_hours("fx").is_open(datetime(2026, 3, 8))
