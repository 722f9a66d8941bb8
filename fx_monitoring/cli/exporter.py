"""fx exporter: the metrics of a home for Prometheus, until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home


@plain_errors
def exporter(
    home: Home = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's needs FX_EXPORTER_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8710,
    every: Annotated[
        float | None, typer.Option(help="Seconds between collections. Default: each collector's own.", min=0.05)
    ] = None,
) -> None:
    """State how data, models, money and machines are, as Prometheus metrics: http://127.0.0.1:8710/metrics."""
    from fx_monitoring.exporter.app import serve
    from fx_serving.client import logs

    folder = use_home(home)
    logs.setup("exporter")
    serve(folder, host, port, every)
