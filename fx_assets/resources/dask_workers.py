"""The workers of a Dask cluster: connecting or starting them, and what can go wrong in words."""

from __future__ import annotations

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from fx_assets.cores import one_core
from fx_assets.errors import ConfigError, StoreError

# Waiting for each worker while it works, so that it need not wait for this process; more would only hold memory.
_AHEAD = 2
_START_S = 300.0
Item = TypeVar("Item")
Result = TypeVar("Result")


class DaskWorkers:
    """A cluster in use by one run, until `close`."""

    def __init__(self, address: str | None, workers: int):
        """address: of a scheduler that runs; without it so many processes are started on this machine.

        Raises ConfigError where dask is not installed or its TLS settings do not suit, StoreError for a cluster that
        does not answer.
        """
        distributed = _distributed()
        self._cluster: Any = None
        self.address = address or "of this run"
        self._versions = versions()
        try:
            if address is None:
                self._cluster = _started(distributed, workers)
            self._client = distributed.Client(self._cluster or address, set_as_default=False)
            return
        except (OSError, TimeoutError) as error:
            failed: Exception = StoreError(
                f"Dask cluster {self.address}: cannot be reached: {error}. Start `dask scheduler` and its workers "
                "there, mend compute.address of data.yaml (or FX_DASK_ADDRESS), or set compute.kind to local."
            )
        except (TypeError, ValueError) as error:  # an address of TLS without certificates
            failed = ConfigError(
                f"Dask cluster {self.address}: {error}. Mend compute.address of data.yaml (or FX_DASK_ADDRESS), and "
                "Dask's own settings, distributed.comm.tls (docs/scale.md)."
            )
        self.close()
        # A client that could not be made ends itself as garbage. In the thread of the next client, which waits for
        # the lock that its maker holds, that would fail the next one.
        gc.collect()
        raise failed

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """function(item) for each, in order; see ComputeResource.map. What is left undone is cancelled."""
        self._wait_for_a_worker()
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(self._client.submit(_run, self._versions, function, item, pure=False))
                if len(waiting) >= _AHEAD * sum(self._client.nthreads().values()):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            if waiting:
                self._client.cancel(list(waiting))

    def _wait_for_a_worker(self) -> None:
        """One that died is being started again, which takes a busy machine long. Raises StoreError."""
        import dask.config
        from dask.utils import parse_timedelta

        connecting = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
        patience = connecting if self._cluster is None else max(connecting, _START_S)
        try:
            self._client.wait_for_workers(1, timeout=patience)
        except TimeoutError:
            raise StoreError(
                f"Dask cluster {self.address}: has no worker after {patience:g} s. Start `dask worker` with the "
                "scheduler's address, or set compute.kind to local in data.yaml."
            ) from None

    def _result(self, future: Any) -> Any:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            return future.result()
        except KilledWorker as error:
            raise StoreError(
                f"Dask cluster {self.address}: several workers died one after another of the same chunk: {error}. "
                "It is memory in most cases: give each about 2 GB, or start fewer; their logs say more."
            ) from None
        except (CancelledError, CommClosedError) as error:
            raise StoreError(
                f"Dask cluster {self.address}: the scheduler went away: {error}. See that it runs, and run the same "
                "command again; nothing was changed."
            ) from None

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        for part in (getattr(self, "_client", None), self._cluster):
            if part is not None:
                with contextlib.suppress(OSError, TimeoutError):
                    part.close()


def _started(distributed: Any, workers: int) -> Any:
    """A cluster of processes on this machine."""
    import dask.config

    # Dask has glibc give freed memory back at once; taking it anew from the kernel was a fifth of the CPU time.
    with dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}):
        # One chunk at a time in each process. With TLS by keys made for this run, since whoever reaches a scheduler
        # runs code: other users of the machine must not.
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            security=True,
        )


def _run(expected: Mapping[str, str], function: Callable[[Any], Any], item: Any) -> Any:
    """On the worker: refuse where other versions could give other bits."""
    found = versions()
    if odd := [f"{name} {found.get(name)}, not {own}" for name, own in expected.items() if found.get(name) != own]:
        raise ConfigError(
            f"a Dask worker has {'; '.join(odd)}: its results could differ. Install the same requirements.lock there."
        )
    with one_core():  # a worker is asked for as many items at once as it has threads
        return function(item)


@cache
def versions() -> dict[str, str]:
    """What decides the bits of a feature: our code, the interpreter and processor, and the libraries."""
    from fx_assets.lineage import CODE_VERSION
    from fx_assets.models.spec_file import installed, python

    return {"CODE_VERSION": CODE_VERSION, "Python": python(), **installed()}


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ConfigError(
            "data.yaml: compute.kind: 'dask' needs the package dask, which is not installed. "
            "Run pip install 'fx-platform[dask]', or set it to local."
        ) from None
    return distributed
