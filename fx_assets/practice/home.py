"""What `fx practice` leaves in a home: where the server is, and a configuration that fetches from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import yaml

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.errors import DataError, FxError
from fx_assets.practice.history import History
from fx_assets.sessions import FRIDAY, SATURDAY, session_dates
from fx_serving.client.files import atomic_write

ADDRESS = "practice.json"
INSTRUMENTS = Path("config") / "instruments.yaml"

# Room before the start: eight sessions, and for long bars as many as the longest feature window holds.
_SESSIONS, _BARS = 8, 600
_START_HOUR_UTC = 15  # London and New York are both open
_START_SHARE = 0.8  # of the history lies before the default start

_HEADER = """\
# Written by `fx practice`: live candles and prices of its local server. Yours to change; it is not written again.
# Without sessions.end the platform follows the server's clock.
"""


def default_start(histories: Mapping[str, History]) -> datetime:
    """A Tuesday, Wednesday or Thursday in market hours, with most of the history before it.

    Raises DataError for a history without any such moment.
    """
    first = max(history.span[0] for history in histories.values())
    last = min(history.span[1] for history in histories.values())
    begin = (first + (last - first) * _START_SHARE).normalize()
    days = [*pd.date_range(begin, last, freq="D"), *reversed(pd.date_range(first, begin, freq="D"))]
    for day in days:
        moment = day + pd.Timedelta(hours=_START_HOUR_UTC)
        if day.weekday() in (1, 2, 3) and first < moment < last and _open(histories, moment):
            return moment.to_pydatetime()
    raise DataError(
        f"the histories share no Tuesday to Thursday between {first} and {last}. Name a moment with --start."
    )


def check_start(histories: Mapping[str, History], start: datetime) -> None:
    """Raises FxError for a start that the history does not cover."""
    for symbol, history in histories.items():
        first, last = history.span
        if not first < start < last:
            raise FxError(f"--start: {start:%Y-%m-%d %H:%M} UTC: {symbol} has history from {first} to {last}.")


def claim(home: Path) -> None:
    """Raises FxError when another server already works for this home."""
    path = home / ADDRESS
    try:
        pid = msgspec.json.decode(path.read_bytes())["pid"]
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return
    raise FxError(f"{path}: fx practice runs on this home already (process {pid}). Stop it, or name another --home.")


def write_address(home: Path, url: str, account: str, token: str, clock: str) -> Path:
    """What the platform's processes of this home read to reach the server; remove it when the server ends."""
    path = home / ADDRESS
    address = {"url": url, "stream_url": url, "account": account, "token": token, "clock": clock, "pid": os.getpid()}
    atomic_write(path, msgspec.json.encode(address), durable=False)
    return path


def write_instruments(
    home: Path, histories: Mapping[str, History], url: str, start: datetime, granularity: str
) -> Path | None:
    """instruments.yaml for the server's instruments; None where the home has one already, which is left alone."""
    path = home / INSTRUMENTS
    if path.exists():
        return None
    news = ["sample"] if _sample_news_cover(start) else []
    content = {
        "sessions": {"start": first_session(histories, start, granularity)},
        "sources": {"oanda": {"url": url, "stream_url": url, "stream": True}},
        "defaults": {
            "granularity": granularity,
            "calendar": "always" if any(h.all_week for h in histories.values()) else "fx",
            "sources": ["oanda"],
        },
        "instruments": {symbol: {"typical_spread": history.spread} for symbol, history in histories.items()},
        "news": {"sources": news},
    }
    atomic_write(path, (_HEADER + yaml.safe_dump(content, sort_keys=False)).encode())
    return path


def overruled(
    home: Path, histories: Mapping[str, History], url: str, start: datetime, granularity: str | None
) -> list[str]:
    """What the home's own instruments.yaml says otherwise than this server: one sentence each, with the option.

    granularity: as given by the user, None if not given.
    """
    wrong: list[str] = []
    configured = _configured(home, "sources", "oanda", "url")
    if configured != url:
        wrong.append(
            f"names {configured or 'no url'} for oanda: set sources.oanda.url and stream_url to {url}, or use --port"
        )
    bars = _configured(home, "defaults", "granularity")
    if granularity is not None and bars != granularity:
        wrong.append(f"has {bars or 'the default'} bars, so --granularity {granularity} changes nothing")
    named = _configured(home, "instruments")
    named = set(named) if isinstance(named, dict) else set()
    if missing := sorted(named - set(histories)):
        wrong.append(f"asks for {', '.join(missing)}, which --history does not hold")
    if extra := sorted(set(histories) - named):
        wrong.append(f"does not name {', '.join(extra)} of --history, so nothing is fetched for them")
    first = _configured(home, "sessions", "start")
    needed = first_session(histories, start, bars if bars in GRANULARITY_MINUTES else "M1")
    if isinstance(first, date) and first > needed:
        wrong.append(
            f"begins its tables on {first}, later than the {needed} that the start on {start:%Y-%m-%d} needs (--start)"
        )
    return wrong


def _configured(home: Path, *keys: str) -> Any:
    """A value of the home's instruments.yaml; None where it has none."""
    try:
        content: Any = yaml.safe_load((home / INSTRUMENTS).read_text(encoding="utf-8"))
        for key in keys:
            content = content[key]
        return content
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def first_session(histories: Mapping[str, History], start: datetime, granularity: str) -> date:
    """The session from which tables are made: some before the start, but none before the history."""
    all_week = any(history.all_week for history in histories.values())
    moments = [history.span[0] for history in histories.values()] + [pd.Timestamp(start)]
    *begins, current = (d.date() for d in session_dates(pd.DatetimeIndex(moments).as_unit("us"), all_week))
    back = max(_SESSIONS, -(-_BARS * GRANULARITY_MINUTES[granularity] // 1440))
    session = current
    while back and session > max(begins):
        session -= timedelta(days=1)
        back -= all_week or session.weekday() not in (FRIDAY, SATURDAY)
    return session


def _open(histories: Mapping[str, History], moment: pd.Timestamp) -> bool:
    """Whether every instrument has a bar that runs at this moment."""
    at = moment.timestamp()
    rows = [(h, int(h.times.searchsorted(at, "right")) - 1) for h in histories.values()]
    return all(row >= 0 and at < h.times[row] + h.step for h, row in rows)


def _sample_news_cover(start: datetime) -> bool:
    """The packaged headlines run from 1 October 2020 to 4 March 2022."""
    return datetime(2020, 10, 1, tzinfo=UTC) < start < datetime(2022, 3, 4, tzinfo=UTC)
