"""Sessions over every daylight-saving change from 2007 to 2030, and against Dagster's own partitions."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import load_configuration
from fx_assets.partitions import fx_sessions
from fx_assets.sessions import NEW_YORK, is_session, news_bounds, session_bounds, session_keys

days = st.dates(date(2007, 1, 1), date(2030, 12, 31))
moments = st.datetimes(datetime(2007, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))


def key_of(moment: datetime) -> str:
    return session_keys(pd.DatetimeIndex([moment]))[0]


@given(days.filter(lambda day: is_session(day.isoformat())), st.integers(0, 24 * 3600 * 10**6 - 1))
def test_every_moment_of_a_session_has_its_key(day, microseconds):
    start, end = session_bounds(day.isoformat())
    assert key_of(start) == day.isoformat()
    assert key_of(start + timedelta(microseconds=microseconds)) == day.isoformat()
    assert key_of(end - timedelta(microseconds=1)) == day.isoformat()
    assert key_of(end) != day.isoformat()
    assert {t.astimezone(NEW_YORK).hour for t in (start, end)} == {17}
    # The clocks change in the night to Sunday, outside every session.
    assert end - start == timedelta(hours=24)


@given(moments)
def test_a_moment_lies_within_the_bounds_of_its_session(moment):
    key = key_of(moment)
    start, end = news_bounds(key)
    assert is_session(key)
    assert start <= moment < end


@given(moments)
def test_with_all_week_sessions_a_moment_lies_within_its_own_day(moment):
    key = session_keys(pd.DatetimeIndex([moment]), all_week=True)[0]
    start, end = session_bounds(key)
    assert start <= moment < end


@given(days)
def test_consecutive_days_share_their_bound(day):
    assert session_bounds(day.isoformat())[1] == session_bounds((day + timedelta(days=1)).isoformat())[0]


def test_sessions_across_every_clock_change_are_the_keys_of_dagster():
    configuration = load_configuration()
    sessions = configuration.instruments.sessions.model_copy(
        update={"start": date(2007, 1, 1), "end": date(2030, 12, 31)}
    )
    instruments = configuration.instruments.model_copy(update={"sessions": sessions})
    partitions = fx_sessions(configuration.model_copy(update={"instruments": instruments}))
    keys = list(partitions.get_partition_keys(current_time=datetime(2031, 6, 1, tzinfo=UTC)))
    ours = [str(d.date()) for d in pd.date_range("2007-01-01", "2030-12-31") if is_session(str(d.date()))]
    assert keys == ours
    for key in keys[::7]:
        window = partitions.time_window_for_partition_key(key)
        assert (window.start, window.end) == session_bounds(key)
