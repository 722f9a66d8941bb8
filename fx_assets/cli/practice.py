"""fx practice: any history as a live OANDA account on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import plain_errors

GRANULARITIES = ("M1", "M5", "M15", "M30", "H1")  # the shipped models look 60 minutes ahead


@plain_errors
def practice(
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of the platform. Default: .fx/practice.", metavar="DIR")
    ] = None,
    history: Annotated[
        str, typer.Option(help="What is replayed: sample, a candle file, or a folder of them (EUR_USD_M1.csv, ...).")
    ] = "sample",
    start: Annotated[
        str | None,
        typer.Option(help="What time it is when the server starts, such as 2022-01-12T15:00:00Z.", metavar="INSTANT"),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(help=f"Bars of a home that has no configuration yet: {' '.join(GRANULARITIES)}. Default: M1."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the server.", min=1, max=65535)] = 8730,
) -> None:
    """Replay a history as a live broker account, so that the platform can be run live without one.

    It answers as OANDA's v20 interface does: candles, prices, the pricing stream. Then:  fx up --home DIR
    """
    from fx_assets.practice.interrupts import Interrupts

    interrupts = Interrupts()  # before the imports below, some of which lose one
    from fx_assets.errors import FxError
    from fx_assets.practice.clock import ReplayClock
    from fx_assets.practice.history import load_history
    from fx_assets.practice.home import check_start, claim, default_start, overruled, write_instruments
    from fx_assets.practice.server import serve_practice
    from fx_serving.client.home import fx_home

    if granularity not in (None, *GRANULARITIES):
        raise FxError(f"--granularity: '{granularity}' is not one of {' '.join(GRANULARITIES)}.")
    folder = (home or fx_home() / "practice").expanduser().resolve()

    def ready(url: str, clock: ReplayClock) -> None:
        typer.echo(f"{url} answers as a v20 account with {', '.join(histories)}; it is {begin:%A, %Y-%m-%d %H:%M} UTC")
        bars = granularity or "M1"
        if (written := write_instruments(folder, histories, url, begin, bars)) is not None:
            typer.echo(f"{written} written: {bars} bars and the pricing stream of this server")
        else:
            for sentence in overruled(folder, histories, url, begin, granularity):
                typer.secho(f"{folder}/config/instruments.yaml {sentence}", fg="yellow")
        typer.echo(f"next, in another terminal:  fx up --home {folder}")
        typer.echo("Ctrl-C here ends the server")

    with contextlib.suppress(KeyboardInterrupt):
        claim(folder)
        histories = load_history(history)
        begin = default_start(histories) if start is None else _instant(start)
        check_start(histories, begin)
        serve_practice(folder, histories, begin, port, ready, interrupts)
    typer.echo("stopped")


def _instant(text: str) -> datetime:
    from fx_assets.errors import FxError
    from fx_serving.client.clock import parse_utc

    try:
        return parse_utc(text)
    except ValueError as error:
        raise FxError(f"--start: {error}.") from None
