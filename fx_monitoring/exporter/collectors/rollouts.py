"""Rollouts by their state, from what the controller keeps."""

from __future__ import annotations

from collections.abc import Iterator

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, unix
from fx_serving.client.home import Stores
from fx_serving.client.rollout_log import rollout_states


def build(stores: Stores) -> Collector:
    """One grouped query; a PostgreSQL that does not answer costs the time limit and nothing else."""

    def collect() -> Iterator[Sample]:
        for row in rollout_states(stores.state):
            yield Sample("fx_rollouts", (row.model, row.state), row.count)
            yield from figure("fx_rollout_finished_timestamp_seconds", unix(row.newest), row.model, row.state)

    return Collector("rollouts", collect, limit_s=15)
