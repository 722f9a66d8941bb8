"""Whether the newest schema check of every table passed, by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.instance import SharedInstance, rows

# The newest finished evaluation of each asset: an asset's checks of all partitions share one name.
_NEWEST = """
    SELECT asset_key, execution_status FROM asset_check_executions WHERE id IN (
        SELECT max(id) FROM asset_check_executions
        WHERE check_name = 'schema' AND execution_status IN ('SUCCEEDED', 'FAILED') GROUP BY asset_key)
"""

_ALONE = {"feature_registry": "feature_store", "online_features": "feature_store"}


def build(instance: SharedInstance) -> Collector:
    """Every half minute."""

    def collect() -> Iterator[Sample]:
        if instance.open() is None:
            return
        with instance.events() as connection:
            found = rows(connection, _NEWEST)
        tables: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for key, status in found:
            layer = _layer(msgspec.json.decode(key, type=list[str]))
            tables[layer] += 1
            failed[layer] += status == "FAILED"
        for layer in tables:
            yield Sample("schema_validation_status", (layer,), float(failed[layer] == 0))
            yield Sample("fx_schema_checks_failed", (layer,), failed[layer])

    return Collector("schema", collect, every_s=30, limit_s=30)


def _layer(key: list[str]) -> str:
    """silver of silver/candles. Assets that are not part of a layer belong to the feature store or to monitoring."""
    return key[0] if len(key) > 1 else _ALONE.get(key[0], "monitoring")
