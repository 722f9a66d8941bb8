"""Progress bars for runs: one bar for each plan, moved by what the run reports."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fx_assets.cli.common import wide_console
from fx_assets.runs.plan import PlannedRun, RunEvent


class RunProgress:
    """Bars on the terminal while runs work. Without a terminal it prints a line for each finished run."""

    def __init__(self) -> None:
        self.console = wide_console()
        self.bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )

    def __enter__(self) -> RunProgress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def follow(self, title: str, *plans: PlannedRun) -> Callable[[RunEvent], None]:
        """A callback for execute_plan whose bar counts materializations, events and failed checks of `plans`."""
        total = sum(len(plan.assets) * _sessions(plan) for plan in plans)
        bar = self.bars.add_task(title, total=total)

        def on_event(event: RunEvent) -> None:
            if event.kind == "materialized":
                self.bars.update(bar, advance=1, description=f"{title}: {event.asset}")
            elif event.kind == "check_failed":
                self.console.print(f"check not passed: {event.text}", style="yellow", highlight=False)
            elif event.kind == "finished" and event.ok and event.run == len(plans) - 1:
                done = self.bars.tasks[bar].completed
                self.bars.update(bar, description=title, total=done)
                if not self.console.is_terminal:
                    self.console.print(f"{title}: {done:.0f} materializations", highlight=False)

        return on_event


def _sessions(plan: PlannedRun) -> int:
    """How many sessions a plan covers: weekdays between its ends, as sessions are."""
    if plan.first is None or plan.last is None:
        return 1
    from datetime import date, timedelta

    first, last = date.fromisoformat(plan.first), date.fromisoformat(plan.last)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return sum(day.weekday() not in (4, 5) for day in days)
