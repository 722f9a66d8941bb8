"""When costs are estimated and thresholds swept: at the end of each month, and on Saturdays after the retraining."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.live.gated import while_moving
from fx_assets.strategy import recorded
from fx_assets.strategy.assets import STEPS
from fx_assets.strategy.cost_assets import fx_months
from fx_serving.client.clock import now

COSTS_JOB = "monthly_costs"
# The last session of a month ends at 17:00 on the first; its candles are settled by the next morning.
MONTHLY = "0 6 2 * *"
WEEKLY = "0 14 * * 6"  # Saturday: the week is closed, and the weekly retraining has begun hours before


def job_name(model: str) -> str:
    """The job that tries the rules of one model."""
    return f"strategy_{model}"


def jobs(configuration: Configuration) -> list[Any]:
    """One job for the costs, and one for each model."""
    return [
        dg.define_asset_job(
            COSTS_JOB,
            selection=[dg.AssetKey(recorded.MONTHS.split("/"))],
            description="Estimate a month's transaction costs.",
        ),
        *(
            dg.define_asset_job(
                job_name(model),
                selection=[dg.AssetKey([model, step]) for step in STEPS],
                description=f"Sweep thresholds and sizes of {model} on its study of one session.",
            )
            for model in configuration.models.models
        ),
    ]


def schedules(configuration: Configuration, lake: Lake, strategy_jobs: Sequence[Any]) -> list[dg.ScheduleDefinition]:
    """The schedules. strategy_jobs: as `jobs` gives them."""
    by_name = {job.name: job for job in strategy_jobs}
    return [
        _monthly(configuration, lake, by_name[COSTS_JOB]),
        *(_weekly(lake, model, by_name[job_name(model)]) for model in configuration.models.models),
    ]


def due_month(configuration: Configuration, lake: Lake, at: datetime) -> str | None:
    """The newest month that has ended by `at` (aware) and of whose sessions silver/candles has one; None without."""
    have = {f"{key[:7]}-01" for key in lake.keys("silver/candles")}
    ended = [key for key in fx_months(configuration).get_partition_keys() if recorded.month_bounds(key)[1] <= at]
    return max((key for key in ended if key in have), default=None)


def due_study(lake: Lake, model: str) -> str | None:
    """The newest session with a study of the model that was not swept yet; None without one."""
    studied = lake.keys(f"models/{model}/out_of_fold")
    return studied[-1] if studied and not _made(lake, model, studied[-1]) else None


def _made(lake: Lake, model: str, session: str) -> bool:
    try:
        for step in STEPS:
            lake.store.read(f"models/{model}/{step}/session={session}/record.json")
    except FileNotFoundError:
        return False
    return True


def _monthly(configuration: Configuration, lake: Lake, job: Any) -> dg.ScheduleDefinition:
    def ask() -> dg.RunRequest | str:
        month = due_month(configuration, lake, now())
        if month is None:
            return "no month that has ended has silver/candles. Run `fx backfill`."
        return dg.RunRequest(run_key=f"{COSTS_JOB}-{month}", partition_key=month)

    return while_moving(COSTS_JOB, job, MONTHLY, "Estimates the transaction costs of the month that has ended.", ask)


def _weekly(lake: Lake, model: str, job: Any) -> dg.ScheduleDefinition:
    def ask() -> dg.RunRequest | str:
        session = due_study(lake, model)
        if session is None:
            return f"{model}: there is no study that was not swept yet."
        return dg.RunRequest(run_key=f"{job.name}-{session}", partition_key=session)

    what = f"Sweeps thresholds and sizes of {model} on Saturdays, on its newest study."
    return while_moving(f"weekly_{job.name}", job, WEEKLY, what, ask)
