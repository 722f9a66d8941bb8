"""The routing table: derived from the database, written after the commit; and the renewal of the lease."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from fx_serving.controller.rollout import Rollout
from fx_serving.routing import GreenRoute, ModelRoute, RoutingTable, Standby, read_routing, write_routing
from fx_serving.state import Deployed

log = logging.getLogger("fx_serving.controller")

#: States in which workers hold the candidate loaded.
LOADED = frozenset({"deploying", "testing", "canary", "baking"})


def routes(deployed: Mapping[str, Deployed], active: Iterable[Rollout], now: datetime) -> dict[str, ModelRoute]:
    """What every model's slots are: a pure function of the committed state."""
    made: dict[str, ModelRoute] = {}
    for model, blue in deployed.items():
        standby = None
        if blue.previous is not None and blue.previous_until is not None and now < blue.previous_until:
            standby = Standby(version=blue.previous, until=blue.previous_until)
        made[model] = ModelRoute(blue=blue.version, standby=standby)
    for rollout in active:
        if rollout.state in LOADED:
            green = GreenRoute(
                version=rollout.version,
                weight=rollout.weight,
                rollout_id=rollout.id,
                salt=rollout.salt,
                instruments=rollout.instruments,
                shadow=rollout.shadow and rollout.live,
            )
            made[rollout.model] = msgspec.structs.replace(made.get(rollout.model, ModelRoute()), green=green)
    return made


class Publisher:
    """Writes routing.json. Controllers of one home take turns by a lock, and none replaces a later term's table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Starts from the wall clock so that a restarted controller does not repeat the counter workers saw
        # last.
        self._counter = time.time_ns() // 1_000_000
        self._table: RoutingTable | None = None
        self._leads = False

    @property
    def generation(self) -> int:
        """The generation in force; -1 before the first."""
        return self._table.generation if self._table else -1

    @property
    def models(self) -> dict[str, ModelRoute]:
        """The routes in force."""
        return self._table.models if self._table else {}

    def forget_foreign(self, term: int) -> None:
        """Remove a table of a later term than the database knows: it was derived from another database."""
        there = self._there()
        if there is not None and there.term > term:
            log.warning("%s is of term %s, the database of term %s: written anew", self.path, there.term, term)
            self.path.unlink(missing_ok=True)

    def follow(self, generation: int, models: dict[str, ModelRoute], term: int) -> None:
        """Put the leader's table in force on this host; nothing is written where the leader itself has done so."""
        self._leads = False
        there = self._there()
        if there is not None and (there.term, there.models) == (term, models):
            self._table = there
            self._counter = max(self._counter, there.counter)
        elif self._table is None or (self._table.term, self._table.models) != (term, models):
            self._put(generation, models, term)

    def publish(self, generation: int, models: dict[str, ModelRoute], term: int = 0) -> None:
        """Put a new table in force, durably."""
        self._leads = True
        self._put(generation, models, term)

    def _put(self, generation: int, models: dict[str, ModelRoute], term: int) -> None:
        self._counter += 1
        self._table = RoutingTable(generation=generation, counter=self._counter, models=models, term=term)
        self._write(self._table, durable=True)

    def renew(self) -> None:
        """Show that the controller lives: same routes, new counter."""
        if self._table is not None:
            self._counter += 1
            self._table = msgspec.structs.replace(self._table, counter=self._counter)
            self._write(self._table, durable=False)

    def _write(self, table: RoutingTable, *, durable: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = self._there()
            if there is not None and there.term > table.term:
                log.warning("routing.json is of a later term (%s) than %s: left as it is", there.term, table.term)
                return
            later = there is not None and (there.term, there.generation) > (table.term, table.generation)
            if later and not self._leads:
                return  # the leader was quicker; the next look follows it
            write_routing(self.path, table, durable=durable)

    def _there(self) -> RoutingTable | None:
        """The table in the file, if there is one that can be read."""
        try:
            return read_routing(self.path)
        except (OSError, msgspec.DecodeError):
            return None
