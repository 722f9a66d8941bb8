"""Feast's DuckDB offline store, made for many small session files: reads only the sessions and columns that a request
needs, all views in one pass, and joins them as of each decision in one step.

The answers are those of Feast's own DuckDB store, which joins each view by itself; it still answers what is not asked
of gold/features. Feast loads this module by its name in the store's configuration; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource  # noqa: TID253
from feast.feature_view import FeatureView  # noqa: TID253
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig  # noqa: TID253
from feast.infra.offline_stores.file_source import FileSource  # noqa: TID253
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata  # noqa: TID253
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df  # noqa: TID253
from feast.on_demand_feature_view import OnDemandFeatureView  # noqa: TID253
from pydantic import StrictStr

from fx_assets.feature_store.gold_files import HIVE, micros, newest_at, quoted, select, session_files


class GoldOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """type: the store's name, as Feast asks for it."""

    type: StrictStr = "fx_assets.feature_store.offline.GoldOfflineStore"


class GoldOfflineStore(DuckDBOfflineStore):
    """The two reads that the platform makes; everything else is Feast's."""

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Feast's interface: each row of entity_df with the features known at its event_timestamp, in its order."""
        source = _hive_source(feature_views)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        if source is None or on_demand or not isinstance(entity_df, pd.DataFrame):
            return DuckDBOfflineStore.get_historical_features(
                config,
                feature_views,
                feature_refs,
                entity_df,
                registry,
                project,
                full_feature_names,
                filter_by_created_timestamp,
            )
        return GoldJob(source, feature_views, feature_refs, entity_df, full_feature_names)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: Any,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Feast's interface: the newest row of each entity from start_date to end_date, both included."""
        if not _is_hive(data_source):
            return DuckDBOfflineStore.pull_latest_from_table_or_query(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
        keys = [*join_key_columns, timestamp_field]
        start, end = (_utc(moment) for moment in (start_date, end_date))
        files = session_files(data_source.path, start, end)  # type: ignore[attr-defined]
        moment = f'"{timestamp_field}"::TIMESTAMPTZ'
        within = f"{moment} >= $start AND {moment} <= $end"
        newest = (
            f"SELECT {quoted(join_key_columns)}, max({quoted([timestamp_field])}) AS {quoted([timestamp_field])}, "
            f"arg_max(filename, {quoted([timestamp_field])}) AS filename FROM {{source}} WHERE {within} "
            f"GROUP BY {quoted(join_key_columns)}"
        )
        found = select(newest, files, keys, {"start": start, "end": end}, named=True)
        # Only the files that hold a newest row are read whole.
        chosen = sorted(set(found["filename"].to_pylist()))
        rows = select(
            f"SELECT {quoted([*keys, *feature_name_columns])} FROM {{source}}", chosen, [*keys, *feature_name_columns]
        )
        wanted = pa.table({name: found[name] for name in keys})
        return ArrowJob(rows.join(wanted, keys=keys, join_type="inner"))


class ArrowJob(RetrievalJob):
    """A table that is there already."""

    def __init__(self, table: pa.Table):
        self._table = table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal().to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._table

    @property
    def full_feature_names(self) -> bool:
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return None


class GoldJob(ArrowJob):
    """The as-of join of a request, made when it is asked for."""

    def __init__(
        self,
        source: FileSource,
        views: Sequence[FeatureView],
        refs: Sequence[str],
        entities: pd.DataFrame,
        full_names: bool,
    ):
        self._source, self._entities, self._full = source, entities, full_names
        self._clock = infer_event_timestamp_from_entity_df(dict(zip(entities.columns, entities.dtypes, strict=True)))
        self._key = _join_key(views[0])[1]
        self._parts = [(view, _features(view, refs)) for view in views]
        self._refs = list(refs)

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        given = self._entities.reset_index(drop=True)
        taken = self._joined().to_pandas()
        return pd.concat([given, taken], axis=1)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        made = pa.Table.from_pandas(self._entities, preserve_index=False)
        for name, column in zip((joined := self._joined()).column_names, joined.columns, strict=True):
            made = made.append_column(name, column)
        return made

    @property
    def full_feature_names(self) -> bool:
        return self._full

    @property
    def metadata(self) -> RetrievalMetadata | None:
        times = pd.to_datetime(self._entities[self._clock], utc=True)
        keys = [name for name in self._entities.columns if name != self._clock]
        return RetrievalMetadata(self._refs, keys, times.min(), times.max())

    def _joined(self) -> pa.Table:
        """The features of each entity row, in order; null where a view has none or its row is too old."""
        names = {feature: self._named(view, feature) for view, features in self._parts for feature in features}
        times = pd.to_datetime(self._entities[self._clock], utc=True).dt.as_unit("us")
        if times.empty:
            return pa.table({name: pa.array([], pa.float64()) for name in names.values()})
        lifetimes = [view.ttl for view, _ in self._parts if view.ttl]
        start = times.min() - max(lifetimes) if len(lifetimes) == len(self._parts) else None
        files = session_files(self._source.path, start, times.max())
        stamp, (column, _) = self._source.timestamp_field, _join_key(self._parts[0][0])
        columns = [column, stamp, *names]
        symbols = self._entities[self._key].unique().tolist()
        rows = select(
            f'SELECT {quoted(columns)} FROM {{source}} WHERE "{column}" IN (SELECT unnest($symbols)) '
            f'AND "{stamp}"::TIMESTAMPTZ <= $end ORDER BY "{column}", "{stamp}"',
            files,
            columns,
            {"symbols": symbols, "end": times.max().to_pydatetime()},
        )
        known = micros(rows[stamp])
        asked = times.to_numpy("datetime64[us]").view(np.int64)
        at = newest_at(rows[column].to_numpy(zero_copy_only=False), known, self._entities[self._key].to_numpy(), asked)
        age = asked - known[np.maximum(at, 0)] if len(known) else np.zeros(len(asked), np.int64)
        made = {}
        for view, features in self._parts:
            good = at >= 0
            if view.ttl:
                good &= age <= view.ttl // timedelta(microseconds=1)
            rows_of = pa.array(at, mask=~good)
            for feature in features:
                made[names[feature]] = rows[feature].take(rows_of)
        return pa.table(made)

    def _named(self, view: FeatureView, feature: str) -> str:
        return f"{view.projection.name_to_use()}__{feature}" if self._full else feature


def _hive_source(views: Sequence[FeatureView]) -> FileSource | None:
    """The one source of all views, if it is a table of sessions that this store knows how to read."""
    sources = [view.batch_source for view in views]
    first = sources[0]
    plain = all(
        _is_hive(source) and source.path == first.path and source.timestamp_field == first.timestamp_field  # type: ignore[union-attr]
        for source in sources
    )
    keys = {_join_key(view) for view in views}
    return first if plain and len(keys) == 1 and None not in keys else None  # type: ignore[return-value]


def _is_hive(source: Any) -> bool:
    """Whether a source is a folder of sessions, in columns as Feast names them."""
    return (
        isinstance(source, FileSource)
        and f"/{HIVE}/" in source.path
        and "://" not in source.path
        and not source.field_mapping
        and not source.created_timestamp_column
    )


def _join_key(view: FeatureView) -> Any:
    """(column of the table, column of the request); None for a view with no or several keys."""
    mapped = view.projection.join_key_map or {entity.name: entity.name for entity in view.entity_columns}
    return next(iter(mapped.items())) if len(mapped) == 1 else None


def _features(view: FeatureView, refs: Sequence[str]) -> list[str]:
    prefix = f"{view.projection.name_to_use()}:"
    return [ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix)]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
