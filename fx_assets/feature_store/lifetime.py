"""Whether a row may be predicted with: not older than its view's time to live, and not dated after the data clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fx_serving.client.clock import now

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def age_of(time: int) -> timedelta:
    """How old a row is by the data clock. time: its event time, microseconds since 1970, UTC."""
    return now() - (EPOCH + timedelta(microseconds=time))


def expired(age: timedelta, ttl: timedelta | None) -> bool:
    """ttl: None or zero for no limit. A row of the future (negative age) is not known yet."""
    return age < timedelta(0) or bool(ttl and age > ttl)
