"""The session a moment belongs to, and the bounds a session has."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from fx_assets.sessions import (
    is_session,
    news_bounds,
    previous_session,
    running_session,
    session_bounds,
    session_dates,
    session_keys,
)


def keys(*times: str, all_week: bool = False) -> list[str]:
    return session_keys(pd.DatetimeIndex(pd.to_datetime(list(times), utc=True, format="ISO8601")), all_week).tolist()


def test_a_session_runs_from_five_to_five_new_york_in_winter_and_summer():
    assert session_bounds("2021-01-04") == (datetime(2021, 1, 4, 22, tzinfo=UTC), datetime(2021, 1, 5, 22, tzinfo=UTC))
    assert session_bounds("2021-07-05") == (datetime(2021, 7, 5, 21, tzinfo=UTC), datetime(2021, 7, 6, 21, tzinfo=UTC))
    assert keys("2021-01-04T21:59:59.999999Z", "2021-01-04T22:00Z", "2021-01-05T21:59Z") == [
        "2021-01-03",
        "2021-01-04",
        "2021-01-04",
    ]


def test_the_weekend_belongs_to_sunday_unless_something_trades_then():
    times = ["2021-01-08T21:59Z", "2021-01-08T22:00Z", "2021-01-09T22:00Z", "2021-01-10T12:00Z", "2021-01-10T22:00Z"]
    assert keys(*times) == ["2021-01-07", *["2021-01-10"] * 4]
    assert keys(*times, all_week=True) == ["2021-01-07", "2021-01-08", "2021-01-09", "2021-01-09", "2021-01-10"]
    assert [is_session(f"2021-01-{day:02}") for day in range(7, 11)] == [True, False, False, True]


def test_sunday_takes_the_news_of_the_weekend_and_no_other_session_does():
    friday = session_bounds("2021-01-07")[1]
    assert news_bounds("2021-01-10") == (friday, session_bounds("2021-01-10")[1])
    assert news_bounds("2021-01-10", all_week=True) == session_bounds("2021-01-10")
    assert news_bounds("2021-01-11") == session_bounds("2021-01-11")


def test_times_without_zone_are_refused_and_none_are_allowed():
    with pytest.raises(TypeError, match="time zone"):
        session_dates(pd.DatetimeIndex(["2021-01-04"]))
    assert len(session_keys(pd.DatetimeIndex([], tz="UTC"))) == 0
    with pytest.raises(ValueError, match="Invalid isoformat"):
        session_bounds("yesterday")


def test_the_running_session_at_a_weekend_is_the_coming_one():
    assert running_session(datetime(2021, 1, 8, 21, 59, tzinfo=UTC)) == "2021-01-07"
    assert running_session(datetime(2021, 1, 8, 22, 0, tzinfo=UTC)) == "2021-01-10"
    assert running_session(datetime(2021, 1, 8, 22, 0, tzinfo=UTC), all_week=True) == "2021-01-08"
    with pytest.raises(TypeError, match="time zone"):
        running_session(datetime(2021, 1, 8))


def test_the_session_before_sunday_is_thursday_unless_something_trades_at_weekends():
    assert previous_session("2021-01-10") == "2021-01-07"
    assert previous_session("2021-01-11") == "2021-01-10"
    assert previous_session("2021-01-10", all_week=True) == "2021-01-09"
