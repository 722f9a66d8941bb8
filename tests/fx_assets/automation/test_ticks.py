"""What ticks came to, read from Dagster's own store: equal ones together, runs, reasons and errors in words."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from fx_assets.automation.ticks import newest_ticks

NAME = "retrain_on_drift"
SKIPPED = TickStatus.SKIPPED


def test_ticks_that_came_to_the_same_are_one_and_the_newest_come_first(tmp_path):
    place = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="x.py"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "repository"), NAME)
    sensor, status = InstigatorType.SENSOR, InstigatorStatus.RUNNING
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        state = InstigatorState(origin, sensor, status, SensorInstigatorData())
        instance.add_instigator_state(state)

        def tick(second: float, came_to: TickStatus, why: str | None = None, **more: Any) -> None:
            data = TickData(state.instigator_origin_id, NAME, sensor, came_to, second, skip_reason=why, **more)
            instance.create_tick(data._replace(selector_id=state.selector_id))

        for second in (10.0, 20.0, 30.0):
            tick(second, SKIPPED, "log (none)")
        tick(40.0, TickStatus.SUCCESS, run_ids=["60f652a8-1"])
        tick(50.0, SKIPPED, "Sensor function returned an empty result")
        tick(60.0, TickStatus.FAILURE, error=SerializableErrorInfo("OSError: disk full\nat x.py\n", [], "OSError"))
        found = newest_ticks(instance, [NAME], 10)
        assert [(told.came_to, told.why, told.ticks) for told in found] == [
            ("failed", "OSError: disk full", 1),
            ("skipped", "looked, and had nothing to do", 1),
            ("asked", "asked for 60f652a8", 1),
            ("skipped", "log (none)", 3),
        ]
        assert found[2].runs == ["60f652a8-1"]
        assert [found[3].first, found[3].last] == [datetime.fromtimestamp(s, UTC) for s in (10, 30)]
        assert len(newest_ticks(instance, [NAME], 2)) == 2
        assert newest_ticks(instance, ["another"], 10) == []
