"""What is asked for when costs are estimated and thresholds swept (automation.yaml: monthly_costs, weekly_strategy)."""

from datetime import datetime
from typing import Any

import dagster as dg

from fx_assets.automation.table import Ask, Asks
from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.strategy import recorded
from fx_assets.strategy.assets import STEPS
from fx_assets.strategy.cost_assets import fx_months
from fx_serving.client.clock import now

COSTS_JOB = "monthly_costs"


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


def asks(configuration: Configuration, lake: Lake) -> Asks:
    """What the ticks of the two rows ask for."""
    return {COSTS_JOB: lambda _: _monthly(configuration, lake), "weekly_strategy": lambda model: _weekly(lake, model)}


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


def _monthly(configuration: Configuration, lake: Lake) -> Ask:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | str:
        month = due_month(configuration, lake, now())
        if month is None:
            return "no month that has ended has silver/candles. Run `fx backfill`."
        return dg.RunRequest(run_key=f"{COSTS_JOB}-{month}", partition_key=month)

    return ask


def _weekly(lake: Lake, model: str) -> Ask:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | str:
        session = due_study(lake, model)
        if session is None:
            return f"{model}: there is no study that was not swept yet."
        return dg.RunRequest(run_key=f"{job_name(model)}-{session}", partition_key=session)

    return ask
