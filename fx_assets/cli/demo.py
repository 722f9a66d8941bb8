"""fx demo: the main job, end to end, on the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import interrupt_on_signals, plain_errors


@plain_errors
def demo(
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of the demo, emptied first. Default: .fx/demo.", metavar="DIR")
    ] = None,
) -> None:
    """Backfill the sample, train and judge two models, roll one out under traffic, drift, retrain. A few minutes.

    Everything runs on free ports in a folder of its own and is stopped at the end; summary.json keeps the figures.
    Look at the result with:  fx up --home .fx/demo
    """
    from fx_assets.demo.driver import run_demo
    from fx_serving.client.home import fx_home

    folder = (home or fx_home() / "demo").expanduser().resolve()
    interrupt_on_signals()
    try:
        run_demo(folder)
    except KeyboardInterrupt:
        typer.secho(f"stopped; what was made so far is in {folder}", fg="red", err=True)
        raise typer.Exit(130) from None
