"""fx import: a user's own candle history into bronze."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home


@plain_errors
def import_(
    file: Annotated[Path, typer.Argument(help="Candles of one instrument: CSV, Parquet or NDJSON, also .gz.")],
    instrument: Annotated[str, typer.Option(help="Symbol as in instruments.yaml, such as EUR_USD.")],
    granularity: Annotated[str, typer.Option(help="Length of a bar: M1 M5 M15 M30 H1 H4 D.")],
    home: Home = None,
) -> None:
    """Check a candle file and put it into bronze, session by session. A file with any bad row is refused whole.

    Example:  fx import EURUSD.csv --instrument EUR_USD --granularity H1
    """
    from fx_assets.bronze.files import Bronze
    from fx_assets.bronze.imports import import_file
    from fx_assets.configuration import load_configuration
    from fx_assets.lake import lake_root

    folder = use_home(home)
    configuration = load_configuration()
    done = import_file(
        Bronze(lake_root(folder, configuration.data.storage)), configuration, file, instrument, granularity
    )
    for warning in done.warnings:
        typer.secho(warning, fg="yellow", err=True)
    typer.echo(f"{file}: {done.rows} candles of {instrument} in {len(done.sessions)} sessions imported")
    typer.echo(f"next:  fx backfill --from {done.sessions[0]} --to {done.sessions[-1]}")
