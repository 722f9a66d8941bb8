"""fx archive: finished months of bronze in a store of their own, and back."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

app = typer.Typer(help="Finished months of bronze: pack them into the archive, look, bring them back.")


@app.command()
@plain_errors
def status(home: Home = None) -> None:
    """Which months are here, in the archive, or in the archive only."""
    from rich.table import Table

    from fx_assets.archive.configured import archived_before, open_archive
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import use_replay_clock

    folder = use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    archive = open_archive(folder, configuration)
    before = archived_before(configuration)
    table = Table("table", "month", "files here", "in the archive", "state", title=f"archive {archive.store.url}")
    for month in archive.status():
        if month.only_archived:
            state = f"removed here: fx archive restore --month {month.month}"
        elif month.archived >= month.here:
            state = "archived"
        else:
            state = "to be archived: fx archive run" if month.month < before else "stays here"
        table.add_row(month.table, month.month, str(month.here), str(month.archived), state)
    wide_console().print(table)


@app.command()
@plain_errors
def run(home: Home = None) -> None:
    """Pack what is due, verify it, and remove it here where data.yaml says so. The asset `archive` does the same.

    Example:  fx archive run
    """
    from fx_assets.archive.configured import archived_before, open_archive
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import use_replay_clock

    folder = use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    before = archived_before(configuration)
    done = open_archive(folder, configuration).run(before, configuration.data.archive.remove_local)
    for table, month in sorted({*done.packed, *done.removed}):
        removed = done.removed.get((table, month), 0)
        typer.echo(f"{table} {month}: {done.packed.get((table, month), 0)} files packed, {removed} removed here")
    typer.secho(f"months before {before} are in the archive", fg="green")


@app.command()
@plain_errors
def restore(
    month: Annotated[
        str | None, typer.Option("--month", help="The month (YYYY-MM). Default: all that were removed here.")
    ] = None,
    home: Home = None,
) -> None:
    """Bring months back into bronze; every file is held against its hash first.

    Example:  fx archive restore --month 2021-03
    """
    from fx_assets.archive.configured import open_archive
    from fx_assets.archive.months import check_month
    from fx_assets.configuration import load_configuration

    folder = use_home(home)
    archive = open_archive(folder, load_configuration())
    wanted = [check_month(month)] if month else sorted({m.month for m in archive.status() if m.only_archived})
    for one in wanted:
        typer.echo(f"{one}: {archive.restore(one)} files restored")
    if not wanted:
        typer.echo("nothing to restore: every archived file is here")
