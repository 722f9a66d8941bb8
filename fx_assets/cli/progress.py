"""Progress bars for runs: one bar for each plan, moved by what the run reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

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

    def follow(
        self, plans: Mapping[str, PlannedRun], then: Callable[[RunEvent], None] = lambda event: None
    ) -> Callable[[RunEvent], None]:
        """A callback for execute_plan with a bar for each of `plans`, by title and in the order they are executed.

        The bars count materializations; checks that were not passed are printed. `then` gets every event afterwards.
        """
        titles = list(plans)
        bars: dict[int, TaskID] = {}

        def on_event(event: RunEvent) -> None:
            title = titles[event.run]
            if event.kind == "started":
                plan = plans[title]
                bars[event.run] = self.bars.add_task(title, total=len(plan.assets) * _sessions(plan))
            elif event.kind == "materialized":
                self.bars.update(bars[event.run], advance=1, description=f"{title}: {event.asset}")
            elif event.kind == "check_failed":
                self.console.print(f"check not passed: {event.text}", style="yellow", highlight=False)
            elif event.kind == "finished" and event.ok:
                self._finish(title, bars[event.run])
            then(event)

        return on_event

    def _finish(self, title: str, bar: TaskID) -> None:
        """A rejected model's later steps are not made: what was made is all there is."""
        done = next(task.completed for task in self.bars.tasks if task.id == bar)
        self.bars.update(bar, description=title, total=done)
        if not self.console.is_terminal:
            self.console.print(f"{title}: {done:.0f} materializations", highlight=False)


def _sessions(plan: PlannedRun) -> int:
    """How many sessions a plan covers: weekdays between its ends, as sessions are."""
    if plan.first is None or plan.last is None:
        return 1
    from datetime import date, timedelta

    first, last = date.fromisoformat(plan.first), date.fromisoformat(plan.last)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return sum(day.weekday() not in (4, 5) for day in days)
