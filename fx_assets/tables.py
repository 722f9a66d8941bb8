"""What every partitioned table asset has in common: its decorator arguments and its result.

A table asset is a thin function that hands its frame to `table_result`, which splits it into the run's sessions,
holds it against the schema, and reports rows, time span, content hash, checks and a plot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.failures import no_retry
from fx_assets.plots import line_plot
from fx_assets.schemas import Schema, content_hash
from fx_assets.sessions import session_keys

OWNER = "team:fx-platform"
# Raised by hand when a table's meaning changes; Dagster then shows what is outdated.
CODE_VERSION = "1"

# Every table should have been made anew by an hour after the New York close, Monday to Friday.
weekly_close = dg.FreshnessPolicy.cron(
    deadline_cron="0 18 * * 1-5", lower_bound_delta=timedelta(hours=24), timezone="America/New_York"
)
# For what is made once a week: models and what follows from them.
weekend = dg.FreshnessPolicy.cron(
    deadline_cron="0 17 * * 0", lower_bound_delta=timedelta(days=7), timezone="America/New_York"
)
transient = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def define_asset(**arguments: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """dg.asset whose permanent failures are not retried, and whose result is stated: type checkers cannot choose
    among its overloads for arguments from a dict.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.asset(**arguments)(no_retry()(function))

    return decorate


@dataclass(frozen=True)
class Tables:
    """The shared partitions and schemas, and the arguments that each table's decorator takes from them."""

    partitions: dg.TimeWindowPartitionsDefinition
    schemas: Mapping[str, Schema]

    @property
    def all_week(self) -> bool:
        """Whether Friday and Saturday are sessions too (see fx_sessions)."""
        return not self.partitions.exclusions

    def keys(self) -> list[str]:
        """Every session, sorted."""
        return list(self.partitions.get_partition_keys())

    def asset(self, table: str, *, kinds: set[str] | None = None) -> dict[str, Any]:
        """Decorator arguments of a silver or gold table."""
        schema = self.schemas[table]
        layer = table.split("/")[0]
        columns = [
            dg.TableColumn(c.name, c.dtype, c.description, dg.TableColumnConstraints(nullable=c.nullable))
            for c in schema.columns
        ]
        return {
            "key": table.split("/"),
            "group_name": layer,
            "description": schema.description,
            "owners": [OWNER],
            "tags": {"layer": layer},
            "kinds": kinds or {"pandas", "parquet"},
            "code_version": CODE_VERSION,
            "partitions_def": self.partitions,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "freshness_policy": weekly_close,
            "retry_policy": transient,
            "io_manager_key": "parquet",
            "metadata": {"dagster/column_schema": dg.TableSchema(columns)},
            "check_specs": [
                dg.AssetCheckSpec(
                    "schema",
                    asset=table.split("/"),
                    blocking=True,
                    description="Columns, types, bounds and unique key.",
                )
            ],
        }

    def result(
        self, context: dg.AssetExecutionContext, table: str, frame: pd.DataFrame, **metadata: Any
    ) -> dg.MaterializeResult:
        """The frame as the run's partitions. Rows of other sessions (lookback) are left out; empty sessions stay."""
        schema = self.schemas[table]
        conformed = schema.conform(frame)
        parts = split_sessions(conformed, context.partition_keys, self.all_week)
        hashes = {}
        for key, part in parts.items():
            hashes[key] = content_hash(part)
            context.add_asset_metadata(_figures(part, schema, hashes[key]), partition_key=key)
        # One picture a run, on its newest session: one on each event of a range would only bloat the event log.
        drawn = [key for key, part in parts.items() if len(part)]
        if schema.plot is not None and drawn:
            context.add_asset_metadata({"plot": line_plot(parts[drawn[-1]], schema.plot)}, partition_key=drawn[-1])
        own = pd.concat(parts.values(), ignore_index=True) if parts else conformed
        problems = schema.problems(own)
        return dg.MaterializeResult(
            value=parts,
            data_version=dg.DataVersion(_joined(hashes)),
            metadata={**metadata, "run_rows": len(own)},
            check_results=[
                dg.AssetCheckResult(
                    check_name="schema",
                    passed=not problems,
                    metadata={"rows": len(own), "problems": problems or ["none"]},
                )
            ],
        )


def split_sessions(frame: pd.DataFrame, keys: Sequence[str], all_week: bool = False) -> dict[str, pd.DataFrame]:
    """The rows of each of `keys`, by the session that `time` (or `published`-time `available_at`) falls into."""
    column = "time" if "time" in frame.columns else "available_at"
    own = session_keys(frame[column], all_week).to_numpy()
    groups = {str(key): part for key, part in frame.groupby(own, sort=False)} if len(frame) else {}
    return {key: groups.get(key, frame.iloc[:0]).reset_index(drop=True) for key in keys}


def by_session(
    keys: list[str],
    bars: pd.DataFrame,
    function: Callable[[pd.DataFrame], pd.DataFrame],
    lookback_sessions: int,
    window: int,
    calendar: list[str],
    all_week: bool = False,
) -> pd.DataFrame:
    """`function` over a range of sessions so that the result does not depend on the range.

    Each session's canonical history is the `lookback_sessions` sessions before it in `calendar` (all keys, sorted).
    One pass over the whole range gives the same values wherever that history holds at least `window` bars of every
    instrument, since windows are finite; the few sessions where it does not (the start, long gaps) are done alone.
    """
    if bars.empty:
        return function(bars)
    sessions = pd.Series(session_keys(bars["time"], all_week).to_numpy(), index=bars.index)
    counts = bars.groupby([sessions, "instrument"]).size().unstack(fill_value=0)
    counts = counts.reindex(calendar, fill_value=0)
    history = counts.shift(1, fill_value=0).rolling(lookback_sessions, min_periods=1).sum()
    too_little = history.lt(window - 1) & counts.gt(0)
    short = [key for key in keys if bool(too_little.loc[key].to_numpy().any())]
    position = {key: i for i, key in enumerate(calendar)}
    whole = function(bars)
    whole_sessions = session_keys(whole["time"], all_week)
    parts = [whole[whole_sessions.isin(set(keys) - set(short))]]
    for key in short:
        allowed = set(calendar[max(0, position[key] - lookback_sessions) : position[key] + 1])
        alone = function(bars[sessions.isin(allowed).to_numpy()])
        parts.append(alone[session_keys(alone["time"], all_week) == key])
    return pd.concat(parts, ignore_index=True)


def _joined(hashes: dict[str, str]) -> str:
    """One partition's own hash, or one over all of a range."""
    import hashlib

    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{k}{v}" for k, v in sorted(hashes.items())).encode()).hexdigest()


def _figures(part: pd.DataFrame, schema: Schema, digest: str) -> dict[str, Any]:
    figures: dict[str, Any] = {"dagster/partition_row_count": len(part), "content_hash": digest}
    column = schema.key[0]
    if len(part):
        figures |= {"first": str(part[column].iloc[0]), "last": str(part[column].iloc[-1])}
    return figures
