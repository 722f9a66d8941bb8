"""The routing table: derived from the database, written after the commit; and the renewal of the lease."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from fx_serving.controller.rollout import Rollout
from fx_serving.routing import GreenRoute, ModelRoute, RoutingTable, write_routing


def routes(deployed: Mapping[str, str], active: Iterable[Rollout]) -> dict[str, ModelRoute]:
    """What every model's slots are: a pure function of the committed state."""
    made = {model: ModelRoute(blue=version) for model, version in deployed.items()}
    for rollout in active:
        if rollout.state in ("deploying", "canary"):
            green = GreenRoute(version=rollout.version, weight=rollout.weight, rollout_id=rollout.id)
            made[rollout.model] = ModelRoute(blue=deployed.get(rollout.model), green=green)
    return made


class Publisher:
    """Writes routing.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Starts from the wall clock so that a restarted controller does not repeat the counter workers saw
        # last.
        self._counter = time.time_ns() // 1_000_000
        self._table: RoutingTable | None = None

    @property
    def generation(self) -> int:
        """The generation in force; -1 before the first."""
        return self._table.generation if self._table else -1

    @property
    def models(self) -> dict[str, ModelRoute]:
        """The routes in force."""
        return self._table.models if self._table else {}

    def publish(self, generation: int, models: dict[str, ModelRoute]) -> None:
        """Put a new table in force, durably."""
        self._counter += 1
        self._table = RoutingTable(generation=generation, counter=self._counter, models=models)
        write_routing(self.path, self._table, durable=True)

    def renew(self) -> None:
        """Show that the controller lives: same routes, new counter."""
        if self._table is not None:
            self._counter += 1
            self._table = RoutingTable(
                generation=self._table.generation, counter=self._counter, models=self._table.models
            )
            write_routing(self.path, self._table, durable=False)
