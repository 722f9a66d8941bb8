"""The tables that `fx status` shows. Reads stores; starts nothing."""

from __future__ import annotations

import msgspec
import pyarrow.parquet as pq
from rich.table import Table

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.models.rollout import service_url
from fx_assets.runs.steps import TABLES
from fx_serving.client.clock import now
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient


def lake_table(stores: Stores, configuration: Configuration) -> Table:
    """Each table: sessions made, first and last, its newest row and how old that is by the data clock."""
    table = Table("table", "sessions", "first", "last", "newest row", "age", title="tables", title_justify="left")
    lake = Lake(stores.lake)
    for name in TABLES:
        keys = lake.keys(name) if not name.startswith("bronze") else _bronze_keys(stores, name)
        if not keys:
            table.add_row(name, "0", "-", "-", "-", "-", style="dim")
            continue
        newest, age = _newest(lake, name, keys) if not name.startswith("bronze") else ("", "")
        table.add_row(name, str(len(keys)), keys[0], keys[-1], newest, age)
    return table


def _bronze_keys(stores: Stores, table: str) -> list[str]:
    folders = (stores.lake / table).glob("instrument=*/session=*")
    return sorted({folder.name.partition("=")[2] for folder in folders})


def _newest(lake: Lake, table: str, keys: list[str]) -> tuple[str, str]:
    """The newest available_at of the last session that has rows."""
    for key in reversed(keys):
        column = pq.ParquetFile(lake.path(table, key)).read(columns=["available_at"])["available_at"]
        if len(column):
            newest = max(column.to_pylist())
            hours = (now() - newest).total_seconds() / 3600
            return newest.strftime("%Y-%m-%d %H:%M"), f"{hours:.1f} h"
    return "-", "-"


def models_table(stores: Stores, configuration: Configuration) -> Table:
    """Each model: champion and challenger in the registry, bundles on disk."""
    from fx_assets.models.registry import CHALLENGER, CHAMPION, open_registry, version_with_alias

    table = Table("model", "gates", "champion", "newest", "bundles", title="models", title_justify="left")
    registry = open_registry(stores.home) if (stores.home / "mlflow" / "mlflow.db").exists() else None
    for name, entry in configuration.models.models.items():
        champion = version_with_alias(registry, name, CHAMPION) if registry else None
        newest = version_with_alias(registry, name, CHALLENGER) if registry else None
        bundles = sorted(p.name for p in (stores.bundles / name).glob("[!.]*"))
        table.add_row(name, entry.gates, champion or "none", newest or "none", ", ".join(bundles) or "none")
    return table


def drift_table(stores: Stores, configuration: Configuration) -> Table:
    """The newest drift verdict of each model."""
    table = Table("model", "session", "level", "largest PSI", "rows", title="drift", title_justify="left")
    for name in configuration.models.models:
        path = stores.drift / f"{name}.json"
        if not path.exists():
            table.add_row(name, "-", "no report", "-", "-", style="dim")
            continue
        found = msgspec.json.decode(path.read_bytes())
        largest = "-" if found["max_psi"] is None else f"{found['max_psi']:.3f}"
        table.add_row(name, found["session"], found["level"], largest, str(found["rows"]))
    return table


def service_lines(stores: Stores) -> list[str]:
    """Whether the deployment service answers, and its components."""
    url = service_url(stores)
    try:
        with ServingClient(url, timeout_s=2) as client:
            health = client.health()
    except ServiceError as error:
        return [f"deployment service: {error}"]
    parts = [f"{name} {part['status']}" for name, part in health.get("components", {}).items()]
    return [f"deployment service at {url}: {health['status']} ({', '.join(parts)})"]
