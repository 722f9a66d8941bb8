"""The share of missing values of every feature, in the newest session of gold/features and usually."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake, lake_root
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_serving.client.home import Stores

TABLE = "gold/features"
KEYS = {"instrument", "time", "available_at", "session"}
USUAL_SESSIONS = 20

Rates = dict[str, float]


def build(stores: Stores, configuration: Configuration) -> Collector:
    """Earlier sessions are read once: only the newest still grows."""
    lake = Lake(lake_root(stores.home, configuration.data.storage))
    known: dict[str, Rates] = {}

    def collect() -> Iterator[Sample]:
        keys = lake.keys(TABLE)[-USUAL_SESSIONS - 1 :]
        if not keys:
            return
        for gone in known.keys() - set(keys[:-1]):
            del known[gone]
        known.update(missing_rates(lake, [key for key in keys[:-1] if key not in known]))
        newest = missing_rates(lake, keys[-1:]).get(keys[-1]) or {}
        earlier = [rates for rates in known.values() if rates]
        for feature, rate in newest.items():
            yield Sample("missing_value_rate", (feature,), rate)
            usual = [rates[feature] for rates in earlier if feature in rates]
            if usual:
                yield Sample("fx_missing_value_rate_usual", (feature,), median(usual))

    return Collector("missing_values", collect, every_s=60, limit_s=30)


def missing_rates(lake: Lake, keys: list[str]) -> dict[str, Rates]:
    """Share of missing values by session and feature; nothing for a session without rows."""
    found: dict[str, Rates] = {}
    for key, (part, _) in lake.read_tables(TABLE, keys).items():
        features = [name for name in part.column_names if name not in KEYS]
        rows = part.num_rows
        found[key] = {name: part.column(name).null_count / rows for name in features} if rows else {}
    return found
