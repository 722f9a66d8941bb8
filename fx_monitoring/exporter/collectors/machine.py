"""The machine: room on the disks of the stores, memory, load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from fx_assets.configuration import Configuration
from fx_assets.lake import lake_root
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_serving.client.home import Stores


def build(stores: Stores, configuration: Configuration) -> Collector:
    """A lake in an object store has no disk here."""
    lake = lake_root(stores.home, configuration.data.storage)
    places = {"home": stores.home} | ({"lake": lake} if isinstance(lake, Path) else {})

    def collect() -> Iterator[Sample]:
        for name, place in places.items():
            if place.exists():
                disk = shutil.disk_usage(place)
                yield Sample("fx_disk_free_bytes", (name,), float(disk.free))
                yield Sample("fx_disk_free_ratio", (name,), disk.free / disk.total)
        memory = psutil.virtual_memory()
        yield Sample("fx_memory_available_bytes", (), float(memory.available))
        yield Sample("fx_memory_available_ratio", (), memory.available / memory.total)
        yield Sample("fx_load_per_core", (), psutil.getloadavg()[0] / (psutil.cpu_count() or 1))

    return Collector("machine", collect)
