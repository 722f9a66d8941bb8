"""The sources of figures, one file each. A source that is not there yet gives no figures and is no failure."""

from __future__ import annotations

from fx_assets.configuration import Configuration
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.collectors import (
    alerts,
    drift,
    freshness,
    health,
    machine,
    missing,
    online_store,
    quality,
    redis,
    rollouts,
    runs,
    schema,
    slo,
    trading,
)
from fx_monitoring.exporter.collectors.instance import SharedInstance
from fx_serving.client.home import Stores


def build(stores: Stores, configuration: Configuration) -> list[Collector]:
    """The collectors of a home."""
    instance = SharedInstance(stores.home)
    found = [
        freshness.build(stores, configuration),
        missing.build(stores, configuration),
        schema.build(instance),
        drift.build(stores),
        quality.build(stores),
        rollouts.build(stores),
        trading.build(stores, configuration),
        health.build(stores),
        slo.build(stores),
        alerts.build(stores),
        runs.build(instance),
        online_store.build(stores, configuration),
        machine.build(stores, configuration),
    ]
    if (redis_collector := redis.build()) is not None:
        found.append(redis_collector)
    return found
