"""data.yaml: where tables are stored, how good and how fresh they must be, and how live data is fetched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fx_assets.configuration.base import Strict

# Five fields of digits, lists, ranges and steps; what they mean is checked where the policy is built.
Cron = Annotated[str, Field(pattern=r"^([\d*,/-]+\s+){4}[\d*,/-]+$")]

YEAR_MINUTES = 366 * 24 * 60


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


class Containers(Strict):
    """steps: whether there is a job whose steps have a container each (docs/compose.md)."""

    steps: bool = False


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
    """poll_seconds: how often the running session is fetched while the market is open, pricing stream or not; without
    it as automation.yaml says (rows.candles).

    keep_run_hours: how long Dagster keeps the runs of polls and streamed bars that succeeded.
    """

    poll_seconds: int | None = Field(default=None, ge=15, le=3600)
    enabled: bool = True
    keep_run_hours: float = Field(default=6.0, ge=0.25, le=720)


class Reference(Strict):
    """Files beside the candles, as paths or fsspec URLs: a calendar of economic releases, and policy rates.

    Without a file there are none of its features.
    """

    economic: str | None = None
    rates: str | None = None


class Sentiment(Strict):
    """Who scores headlines. model: a trained model's file (linear), or a folder or hub name (finbert, fingpt; each has
    a default). device and batch, texts at once, are for finbert and fingpt. docs/sentiment.md compares them.
    """

    scorer: Literal["lexicon", "linear", "finbert", "fingpt", "vader"] = "lexicon"
    model: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: int = Field(default=32, ge=1, le=4096)


class FeatureStore(Strict):
    """online: where the newest features are kept; redis is reached by FX_REDIS_URL. registry: what Feast knows, in a
    file of the home or in a SQL database (FX_REGISTRY_URL, else SQLite in the home).

    ttl_minutes: by feature view, how old a row may be at a decision, at most a year; `default` stands for the market
    views not named.
    """

    online: Literal["sqlite", "redis"] = "sqlite"
    registry: Literal["file", "sql"] = "file"
    ttl_minutes: dict[str, Annotated[float, Field(gt=0, le=YEAR_MINUTES)]] = Field(default_factory=dict)


class Compute(Strict):
    """Where long ranges of feature tables are computed: in the run's own process, or by workers of a Dask cluster.

    workers: processes that a run starts on its machine. address: a cluster that runs already (tcp:// or tls://), which
    FX_DASK_ADDRESS overrides. docs/scale.md tells when this is worth it.
    """

    kind: Literal["local", "dask"] = "local"
    workers: int = Field(default=2, ge=1, le=256)
    address: Annotated[str, Field(pattern=r"^(tcp|tls)://\S+:\d+$")] | None = None

    @model_validator(mode="after")
    def _address_is_for_dask(self) -> Compute:
        if self.address is not None and self.kind != "dask":
            raise ValueError(f"address {self.address!r} is for kind dask. Set kind: dask, or remove the address")
        return self


class DataFile(Strict):
    """The whole file. freshness: by table, such as silver/candles; `default` stands for those not named."""

    storage: Storage = Storage()
    archive: Archive = Archive()
    containers: Containers = Containers()
    quality: Quality = Quality()
    freshness: dict[str, Freshness] = Field(default_factory=dict)
    live: Live = Live()
    feature_store: FeatureStore = FeatureStore()
    reference: Reference = Reference()
    sentiment: Sentiment = Sentiment()
    compute: Compute = Compute()

    def sla(self, table: str) -> Freshness:
        """What holds for a table."""
        return self.freshness.get(table) or self.freshness.get("default") or Freshness()
