"""Market hours over every week in which America or Europe changes its clocks, 2007 to 2030."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.market_hours import market_hours
from fx_assets.sessions import (
    NEW_YORK,
    is_session,
    previous_session,
    running_session,
    session_bounds,
    session_keys,
)

CALENDARS = ("fx", "always", "XNYS", "XHKG")
MINUTES = tuple(GRANULARITY_MINUTES.values())


def _sunday(year: int, month: int, which: int) -> date:
    """The nth Sunday of a month, or its last one (-1)."""
    sundays = [
        d.date() for d in pd.date_range(f"{year}-{month}-01", periods=31) if d.month == month and d.weekday() == 6
    ]
    return sundays[which]


CHANGES = sorted(
    day
    for year in range(2007, 2031)
    for day in (
        _sunday(year, 3, 1),  # America, second Sunday of March
        _sunday(year, 3, -1),  # Europe, last Sunday of March
        _sunday(year, 10, -1),
        _sunday(year, 11, 0),
    )
)
# Sessions that America changes its clocks in: Saturdays', which only markets that never close have.
LENGTHS = {
    (_sunday(year, month, which) - timedelta(days=1)).isoformat(): length
    for year in range(2007, 2032)
    for month, which, length in ((3, 1, 23), (11, 0, 25))
}
changes = st.sampled_from(CHANGES)
moments = st.datetimes(datetime(2007, 1, 3), datetime(2030, 12, 28), timezones=st.just(UTC))


def keys_around(sunday: date, all_week: bool) -> list[str]:
    days = [(sunday + timedelta(days=n)).isoformat() for n in range(-7, 8)]
    return [key for key in days if all_week or is_session(key)]


def test_the_changes_are_those_of_the_zones():
    for day in CHANGES:
        zones = ("America/New_York", "Europe/London")
        offsets = [
            [pd.Timestamp(f"{day + timedelta(days=n)} 12:00", tz=zone).utcoffset() for n in (-1, 0)] for zone in zones
        ]
        assert any(before != after for before, after in offsets), day


@pytest.mark.parametrize("all_week", [False, True])
def test_sessions_tile_time_across_every_change(all_week):
    for sunday in CHANGES:
        keys = keys_around(sunday, all_week)
        bounds = [session_bounds(key) for key in keys]
        lengths = {key: (end - start) / timedelta(hours=1) for key, (start, end) in zip(keys, bounds, strict=True)}
        for (key, (_, end)), following, (start, _) in zip(
            zip(keys, bounds, strict=True), keys[1:], bounds[1:], strict=False
        ):
            if all_week or date.fromisoformat(key).weekday() != 3:
                assert start == end
            else:  # from Friday's to Sunday's 17:00, by the clock on the wall
                assert (
                    start.astimezone(NEW_YORK).replace(tzinfo=None) - end.astimezone(NEW_YORK).replace(tzinfo=None)
                ) == timedelta(days=2)
            assert previous_session(following, all_week) == key
        assert lengths == {key: LENGTHS.get(key, 24) for key in keys}


@pytest.mark.parametrize("all_week", [False, True])
def test_bounds_and_keys_agree_at_every_hour_of_every_change(all_week):
    for sunday in CHANGES:
        keys = keys_around(sunday, all_week)
        first, last = session_bounds(keys[0])[0], session_bounds(keys[-1])[1]
        hours = pd.date_range(first, last, freq="30min", inclusive="left")
        named = pd.Series(session_keys(hours, all_week), index=hours)
        assert list(dict.fromkeys(named)) == keys
        for key in keys:
            start, end = session_bounds(key)
            inside = named[named == key].index
            assert inside[-1] == end - timedelta(minutes=30)
            # At a weekend the coming session is named, before it has begun.
            assert inside[0] == start or (not all_week and date.fromisoformat(key).weekday() == 6)


@given(changes, st.sampled_from(CALENDARS), st.sampled_from(MINUTES))
def test_the_bars_of_the_sessions_are_the_bars_of_the_week(sunday, calendar, minutes):
    hours, all_week = market_hours(calendar), calendar == "always"
    keys = keys_around(sunday, all_week)
    by_session = [hours.expected_bars(*session_bounds(key), minutes) for key in keys]
    first, last = session_bounds(keys[0])[0], session_bounds(keys[-1])[1]
    whole = hours.expected_bars(first, last, minutes)
    assert by_session[0].append(by_session[1:]).equals(whole)
    assert whole.is_monotonic_increasing
    assert whole.is_unique
    if calendar == "fx":
        # A session of the FX week has 24 hours in every one of these weeks: no change falls into one.
        assert {len(bars) for bars in by_session} == {1440 // minutes}
    if calendar == "always":
        assert len(whole) == (last - first) // timedelta(minutes=minutes) or minutes > 60


@given(changes, st.sampled_from(MINUTES), st.integers(0, 14 * 1440))
def test_a_bar_lies_within_one_session(sunday, minutes, offset):
    moment = datetime(sunday.year, sunday.month, sunday.day, tzinfo=UTC) + timedelta(minutes=offset - 7 * 1440)
    bar = market_hours("fx").newest_closed_bar(moment, minutes)
    assert bar is not None
    end = bar + timedelta(minutes=minutes)
    assert end <= moment
    key = running_session(bar)
    assert session_bounds(key)[0] <= bar
    assert end <= session_bounds(key)[1]


@given(moments, st.sampled_from(CALENDARS))
def test_open_intervals_next_open_and_is_open_say_the_same(moment, calendar):
    hours = market_hours(calendar)
    opening = hours.next_open(moment)
    assert opening is not None
    assert hours.is_open(opening)
    assert hours.is_open(moment) is (opening == moment)
    if opening > moment:
        assert not hours.is_open(opening - timedelta(microseconds=1))
        assert hours.open_intervals(moment, opening).empty
    intervals = hours.open_intervals(moment, moment + timedelta(days=10))
    assert (intervals["open"] < intervals["close"]).all()
    assert (intervals["open"].iloc[1:].to_numpy() > intervals["close"].iloc[:-1].to_numpy()).all()


@given(moments, st.sampled_from(CALENDARS), st.sampled_from(MINUTES))
def test_a_bar_is_expected_just_when_the_market_is_open_during_it(moment, calendar, minutes):
    hours = market_hours(calendar)
    for bar in hours.expected_bars(moment, moment + timedelta(days=3), minutes)[:50]:
        start = bar.to_pydatetime()
        assert len(hours.open_intervals(start, start + timedelta(minutes=minutes)))
    newest = hours.newest_closed_bar(moment, minutes)
    assert newest is not None
    later = hours.expected_bars(newest + timedelta(microseconds=1), moment, minutes)
    assert all(bar + timedelta(minutes=minutes) > moment for bar in later)


@given(moments, st.booleans())
def test_the_running_session_is_that_of_the_moment(moment, all_week):
    key = running_session(moment, all_week)
    start, end = session_bounds(key)
    assert moment < end
    assert moment >= start or (not all_week and date.fromisoformat(key).weekday() == 6)
