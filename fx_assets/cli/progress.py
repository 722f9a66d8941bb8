"""Progress bars for runs, moved by what the runs report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fx_assets.cli.common import duration, plural, wide_console
from fx_assets.runs.plan import PlannedRun, RunEvent

if TYPE_CHECKING:
    from fx_assets.runs.backfill.cut import Range
    from fx_assets.runs.backfill.estimate import Estimator


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


class BackfillProgress:
    """One bar over all runs of a backfill: partitions, rows, and the time that is left by the estimate's shares."""

    def __init__(self, estimator: Estimator):
        self.console = wide_console()
        self.estimator = estimator
        self.rows = 0
        self.bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:>14,} rows"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
        )

    def __enter__(self) -> BackfillProgress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def follow(self, parts: Sequence[Range]) -> Callable[[RunEvent], None]:
        """A callback for execute_plan with a bar over all of `parts`; checks that were not passed are printed."""
        total = sum(part.partitions for part in parts)
        bar = self.bars.add_task("starting", total=total, rows=self.rows, left="")
        shares = [{t: self.estimator.step(t, part.sessions) / part.sessions for t in part.tables} for part in parts]
        runs = [self.estimator.run(part) for part in parts]
        began = time.monotonic()
        done = [0.0] * len(parts)  # expected seconds of what each run has made

        def on_event(event: RunEvent) -> None:
            if event.kind == "materialized" and event.asset in shares[event.run]:
                done[event.run] += shares[event.run][event.asset]
                self.rows += event.rows or 0
                self.bars.update(bar, advance=1, description=event.asset, rows=self.rows)
            elif event.kind == "check_failed":
                self.console.print(f"check not passed: {event.text}", style="yellow", highlight=False)
            elif event.kind == "finished":
                done[event.run] = runs[event.run]
                self._tell(parts[event.run], event)
            left = time_left(sum(done), sum(runs), time.monotonic() - began)
            failed = event.kind == "finished" and not event.ok
            self.bars.update(bar, left="failed" if failed else "" if left is None else f"{duration(left)} left")

        return on_event

    def _tell(self, part: Range, event: RunEvent) -> None:
        if not self.console.is_terminal and event.ok:
            what = f"{part.first} to {part.last}: {plural(part.partitions, 'partition')}"
            tables = part.tables[0] if len(part.tables) == 1 else f"{len(part.tables)} tables"
            self.console.print(f"{what} of {tables} in {duration(event.seconds or 0.0)}", highlight=False)


def time_left(done: float, total: float, elapsed: float) -> float | None:
    """Seconds left when `done` of `total` expected seconds took `elapsed` ones; None before anything is done."""
    return (total - done) * elapsed / done if done > 0 else None


def _sessions(plan: PlannedRun) -> int:
    """How many sessions a plan covers: weekdays between its ends, as sessions are."""
    if plan.first is None or plan.last is None:
        return 1
    from datetime import date, timedelta

    first, last = date.fromisoformat(plan.first), date.fromisoformat(plan.last)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return sum(day.weekday() not in (4, 5) for day in days)
