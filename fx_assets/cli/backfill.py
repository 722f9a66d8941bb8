"""fx backfill: make all tables for a range of sessions, in one run."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home


@plain_errors
def backfill(
    first: Annotated[str, typer.Option("--from", help="First session (a date, YYYY-MM-DD).", metavar="DATE")],
    last: Annotated[str, typer.Option("--to", help="Last session, included.", metavar="DATE")],
    home: Home = None,
) -> None:
    """Fetch and compute every table from bronze to the feature store, for a range of sessions.

    Example:  fx backfill --from 2022-02-01 --to 2022-03-03
    """
    from fx_assets.cli.progress import RunProgress
    from fx_assets.configuration import load_configuration
    from fx_assets.runs.start import execute_plan
    from fx_assets.runs.steps import online_run, tables_run
    from fx_assets.stack.environment import environment

    folder = use_home(home)
    configuration = load_configuration()
    tables = tables_run(configuration, first, last)
    with RunProgress() as progress:
        plans = {"tables": tables, "feature store": online_run()}
        log = folder / "logs" / "backfill.log"
        execute_plan(list(plans.values()), environment(folder, configuration), log, progress.follow(plans))
    typer.secho(f"sessions {tables.first} to {tables.last} are made. Look: fx up, or fx status", fg="green")
