"""The job that makes the running session, and the sensor that requests it: see decide.py for when."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec

from fx_assets.automation.table import sensor_options
from fx_assets.bronze.files import CANDLES, NEWS
from fx_assets.configuration import Configuration
from fx_assets.freshness.failed_partitions import CHECK as ALL_SESSIONS
from fx_assets.inputs import table_inputs
from fx_assets.live.decide import Decision, State, decide
from fx_assets.live.holds import held_back
from fx_assets.live.newest import read_newest
from fx_assets.live.retention import REASON_TAG, TAG
from fx_assets.quality.held import in_words
from fx_assets.runs.steps import ONLINE, TABLES
from fx_serving.client import clock
from fx_serving.client.home import Stores

JOB = "live"
REGISTRY = "feast/registry.db"
# A run of seconds that has shown nothing for so long is dead, whatever the instance says of it.
DEAD_AFTER = timedelta(minutes=15)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_job(configuration: Configuration) -> Any:
    """All tables and the online features of some sessions, in one run."""
    keys = [dg.AssetKey(key.split("/")) for key in (*TABLES, *ONLINE)]
    # That one looks at every session there is, and has a schedule of its own.
    checked = (CANDLES, NEWS, *table_inputs(configuration))
    whole = [dg.AssetCheckKey(dg.AssetKey(table.split("/")), ALL_SESSIONS) for table in TABLES if table in checked]
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*keys) - dg.AssetSelection.checks(*whole),
        description="Fetches and makes the running session, and refreshes the features that the service reads.",
        tags={TAG: "true"},
    )


def build_sensor(configuration: Configuration, stores: Stores, job: Any) -> dg.SensorDefinition:
    """Requests one run at a time."""

    @dg.sensor(
        **sensor_options(configuration, "live"),
        job=job,
        description="While a market is open: makes the running session when a bar has come by stream, and every "
        f"{configuration.poll_seconds} s from the sources; settles a session that has ended.",
    )
    def live(context: dg.SensorEvaluationContext):
        if working := _unfinished(context.instance):
            return dg.SkipReason(f"the run {working} is still working")
        state = msgspec.json.decode(context.cursor, type=State) if context.cursor else State()
        newest = read_newest(stores.home)
        streamed, since = (newest.bars, newest.since) if newest else ({}, {})
        decision = decide(configuration, clock.now(), state, streamed, since, _failed(context.instance))
        if not decision.reason:
            return dg.SkipReason(decision.skip)
        held = held_back(configuration, stores.home, decision.first, decision.last)
        if held:
            context.log.warning(in_words(held))
            if not decision.fetches:
                return dg.SkipReason(in_words(held))
        fetched = (CANDLES, NEWS) if decision.news else (CANDLES,)
        keys = fetched if held else selection(decision, registered=(stores.home / REGISTRY).is_file())
        request = _request(context, decision, keys)
        return dg.SensorResult(run_requests=[request], cursor=msgspec.json.encode(decision.state).decode())

    return live


def _request(context: dg.SensorEvaluationContext, decision: Decision, names: Iterable[str]) -> dg.RunRequest:
    """The run of a decision, over these assets. The batch is the wall clock's: a replay comes by its moments again."""
    batch = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    tags = {REASON_TAG: decision.reason}
    one = decision.first == decision.last
    if not one:
        tags |= {
            "dagster/asset_partition_range_start": decision.first,
            "dagster/asset_partition_range_end": decision.last,
        }
    keys = {dg.AssetKey(key.split("/")) for key in names}
    return dg.RunRequest(
        run_key=f"live-{decision.last}-{decision.reason}-{batch}",
        partition_key=decision.last if one else None,
        asset_selection=sorted(keys),
        asset_check_keys=sorted(key for key in _checks(context) if key.asset_key in keys),
        tags=tags,
        # The UI shows all of it; the log file of the platform would grow by tens of megabytes a day.
        run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
    )


def _checks(context: dg.SensorEvaluationContext) -> Iterable[dg.AssetCheckKey]:
    """The checks of the live job: unless they are named, a run evaluates every check that its assets have."""
    assert context.repository_def is not None
    return context.repository_def.get_job(JOB).asset_layer.asset_graph.asset_check_keys


def selection(decision: Decision, registered: bool) -> Sequence[str]:
    """The assets of a run. What came by stream is in bronze already, and needs no new registry either."""
    if decision.fetches:
        return [table for table in (*TABLES, *ONLINE) if decision.news or table != NEWS]
    tables = [table for table in TABLES if not table.startswith("bronze/")]
    return [*tables, *(key for key in ONLINE if not (registered and key == "feature_registry"))]


def _failed(instance: dg.DagsterInstance) -> bool:
    """Whether the newest live run did not succeed."""
    newest = instance.get_runs(dg.RunsFilter(tags={TAG: "true"}), limit=1)
    return bool(newest) and newest[0].status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def _unfinished(instance: dg.DagsterInstance) -> str | None:
    """The first eight characters of a live run's id that has not ended; None when there is none."""
    records = instance.get_run_records(dg.RunsFilter(tags={TAG: "true"}, statuses=UNFINISHED), limit=5)
    alive = [r for r in records if datetime.now(UTC) - r.update_timestamp.replace(tzinfo=UTC) < DEAD_AFTER]
    return alive[0].dagster_run.run_id[:8] if alive else None
