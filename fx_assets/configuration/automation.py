"""automation.yaml: everything that runs by itself, in one table, and the service levels that its runs are held to.

A user's own file is laid over the shipped one row by row and key by key, so that a platform that has learnt a new row
does not lose it to an older file.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, field_validator, model_validator

from fx_assets.configuration.base import Strict
from fx_assets.configuration.cron import cron_problem
from fx_serving.client.overlay import laid_over

FILE = "automation.yaml"
MODEL = "{model}"
NEW_YORK = "America/New_York"
MINUTE = 60
Cadence = Literal["weekly", "daily", "four_hourly"]
Owner = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
_CLOCK_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


class Row(Strict):
    """One thing that runs by itself: a job by the clock (job and cron), a sensor (sensor and every_seconds), or a
    cadence inside another row (part_of).

    session: which session a partitioned job is asked for. clock: `data` rows rest while the data clock stands still.
    sla_minutes: from a run's request to its end. done_by: time of day, in `timezone`, by which a session is done.
    """

    does: str = Field(min_length=1)
    job: str | None = None
    cron: tuple[str, ...] = ()
    timezone: str = NEW_YORK
    sensor: str | None = None
    every_seconds: int | None = Field(default=None, ge=1, le=7 * 86400)
    part_of: str | None = None
    profile: Cadence | None = None
    market_hours: bool = False
    clock: Literal["data", "wall"] = "data"
    session: Literal["none", "running", "ended"] = "none"
    run_config: dict[str, Any] = Field(default_factory=dict)
    owner: Owner = "platform"
    sla_minutes: float | None = Field(default=None, gt=0)
    done_by: str | None = None
    pool: str | None = None
    enabled: bool = True

    @field_validator("cron", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("cron")
    @classmethod
    def ticks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for expression in value:
            if problem := cron_problem(expression):
                raise ValueError(f"{expression!r}: {problem}. Five fields are wanted, such as '*/30 * * * *'")
        return value

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError of its own
            raise ValueError("no such time zone. Use a name such as America/New_York or Asia/Singapore") from None
        except KeyError:
            raise ValueError("no such time zone. Use a name such as America/New_York or Asia/Singapore") from None
        return value

    @field_validator("done_by")
    @classmethod
    def time_of_day(cls, value: str | None) -> str | None:
        if value is not None and not _CLOCK_TIME.match(value):
            raise ValueError("not a time of day. Write it as '06:00'")
        return value

    @model_validator(mode="after")
    def one_kind(self) -> Row:
        if self.part_of is not None:
            if self.cron or self.sensor or self.job:
                raise ValueError("part_of goes without job, cron and sensor. Remove one of them")
            if not self.enabled:
                raise ValueError(f"enabled: false has no effect on a part of {self.part_of}. Switch off that row")
        elif self.sensor is not None:
            if self.cron:
                raise ValueError("a sensor has every_seconds and no cron. Remove cron")
            if self.every_seconds is None:
                raise ValueError("a sensor needs every_seconds. Add it")
        elif self.job is None or not self.cron:
            raise ValueError("job and cron are needed, or sensor and every_seconds. Add what is missing")
        elif self.every_seconds is not None:
            raise ValueError("a job has cron and no every_seconds. Remove every_seconds")
        return self

    @property
    def when(self) -> str:
        """The cadence in words, for people; New York's time is not named."""
        if self.cron:
            return "; ".join(self.cron) + ("" if self.timezone == NEW_YORK else f" {self.timezone}")
        if self.every_seconds is None:
            return "with it"
        return every(self.every_seconds)

    def serves(self, job: str) -> bool:
        """Whether a job is this row's; `{model}` stands for any model."""
        if self.job is None or MODEL not in self.job:
            return self.job == job
        before, _, after = self.job.partition(MODEL)
        return job.startswith(before) and job.endswith(after) and len(job) > len(before) + len(after)


class Slo(Strict):
    """A service level: the share of the rows' runs that must be good within window_days."""

    target: float = Field(gt=0, lt=1)
    window_days: int = Field(default=30, ge=1, le=366)
    rows: tuple[str, ...] = Field(min_length=1)


class CleanUp(Strict):
    """What the job clean_up keeps. keep_reports: newest of each kind, which stay whatever their age. keep_versions:
    newest versions of a model, which keep their training rows (`fx models prune`).
    """

    reports_days: float = Field(default=30, ge=1)
    keep_reports: int = Field(default=20, ge=1)
    logs_days: float = Field(default=7, ge=1)
    temporaries_hours: float = Field(default=24, ge=1)
    keep_versions: int = Field(default=8, ge=1)


class AutomationFile(Strict):
    """The whole file."""

    training_cadence: Cadence = "weekly"
    rows: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")], Row]
    slo: dict[str, Slo] = Field(default_factory=dict)
    clean_up: CleanUp = CleanUp()

    @model_validator(mode="after")
    def names(self) -> AutomationFile:
        for name, row in self.rows.items():
            if row.part_of is not None and (row.part_of not in self.rows or self.rows[row.part_of].part_of):
                raise ValueError(f"rows.{name}.part_of: '{row.part_of}' is not a row that runs. Name one that does")
        for name, slo in self.slo.items():
            for wanted in slo.rows:
                if wanted not in self.rows:
                    raise ValueError(
                        f"slo.{name}.rows: '{wanted}' is not a row. Use names among {', '.join(self.rows)}"
                    )
                if self.rows[wanted].job is None:
                    raise ValueError(
                        f"slo.{name}.rows: '{wanted}' has no job whose runs could be held to it. Remove it"
                    )
        return self

    def row(self, name: str) -> Row:
        """The row of a name; KeyError for one that the shipped table does not have."""
        return self.rows[name]

    def on(self, name: str) -> bool:
        """Whether a row is switched on, and of the training profile in force."""
        row = self.rows[name]
        if row.part_of is not None:
            return self.on(row.part_of)
        return row.enabled and row.profile in (None, self.training_cadence)


def every(seconds: float) -> str:
    """A rhythm as people say it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", MINUTE)):
        if seconds >= length and seconds % length == 0:
            return f"every {seconds / length:g} {unit}"
    return f"every {seconds:g} s"


def load_automation() -> AutomationFile:
    """Read and validate the table. Raises ConfigError naming file, row, key, value and remedy."""
    from fx_assets.configuration.load import SHIPPED, config_file, stamped

    own, shipped = config_file(FILE), SHIPPED / FILE
    return _load(own, shipped, stamped(own, shipped))


@cache
def _load(own: Path, shipped: Path, _changed: object) -> AutomationFile:
    from fx_assets.configuration.load import read_tree, validated

    tree = read_tree(shipped, _UniqueKeys)
    if own != shipped:
        tree = laid_over(tree, read_tree(own, _UniqueKeys))
    return validated(AutomationFile, tree, own, _UniqueKeys)


class _UniqueKeys(yaml.SafeLoader):
    """YAML would silently let the second of two rows of one name win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice. Remove one of them", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
