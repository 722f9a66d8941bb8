"""The environment of every process of one home: where it lives, and what time it is for data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.stack.practice import running_practice
from fx_serving.client.files import atomic_write
from fx_serving.client.home import fx_home

ROOT = Path(__file__).parents[2]
INSTANCE = ROOT / "deploy" / "dagster.yaml"
WORKSPACE = ROOT / "workspace.yaml"
# What an instance file of an earlier version lacks: who writes runs.log, and who launches runs.
ADDED = ("python_logs", "run_launcher")


def dagster_home(home: Path) -> Path:
    """Dagster's folder below a home, with the instance configuration in place; one that is there is kept."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "dagster.yaml"
    if not target.exists():
        if not INSTANCE.exists():
            raise FxError(f"{INSTANCE}: not found. Run fx from a checkout of the project, installed with `make venv`.")
        shutil.copyfile(INSTANCE, target)
    elif INSTANCE.exists():
        _complete(target)
    return folder


def _complete(target: Path) -> None:
    """Give an earlier version's instance file the sections that it lacks; the rest, and what is its own, stays."""
    import yaml

    try:
        text = target.read_text(encoding="utf-8")
        before = yaml.safe_load(text) or {}
        if not isinstance(before, dict):
            return
        shipped = INSTANCE.read_text(encoding="utf-8")
        lacking = [name for name in ADDED if name not in before]
        sections = [part.strip() for name in lacking for part in shipped.split("\n\n") if part.startswith(f"{name}:")]
        whole = "\n\n".join([text.rstrip(), *sections]) + "\n"
        if sections and yaml.safe_load(whole) == before | {name: yaml.safe_load(shipped)[name] for name in lacking}:
            atomic_write(target, whole.encode())
    except (OSError, ValueError, yaml.YAMLError):
        return  # Dagster says what is wrong with a file that cannot be used


def replay_clock(configuration: Configuration) -> str | None:
    """FX_CLOCK for a configuration whose sessions end: time stands still at the end of the last one. None for a running
    market.

    So that history can be served as if live: its newest features are fresh, whenever the platform is started. On a
    Friday or Saturday no session starts, unless something trades all week: the last one is that before it then.
    """
    from fx_assets.sessions import is_session, previous_session, session_bounds

    end = configuration.instruments.sessions.end
    if end is None:
        return None
    key = end.isoformat()
    if not configuration.all_week and not is_session(key):
        key = previous_session(key)
    return session_bounds(key)[1].strftime("%Y-%m-%dT%H:%M:%SZ")


def use_replay_clock(configuration: Configuration) -> None:
    """Let this process read the clock, and reach the practice account, that the services of its home run by."""
    for name, value in _home_variables(fx_home(), configuration).items():
        os.environ.setdefault(name, value)


def _home_variables(home: Path, configuration: Configuration) -> dict[str, str]:
    """The practice account's variables while it runs, else the clock of a configuration whose sessions end."""
    if practice := running_practice(home):
        return practice.variables()
    clock = replay_clock(configuration)
    return {"FX_CLOCK": clock} if clock else {}


def environment(home: Path, configuration: Configuration, serving_url: str | None = None) -> dict[str, str]:
    """Variables for every process of a home. What the user has set (a clock, an account) wins over the home's own."""
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
        "FX_LOG_DAYS": f"{configuration.automation.clean_up.logs_days:g}",
        # Beta notices of pinned libraries would bury what matters in the logs.
        "PYTHONWARNINGS": "ignore",
    }
    own = _home_variables(home, configuration)
    variables |= {name: os.environ.get(name) or value for name, value in own.items()}
    if clock := os.environ.get("FX_CLOCK"):
        variables["FX_CLOCK"] = clock
    if serving_url:
        variables["FX_SERVING_URL"] = serving_url
    return variables
