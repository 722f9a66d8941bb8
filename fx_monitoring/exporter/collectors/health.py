"""The verdicts GREEN, YELLOW and RED: monitoring/health.json and monitoring/infrastructure.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, state_file
from fx_serving.client.home import Stores

COLOURS = {"GREEN": 0, "YELLOW": 1, "RED": 2}


def build(stores: Stores) -> Collector:
    """Two small files."""

    def collect() -> Iterator[Sample]:
        yield from _verdict(stores.health, "quant", "fx_quant_health")
        yield from _verdict(stores.infrastructure, "infrastructure", "fx_infrastructure_health")

    return Collector("health", collect)


def _verdict(path: Path, scope: str, name: str) -> Iterator[Sample]:
    found = state_file(path) or {}
    yield from figure(name, COLOURS.get(str(found.get("status"))))
    for tier in found.get("tiers", []):
        yield from figure("fx_health_tier", COLOURS.get(str(tier.get("status"))), scope, str(tier.get("name")))
