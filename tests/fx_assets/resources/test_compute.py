"""The resource `compute`: both kinds give the same, and what goes wrong with a cluster is told with its remedy."""

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fx_assets.cores import cores
from fx_assets.errors import ConfigError, DataError, StoreError
from fx_assets.resources import dask_workers
from fx_assets.resources.compute import ADDRESS, ComputeResource
from fx_assets.stack.ports import free_port


@pytest.fixture(scope="module")
def cluster() -> Iterator[ComputeResource]:
    made = ComputeResource(kind="dask", workers=2)
    yield made
    made.teardown_after_execution(None)


@pytest.fixture(params=["local", "dask"])
def compute(request) -> ComputeResource:
    return ComputeResource() if request.param == "local" else request.getfixturevalue("cluster")


def squared(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuses(number: int) -> int:
    if number == 3:
        raise DataError("the third is no number. Mend it.")
    return number


def test_results_come_in_order_whoever_computes(compute):
    found = list(compute.map(squared, iter(range(12))))
    assert [square for square, _ in found] == [n * n for n in range(12)]
    processes = {process for _, process in found}
    assert (processes == {os.getpid()}) == compute.is_local
    assert os.getpid() not in processes or compute.is_local


def cores_for(_: int) -> int:
    return cores()


def test_a_worker_keeps_one_core_busy_and_a_run_all(compute):
    expected = (os.cpu_count() or 1) if compute.is_local else 1
    assert list(compute.map(cores_for, range(3))) == [expected] * 3


def test_what_a_function_raises_is_raised_here(compute):
    found = compute.map(refuses, range(6))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=r"the third is no number\. Mend it\."):
        next(found)
    assert list(compute.map(refuses, [1])) == [1]  # and the workers go on


def test_workers_keep_their_memory_as_the_run_does(cluster):
    """Dask's own setting costs them a fifth of their time."""
    assert list(cluster.map(os.environ.get, ["MALLOC_TRIM_THRESHOLD_"])) == [None]


def dies_once(folder: str) -> str:
    """Ends its own process, as a machine that is switched off does, the first time it is called."""
    mark = Path(folder, "died")
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.read_text()


def dies(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_work_of_a_worker_that_dies_is_done_again(cluster, tmp_path):
    (died,) = cluster.map(dies_once, [str(tmp_path)])
    assert int(died) != os.getpid()


def test_what_kills_its_worker_again_and_again_is_given_up_and_told():
    import dask.config

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):  # the first death; starting again takes long
        asked = ComputeResource(kind="dask", workers=1)
        with pytest.raises(StoreError, match=r"several workers died one after another.*about 2 GB"):
            list(asked.map(dies, [0]))
    assert asked._opened is None  # the retry of a step begins with workers of its own


def test_other_versions_are_refused(cluster):
    list(cluster.map(squared, [1]))
    workers: Any = cluster._opened
    known, workers._versions = workers._versions, {**workers._versions, "numpy": "1.0"}
    try:
        with pytest.raises(ConfigError, match=r"a Dask worker has numpy .*, not 1\.0: .*requirements\.lock"):
            list(cluster.map(squared, [1]))
    finally:
        workers._versions = known


def test_a_cluster_of_ones_own_lets_nobody_else_in(cluster):
    """Whoever reaches a scheduler runs code in the workers: without the run's own keys there is no way in."""
    from distributed import Client

    list(cluster.map(squared, [1]))
    opened: Any = cluster._opened
    own = opened._cluster.scheduler_address
    assert own.startswith("tls://127.0.0.1:")
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        Client(own.replace("tls://", "tcp://"), timeout=2)
    with pytest.raises(ConfigError, match=rf"Dask cluster {own}: .*distributed\.comm\.tls"):
        next(ComputeResource(kind="dask", address=own).map(squared, [1]))
    # None is left half made: collected in the thread of the next client, it would keep that one from starting.
    assert {one.status for one in gc.get_objects() if type(one) is Client} <= {"running", "closed"}


@contextlib.contextmanager
def started(workers: int) -> Iterator[Any]:
    """A cluster as somebody else runs one: by plain TCP, on this machine."""
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=workers, **options) as running:
        yield running


def test_a_cluster_by_its_address_which_the_environment_overrides(monkeypatch):
    with started(1) as running:
        monkeypatch.setenv(ADDRESS, running.scheduler_address)
        asked = ComputeResource(kind="dask", address="tcp://127.0.0.1:1")
        ((square, process),) = asked.map(squared, [3])
        asked.teardown_after_execution(None)
        assert (square, process != os.getpid()) == (9, True)
        assert running.scheduler.workers  # leaving it does not end it


@pytest.fixture
def impatient() -> Iterator[None]:
    import dask.config

    with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
        yield


@pytest.mark.usefixtures("impatient")
def test_a_cluster_that_is_not_there_is_told_with_its_address_and_what_to_do():
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=rf"Dask cluster {address}: cannot be reached.*FX_DASK_ADDRESS.*local"):
        next(ComputeResource(kind="dask", address=address).map(squared, [1]))


@pytest.mark.usefixtures("impatient")
def test_a_cluster_without_workers_is_told():
    with started(0) as empty:
        told = f"{empty.scheduler_address}: has no worker after 5 s. Start `dask worker`"
        with pytest.raises(StoreError, match=re.escape(told)):
            list(ComputeResource(kind="dask", address=empty.scheduler_address).map(squared, [1]))


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"compute\.kind: 'dask' .*pip install 'fx-platform\[dask\]'"):
        dask_workers.DaskWorkers(None, 1)


LOCAL = """
import sys
from fx_assets.definitions import build_definitions
from fx_assets.resources.compute import ComputeResource
assert list(ComputeResource().map(str, [1, 2])) == ["1", "2"]
build_definitions()
print({"dask", "distributed"} & set(sys.modules) or "none")
"""


def test_nothing_of_dask_is_loaded_unless_it_is_chosen(tmp_path):
    environment = {**os.environ, "FX_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LOCAL], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "none"


def test_a_run_ends_the_workers_it_started():
    """As Dagster does it: the resource is opened by a step, and torn down with the run, whatever the step did."""
    seen: list[ComputeResource] = []

    @dg.asset
    def worked(compute: ComputeResource) -> None:
        seen.append(compute)
        assert len(list(compute.map(squared, [1, 2]))) == 2
        assert compute._opened is not None
        raise RuntimeError("the step failed")

    result = dg.materialize(
        [worked], resources={"compute": ComputeResource(kind="dask", workers=1)}, raise_on_error=False
    )
    assert not result.success
    assert [one._opened for one in seen] == [None]
