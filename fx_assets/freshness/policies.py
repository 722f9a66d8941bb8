"""Freshness policies from data.yaml: by when a table must have been made anew, on the New York week."""

from datetime import timedelta

import dagster as dg

from fx_assets.configuration import Freshness

NEW_YORK = "America/New_York"


def table_policy(sla: Freshness) -> dg.FreshnessPolicy:
    """The policy of a table that is made with every session."""
    return dg.FreshnessPolicy.cron(
        deadline_cron=sla.deadline, lower_bound_delta=timedelta(hours=sla.within_hours), timezone=NEW_YORK
    )


# For what is made once a week: models and what follows from them.
weekend = dg.FreshnessPolicy.cron(deadline_cron="0 17 * * 0", lower_bound_delta=timedelta(days=7), timezone=NEW_YORK)

# For what is made once a month: by the evening of the month's second day.
month_end = dg.FreshnessPolicy.cron(deadline_cron="0 17 2 * *", lower_bound_delta=timedelta(days=2), timezone=NEW_YORK)
