"""Which sessions there are by the clock, and which of them a command was asked for: no Dagster, no lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError
from fx_assets.sessions import is_session, session_bounds


def begun_sessions(configuration: Configuration, now: datetime) -> list[str]:
    """Every session of the configuration that has begun by `now` (data clock), sorted; the running one is the last."""
    sessions = configuration.instruments.sessions
    day, found = sessions.start, []
    last = min(sessions.end or date.max, now.date() + timedelta(days=1))
    while day <= last:
        key = day.isoformat()
        if (configuration.all_week or is_session(key)) and session_bounds(key)[0] <= now:
            found.append(key)
        day += timedelta(days=1)
    return found


def chosen_sessions(
    calendar: Sequence[str], first: str | None = None, last: str | None = None, all_week: bool = False
) -> list[str]:
    """The sessions from `first` to `last` (dates; None for all). Raises ConfigError for a range without any."""
    for option, value in (("--from", first), ("--to", last)):
        if value is not None and not _is_date(value):
            raise ConfigError(f"{option}: '{value}' is not a date. Write it as YYYY-MM-DD.")
    if first is not None and last is not None and first > last:
        raise ConfigError(f"--from {first} lies after --to {last}. Swap them.")
    if not calendar:
        raise ConfigError("instruments.yaml: sessions.start lies in the future. No session has begun yet; change it.")
    chosen = [key for key in calendar if (first or key) <= key <= (last or key)]
    if not chosen:
        raise ConfigError(
            f"no session from {first or calendar[0]} to {last or calendar[-1]}: instruments.yaml has sessions from "
            f"{calendar[0]} to {calendar[-1]}{'' if all_week else ' (none start on a Friday or Saturday)'}. "
            "Choose others, or change sessions.start or sessions.end there."
        )
    return chosen


def _is_date(value: str) -> bool:
    try:
        # Other ISO forms (20210301) are dates too, but would not compare with the keys.
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
