"""The calendar group against the same figures taken from pandas' clocks, row by row, and at moments one can look up."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features.blocks import Block, time_us
from fx_assets.features.calendar import SPECS, calendar_features, compute
from fx_assets.features.wall_clock import wall_minute

ZONES = ("America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney")
SPAN = (datetime(2005, 1, 1, tzinfo=UTC), datetime(2036, 12, 1, tzinfo=UTC))


def block(times: pd.DatetimeIndex) -> Block:
    """Bars of which only the times matter."""
    one = np.ones(len(times))
    return Block(time_us(times), one, one, one, one, None, None, None)


def at(*moments: str) -> pd.DataFrame:
    """The features at moments of New York's clock, in the order given."""
    times = pd.DatetimeIndex([pd.Timestamp(moment, tz="America/New_York") for moment in moments]).tz_convert("UTC")
    order = np.argsort(times)
    frame = pd.DataFrame(compute(block(times[order])))
    return frame.iloc[np.argsort(order)].reset_index(drop=True)


def by_pandas(times: pd.DatetimeIndex) -> pd.DataFrame:
    """The features of the wall clocks, written with pandas' own calendar arithmetic."""
    new_york = times.tz_convert("America/New_York").tz_localize(None)
    minute = new_york.hour * 60 + new_york.minute
    week = new_york.weekday * 1440 + minute
    frame = pd.DataFrame(
        {
            "hour_sin": np.sin(2 * np.pi * minute / 1440),
            "hour_cos": np.cos(2 * np.pi * minute / 1440),
            "weekday_sin": np.sin(2 * np.pi * new_york.weekday / 7),
            "weekday_cos": np.cos(2 * np.pi * new_york.weekday / 7),
            "minutes_to_session_close": [1020 - m if m < 1020 else 2460 - m for m in minute],
            "minutes_to_week_close": [6780 - m if m < 6780 else 16860 - m for m in week],
            "week_of_month": (new_york.day - 1) // 7 + 1,
            "weekdays_to_month_end": [
                np.busday_count((day + pd.Timedelta(days=1)).date(), (day + pd.offsets.MonthBegin(1)).date())
                for day in new_york.normalize()
            ],
        }
    )
    centres = ("new_york_open", "london_open", "tokyo_open", "sydney_open")
    for name, zone in zip(centres, ZONES, strict=True):
        local = times.tz_convert(zone).tz_localize(None)
        opens, closes = (9, 18) if name == "tokyo_open" else (8, 17)
        frame[name] = (local.weekday < 5) & (local.hour >= opens) & (local.hour < closes)
    frame["tokyo_london_overlap"] = frame["tokyo_open"] & frame["london_open"]
    frame["london_new_york_overlap"] = frame["london_open"] & frame["new_york_open"]
    return frame.astype(float)


moments = st.lists(st.datetimes(SPAN[0].replace(tzinfo=None), SPAN[1].replace(tzinfo=None)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(moments)
def test_clocks_are_those_of_pandas(drawn):
    times = pd.DatetimeIndex(sorted(set(drawn))).tz_localize("UTC").as_unit("us")
    frame = pd.DataFrame(compute(block(times)))
    assert list(frame.columns) == [spec.name for spec in SPECS]
    expected = by_pandas(times)
    np.testing.assert_allclose(frame[expected.columns], expected, rtol=0, atol=1e-12)
    assert np.isfinite(frame.to_numpy()).all()


@pytest.mark.parametrize("zone", ZONES)
def test_every_clock_change_happens_at_its_minute(zone):
    # Each quarter of an hour of thirty years; pandas knows the changes up to 2037.
    times = pd.date_range(*SPAN, freq="15min").as_unit("us")
    expected = time_us(times.tz_convert(zone).tz_localize(None)) // 60_000_000
    np.testing.assert_array_equal(wall_minute(time_us(times), zone), expected)
    shuffled = np.random.default_rng(1).permutation(len(times))[:1000]
    np.testing.assert_array_equal(wall_minute(time_us(times)[shuffled], zone), expected[shuffled])


def test_it_follows_daylight_saving():
    # Friday before and after the US change of 14 March 2021 (Europe changed two weeks later).
    times = pd.to_datetime(["2021-03-12 21:00", "2021-03-19 12:00", "2021-03-19 20:00", "2021-03-21 21:00"], utc=True)
    frame = pd.DataFrame(compute(block(pd.DatetimeIndex(times))))
    assert frame.loc[[0, 2], "minutes_to_week_close"].tolist() == [60.0, 60.0]
    assert frame.loc[[0, 2], "minutes_to_session_close"].tolist() == [60.0, 60.0]
    assert frame.loc[[1], ["london_open", "new_york_open", "london_new_york_overlap"]].to_numpy().all()
    # Sunday 17:00 New York opens the week: a whole session and five days lie ahead.
    assert frame.loc[3, "minutes_to_session_close"] == 1440
    assert frame.loc[3, "minutes_to_week_close"] == 5 * 1440
    assert frame.loc[3, "week_of_month"] == 3


def test_holidays_are_the_rule_s():
    # Closed from 14:00 on the eve to 17:00 on the day; a Monday's market opens at 19:00 (2023: both are Mondays).
    frame = at(
        *("2024-12-10 14:00", "2024-12-23 14:00", "2024-12-24 13:00", "2024-12-24 14:00", "2024-12-25 16:59"),
        *("2024-12-25 17:00", "2024-12-26 17:00", "2025-01-01 19:00", "2025-01-16 12:00", "2023-12-25 18:59"),
    )
    assert frame["days_to_holiday"].tolist() == [14, 1, 1 / 24, 0, 0, 5.875, 4.875, 14, 14, 0]
    assert frame["days_since_holiday"].tolist() == [14, 14, 14, 0, 0, 0, 1, 2 / 24, 14, 0]


def test_a_year_s_record_is_not_used():
    # In 2016 the market closed on Sunday 25 December; the rule, which was known before, says Saturday afternoon.
    frame = at("2016-12-23 14:00", "2016-12-24 14:00", "2016-12-26 18:59", "2016-12-26 19:00")
    assert frame["days_to_holiday"].tolist() == [1, 0, 0, 5 - 5 / 24]


def test_the_month_ends_where_its_weekdays_do():
    frame = at("2024-02-29 12:00", "2024-02-28 12:00", "2021-05-28 12:00", "2021-05-31 23:00", "2022-12-30 12:00")
    assert frame["weekdays_to_month_end"].tolist() == [0, 1, 1, 0, 0]
    assert at("2021-02-01 09:00")["weekdays_to_month_end"].tolist() == [19]


def test_a_value_is_the_same_in_whatever_range_it_is_computed():
    times = pd.date_range("2019-10-01", "2022-04-01", freq="37min", tz="UTC").as_unit("us")
    whole = compute(block(times))
    for part in (slice(0, 1), slice(5000, 5001), slice(13, 9000), slice(len(times) - 3, None)):
        alone = compute(block(times[part]))
        for name, column in whole.items():
            np.testing.assert_array_equal(alone[name], column[part], err_msg=name)


def test_no_bars_and_bars_of_other_ages():
    assert all(len(column) == 0 for column in compute(block(pd.DatetimeIndex([], tz="UTC"))).values())
    times = pd.DatetimeIndex(["1971-03-01 12:00", "2019-01-01", "2199-12-31 23:00"], tz="UTC").as_unit("us")
    assert np.isfinite(pd.DataFrame(compute(block(times))).to_numpy()).all()


def test_it_does_not_ask_which_instrument_it_is(make):
    bars = make(np.full(50, 1.1))
    both = calendar_features(pd.concat([bars, bars.assign(instrument="SPX500_USD")]))
    left, right = (part.drop(columns="instrument").reset_index(drop=True) for _, part in both.groupby("instrument"))
    assert left.equals(right)
