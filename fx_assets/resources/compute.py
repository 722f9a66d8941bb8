"""Who computes the chunks of a long range, as a resource: the run's own process, or the workers of a Dask cluster.

Never the executor: Dagster keeps runs, retries and pools, and only hands chunks of one step to others.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr

from fx_assets.errors import StoreError
from fx_assets.resources.dask_workers import DaskWorkers

ADDRESS = "FX_DASK_ADDRESS"
Item = TypeVar("Item")
Result = TypeVar("Result")


class ComputeResource(dg.ConfigurableResource):
    """See configuration.Compute. A cluster is connected to, or started, by the first chunk that needs it."""

    kind: str = "local"
    workers: int = 2
    address: str | None = None
    _opened: DaskWorkers | None = PrivateAttr(default=None)

    @property
    def is_local(self) -> bool:
        return self.kind == "local"

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """function(item) for each, in order; what it raises is raised here.

        By workers, function, items and results are pickled, and a function whose worker dies runs again: it must be
        pure, or do no harm twice. Raises ConfigError where dask is not installed, StoreError for a cluster that does
        not answer.
        """
        if self.is_local:
            return map(function, items)
        return self._elsewhere(function, items)

    def _elsewhere(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        if self._opened is None:
            self._opened = DaskWorkers(os.environ.get(ADDRESS, "").strip() or self.address, self.workers)
        try:
            yield from self._opened.map(function, items)
        except StoreError:  # the retry of the step begins with workers of its own, or another connection
            self.teardown_after_execution(None)
            raise

    def teardown_after_execution(self, context: Any) -> None:
        """Leave the cluster, and end one that this run started."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
