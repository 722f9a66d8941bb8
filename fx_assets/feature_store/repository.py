"""What Feast knows: one entity, a feature view for each feature group with its time to live, a versioned service for
each model; and where a home keeps its registry and its online store.

Built from the configuration. Feast itself is imported inside the functions (seconds).
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fx_assets import schemas
from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError
from fx_assets.feature_store.encoding import ENTITY, PROJECT
from fx_assets.feature_store.feast_import import load_feast
from fx_assets.feature_store.redis_online import RedisOnline
from fx_assets.feature_store.services import REGISTRY_VARIABLE, registered_fields, registry_answers, version_name
from fx_assets.feature_store.sqlite_online import SqliteOnline

if TYPE_CHECKING:
    from feast import FeatureStore

SOURCE = "gold_features"
MARKET_MINUTES, NEWS_MINUTES = 120, 360
BARS = 2  # of the longest granularity: one may be late
PACKAGE = "fx_assets.feature_store"


def ttls(configuration: Configuration) -> dict[str, timedelta]:
    """How old a row of each view may be at a decision."""
    given = configuration.data.feature_store.ttl_minutes
    bars = BARS * max(instrument.minutes for instrument in configuration.instruments.instruments.values())
    market = given.get("default", max(MARKET_MINUTES, bars))
    own = {view: market for view in schemas.VIEWS} | {schemas.NEWS_VIEW: max(NEWS_MINUTES, bars)} | given
    return {view: timedelta(minutes=own[view]) for view in schemas.views(configuration)}


def ttl(configuration: Configuration, view: str) -> timedelta:
    """How old a row of one view may be at a decision."""
    return ttls(configuration)[view]


def online_store(home: Path, configuration: Configuration) -> SqliteOnline | RedisOnline:
    """The guarded online store itself, without Feast."""
    if configuration.data.feature_store.online == "redis":
        return RedisOnline()
    return SqliteOnline(home / "feast" / "online.db")


def open_store(home: Path, configuration: Configuration) -> FeatureStore:
    """The feature store of a home: registry, DuckDB offline, guarded SQLite or Redis online.

    Raises ConfigError for a variable that is missing or wrong, StoreError when the registry does not answer.
    """
    load_feast()
    from feast import FeatureStore, RepoConfig

    folder = home / "feast"
    folder.mkdir(parents=True, exist_ok=True)
    online: dict[str, Any] = {"type": f"{PACKAGE}.feast_sqlite.GuardedSqliteOnlineStore"}
    if configuration.data.feature_store.online == "redis":
        online = {"type": f"{PACKAGE}.feast_redis.GuardedRedisOnlineStore"}
        RedisOnline().client  # noqa: B018  a missing variable is told here, not in the middle of a run
    else:
        online["path"] = str(folder / "online.db")
    with registry_answers():
        store = FeatureStore(
            config=RepoConfig(
                project=PROJECT,
                provider="local",
                registry=_registry(folder, configuration),
                offline_store={"type": f"{PACKAGE}.offline.GoldOfflineStore"},
                online_store=online,
                entity_key_serialization_version=3,
            )
        )
        store.list_entities()  # the first question opens it
    return store


def apply(store: FeatureStore, lake: Path, configuration: Configuration) -> dict[str, str]:
    """Register everything; returns each model's feature service. lake: root of the lake that holds gold/features.

    A service whose list of features has not changed keeps its version; the others get the next one. What older
    services need stays in their views.
    """
    from feast import FeatureService

    with registry_answers():
        entity, source = _entity_and_source(lake)
        views = _views(store, entity, source, configuration)
        named = {
            model: version_name(store, model, schemas.model_features(configuration, model))
            for model in configuration.models.models
        }
        services = []
        for model, name in named.items():
            chosen: dict[str, list[str]] = {}
            for feature, view in schemas.model_features(configuration, model):
                chosen.setdefault(view, []).append(feature)
            words = configuration.models.models[model].description
            parts = [views[view][names] for view, names in chosen.items()]
            services.append(FeatureService(name=name, features=parts, description=words, tags={"model": model}))
        store.apply([entity, source, *views.values(), *services])
    return named


def _entity_and_source(lake: Path) -> tuple[Any, Any]:
    from feast import Entity, FileSource, ValueType
    from feast.data_format import ParquetFormat

    entity = Entity(name=ENTITY, join_keys=[ENTITY], value_type=ValueType.STRING, description="symbol, such as GBP_USD")
    source = FileSource(
        name=SOURCE,
        path=str(lake / "gold" / "features" / "session=*" / "part.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="available_at",
        description="gold/features; available_at is the bar's close, the first moment a row could be known",
    )
    return entity, source


def _views(store: FeatureStore, entity: Any, source: Any, configuration: Configuration) -> dict[str, Any]:
    """A view for each group: its features, and after them those that only older services use."""
    from feast import FeatureView, Field
    from feast.types import Float64

    old, made = registered_fields(store), {}
    lifetimes = ttls(configuration)
    for view, names in schemas.views(configuration).items():
        fields = [*names, *(name for name in old.get(view, []) if name not in names)]
        made[view] = FeatureView(
            name=view,
            entities=[entity],
            ttl=lifetimes[view],
            schema=[Field(name=name, dtype=Float64) for name in fields],
            source=source,
            online=True,
        )
    return made


def _registry(folder: Path, configuration: Configuration) -> dict[str, Any]:
    """Feast's registry configuration. Of a database's URL only the driver stands in it."""
    if configuration.data.feature_store.registry == "file":
        return {"registry_type": "file", "path": str(folder / "registry.db")}
    given = os.environ.get(REGISTRY_VARIABLE, "").strip()
    if not given:
        return {"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.sqlite'}"}
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(given)
        if url.drivername == "postgresql":  # Feast would choose a driver that is not installed
            url = url.set(drivername="postgresql+psycopg2")
        dialect_class = url.get_dialect()
        dialect: Any = dialect_class(dbapi=dialect_class.import_dbapi())  # type: ignore[call-arg]
        positional, named = dialect.create_connect_args(url)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):  # their words may quote the URL
        raise ConfigError(
            f"{REGISTRY_VARIABLE}: not a database URL of an installed driver. "
            "Set it to postgresql+psycopg2://user:password@host/database, or unset it for SQLite in the home."
        ) from None
    if url.get_backend_name() == "sqlite":
        return {"registry_type": "sql", "path": given}
    # Feast's configuration shows its path: the password stays in this function.
    connect = {"creator": lambda: dialect.connect(*positional, **named), "pool_pre_ping": True}
    return {"registry_type": "sql", "path": f"{url.drivername}://", "sqlalchemy_config_kwargs": connect}
