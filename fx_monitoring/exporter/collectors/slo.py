"""Service level objectives and what is left of their error budgets: monitoring/slo.json."""

from __future__ import annotations

from collections.abc import Iterator

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, state_file
from fx_serving.client.home import Stores


def build(stores: Stores) -> Collector:
    """One small file."""
    path = stores.home / "monitoring" / "slo.json"

    def collect() -> Iterator[Sample]:
        for row in (state_file(path) or {}).get("rows", []):
            name = str(row["name"])
            yield from figure("fx_slo_target_ratio", row.get("target"), name)
            yield from figure("fx_slo_achieved_ratio", row.get("achieved"), name)
            yield from figure("fx_slo_budget_left_ratio", row.get("budget_left"), name)
            for window, rate in (row.get("burn") or {}).items():
                yield from figure("fx_slo_burn_rate", rate, name, window)

    return Collector("slo", collect)
