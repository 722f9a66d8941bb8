"""execute_plan: real Dagster runs in a child process; events, the failing step's own words, and sudden ends."""

import os
import signal
import subprocess
import sys

import dagster as dg
import msgspec
import psutil
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.runs import execute, timings
from fx_assets.runs.plan import RunEvent
from fx_assets.runs.start import RunFailed, RunProcess
from fx_assets.runs.steps import ONLINE, TABLES, model_run, monitoring_run, online_run, tables_run
from tests.fx_assets.runs.location import plan
from tests.servers.platform import ROOT, command_of, living
from tests.servers.serving import wait_until


def test_events_are_reported_in_order_and_the_runs_are_in_the_instance(runs):
    ids, events = runs(plan("numbers", first="a", last="c", tags={"why": "test"}), plan("checked"))
    kinds = [(e.run, e.kind, e.asset, e.partition) for e in events if e.kind in ("started", "materialized", "finished")]
    numbers = [(0, "materialized", "numbers", key) for key in "abc"]
    assert kinds[0] == (0, "started", None, None)
    assert sorted(kinds[1:4]) == numbers  # Dagster keeps no order among a range's static partitions
    assert (0, "finished", None, None) in kinds
    assert kinds[-1] == (1, "finished", None, None)
    assert [e.text for e in events if e.kind == "check_failed"] == ["checked: positive"]
    assert [e.asset for e in events if e.kind == "step_done"] == ["numbers", "checked"]
    finished = [e for e in events if e.kind == "finished"]
    assert [e.run_id for e in finished] == ids
    assert all(e.ok and e.seconds > 0 for e in finished)
    with runs.instance() as instance:
        first = instance.get_run_by_id(ids[0])
        assert first.status == dg.DagsterRunStatus.SUCCESS
        assert first.tags["why"] == "test"
        assert first.tags["dagster/asset_partition_range_end"] == "c"


def test_a_failing_step_is_told_in_its_own_words_and_ends_the_plan(runs):
    with pytest.raises(RunFailed) as error:
        runs(plan("broken"), plan("checked"))
    said = str(error.value)
    assert "broken: prices.csv: row 7: high is below low. Mend the row.\n" in said
    assert "DataError" not in said
    assert "Traceback" not in said
    assert said.endswith(f"The whole log: {runs.log}")
    with runs.instance() as instance:
        (only,) = instance.get_runs()  # what came after it was not begun
        assert only.status == dg.DagsterRunStatus.FAILURE
        assert only.run_id in said


def test_a_defect_is_told_with_its_class(runs):
    with pytest.raises(RunFailed, match="defect: ZeroDivisionError: division by zero"):
        runs(plan("defect"))


def test_a_child_that_dies_is_told_with_its_code(runs):
    with pytest.raises(RunFailed, match=r"the run process ended with code 9. The whole log: "):
        runs(plan("dies"))


def test_an_unknown_asset_is_an_error_and_not_silence(runs):
    with pytest.raises(RunFailed, match="the run process ended with code 1"):
        runs(plan("no/such/asset"))
    assert "no/such/asset" in runs.log.read_text().replace('["no", "such", "asset"]', "no/such/asset")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_ends_with_the_process_that_asked_for_it_and_is_not_left_as_started(runs, number, tmp_path):
    code = (
        "import sys, msgspec\nfrom pathlib import Path\nfrom fx_assets.runs.plan import PlannedRun\n"
        "from fx_assets.runs.start import execute_plan\n"
        "plan = PlannedRun(assets=['endless'], location='small_location')\n"
        "execute_plan([plan], {}, Path(sys.argv[1]), lambda e: print(e.kind, flush=True))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(runs.log)],
        env={**os.environ, **runs.variables},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        below = psutil.Process(parent.pid).children(recursive=True)
        assert below

        def status() -> list[dg.DagsterRunStatus]:
            with runs.instance() as instance:
                return [run.status for run in instance.get_runs()]

        wait_until(lambda: status() == [dg.DagsterRunStatus.STARTED], every_s=0.2)
        parent.send_signal(number)
    wait_until(lambda: not living(below))
    assert status() == [dg.DagsterRunStatus.FAILURE]


def test_runs_that_nobody_listens_to_end_even_if_their_interrupt_was_lost(runs):
    plans = [plan("checked")] * 3
    child = subprocess.Popen(
        [sys.executable, "-m", "fx_assets.runs"],
        env={**os.environ, **runs.variables},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(plans))
        child.stdin.close()
        assert b"started" in child.stdout.readline()
        child.stdout.close()
        # 1 where the interrupt came during the run, which Dagster then marks as failed.
        assert child.wait(120) in (1, execute.INTERRUPTED)
    assert len(runs.statuses()) == 1, "no other run was begun"


def test_seconds_of_each_step_are_kept_for_estimates(runs):
    runs(plan("numbers", first="a", last="c"), plan("checked"))
    runs(plan("numbers", first="b", last="b"))
    kept = timings.read(runs.home)
    assert [n for n, _ in kept["numbers"]] == [3, 1]
    assert [n for n, _ in kept["checked"]] == [1]
    assert [n for n, _ in kept[timings.RUN]] == [3, 1, 1]
    assert len(kept[timings.START]) == 2
    assert all(seconds >= 0 for measured in kept.values() for _, seconds in measured)


def test_a_process_is_kept_for_further_runs_until_one_fails(runs):
    children = set()

    def look(_: RunEvent) -> None:
        children.update(child.pid for child in psutil.Process().children() if "fx_assets.runs" in command_of(child))

    with RunProcess(runs.variables, runs.log) as process:
        process.execute([plan("checked"), plan("checked")], look)
        process.execute([plan("checked")], look)
        assert len(children) == 1
        assert len(timings.read(runs.home)[timings.START]) == 1
        with pytest.raises(RunFailed, match="The whole log: "):
            process.execute([plan("broken")], look)
        assert len(process.execute([plan("checked")], look)) == 1
        assert len(children) == 2
    assert not living([psutil.Process(pid) for pid in children if psutil.pid_exists(pid)])


def test_a_failed_run_is_not_measured(runs):
    with pytest.raises(RunFailed):
        runs(plan("broken"))
    assert timings.read(runs.home) == {}


def test_plans_of_the_commands():
    configuration = load_configuration()
    made = tables_run(configuration, "2020-01-01", "2020-10-03")
    assert (made.assets, made.first, made.last) == (TABLES, "2020-09-30", "2020-10-01")
    assert online_run().assets == ONLINE
    assert model_run("move_60m", "2022-03-02", ["training_set"]).assets == ["move_60m/training_set"]
    assert monitoring_run("2022-03-02").location == "fx_monitoring.definitions"
