"""MLflow's server for a home, as a program: `python -m fx_assets.stack.mlflow_server --host 0.0.0.0 --port 5000`.

The address of its database goes through the environment, since everybody on a host can read its command lines.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fx_assets.resources.tracking import tracking_uri
from fx_serving.client.home import fx_home


def command(home: Path, options: list[str]) -> tuple[list[str], Mapping[str, str]]:
    """What to run, and what to add to its environment. options: more of `mlflow server`. Makes the artifacts folder."""
    artifacts = home / "mlflow" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    words = ["mlflow", "server", "--artifacts-destination", str(artifacts), "--workers", "1", *options]
    # Its job queue would start seven idle processes beside its UI.
    return words, {"MLFLOW_BACKEND_STORE_URI": tracking_uri(home), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


if __name__ == "__main__":
    words, variables = command(fx_home(), sys.argv[1:])
    os.execve(sys.executable, [sys.executable, "-m", *words], {**os.environ, **variables})
