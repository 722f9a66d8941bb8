"""fx reports: the report service, until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home


@plain_errors
def reports(
    home: Home = None,
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port of the report service.", min=1, max=65535)] = 8720,
) -> None:
    """Show the drift and quality reports in a browser, and make new ones: http://127.0.0.1:8720."""
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import use_replay_clock
    from fx_monitoring.reports.server import serve
    from fx_serving.client import logs

    logs.setup("reports", "WARNING")
    folder = use_home(home)
    use_replay_clock(load_configuration())
    typer.echo(f"reports of {folder} at http://{host}:{port}  (Ctrl-C ends)")
    serve(folder, host, port)
