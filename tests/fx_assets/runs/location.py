"""A code location whose assets do what the tests of runs need, and the means to execute plans of it."""

import os
import textwrap
from pathlib import Path

import dagster as dg

from fx_assets.configuration import load_configuration
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.start import execute_plan
from fx_assets.stack.environment import environment

NAME = "small_location"
LOCATION = textwrap.dedent("""
    import os, time
    import dagster as dg
    from fx_assets.errors import DataError

    days = dg.StaticPartitionsDefinition(["a", "b", "c"])

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def numbers(context) -> None:
        print("a library that prints")

    @dg.asset(check_specs=[dg.AssetCheckSpec("positive", asset="checked")])
    def checked():
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="positive", passed=False)])

    @dg.asset
    def broken():
        raise DataError("prices.csv: row 7: high is below low. Mend the row.")

    @dg.asset
    def defect():
        return 1 / 0

    @dg.asset
    def dies():
        os._exit(9)

    @dg.asset(pool="heavy")
    def endless():
        time.sleep(600)

    @dg.asset
    def slow():
        time.sleep(300)

    def noted(name, seconds):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{name} {os.getpid()} {time.time()}\\n")
            notes.flush()
            time.sleep(seconds)
            notes.write(f"{name} {os.getpid()} {time.time()}\\n")

    @dg.asset(pool="heavy")
    def one_at_a_time():
        noted("one_at_a_time", 1.5)

    @dg.asset(pool="api")
    def two_at_a_time():
        noted("two_at_a_time", 4)

    def build_definitions():
        assets = [numbers, checked, broken, defect, dies, endless, slow, one_at_a_time, two_at_a_time]
        return dg.Definitions(assets, executor=dg.in_process_executor)
""")


class Runs:
    """Executes plans of LOCATION on an instance below one folder; returns run ids and events."""

    def __init__(self, folder: Path):
        self.home = folder / "home"
        self.log = folder / "logs" / "runs.log"
        self.notes = folder / "notes"
        self.variables = {**environment(self.home, load_configuration()), "NOTES": str(self.notes)}
        (folder / f"{NAME}.py").write_text(LOCATION)
        with self.instance() as instance:  # makes its files, before several processes open them
            instance.get_runs(limit=1)
            instance.get_latest_materialization_event(dg.AssetKey("none"))
            instance.all_instigator_state()

    def __call__(self, *plans: PlannedRun) -> tuple[list[str], list[RunEvent]]:
        events: list[RunEvent] = []
        return execute_plan(plans, self.variables, self.log, events.append), events

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(self.variables["DAGSTER_HOME"])

    def statuses(self) -> list[dg.DagsterRunStatus]:
        with self.instance() as instance:
            return [run.status for run in instance.get_runs()]


def plan(*assets: str, **more) -> PlannedRun:
    return PlannedRun(assets=list(assets), location=NAME, **more)


def on_path(folder: Path, root: Path) -> str:
    """PYTHONPATH with which a child finds the location."""
    return os.pathsep.join([str(folder), str(root)])
