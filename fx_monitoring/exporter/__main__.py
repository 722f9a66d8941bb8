"""python -m fx_monitoring.exporter --port N: what `fx up` starts."""

from __future__ import annotations

import argparse
import sys

from fx_assets.errors import FxError
from fx_monitoring.exporter.app import serve
from fx_monitoring.exporter.server import PORT
from fx_serving.client import logs
from fx_serving.client.clock import ClockError
from fx_serving.client.home import fx_home


def main() -> int:
    """Serve the metrics of FX_HOME until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m fx_monitoring.exporter", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--every", type=float, help="seconds between collections; each collector's own by default")
    chosen = parser.parse_args()
    logs.setup("exporter")
    try:
        serve(fx_home(), chosen.host, chosen.port, chosen.every)
    except (FxError, ClockError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
