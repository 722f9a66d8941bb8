"""fx status: what there is, how new it is, and what serves."""

from __future__ import annotations

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console


@plain_errors
def status(home: Home = None) -> None:
    """Market hours, tables with their sessions, how fresh they are, models, the newest drift verdict, the service."""
    from fx_assets.cli.online import online_table
    from fx_assets.cli.tables import (
        drift_table,
        freshness_table,
        lake_table,
        market_lines,
        models_table,
        service_lines,
    )
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    configuration = load_configuration()
    use_replay_clock(configuration)
    console = wide_console()
    for line in market_lines(configuration):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(lake_table(stores, configuration))
    console.print(freshness_table(stores, configuration))
    store, online = online_table(stores.home, configuration)
    console.print(store, highlight=False, markup=False, soft_wrap=True)
    if online is not None:
        console.print(online)
    console.print(models_table(stores, configuration))
    console.print(drift_table(stores, configuration))
    for line in service_lines(stores):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not (stores.lake / "gold").exists():
        typer.echo("Nothing has been made yet. Try:  make demo   or   fx backfill --from DATE --to DATE")
