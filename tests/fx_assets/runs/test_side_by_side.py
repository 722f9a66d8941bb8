"""Runs in two processes at once: order, failures and interrupts, with real children on one instance."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest

from fx_assets.runs.plan import RunEvent
from fx_assets.runs.side_by_side import execute
from fx_assets.runs.start import RunProcess
from tests.fx_assets.cli.conftest import partitions_below
from tests.fx_assets.runs.location import Runs, plan
from tests.fx_assets.small import INSTRUMENTS, changed, write_config
from tests.servers.platform import ROOT, environment, fx, living
from tests.servers.serving import wait_until

SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
CANCELED = dg.DagsterRunStatus.CANCELED


@pytest.fixture
def two(runs: Runs):
    with RunProcess(runs.variables, runs.log) as first, RunProcess(runs.variables, runs.log) as second:
        yield [first, second]


def spans(notes: Path) -> list[tuple[float, float, int]]:
    """(begin, end, pid) of each asset that noted itself, by its beginning."""
    found: dict[int, list[float]] = {}
    for line in notes.read_text().splitlines():
        _, pid, at = line.split()
        found.setdefault(int(pid), []).append(float(at))
    return sorted((at[n], at[n + 1], pid) for pid, at in found.items() for n in range(0, len(at), 2))


def test_two_runs_work_at_once_and_the_third_waits_for_what_it_needs(runs, two):
    events: list[RunEvent] = []
    failed = execute([plan("two_at_a_time")] * 3, [set(), set(), {0, 1}], two, events.append)
    assert failed == {}
    assert runs.statuses() == [SUCCESS] * 3
    first, second, third = spans(runs.notes)
    assert first[2] != second[2], "two processes"
    assert second[0] < first[1], "at once"
    assert third[0] > max(first[1], second[1])
    assert {event.run for event in events} == {0, 1, 2}
    assert [event.run for event in events if event.kind == "finished" and event.ok][-1] == 2


def test_after_a_failure_what_is_under_way_ends_well_and_nothing_else_begins(runs, two):
    plans = [plan("broken"), plan("two_at_a_time"), plan("checked"), plan("checked")]
    failed = execute(plans, [set(), set(), {0}, {1}], two, lambda event: None)
    assert list(failed) == [0]
    assert "prices.csv: row 7: high is below low" in str(failed[0])
    assert sorted(status.value for status in runs.statuses()) == ["FAILURE", "SUCCESS"]


def test_an_exception_interrupts_every_run(runs, two):
    def look(event: RunEvent) -> None:
        if event.run == 1:
            wait_until(lambda: runs.statuses().count(dg.DagsterRunStatus.STARTED) == 2, every_s=0.1)
            raise ValueError("no terminal")

    began = time.monotonic()
    with pytest.raises(ValueError, match="no terminal"):
        execute([plan("endless"), plan("slow")], [set(), set()], two, look)
    assert time.monotonic() - began < 300, "it would sleep for ten minutes"
    assert runs.statuses() == [FAILURE, FAILURE], "none is left as started"


#: `fx` with runs of few sessions.
SHORT = [
    sys.executable,
    "-c",
    "from fx_assets.runs.backfill import estimate; estimate.SHORTEST_RUN = 4;from fx_serving.cli import main; main()",
]
OCTOBER = changed(INSTRUMENTS, sessions__end="2020-10-28")


@pytest.mark.slow
def test_two_processes_make_the_very_files_of_one_even_if_they_were_interrupted(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for home in (one, two):
        write_config(home / "config", OCTOBER)
    assert fx("backfill", "--processes", "1", "--home", one).returncode == 0
    command = [*SHORT, "backfill", "--processes", "2", "--home", str(two)]
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_until(lambda: len(list((two / "lake" / "silver").glob("*/*"))) >= 3, every_s=0.05)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, (tmp_path / "out").read_text()
    finally:
        process.kill()
        process.wait()
    assert not living(below)
    assert "`fx backfill` goes on from there." in (tmp_path / "out").read_text()
    done = fx("backfill", "--processes", "2", "--home", two)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 at once" in done.stdout
    assert "nothing to do" in fx("backfill", "--home", two).stdout
    for layer in ("silver", "gold"):
        assert partitions_below(two / "lake" / layer) == partitions_below(one / "lake" / layer)
    with dg.DagsterInstance.from_config(str(two / "dagster")) as instance:
        assert {run.status for run in instance.get_runs()} <= {SUCCESS, FAILURE, CANCELED}
