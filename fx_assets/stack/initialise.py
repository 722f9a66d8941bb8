"""Creating Dagster's SQLite files of a home, once, before several processes open them, and ending runs left there.

    python -m fx_assets.stack.initialise

Two processes that find no file both create its schema, and Dagster then refuses the doubled migration record for
ever. Every process that may be the first goes through `open_instance`.
"""

import os
from pathlib import Path

import dagster as dg
from filelock import FileLock

from fx_assets.runs.dead import close_dead_runs
from fx_assets.runs.pools import set_limits

LOCK = ".initialise.lock"


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, its files created by one process at a time."""
    with FileLock(Path(os.environ["DAGSTER_HOME"]) / LOCK):
        instance = dg.DagsterInstance.get()
        # Each opens, and where needed creates, its own file.
        instance.get_runs(limit=1)
        instance.get_latest_materialization_event(dg.AssetKey("none"))
        instance.all_instigator_state()
        return instance


if __name__ == "__main__":
    instance = open_instance()
    set_limits(instance)
    # What the platform before this one left undone must not count as work under way.
    close_dead_runs(instance)
