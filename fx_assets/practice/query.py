"""What a candles request asks for, read from its query; a mistake is answered in OANDA's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fx_assets.practice.history import STEP_S
from fx_assets.practice.market import Alignment, Wanted

MOST = 5000


class BadRequest(Exception):
    """An HTTP status and OANDA's errorMessage."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def invalid(field: str, more: str = "") -> BadRequest:
    """The answer to a value that cannot be used."""
    return BadRequest(400, f"Invalid value specified for '{field}'{more}")


def read_candles_query(query: Mapping[str, str], now: float) -> tuple[Wanted, str]:
    """What is wanted, and which of M, B and A. Raises BadRequest."""
    granularity = query.get("granularity", "S5")
    if granularity not in STEP_S:
        raise invalid("granularity")
    price = query.get("price", "M")
    if not price or set(price) - set("MBA"):
        raise invalid("price")
    first, last = read_time(query, "from", now), read_time(query, "to", now)
    if first is not None and last is not None:
        if "count" in query:
            raise BadRequest(400, "'count' cannot be specified when 'to' and 'from' are both specified")
        if last < first:
            raise invalid("to", ". Time is before 'from'")
        if (last - first) / STEP_S[granularity] > MOST:
            raise BadRequest(400, "Maximum value for 'count' exceeded")
    if first is None and last is None:
        last = now
    return (
        Wanted(
            granularity,
            first,
            last,
            _count(query),
            _flag(query, "includeFirst", True),
            _alignment(query),
        ),
        price,
    )


def read_time(query: Mapping[str, str], field: str, now: float) -> float | None:
    """Seconds since 1970 of a time in either of OANDA's forms; None where it is not given. Raises BadRequest."""
    text = query.get(field)
    if text is None:
        return None
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else _rfc3339(text)
    except (ValueError, OverflowError):
        raise invalid(field) from None
    if seconds > now:
        raise invalid(field, ". Time is in the future")
    return seconds


def _rfc3339(text: str) -> float:
    moment = datetime.fromisoformat(text)  # takes nine decimals, and keeps six
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(query: Mapping[str, str]) -> int:
    text = query.get("count", "500")
    if not text.isdigit() or int(text) < 1:
        raise invalid("count")
    if int(text) > MOST:
        raise BadRequest(400, "Maximum value for 'count' exceeded")
    return int(text)


def _flag(query: Mapping[str, str], field: str, default: bool) -> bool:
    text = query.get(field, str(default)).lower()
    if text not in ("true", "false"):
        raise invalid(field)
    return text == "true"


def _alignment(query: Mapping[str, str]) -> Alignment:
    hour, zone = query.get("dailyAlignment", "17"), query.get("alignmentTimezone", "America/New_York")
    if not hour.isdigit() or int(hour) > 23:
        raise invalid("dailyAlignment")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise invalid("alignmentTimezone") from None
    return Alignment(int(hour), zone)
