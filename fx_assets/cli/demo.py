"""fx demo: the main job, end to end, on the sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import interrupt_on_signals, plain_errors


@plain_errors
def demo(
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of the demo, emptied first. Default: .fx/demo.", metavar="DIR")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="compose: the platform in containers that `make up` started.", metavar="PLACE"),
    ] = None,
) -> None:
    """Backfill the sample, train and judge two models, roll one out under traffic, drift, retrain. A few minutes.

    Everything runs on free ports in a folder of its own and is stopped at the end; summary.json keeps the figures.
    Look at the result with:  fx up --home .fx/demo

    With --against compose the platform in containers does it, in .fx/compose (FX_COMPOSE_FOLDER). It must be a new one,
    and goes on running: look at https://localhost:8443.
    """
    from fx_assets.demo.driver import run_composed_demo, run_demo
    from fx_serving.client.home import fx_home

    if against not in (None, "compose"):
        raise typer.BadParameter(f"{against!r}: must be compose", param_hint="--against")
    if against and home:
        raise typer.BadParameter("not with --against: a composed platform has its own folder", param_hint="--home")
    composed = os.environ.get("FX_COMPOSE_FOLDER", "").strip() or fx_home() / "compose"
    folder = Path(composed if against else home or fx_home() / "demo").expanduser().resolve()
    interrupt_on_signals()
    try:
        (run_composed_demo if against else run_demo)(folder)
    except KeyboardInterrupt:
        typer.secho(f"stopped; what was made so far is in {folder}", fg="red", err=True)
        raise typer.Exit(130) from None
