"""data.yaml: where tables are stored, how good and how fresh they must be, and how live data is fetched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fx_assets.configuration.base import Strict

# Five fields of digits, lists, ranges and steps; what they mean is checked where the policy is built.
Cron = Annotated[str, Field(pattern=r"^([\d*,/-]+\s+){4}[\d*,/-]+$")]


class Storage(Strict):
    """lake: a folder or an fsspec URL such as s3://bucket/lake; FX_HOME/lake without it."""

    lake: str | None = None


class Archive(Strict):
    """url: a folder or an fsspec URL; nothing is archived without it. keep_months: newest months that stay out of it.

    remove_local: whether bronze files may be removed once their archived copy has been verified.
    """

    url: str | None = None
    keep_months: int = Field(default=1, ge=1)
    remove_local: bool = False


class Quality(Strict):
    """Limits of the checks on candles; docs/quality.md says what each means and what real data shows."""

    min_completeness: float = Field(default=0.9, ge=0, le=1)
    max_flat_bars: int = Field(default=12, ge=2)
    max_flat_minutes: int = Field(default=60, ge=1)
    spike_z: float = Field(default=12.0, gt=0)
    max_spread_multiple: float = Field(default=50.0, gt=1)
    cross_rate_tolerance: float = Field(default=0.002, gt=0)
    max_clock_offset_minutes: int = Field(default=45, gt=0)


class Freshness(Strict):
    """When a table must have been made anew (New York time), and how old its newest row may be while the market is
    open, counted from the close of the newest bar that there should be.
    """

    deadline: Cron = "0 18 * * 1-5"
    within_hours: float = Field(default=24, gt=0)
    max_lag_minutes: float = Field(default=75, gt=0)


class Live(Strict):
    """poll_seconds: how often the running session is fetched while the market is open, pricing stream or not.

    keep_run_hours: how long Dagster keeps the runs of polls and streamed bars that succeeded.
    """

    poll_seconds: int = Field(default=300, ge=15, le=3600)
    enabled: bool = True
    keep_run_hours: float = Field(default=6.0, ge=0.25, le=720)


class DataFile(Strict):
    """The whole file. freshness: by table, such as silver/candles; `default` stands for those not named."""

    storage: Storage = Storage()
    archive: Archive = Archive()
    quality: Quality = Quality()
    freshness: dict[str, Freshness] = Field(default_factory=dict)
    live: Live = Live()

    def sla(self, table: str) -> Freshness:
        """What holds for a table."""
        return self.freshness.get(table) or self.freshness.get("default") or Freshness()
