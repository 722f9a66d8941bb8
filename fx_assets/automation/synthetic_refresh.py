"""synthetic/market: the files of the made-up market, brought up to the present once a week.

FX_HOME/synthetic/<PAIR>_<GRANULARITY>.parquet holds the newest WEEKS weeks of each configured pair, and news.parquet
their headlines: for load tests, and for `sources: {kind: file}` of a desk without data. The market has no state, so
what was written before must come out again bit for bit: the check `same_again` holds it to that.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.resources.home import HomeResource
from fx_assets.sources.options import Synthetic
from fx_assets.sources.synthetic import SyntheticSource
from fx_assets.tables import CODE_VERSION, OWNER, define_asset
from fx_serving.client.clock import now
from fx_serving.client.files import atomic_write

JOB = "synthetic_refresh_weekly"
KEY = dg.AssetKey(["synthetic", "market"])
WEEKS = 104
NEWS = "news"


def build(configuration: Configuration) -> dg.AssetsDefinition:
    """The asset with its check."""

    @define_asset(
        key=KEY,
        group_name="synthetic",
        description=f"The newest {WEEKS} weeks of the made-up market, as files.",
        owners=[OWNER],
        tags={"layer": "synthetic"},
        kinds={"parquet"},
        code_version=CODE_VERSION,
        check_specs=[
            dg.AssetCheckSpec(
                "same_again", asset=KEY, description="What was written before came out again, bit for bit."
            )
        ],
    )
    def market(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        rows, changed = refresh(configuration, home.stores.home / "synthetic", now())
        return dg.MaterializeResult(
            metadata={
                "rows": sum(rows.values()),
                "files": dg.MetadataValue.md(
                    "\n".join(["| file | rows |", "| --- | --- |", *(f"| {n} | {r:,} |" for n, r in rows.items())])
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="same_again",
                    passed=not changed,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"changed": changed or ["none"]},
                )
            ],
        )

    return market


def build_job() -> Any:
    """The job that makes the asset."""
    return dg.define_asset_job(JOB, dg.AssetSelection.assets(KEY), description="Brings the made-up market up to date.")


def refresh(configuration: Configuration, folder: Path, until: datetime) -> tuple[dict[str, int], list[str]]:
    """Write every file up to a moment (aware); returns the rows of each, and the files whose old rows have changed."""
    source, start = SyntheticSource("synthetic", Synthetic()), until - timedelta(weeks=WEEKS)
    rows, changed = {}, []

    def keep(name: str, frame: pd.DataFrame, key: str) -> None:
        path = folder / f"{name}.parquet"
        if path.is_file() and not _same(pd.read_parquet(path), frame, key):
            changed.append(path.name)
        atomic_write(path, frame.to_parquet(index=False))
        rows[path.name] = len(frame)

    for symbol, instrument in configuration.instruments.instruments.items():
        try:
            found = source.candles(symbol, instrument.granularity, start, until)
        except FxError:  # a symbol that no pair can be made of
            continue
        keep(f"{symbol}_{instrument.granularity}", found, "time")
    keep(NEWS, source.news(start, until), "published")
    return rows, changed


def _same(before: pd.DataFrame, after: pd.DataFrame, key: str) -> bool:
    """Whether the rows of the span that both cover are equal. An edge may have been cut in the middle of a bar."""
    if before.empty or after.empty:
        return True
    first, last = max(before[key].min(), after[key].min()), min(before[key].max(), after[key].max())
    parts = (frame[(frame[key] > first) & (frame[key] < last)].reset_index(drop=True) for frame in (before, after))
    one, other = parts
    return one.equals(other)
