"""Which months may be archived: pure dates. A month is that of its sessions' keys."""

from __future__ import annotations

from datetime import date, datetime

from fx_assets.errors import ConfigError
from fx_assets.sessions import running_session


def month_of(path: str) -> str:
    """The month of a bronze file, from the session in its path."""
    return path.rsplit("/", 2)[1].partition("=")[2][:7]


def finished_before(now: datetime, keep_months: int, all_week: bool = False) -> str:
    """Months before this one (YYYY-MM) are finished, and older than the newest `keep_months` finished ones."""
    year, month = map(int, running_session(now, all_week)[:7].split("-"))
    count = year * 12 + month - 1 - keep_months
    return f"{count // 12:04}-{count % 12 + 1:02}"


def check_month(text: str) -> str:
    """A month as the user writes it. Raises ConfigError for what is none."""
    try:
        if date.fromisoformat(f"{text}-01").strftime("%Y-%m") == text:
            return text
    except ValueError:
        pass
    raise ConfigError(f"--month: '{text}' is not a month. Write it as YYYY-MM.")
