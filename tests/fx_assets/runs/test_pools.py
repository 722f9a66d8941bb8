"""Pools hold across processes, and what a killed run held is given back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData

from fx_assets.runs import dead as dead_runs
from fx_assets.runs.dead import close_dead_runs, process_tags
from fx_assets.runs.pools import API, HEAVY, LIMITS, set_limits
from fx_assets.runs.start import execute_plan
from tests.fx_assets.runs.location import plan
from tests.servers.platform import ROOT
from tests.servers.serving import wait_until


def spans(runs, name: str) -> list[tuple[float, float]]:
    """When each process was inside the asset, sorted."""
    times: dict[str, list[float]] = {}
    for line in runs.notes.read_text().splitlines():
        asset, pid, moment = line.split()
        if asset == name:
            times.setdefault(pid, []).append(float(moment))
    return sorted((began, ended) for began, ended in times.values())


def side_by_side(runs, asset: str, processes: int) -> list[tuple[float, float]]:
    """Execute an asset in several processes at once."""
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda _: runs(plan(asset)), range(processes)))
    return spans(runs, asset)


def test_runs_of_different_processes_take_turns_in_a_pool_of_one(runs):
    (_, first_end), (second_begin, _) = side_by_side(runs, "one_at_a_time", 2)
    assert second_begin >= first_end


def test_a_pool_of_two_lets_two_in(runs):
    (_, first_end), (second_begin, _) = side_by_side(runs, "two_at_a_time", 2)
    assert second_begin < first_end


def test_limits_are_set_once_and_a_limit_of_the_user_is_left_alone(runs):
    with runs.instance() as instance:
        set_limits(instance)
        assert {p.name: p.limit for p in instance.event_log_storage.get_pool_limits()} == LIMITS
        instance.event_log_storage.set_concurrency_slots(API, 7)
        set_limits(instance)
        assert {p.name: p.limit for p in instance.event_log_storage.get_pool_limits()} == LIMITS | {API: 7}


@pytest.fixture
def killed(runs):
    """A run whose process was killed while it held the pool `heavy`; its id."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom fx_assets.runs.plan import PlannedRun\n"
        "from fx_assets.runs.start import execute_plan\n"
        "plan = PlannedRun(assets=['endless'], location='small_location')\n"
        "execute_plan([plan], {}, Path(sys.argv[1]), lambda e: print(e.kind, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(runs.log)]
    environment = {**os.environ, **runs.variables}
    parent = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _holders(runs) == 1, every_s=0.2)
        psutil.Process(parent.pid).children()[0].send_signal(signal.SIGKILL)
        parent.wait(120)
    finally:
        parent.kill()
        parent.wait()
    with runs.instance() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        return run.run_id


def _holders(runs) -> int:
    with runs.instance() as instance:
        return instance.event_log_storage.get_concurrency_info(HEAVY).active_slot_count


def test_the_next_command_closes_a_run_that_was_killed_and_takes_its_slot(runs, killed):
    ids, _ = runs(plan("one_at_a_time"))
    with runs.instance() as instance:
        assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(ids[0]).status == dg.DagsterRunStatus.SUCCESS
        (event,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "is gone" in event.message
    assert _holders(runs) == 0


@dg.job
def nothing():
    pass


def test_a_run_that_lives_or_that_others_started_is_left_alone(runs):
    with runs.instance() as instance:
        started = dg.DagsterRunStatus.STARTED
        mine = instance.create_run_for_job(nothing, tags=process_tags(), status=started)
        other_host = process_tags() | {"fx/host": "elsewhere", "fx/pid": "999999999"}
        elsewhere = instance.create_run_for_job(nothing, tags=other_host, status=started)
        untagged = instance.create_run_for_job(nothing, status=started)
        recycled = instance.create_run_for_job(
            nothing, tags=process_tags() | {"fx/process_started": "1.0"}, status=started
        )
        assert close_dead_runs(instance) == [recycled.run_id]
        for run in (mine, elsewhere, untagged):
            assert instance.get_run_by_id(run.run_id).status == started


@pytest.fixture
def dead_pid() -> Iterator[int]:
    """A process that has ended and that nobody has taken note of: its number is still taken."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    yield child.pid
    child.wait()


def test_a_launched_run_is_as_alive_as_its_own_process_and_not_as_the_one_that_launched_it(runs, dead_pid, monkeypatch):
    with runs.instance() as instance:

        def launched(pid: int, status: dg.DagsterRunStatus) -> str:
            run = instance.create_run_for_job(nothing, tags=process_tags(), status=status)
            instance.report_engine_event("queued", run)
            instance.report_engine_event(f"Started process (pid: {pid}).", run, EngineEventData.in_process(pid))
            return run.run_id

        alive = launched(os.getpid(), dg.DagsterRunStatus.STARTED)
        dead = launched(dead_pid, dg.DagsterRunStatus.STARTED)
        unwanted = launched(dead_pid, dg.DagsterRunStatus.CANCELING)
        starting = launched(dead_pid, dg.DagsterRunStatus.STARTING)
        assert set(close_dead_runs(instance)) == {dead, unwanted}
        found = [instance.get_run_by_id(id).status.value for id in (alive, dead, unwanted, starting)]
        assert found == ["STARTED", "FAILURE", "CANCELED", "STARTING"], "one that is being started has a moment's grace"
        monkeypatch.setattr(dead_runs, "_BEING_STARTED", timedelta(0))
        assert close_dead_runs(instance) == [starting]


def test_interrupting_gives_the_slot_back(runs):
    def interrupt(event):
        if event.kind == "started":
            wait_until(lambda: _holders(runs) == 1, every_s=0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_plan([plan("endless")], runs.variables, runs.log, interrupt)
    assert _holders(runs) == 0
    assert runs.statuses() == [dg.DagsterRunStatus.FAILURE]
