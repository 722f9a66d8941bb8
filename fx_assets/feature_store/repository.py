"""What Feast knows: one entity, a feature view for each group with its time to live, a service for each model.

Built from the configuration, so that a model added to models.yaml gets its feature service. Feast itself is
imported inside the functions (seconds).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fx_assets.configuration import Configuration
from fx_assets.schemas import model_features

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = "fx"
ENTITY = "instrument"
TTL = {"market_features": timedelta(hours=2), "news_signals": timedelta(hours=6)}
# Raised when the meaning or the list of a model's features changes; the service's name carries it.
SERVICE_VERSION = 1


def service_name(model: str) -> str:
    """The feature service a model is trained with and served from."""
    return f"{model}_v{SERVICE_VERSION}"


def views() -> dict[str, list[str]]:
    """Feature names by feature view, in model input order."""
    by_view: dict[str, list[str]] = {name: [] for name in TTL}
    for feature, view in model_features():
        by_view[view].append(feature)
    return by_view


def open_store(home: Path) -> FeatureStore:
    """The feature store of a home: file registry, DuckDB offline, SQLite online."""
    from feast import FeatureStore, RepoConfig

    folder = home / "feast"
    folder.mkdir(parents=True, exist_ok=True)
    return FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )


def objects(lake: Path, configuration: Configuration) -> list[Any]:
    """Everything `apply` registers. lake: root of the lake that holds gold/features."""
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64

    entity = Entity(name=ENTITY, join_keys=[ENTITY], value_type=ValueType.STRING, description="symbol, such as GBP_USD")
    source = FileSource(
        name="gold_features",
        path=str(lake / "gold" / "features" / "session=*" / "part.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="available_at",
        description="gold/features; available_at is the bar's close, the first moment a row could be known",
    )
    registered = [
        FeatureView(
            name=name,
            entities=[entity],
            ttl=TTL[name],
            schema=[Field(name=feature, dtype=Float64) for feature in features],
            source=source,
            online=True,
        )
        for name, features in views().items()
    ]
    services = [
        FeatureService(name=service_name(model), features=list(registered), description=entry.description)
        for model, entry in configuration.models.models.items()
    ]
    return [entity, source, *registered, *services]
