"""The environment of every process of one home: where it lives, and what time it is for data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError

ROOT = Path(__file__).parents[2]
INSTANCE = ROOT / "deploy" / "dagster.yaml"
WORKSPACE = ROOT / "workspace.yaml"


def dagster_home(home: Path) -> Path:
    """Dagster's folder below a home, with the instance configuration in place."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "dagster.yaml"
    if not target.exists():
        if not INSTANCE.exists():
            raise FxError(f"{INSTANCE}: not found. Run fx from a checkout of the project, installed with `make venv`.")
        shutil.copyfile(INSTANCE, target)
    return folder


def replay_clock(configuration: Configuration) -> str | None:
    """FX_CLOCK for a configuration whose sessions end: time stands still at that end. None for a running market.

    So that history can be served as if live: its newest features are fresh, whenever the platform is started.
    """
    from fx_assets.sessions import session_bounds

    end = configuration.instruments.sessions.end
    return None if end is None else session_bounds(end.isoformat())[1].strftime("%Y-%m-%dT%H:%M:%SZ")


def use_replay_clock(configuration: Configuration) -> None:
    """Let this process read the clock that the services of the configuration run by."""
    if clock := replay_clock(configuration):
        os.environ.setdefault("FX_CLOCK", clock)


def environment(home: Path, configuration: Configuration, serving_url: str | None = None) -> dict[str, str]:
    """Variables for every process of a home. A clock that the user has set wins over the replay clock."""
    variables = {
        "FX_HOME": str(home),
        "DAGSTER_HOME": str(dagster_home(home)),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow's job queue would start seven idle processes beside its UI.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "FEAST_USAGE": "False",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MPLBACKEND": "Agg",
        # Beta notices of pinned libraries would bury what matters in the logs.
        "PYTHONWARNINGS": "ignore",
    }
    clock = os.environ.get("FX_CLOCK") or replay_clock(configuration)
    if clock:
        variables["FX_CLOCK"] = clock
    if serving_url:
        variables["FX_SERVING_URL"] = serving_url
    return variables
