"""The run launcher of one machine: Dagster's own, with the host that a run works on among its tags (dead.py)."""

import dagster as dg
from dagster._core.launcher.base import LaunchRunContext

from fx_assets.runs.dead import process_tags


class HostRunLauncher(dg.DefaultRunLauncher):
    """Runs are processes of the code servers. deploy/dagster.yaml names this class (run_launcher)."""

    def launch_run(self, context: LaunchRunContext) -> None:
        # Before it starts: a process can be killed at once, and its run must be known as one of this host even then.
        self._instance.add_run_tags(context.dagster_run.run_id, process_tags())
        super().launch_run(context)
