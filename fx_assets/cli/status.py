"""fx status: what there is, how new it is, and what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_serving.client.home import Stores


@plain_errors
def status(home: Home = None) -> None:
    """Market hours, tables with their sessions, how fresh they are, models, the newest drift verdict, the service, and
    the colour of health.
    """
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
    from fx_serving.client.environment import blocked
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
    for line in (*service_lines(stores), _health_line(stores)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if why := blocked(stores):
        console.print(why, style="red", highlight=False, markup=False, soft_wrap=True)
    if not (stores.lake / "gold").exists():
        typer.echo("Nothing has been made yet. Try:  make demo   or   fx backfill --from DATE --to DATE")


def _health_line(stores: Stores) -> str:
    """The colour of the newest verdict that monitoring wrote, and what is not GREEN."""
    import msgspec

    try:
        found = msgspec.json.decode(stores.health.read_bytes())
    except (FileNotFoundError, ValueError):
        return "health: no verdict yet (`fx health`)"
    bad = [tier["name"] for tier in found["tiers"] if tier["status"] != "GREEN"]
    what = f": {', '.join(bad)}" if bad else ""
    return f"health of session {found['session']}: {found['status']}{what} (`fx health` says why)"
