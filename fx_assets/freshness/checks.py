"""The asset check `newest_bar`: evaluated after each run that makes its table, and by the clock (hourly_freshness).

A freshness policy looks at when any partition was made last; this check looks at the data: an hourly run that
brings nothing new satisfies the one and not the other.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.freshness.newest import WATCHED, lag_table, table_lags
from fx_assets.resources.home import HomeResource
from fx_serving.client import clock

CHECK = "newest_bar"
JOB = "freshness"


def build(configuration: Configuration) -> Sequence[dg.AssetChecksDefinition]:
    """One check for each watched table."""
    return [_check(configuration, table) for table in WATCHED]


def _check(configuration: Configuration, table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(table.split("/")),
        name=CHECK,
        description="The newest row of each instrument against the newest one that the market's calendar expects.",
    )
    def newest_bar(home: HomeResource):
        lags = table_lags(home.lake, configuration, table, clock.now())
        late = [lag.instrument for lag in lags if not lag.fresh]
        largest = max((lag.lag_minutes for lag in lags if lag.lag_minutes is not None), default=None)
        metadata: dict[str, Any] = {"instruments": dg.MetadataValue.md(lag_table(lags)), "late": late or ["none"]}
        if largest is not None:
            metadata["lag_minutes"] = largest
        return dg.AssetCheckResult(passed=not late, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

    return newest_bar


def build_job() -> Any:
    """The job that evaluates the checks and nothing else."""
    keys = [dg.AssetCheckKey(dg.AssetKey(table.split("/")), CHECK) for table in WATCHED]
    return dg.define_asset_job(
        JOB, selection=dg.AssetSelection.checks(*keys), description="Is the newest data as new as the market?"
    )
