"""fx quality: what the checks found, from the tables themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console


@plain_errors
def quality(
    first: Annotated[str | None, typer.Option("--from", help="First session (a date, YYYY-MM-DD).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session, included.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Symbol as in instruments.yaml. Default: all.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Sessions to show of each list.")] = 20,
    home: Home = None,
) -> None:
    """Show quarantined and missing candles by check, session, instrument and source, and whose clock is off.

    Reads silver/candles, silver/quarantine and silver/news_sentiment; fetches and changes nothing.
    Example:  fx quality --from 2021-03-01 --to 2021-03-31
    """
    from fx_assets.configuration import load_configuration
    from fx_assets.lake import Lake, lake_root
    from fx_assets.quality.stored import stored_quality
    from fx_assets.silver.news_check import newest_clocks
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client.clock import now

    folder = use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    lake = Lake(lake_root(folder, configuration.data.storage))
    found = stored_quality(lake, configuration, first, last, instrument, now())
    console = wide_console()
    told = f"{len(found.keys)} sessions, {found.candles} candles, {found.quarantined} quarantined"
    typer.echo(f"{told}: {found.keys[0]} to {found.keys[-1]}")
    console.print(_table("found", found.findings, limit))
    for key in sorted(found.problems)[:limit]:
        for words in found.problems[key]:
            console.print(f"blocked: {words}", style="red", highlight=False, markup=False, soft_wrap=True)
    for words in [*found.clocks, *(clock.words for clock in newest_clocks(lake, first, last))]:
        console.print(f"clock: {words}", highlight=False, markup=False, soft_wrap=True)


def _table(title, findings, limit):  # type: ignore[no-untyped-def]
    """A summary by check, then the sessions with the most."""
    from rich.table import Table

    table = Table("check", "what", "session", "instrument", "source", "count", "of", title=title, title_justify="left")
    for (check, what), rows in findings.groupby(["check", "what"], sort=True):
        sessions, symbols = rows["session"].nunique(), rows["instrument"].nunique()
        table.add_row(check, what, f"{sessions} sessions", f"{symbols} instruments", "", str(rows["count"].sum()), "")
    table.add_section()
    worst = findings.sort_values(["count", "session"], ascending=[False, True], kind="stable").head(limit)
    for row in worst.to_dict("records"):
        table.add_row(*(str(row[name]) for name in ("check", "what", "session", "instrument", "source", "count", "of")))
    return table
