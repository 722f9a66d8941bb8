"""Quiet hours by local wall time, across midnight and daylight saving."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fx_monitoring.alerts.configuration import DAYS, Quiet
from fx_monitoring.alerts.quiet import quiet_until

NIGHT = Quiet.model_validate({"start": "22:00", "end": "07:00", "timezone": "Asia/Singapore"})
NEW_YORK = Quiet.model_validate({"start": "22:00", "end": "07:00", "timezone": "America/New_York"})


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-16T13:59Z", None),  # 21:59 in Singapore
        ("2026-11-16T14:00Z", "2026-11-16T23:00Z"),
        ("2026-11-16T22:59Z", "2026-11-16T23:00Z"),
        ("2026-11-16T23:00Z", None),
    ],
)
def test_the_night_begins_and_ends_by_the_local_clock(now, until):
    found = quiet_until(NIGHT, datetime.fromisoformat(now))
    assert found == (until and datetime.fromisoformat(until))


def test_the_night_of_the_change_of_clocks_is_longer_or_shorter():
    assert quiet_until(NEW_YORK, datetime(2026, 11, 1, 3, tzinfo=UTC)) == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert quiet_until(NEW_YORK, datetime(2026, 3, 8, 4, tzinfo=UTC)) == datetime(2026, 3, 8, 11, tzinfo=UTC)


def test_days_are_those_on_which_the_hours_begin():
    weekdays = NIGHT.model_copy(update={"days": DAYS[:5]})
    friday_night = datetime(2026, 11, 20, 18, tzinfo=UTC)  # Saturday 02:00 in Singapore
    assert quiet_until(weekdays, friday_night) == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert quiet_until(weekdays, friday_night + timedelta(days=1)) is None


def test_without_quiet_hours_it_never_is():
    assert quiet_until(None, datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("change", [{"end": "22:00"}, {"timezone": "Mars/Olympus"}, {"days": ["someday"]}])
def test_what_cannot_be_meant_is_refused(change):
    with pytest.raises(ValidationError):
        Quiet.model_validate({"start": "22:00", "end": "07:00", "timezone": "UTC", **change})


TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(
    TIMES,
    TIMES,
    st.sampled_from(["UTC", "Asia/Singapore", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
)
def test_the_end_lies_ahead_is_within_a_day_and_is_not_quiet(start, end, zone, now):
    if start == end:
        return
    quiet = Quiet.model_validate({"start": start, "end": end, "timezone": zone})
    until = quiet_until(quiet, now)
    if until is not None:
        assert now < until <= now + timedelta(hours=25)
        assert quiet_until(quiet, until) is None or end == start
