"""fx changes: which candles came late or were corrected."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console


@plain_errors
def changes(
    first: Annotated[str, typer.Option("--from", help="First session (a date, YYYY-MM-DD).", metavar="DATE")],
    last: Annotated[str, typer.Option("--to", help="Last session, included.", metavar="DATE")],
    instrument: Annotated[str | None, typer.Option(help="Symbol as in instruments.yaml. Default: all.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest changes to show.")] = 50,
    home: Home = None,
) -> None:
    """List candles that a later fetch added to or changed. Silver has the newest values; bronze keeps all of them.

    Example:  fx changes --from 2022-03-01 --to 2022-03-03 --instrument GBP_USD
    """
    from rich.table import Table

    from fx_assets.bronze.changes import corrections
    from fx_assets.bronze.files import CANDLES, Bronze
    from fx_assets.configuration import load_configuration
    from fx_assets.errors import ConfigError
    from fx_assets.lake import lake_root
    from fx_assets.runs.steps import tables_run

    folder = use_home(home)
    configuration = load_configuration()
    known = configuration.instruments.instruments
    if instrument is not None and instrument not in known:
        raise ConfigError(f"--instrument: '{instrument}' is not in instruments.yaml, which has {', '.join(known)}.")
    chosen = tables_run(configuration, first, last)
    wanted = [instrument] if instrument else list(known)
    bronze = Bronze(lake_root(folder, configuration.data.storage))
    fetched = bronze.sessions(CANDLES, wanted)
    sessions = sorted(s for s in set().union(*fetched.values()) if str(chosen.first) <= s <= str(chosen.last))
    found = corrections(bronze.read(CANDLES, sessions, wanted))
    if found.empty:
        typer.echo(f"no candle of {len(sessions)} fetched sessions came late or was corrected")
        return
    table = Table("fetched at", "instrument", "candle", "what", "old", "new", "source", title="changes")
    for row in found.tail(limit).itertuples():
        old = "" if row.old != row.old else f"{row.old:g}"
        table.add_row(
            f"{row.fetched_at:%Y-%m-%d %H:%M:%S}",
            str(row.instrument),
            f"{row.time:%Y-%m-%d %H:%M}",
            str(row.column),
            old,
            f"{row.new:g}",
            str(row.source),
        )
    wide_console().print(table)
    candles = found[["instrument", "time"]].drop_duplicates()
    typer.echo(f"{len(found)} changes of {len(candles)} candles; shown are the newest {min(limit, len(found))}")
