"""python -m fx_monitoring.reports --port N: what `fx up` starts."""

from __future__ import annotations

import argparse
import sys

from fx_assets.errors import FxError
from fx_monitoring.reports.server import PORT, serve
from fx_serving.client import logs
from fx_serving.client.home import fx_home


def main() -> int:
    """Serve the reports of FX_HOME until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m fx_monitoring.reports", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    chosen = parser.parse_args()
    logs.setup("reports", "WARNING")
    try:
        serve(fx_home(), chosen.host, chosen.port)
    except FxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
