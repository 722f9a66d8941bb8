"""Freshness policies from data.yaml: by when a table must have been made anew, on the New York week."""

from datetime import timedelta
from functools import cache

import dagster as dg

from fx_assets.configuration import Freshness

NEW_YORK = "America/New_York"


def table_policy(sla: Freshness) -> dg.FreshnessPolicy:
    """The policy of a table that is made with every session."""
    return _policy(sla.deadline, sla.within_hours)


@cache
def _policy(deadline: str, within_hours: float) -> dg.FreshnessPolicy:
    """One for all tables of the same promise: Dagster walks the deadlines of years to check it."""
    return dg.FreshnessPolicy.cron(
        deadline_cron=deadline, lower_bound_delta=timedelta(hours=within_hours), timezone=NEW_YORK
    )


# For what is made once a week: models and what follows from them.
weekend = dg.FreshnessPolicy.cron(deadline_cron="0 17 * * 0", lower_bound_delta=timedelta(days=7), timezone=NEW_YORK)

# For what is made once a month: by the evening of the month's second day.
month_end = dg.FreshnessPolicy.cron(deadline_cron="0 17 2 * *", lower_bound_delta=timedelta(days=2), timezone=NEW_YORK)
