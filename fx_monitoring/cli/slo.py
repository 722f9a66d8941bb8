"""fx slo: the service levels, their error budgets, and the runs that were late or failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_monitoring.slo.budget import Level


@plain_errors
def slo(
    limit: Annotated[int, typer.Option(help="Missed runs shown at most.", min=0)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: Home = None,
) -> None:
    """Show how each service level of automation.yaml stands, and the newest runs that missed it, with the reason.

    Ends with 1 where an error budget is used up or burns too fast.
    """
    import msgspec

    from fx_monitoring.slo.store import levels_path, read_levels
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    found = read_levels(stores)
    if as_json:
        typer.echo(msgspec.json.encode(found))
    elif found is None:
        typer.echo(f"{levels_path(stores)}: not there yet. The sensor service_levels writes it while `fx up` runs.")
    else:
        console = wide_console()
        console.print(_table(found.rows))
        missed = sorted((one for row in found.rows for one in row.missed), key=lambda one: one.at, reverse=True)
        for one in missed[:limit]:
            run = f"  run {one.run_id[:8]}" if one.run_id else ""
            line = f"{one.at:%Y-%m-%d %H:%M} UTC  {one.row}  {one.job}: {one.why}{run}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if not missed:
            typer.echo("no run of these rows was late or failed")
    if found is not None and any(row.status in ("burning", "exhausted") for row in found.rows):
        raise typer.Exit(1)


def _table(rows: list[Level]) -> Any:
    from rich.table import Table

    table = Table("level", "target", "achieved", "runs", "window", "budget left", "status")
    for row in rows:
        achieved = "-" if row.achieved is None else f"{row.achieved:.2%}"
        left = "-" if row.budget_left is None else f"{row.budget_left:.0%}"
        table.add_row(
            row.name, f"{row.target:.0%}", achieved, str(row.runs), f"{row.window_days} days", left, row.status
        )
    return table
