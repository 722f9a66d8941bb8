"""The replay clock: what time it is for data (age, TTL, decision time), and ISO time stamps in UTC.

Operational time (leases, audit records, rollout windows) uses the wall or the monotonic clock, not this one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache

_FORMS = "an instant ('2022-03-04T22:00:00Z') or 'instant@wall instant' ('2022-03-04T22:00:00Z@2026-11-21T10:00:00Z')"


class ClockError(ValueError):
    """FX_CLOCK cannot be understood."""


def parse_utc(text: str) -> datetime:
    """An ISO 8601 time stamp WITH offset as an aware UTC datetime; ValueError if it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 time stamp such as 2022-03-04T22:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset; end it with Z, or with an offset such as +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999 in UTC") from None


def to_iso(moment: datetime) -> str:
    """An aware datetime as ISO 8601 in UTC ending in Z; microseconds only where they are not zero."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=8)
def _parse(setting: str) -> tuple[datetime, datetime | None]:
    """The instant, and the wall instant at which it was that time (None: time stands still)."""
    instant, at, wall = setting.partition("@")
    try:
        return parse_utc(instant.strip()), (parse_utc(wall.strip()) if at else None)
    except ValueError as error:
        raise ClockError(f"FX_CLOCK: {setting!r}: {error}. Give {_FORMS}, or unset it for the wall clock.") from None


def now() -> datetime:
    """The current data time, aware UTC. Raises ClockError naming FX_CLOCK, its value and the remedy."""
    setting = os.environ.get("FX_CLOCK", "").strip()
    wall = datetime.now(UTC)
    if not setting:
        return wall
    instant, started = _parse(setting)
    return instant if started is None else instant + (wall - started)


def stands_still() -> bool:
    """Whether FX_CLOCK names an instant at which data time stays. Raises ClockError as `now` does."""
    setting = os.environ.get("FX_CLOCK", "").strip()
    return bool(setting) and _parse(setting)[1] is None
