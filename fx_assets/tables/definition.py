"""Table assets: what their decorators share, and how a run makes their partitions and reports them.

A table asset is a thin function: it hands `Tables.produce` a function that computes some sessions. No
`from __future__ import annotations` here: Dagster reads annotations.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.bronze.files import ALL_NEWS, Bronze
from fx_assets.bronze.reference import known_digests
from fx_assets.configuration import Configuration, DataFile
from fx_assets.cost.meter import metered
from fx_assets.failures import no_retry
from fx_assets.freshness.policies import table_policy
from fx_assets.inputs import REFERENCE_TABLES, Input, TableInputs, reference_inputs, table_inputs
from fx_assets.lake import Lake
from fx_assets.lineage import Lineage, code_version
from fx_assets.partitions import fx_sessions, lookback
from fx_assets.plots import line_plot
from fx_assets.resources.compute import ComputeResource
from fx_assets.schemas import Schema, build_schemas
from fx_assets.silver.lookahead_check import Lookahead
from fx_assets.tables.elsewhere import run_elsewhere
from fx_assets.tables.produce import Compute, Computed, Partition, Production, Staged
from fx_assets.tables.reader import BronzeReader, Reader, ReferenceReader, TableReader

OWNER = "team:fx-platform"
_TOLD = 20  # problems that a check names

transient = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def define_asset(**arguments: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """dg.asset whose permanent failures are not retried, whose cost is noted, and whose result is stated: type checkers
    cannot choose among its overloads for arguments from a dict.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.asset(**arguments)(metered(no_retry()(function)))

    return decorate


def define_assets(**arguments: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """As define_asset, for one step that makes several tables (dg.multi_asset). The function returns its results as a
    list; a generator would run after no_retry has been left.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.multi_asset(**arguments)(metered(no_retry()(function)))

    return decorate


@dataclass(frozen=True)
class Tables:
    """The shared partitions, schemas and inputs, and where the tables are."""

    partitions: dg.TimeWindowPartitionsDefinition
    schemas: Mapping[str, Schema]
    data: DataFile = field(default_factory=DataFile)
    lake: Lake | None = None
    inputs: TableInputs = field(default_factory=dict)
    bars_per_session: int = 1440
    instruments: Sequence[str] = ()

    @classmethod
    def of(cls, configuration: Configuration, lake: Lake) -> "Tables":
        """The tables of a configuration in a lake."""
        instruments = configuration.instruments.instruments
        return cls(
            fx_sessions(configuration),
            build_schemas(configuration),
            configuration.data,
            lake,
            table_inputs(configuration),
            sum(1440 // instrument.minutes for instrument in instruments.values()),
            tuple(instruments),
        )

    @property
    def all_week(self) -> bool:
        """Whether Friday and Saturday are sessions too (see fx_sessions)."""
        return not self.partitions.exclusions

    def keys(self) -> list[str]:
        """Every session, sorted."""
        return list(self.partitions.get_partition_keys())

    def lineage(self, bronze: Bronze) -> Lineage:
        """How the partitions in the lake stand to what they are made of. Raises ValueError without a lake."""
        fetched = {f"bronze/{what}": self._fetched(f"bronze/{what}") for what in ("candles", "news")}
        keys = self.keys()
        files = known_digests(bronze, reference_inputs(self.inputs), keys, self.all_week)
        return Lineage(self._lake(), bronze, self.schemas, self.inputs, keys, fetched, files)

    def asset(
        self, table: str, *, kinds: set[str] | None = None, checks: Sequence[dg.AssetCheckSpec] = ()
    ) -> dict[str, Any]:
        """Arguments of define_asset for a silver or gold table; its inputs come as the readers that `inputs` names.

        checks: what the asset checks beside its schema.
        """
        key, shared = table.split("/"), self._shared(table, kinds)
        common = self._common(table)
        common["check_specs"] += checks
        deps = [source.table.split("/") for source in self._sources(table) if source.is_bronze]
        return {"key": key, "deps": deps, "io_manager_key": "parquet", **shared, **common}

    def assets(self, *names: str, kinds: set[str] | None = None) -> dict[str, Any]:
        """Arguments of define_assets for one step that makes several tables of the same inputs."""
        specs = []
        for table in names:
            shared = self._shared(table, kinds)
            shared["metadata"] = {**shared["metadata"], "dagster/io_manager_key": "parquet"}
            deps = [dg.AssetDep(source.table.split("/")) for source in self._sources(table)]
            specs.append(dg.AssetSpec(table.split("/"), deps=deps, **shared))
        common = self._common(*names)
        return {"name": names[0].replace("/", "__"), "specs": specs, "can_subset": False, **common}

    def _sources(self, table: str) -> list[Input]:
        return list(self.inputs.get(table, {}).values())

    def _shared(self, table: str, kinds: set[str] | None) -> dict[str, Any]:
        """What an asset and an AssetSpec have in common."""
        schema, layer = self.schemas[table], table.split("/")[0]
        columns = [
            dg.TableColumn(c.name, c.dtype, c.description, dg.TableColumnConstraints(nullable=c.nullable))
            for c in schema.columns
        ]
        return {
            "group_name": layer,
            "description": schema.description,
            "owners": [OWNER],
            "tags": {"layer": layer},
            "kinds": kinds or {"pandas", "parquet"},
            "code_version": code_version(table),
            "freshness_policy": table_policy(self.data.sla(table)),
            "metadata": {"dagster/column_schema": dg.TableSchema(columns)},
        }

    def _common(self, *names: str) -> dict[str, Any]:
        """What an asset and a multi-asset have in common."""
        sources = {name: source for table in names for name, source in self.inputs.get(table, {}).items()}
        return {
            "ins": {
                # Stated here too: an asset may take its inputs as **readers.
                name: lookback(source.table, source.before, source.ahead, source.setting)._replace(
                    dagster_type=TableReader
                )
                for name, source in sources.items()
                if not source.is_bronze
            },
            "partitions_def": self.partitions,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "retry_policy": transient,
            "check_specs": [
                dg.AssetCheckSpec(
                    "schema",
                    asset=table.split("/"),
                    blocking=True,
                    description="Columns, types, bounds and unique key.",
                )
                for table in names
            ],
        }

    def bronze(self, context: dg.AssetExecutionContext, table: str, name: str, bronze: Bronze) -> BronzeReader:
        """The bronze input `name` of a table, for the sessions of a run."""
        source = self.inputs[table][name]
        return BronzeReader(bronze, source, self._fetched(source.table), context.partition_keys, self.keys())

    def reference(self, context: dg.AssetExecutionContext, table: str, bronze: Bronze) -> dict[str, ReferenceReader]:
        """The reference files that a table is made of, by name, for the sessions of a run."""
        wanted = {name: source for name, source in self.inputs[table].items() if source.table in REFERENCE_TABLES}
        keys = context.partition_keys
        return {
            name: ReferenceReader(bronze, source, keys, self.keys(), self.all_week) for name, source in wanted.items()
        }

    def _fetched(self, table: str) -> Sequence[str]:
        return [ALL_NEWS] if table == "bronze/news" else self.instruments

    def _lake(self) -> Lake:
        if self.lake is None:
            raise ValueError("these tables were made without a lake; make them by Tables.of(configuration, lake)")
        return self.lake

    def produce(
        self,
        context: dg.AssetExecutionContext,
        table: str,
        compute: Callable[[list[str]], pd.DataFrame | Computed],
        inputs: Sequence[Reader],
        *,
        workers: ComputeResource | None = None,
        look: Lookahead | None = None,
        **metadata: Any,
    ) -> dg.MaterializeResult:
        """Make the run's partitions of one table. compute: sessions -> their rows; see `produce_all`."""

        def one(keys: list[str]) -> Computed:
            found = compute(keys)
            return found if isinstance(found, Computed) else Computed({table: found})

        return self.produce_all(context, (table,), one, inputs, workers=workers, look=look, **metadata)[table]

    def produce_all(
        self,
        context: dg.AssetExecutionContext,
        names: Sequence[str],
        compute: Compute,
        inputs: Sequence[Reader],
        *,
        workers: ComputeResource | None = None,
        look: Lookahead | None = None,
        **metadata: Any,
    ) -> dict[str, dg.MaterializeResult]:
        """Make the run's partitions of several tables, and report each of them.

        compute is called with some of the run's sessions at a time, in order; what it returns for a session must not
        depend on which others it is called with. inputs: the readers it reads from. workers: who may do the work in
        place of this process, which compute must then be able to be sent to. look: what compute looks with.
        """
        production = Production(
            self._lake(), [self.schemas[name] for name in names], inputs, self.bars_per_session, self.all_week
        )
        keys = list(context.partition_keys)
        if workers is None or workers.is_local:
            made = production.run(keys, compute)
        else:
            made = run_elsewhere(production, keys, compute, workers, look)
        return {table: self._report(context, staged, metadata) for table, staged in made.items()}

    def _report(
        self, context: dg.AssetExecutionContext, staged: Staged, metadata: Mapping[str, Any]
    ) -> dg.MaterializeResult:
        key, plot = dg.AssetKey(staged.table.split("/")), self.schemas[staged.table].plot
        for session, partition in staged.partitions.items():
            context.add_asset_metadata(_figures(partition), asset_key=key, partition_key=session)
        # One picture a run, on its newest session: one on each event of a range would only bloat the event log.
        if plot is not None and staged.sample is not None:
            session, frame = staged.sample
            picture = {"plot": line_plot(frame, plot)}
            context.add_asset_metadata(picture, asset_key=key, partition_key=session)
        invalid = [f"{session}: {words}" for session in sorted(staged.invalid) for words in staged.invalid[session]]
        return dg.MaterializeResult(
            asset_key=key,
            value=staged,
            data_version=dg.DataVersion(_joined({k: p.content for k, p in staged.partitions.items()})),
            metadata={**metadata, "run_rows": staged.rows},
            check_results=[
                dg.AssetCheckResult(
                    check_name="schema",
                    asset_key=key,
                    passed=not invalid,
                    metadata={"rows": staged.rows, "problems": invalid[:_TOLD] or ["none"], "invalid": len(invalid)},
                )
            ],
        )


def _joined(hashes: dict[str, str]) -> str:
    """One partition's own hash, or one over all of a range."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{k}{v}" for k, v in sorted(hashes.items())).encode()).hexdigest()


def _figures(partition: Partition) -> dict[str, Any]:
    figures = {"dagster/partition_row_count": partition.rows, "content_hash": partition.content}
    if partition.span is not None:
        figures |= {"first": partition.span[0], "last": partition.span[1]}
    if partition.problems:
        figures["problems"] = list(partition.problems)
    return {**figures, **partition.figures}
