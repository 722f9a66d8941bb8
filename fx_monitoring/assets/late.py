"""late_outcomes: earlier sessions are made again when outcomes of theirs have become known.

A label is known a horizon after its decision, feedback when somebody sends it: both may lie behind the session's end.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fx_assets.automation.table import at_work, sensor_options
from fx_assets.sessions import running_session
from fx_monitoring.assets.common import Shared
from fx_monitoring.assets.quality import OWN
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.quality.late import answerable, told_late
from fx_monitoring.quality.outcomes import Market
from fx_serving.client.clock import now, parse_utc, to_iso
from fx_serving.client.prediction_log import read_feedback

JOB = "late_outcomes"
# What was received longer ago than this is not looked at when the sensor starts for the first time.
FIRST_LOOK = timedelta(days=1)


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """No asset of its own."""
    return []


def jobs(shared: Shared) -> list[Any]:
    """What is made again."""
    what = "An earlier session's answers with the outcomes that have become known, and their quality."
    return [dg.define_asset_job(JOB, selection=[dg.AssetKey(name) for name in OWN], description=what)]


def sensors(shared: Shared) -> list[dg.SensorDefinition]:
    """The sensor that asks for it."""

    @dg.sensor(
        job_name=JOB,
        description="Asks for earlier sessions whose outcomes the labels or feedback have told since.",
        **sensor_options(shared.configuration, JOB),
    )
    def late_outcomes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        looked_until = parse_utc(context.cursor) if context.cursor else datetime.now(UTC) - FIRST_LOOK
        due, received = due_sessions(shared, looked_until)
        requests = [
            dg.RunRequest(run_key=f"{JOB}-{key}-{why}", partition_key=key, tags={"fx/reason": JOB})
            for key, why in due.items()
            if at_work(context.instance, JOB, key) is None
        ]
        if len(requests) < len(due):
            received = looked_until  # what is being made has not seen the newest: look at it again
        return dg.SensorResult(run_requests=requests, cursor=to_iso(received))

    return [late_outcomes]


def due_sessions(shared: Shared, looked_until: datetime) -> tuple[dict[str, str], datetime]:
    """({session: what makes asking for it again different}, until when feedback has been looked at).

    A session that labels can answer is asked for once an hour until it has been made; feedback asks once.
    """
    configuration = shared.configuration
    running = running_session(now(), configuration.all_week)
    earlier = [key for key in shared.partitions.get_partition_keys() if key < running]
    earlier = earlier[-load_monitoring().quality.late_sessions :]
    counts = answerable(shared.lake, Market.of(configuration), earlier, now(), configuration.all_week)
    hour = f"{datetime.now(UTC):%Y%m%dT%H}"
    due = {key: f"{count}-{hour}" for key, count in counts.items()}
    records = read_feedback(shared.stores.predictions, received=looked_until)
    told, newest = told_late(records, running, configuration.all_week)
    due |= {key: f"{count}-{to_iso(newest)}" for key, count in told.items() if newest and key in earlier}
    return dict(sorted(due.items())), newest or looked_until
