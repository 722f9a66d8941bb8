"""fx up: the whole platform on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.cli.common import Home, interrupt_on_signals, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_assets.configuration import Configuration


@plain_errors
def up(
    home: Home = None,
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.", min=1, max=65535)] = 3000,
    serving_port: Annotated[int, typer.Option(help="Port of the deployment service.", min=1, max=65535)] = 8700,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535)] = 5000,
    mlflow: Annotated[bool, typer.Option(help="Whether to start the MLflow UI.")] = True,
    reports_port: Annotated[int, typer.Option(help="Port of the report service.", min=1, max=65535)] = 8720,
    reports: Annotated[bool, typer.Option(help="Whether to start the report service.")] = True,
    exporter_port: Annotated[int, typer.Option(help="Port of the metrics for Prometheus.", min=1, max=65535)] = 8710,
    exporter: Annotated[bool, typer.Option(help="Whether to start the exporter.")] = True,
) -> None:
    """Start the Dagster UI and daemon, the deployment service, the MLflow UI, the report service and the exporter.

    Ctrl-C stops them all.

    Look at the result of the demo:  fx up --home .fx/demo
    """
    from fx_assets.configuration import load_configuration
    from fx_assets.errors import FxError
    from fx_assets.stack.ports import require_free
    from fx_assets.stack.stack import Ports, Stack

    folder = use_home(home)
    configuration = load_configuration()
    require_free(dagster_port, "the Dagster UI", "--dagster-port")
    require_free(serving_port, "the deployment service", "--serving-port")
    if mlflow:
        require_free(mlflow_port, "the MLflow UI", "--mlflow-port")
    if reports:
        require_free(reports_port, "the report service", "--reports-port")
    if exporter:
        require_free(exporter_port, "the exporter", "--exporter-port")
    interrupt_on_signals()
    ports = Ports(
        dagster_port,
        serving_port,
        mlflow_port if mlflow else None,
        reports_port if reports else None,
        exporter_port if exporter else None,
    )
    try:
        with Stack(folder, configuration, ports) as stack:
            stack.start(lambda name: typer.echo(f"starting {name} ..."))
            for done in stack.repairs:
                typer.secho(str(done), fg="yellow", err=True)
            stack.wait_ready()
            prefix = "" if home is None else f"FX_HOME={folder} "
            _announce(stack.addresses, stack.environment, prefix, configuration)
            while (ended := stack.ended()) is None:
                if told := stack.look_after():
                    typer.secho(told, fg="yellow", err=True)
                time.sleep(0.5)
            raise FxError(f"{ended.name} ended unexpectedly:\n{ended.tail()}\nThe whole log: {ended.log}")
    except KeyboardInterrupt:
        typer.echo("stopped")


def _mode(home: Path, configuration: Configuration) -> str:
    """Where the newest data comes from: a practice account, the live market, or nowhere."""
    from fx_assets.live.streams import is_live, streamed
    from fx_assets.stack.practice import running_practice

    if not is_live(configuration):
        ends = configuration.instruments.sessions.end is not None
        return "history, nothing is fetched by itself" + ("" if ends else " (data.yaml: live.enabled is false)")
    account = "practice" if running_practice(home) else "live"
    streams = sorted(symbol for symbols in streamed(configuration).values() for symbol in symbols.values())
    by_stream = f"{', '.join(streams)} by stream; " if streams else ""
    return f"{account}: {by_stream}fetched every {configuration.poll_seconds} s while the market is open"


def _announce(
    addresses: dict[str, str], environment: dict[str, str], prefix: str, configuration: Configuration
) -> None:
    """prefix: what makes another terminal's commands find this home."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, address in addresses.items():
        table.add_row(name, address + ("/docs" if name == "predictions" else ""))
    table.add_row("data", environment["FX_HOME"])
    table.add_row("mode", _mode(Path(environment["FX_HOME"]), configuration))
    if clock := environment.get("FX_CLOCK"):
        origin = "set by FX_CLOCK" if os.environ.get("FX_CLOCK") else _clock_origin(clock)
        table.add_row("clock", f"{clock} ({origin})")
    console = wide_console()
    console.print(table)
    console.print("ready. Ctrl-C here stops everything. In another terminal:")
    for command in (f"fx predict {next(iter(configuration.instruments.instruments))}", "fx status"):
        console.print(f"  {prefix}{command}", highlight=False, soft_wrap=True)


def _clock_origin(clock: str) -> str:
    return "the practice account's time" if "@" in clock else "the data's end: set FX_CLOCK to change it"
