"""Every row of automation.yaml as it stands in a home: on or off, when it ticks next, how its last run went.

Whether a schedule or sensor runs is kept by Dagster: the table says how it begins, and a person may switch it in the UI
or by `fx automation`. What was switched by hand stays so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.automation.table import schedule_name
from fx_assets.configuration import Configuration
from fx_assets.configuration.automation import MODEL, Row
from fx_assets.errors import ConfigError, FxError
from fx_assets.inputs import reference_tables
from fx_assets.live.streams import is_live

ON, OFF = "on", "off"
# Rows that only a home has that follows a market, or one that deploys a model.
LIVE = ("live", "live_retention")
DEPLOYED = ("roll_out_promoted", "half_hourly_batch_inference")


@dataclass(frozen=True)
class Standing:
    """One row. state: on, off, or why it is not here. next_tick and last_at: aware; last: how it went."""

    name: str
    row: Row
    state: str
    next_tick: datetime | None
    last_at: datetime | None
    last: str


def instigators(configuration: Configuration, name: str) -> list[str]:
    """What Dagster calls the schedules or the sensor of a row. Raises ConfigError for no row, or a part of one."""
    table = configuration.automation
    if name not in table.rows:
        raise ConfigError(f"'{name}' is not a row of automation.yaml. `fx automation` lists them.")
    row = table.row(name)
    if row.part_of is not None:
        raise ConfigError(f"'{name}' is a part of '{row.part_of}' and cannot be switched by itself. Switch that one.")
    if row.sensor is not None:
        return [row.sensor]
    if row.job is not None and MODEL in row.job:
        return [schedule_name(name, model) for model in configuration.models.models]
    return [name]


def standings(configuration: Configuration, instance: dg.DagsterInstance | None, now: datetime) -> list[Standing]:
    """Every row at a moment (aware). instance: None for a home in which nothing has run yet."""
    stored = {state.name: state for state in instance.all_instigator_state()} if instance else {}
    return [_standing(configuration, instance, stored, name, now) for name in configuration.automation.rows]


def absent(configuration: Configuration, name: str) -> str | None:
    """Why a home has no such schedule or sensor; None where it has."""
    if name in LIVE and not is_live(configuration):
        return "nothing is live"
    if name == "archive_months" and not configuration.data.archive.url:
        return "no archive"
    if name == "reference_files" and not reference_tables(configuration):
        return "no reference files"
    if name in DEPLOYED and not any(entry.deploy for entry in configuration.models.models.values()):
        return "nothing is deployed"
    return None


def _standing(
    configuration: Configuration, instance: dg.DagsterInstance | None, stored: dict[str, Any], name: str, now: datetime
) -> Standing:
    table = configuration.automation
    row = table.row(name)
    if row.part_of is not None:
        return Standing(name, row, f"part of {row.part_of}", None, None, "")
    if why := absent(configuration, name):
        return Standing(name, row, f"not here: {why}", None, None, "")
    if row.profile not in (None, table.training_cadence):
        return Standing(name, row, f"{OFF} (cadence {table.training_cadence})", None, None, "")
    names = instigators(configuration, name)
    states = [_state(stored.get(which), table.on(name)) for which in names]
    state = states[0] if len(set(states)) == 1 else "partly on"
    at, last = _last(instance, row, names, stored) if instance else (None, "")
    return Standing(name, row, state, None if state.startswith(OFF) else next_tick(row, now), at, last)


def _state(stored: Any, on: bool) -> str:
    """On or off, and whether by hand."""
    word = ON if on else f"{OFF} (automation.yaml)"
    if stored is None or stored.status.value == "DECLARED_IN_CODE":
        return word
    switched = ON if stored.status.value in ("RUNNING", "AUTOMATICALLY_RUNNING") else OFF
    return word if word.startswith(switched) else f"{switched} (by hand)"


def next_tick(row: Row, now: datetime) -> datetime | None:
    """The row's next tick after a moment; None for a sensor, which looks all the time."""
    if not row.cron:
        return None
    from dagster._utils.schedules import schedule_execution_time_iterator

    ticks = schedule_execution_time_iterator(now.timestamp(), list(row.cron), row.timezone)
    return next(tick for tick in ticks if tick > now)


def _last(
    instance: dg.DagsterInstance, row: Row, names: Sequence[str], stored: dict[str, Any]
) -> tuple[datetime | None, str]:
    """When the newest run was asked for and how it stands; of a sensor without runs, when it looked last."""
    tag = "dagster/sensor_name" if row.sensor else "dagster/schedule_name"
    records = instance.get_run_records(dg.RunsFilter(tags={tag: list(names)}), limit=1)
    if records:
        at = records[0].create_timestamp
        return at if at.tzinfo else at.replace(tzinfo=UTC), records[0].dagster_run.status.value.lower()
    looked = [getattr(stored[n].instigator_data, "last_tick_timestamp", None) for n in names if n in stored]
    newest = max((moment for moment in looked if moment), default=None)
    return (datetime.fromtimestamp(newest, UTC), "looked") if newest else (None, "")


def switch(workspace: Path, instance: dg.DagsterInstance, names: Iterable[str], on: bool) -> list[str]:
    """Switch schedules and sensors on or off in Dagster's own store; returns those that no code location has.

    Loads the code locations, which takes some ten seconds. Raises FxError where one cannot be loaded.
    """
    from dagster import __version__
    from dagster._cli.workspace.cli_target import get_workspace_from_cli_opts
    from dagster_shared.cli import WorkspaceOpts

    wanted = set(names)
    options = WorkspaceOpts(workspace=(str(workspace),))
    with get_workspace_from_cli_opts(instance, __version__, options, log_level="ERROR") as loaded:
        for entry in loaded.get_code_location_entries().values():
            if entry.load_error is not None or entry.code_location is None:
                raise FxError(f"a code location cannot be loaded: {entry.load_error}. `fx doctor` may say why.")
            for repository in entry.code_location.get_repositories().values():
                for schedule in repository.get_schedules():
                    if schedule.name in wanted:
                        _switch_schedule(instance, schedule, on)
                        wanted.discard(schedule.name)
                for sensor in repository.get_sensors():
                    if sensor.name in wanted:
                        _switch_sensor(instance, sensor, on)
                        wanted.discard(sensor.name)
    return sorted(wanted)


def _switch_schedule(instance: dg.DagsterInstance, schedule: Any, on: bool) -> None:
    if on:
        instance.start_schedule(schedule)
    else:
        instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)


def _switch_sensor(instance: dg.DagsterInstance, sensor: Any, on: bool) -> None:
    if on:
        instance.start_sensor(sensor)
    else:
        instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
