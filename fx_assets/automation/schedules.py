"""What runs by the clock for models: retraining once a week, and batch inference every half hour.

The weekly schedule, the drift sensor (retraining.py) and a person ask for the same job and the same partitions.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import dagster as dg

from fx_assets.automation.retraining import job_name
from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.live.gated import while_moving, while_open
from fx_assets.models.assets import batch
from fx_assets.sessions import running_session
from fx_serving.client.clock import now

# Saturday morning in New York: the week is closed, and its tables are made.
WEEKLY = "0 10 * * 6"
HALF_HOURLY = "*/30 * * * *"
BATCH_JOB = "batch_inference"  # a job may not be called like an asset
NEEDED = ("gold/features", "gold/labels")


def jobs(configuration: Configuration) -> list[Any]:
    """The job of batch inference; none where no model is deployed."""
    if not any(entry.deploy for entry in configuration.models.models.values()):
        return []
    return [
        dg.define_asset_job(
            BATCH_JOB,
            selection=[dg.AssetKey(batch.NAME)],
            description="Score the newest gold rows with the champions.",
        )
    ]


def schedules(
    configuration: Configuration,
    lake: Lake,
    partitions: dg.TimeWindowPartitionsDefinition,
    training_jobs: Sequence[Any],
    batch_jobs: Sequence[Any],
) -> list[dg.ScheduleDefinition]:
    """A weekly retraining for each model, and batch inference while a market is open.

    training_jobs: as retraining.jobs gives them. batch_jobs: as `jobs` gives them.
    """
    by_name = {job.name: job for job in training_jobs}
    weekly = [
        _weekly(configuration, lake, partitions, model, by_name[job_name(model)])
        for model in configuration.models.models
    ]
    what = "Scores the newest gold rows every half hour while the market of at least one instrument is open."
    return [
        *weekly,
        *(while_open(configuration, f"half_hourly_{job.name}", job, HALF_HOURLY, what) for job in batch_jobs),
    ]


def due_session(lake: Lake, keys: Sequence[str], at: datetime, all_week: bool = False) -> str | None:
    """The newest session that can be trained for: the session before it has its features and labels.

    keys: all sessions, sorted. at: the data clock's now (aware); sessions that have not begun are left out, but at a
    weekend the coming one counts. None when no session has what is needed.
    """
    have = set.intersection(*(set(lake.keys(table)) for table in NEEDED))
    last = running_session(at, all_week)
    return max((key for before, key in pairwise(keys) if before in have and key <= last), default=None)


def _weekly(
    configuration: Configuration, lake: Lake, partitions: dg.TimeWindowPartitionsDefinition, model: str, job: Any
) -> dg.ScheduleDefinition:
    def ask() -> dg.RunRequest | str:
        session = due_session(lake, list(partitions.get_partition_keys()), now(), configuration.all_week)
        if session is None:
            return f"{model}: no session has {' and '.join(NEEDED)} before it. Run `fx backfill`."
        if _trained(lake, model, session):
            # The same partition of the same data gives the same model: a further version would say nothing new.
            return f"{model}: session {session} is the newest that can be trained for, and it was."
        return dg.RunRequest(run_key=f"weekly-{model}-{session}", partition_key=session, tags={"fx/reason": "weekly"})

    what = f"Retrains {model} every Saturday for the newest session that has its features and labels."
    return while_moving(f"weekly_{job.name}", job, WEEKLY, what, ask)


def _trained(lake: Lake, model: str, session: str) -> bool:
    try:
        lake.store.read(f"models/{model}/trained_model/session={session}/record.json")
    except FileNotFoundError:
        return False
    return True
