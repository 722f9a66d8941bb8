"""fx calendar: sessions, market hours and holidays of an instrument."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    import pandas as pd

    from fx_assets.configuration import Configuration
    from fx_assets.market_hours import Hours

SHOWN_DAYS = 7


@plain_errors
def calendar(
    instrument: Annotated[str | None, typer.Option(help="Symbol of instruments.yaml. Default: the first.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Show sessions from this date on.", metavar="DATE")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last session shown. Default: a week later.", metavar="DATE")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="As if it were this moment, such as 2026-12-24T20:00Z.", metavar="INSTANT")
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="Show the year's holidays and early closes.", min=1990, max=2100)
    ] = None,
    home: Home = None,
) -> None:
    """Show when an instrument is traded: open or closed now, sessions, holidays, early closes.

    A session is a partition of every table: it runs from 17:00 to 17:00 New York and is named by the date it starts on,
    so the session 2026-03-05 is the trading day of Friday, 6 March. Its hours in UTC move with New York's clocks.
    Market hours say which bars there should be in it: see docs/calendar.md.

    fx calendar                                    is the market open, and the running week

    fx calendar --from 2026-12-20 --to 2027-01-05  sessions over Christmas

    fx calendar --year 2026                        holidays and early closes

    fx calendar --at 2026-12-24T20:00Z             as if it were that moment
    """
    from fx_assets.configuration import load_configuration
    from fx_assets.errors import FxError
    from fx_assets.market_hours import market_hours
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client import clock

    use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    known = configuration.instruments.instruments
    symbol = instrument or next(iter(known))
    if symbol not in known:
        raise FxError(f"--instrument: '{symbol}' is not in instruments.yaml, which has {', '.join(known)}. Use one.")
    try:
        now = clock.parse_utc(at) if at else clock.now()
    except clock.ClockError:
        raise
    except ValueError as error:
        raise FxError(f"--at: {error}.") from None
    hours = market_hours(known[symbol].calendar)
    console = wide_console()
    console.print(_now_line(symbol, hours, now), highlight=False, soft_wrap=True)
    if year is not None:
        console.print(_year_table(symbol, hours, year))
    if year is None or first or last:
        start = _date("--from", first) if first else None
        console.print(_session_table(configuration, hours, now, start, _date("--to", last) if last else None))


def _date(option: str, text: str) -> date:
    from fx_assets.errors import FxError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FxError(f"{option}: '{text}' is not a date. Write it as YYYY-MM-DD.") from None


def _now_line(symbol: str, hours: Hours, now: datetime) -> str:
    """Open or closed, and until when."""
    from fx_assets.live.gating import in_two_zones

    what = f"{symbol} ({hours.name}) at {in_two_zones(now)}:"
    if hours.is_open(now):
        close = hours.next_close(now)
        return f"{what} open" + (f", closes at {in_two_zones(close)}" if close else "")
    opening = hours.next_open(now)
    return f"{what} closed" + (
        f", opens at {in_two_zones(opening)}" if opening else ", and stays closed for forty days"
    )


def _session_table(
    configuration: Configuration, hours: Hours, now: datetime, first: date | None, last: date | None
) -> Any:
    """Sessions with their bounds, trading hours and what is out of the ordinary; the running one in bold."""
    from rich.table import Table

    from fx_assets.errors import FxError
    from fx_assets.sessions import is_session, running_session, session_bounds

    running = running_session(now, configuration.all_week)
    start = first or (last - timedelta(days=SHOWN_DAYS) if last else date.fromisoformat(running))
    end = last or start + timedelta(days=SHOWN_DAYS)
    if start > end:
        raise FxError(f"--from {start} lies after --to {end}. Swap them.")
    days = [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]
    table = Table("session", "starts (UTC)", "ends (UTC)", "traded (New York)", "hours", "note", title_justify="left")
    for key in days:
        if not (configuration.all_week or is_session(key)):
            continue
        opens, closes = session_bounds(key)
        traded = hours.open_intervals(opens, closes)
        table.add_row(
            key,
            f"{opens:%a %Y-%m-%d %H:%M}",
            f"{closes:%a %Y-%m-%d %H:%M}",
            _intervals(traded),
            f"{(traded['close'] - traded['open']).sum().total_seconds() / 3600:g}",
            _note(hours, opens, closes) or ("running" if key == running and opens <= now else ""),
            style="bold" if key == running else None,
        )
    return table


def _intervals(traded: pd.DataFrame) -> str:
    from fx_assets.sessions import NEW_YORK

    local = [traded[name].dt.tz_convert(NEW_YORK) for name in ("open", "close")]
    pairs = zip(*local, strict=True)
    return ", ".join(f"{opens:%a %H:%M} to {closes:%a %H:%M}" for opens, closes in pairs) or "closed"


def _note(hours: Hours, start: datetime, end: datetime) -> str:
    found = hours.holidays(start, end)
    return ", ".join(f"{name}: {kind}" for name, kind in zip(found["name"], found["kind"], strict=True))


def _year_table(symbol: str, hours: Hours, year: int) -> Any:
    """Holidays, early closes and late opens of a year."""
    from datetime import UTC

    from rich.table import Table

    from fx_assets.sessions import NEW_YORK

    found = hours.holidays(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    title = f"{symbol}: no trading in {year}" + ("" if len(found) else ": none beside the weekends")
    table = Table("name", "kind", "from (UTC)", "to (UTC)", "from (New York)", "to (New York)", title=title)
    table.title_justify = "left"
    utc = [found[name].dt for name in ("start", "end")]
    times = [each.strftime("%a %Y-%m-%d %H:%M") for each in (*utc, *(each.tz_convert(NEW_YORK).dt for each in utc))]
    for row in zip(found["name"], found["kind"], *times, strict=True):
        table.add_row(*map(str, row))
    return table
