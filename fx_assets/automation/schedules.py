"""What is asked for by the clock for models: retraining by the cadence in force, and batch inference.

The schedule, the drift sensor (retraining.py) and a person ask for the same job and the same partitions.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import dagster as dg

from fx_assets.automation.retraining import job_name
from fx_assets.automation.table import Ask, Asks, at_work
from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.models.assets import batch
from fx_assets.sessions import running_session
from fx_serving.client.clock import now

# The rows of automation.yaml that train, with the reason that their runs carry.
TRAINING = {"weekly_train": "weekly", "daily_train": "daily", "four_hourly_train": "four_hourly"}
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


def asks(configuration: Configuration, lake: Lake, partitions: dg.TimeWindowPartitionsDefinition) -> Asks:
    """What the ticks of the training rows ask for."""

    def of(reason: str) -> Callable[[str], Ask]:
        return lambda model: _training(configuration, lake, partitions, model, reason)

    return {row: of(reason) for row, reason in TRAINING.items()}


def due_session(lake: Lake, keys: Sequence[str], at: datetime, all_week: bool = False) -> str | None:
    """The newest session that can be trained for: the session before it has its features and labels.

    keys: all sessions, sorted. at: the data clock's now (aware); sessions that have not begun are left out, but at a
    weekend the coming one counts. None when no session has what is needed.
    """
    have = set.intersection(*(set(lake.keys(table)) for table in NEEDED))
    last = running_session(at, all_week)
    return max((key for before, key in pairwise(keys) if before in have and key <= last), default=None)


def _training(
    configuration: Configuration, lake: Lake, partitions: dg.TimeWindowPartitionsDefinition, model: str, reason: str
) -> Ask:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | str:
        session = due_session(lake, list(partitions.get_partition_keys()), now(), configuration.all_week)
        if session is None:
            return f"{model}: no session has {' and '.join(NEEDED)} before it. Run `fx backfill`."
        if _trained(lake, model, session):
            # The same partition of the same data gives the same model: a further version would say nothing new.
            return f"{model}: session {session} is the newest that can be trained for, and it was."
        if working := at_work(context.instance, job_name(model), session):
            return working
        return dg.RunRequest(run_key=f"{reason}-{model}-{session}", partition_key=session, tags={"fx/reason": reason})

    return ask


def _trained(lake: Lake, model: str, session: str) -> bool:
    try:
        lake.store.read(f"models/{model}/trained_model/session={session}/record.json")
    except FileNotFoundError:
        return False
    return True
