"""A backfill from beginning to end: survey, runs, and a new survey when a run has failed. Starts child processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import msgspec
import psutil
from filelock import FileLock, Timeout

from fx_assets.bronze import reference
from fx_assets.bronze.due import ONLY_MISSING
from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.errors import FxError, StoreError
from fx_assets.inputs import BRONZE, reference_tables
from fx_assets.lake import Lake, lake_root
from fx_assets.lineage import Stamp
from fx_assets.quality.held import Held
from fx_assets.runs import side_by_side, steps, timings
from fx_assets.runs.backfill.cut import Range, needs, ranges, spread_out
from fx_assets.runs.backfill.estimate import Estimate, Estimator, processes_for
from fx_assets.runs.backfill.survey import Survey
from fx_assets.runs.backfill.work import Work, with_ancestors
from fx_assets.runs.plan import PlannedRun, RunEvent, Runner
from fx_assets.runs.start import RunFailed
from fx_serving.client.files import atomic_write

FEATURES = "gold/features"
ONLINE_SESSIONS = 8  # the newest sessions of FEATURES, which online_features reads
# In a row. A failed run is followed by a new survey; each that made something leaves fewer to be made, so it ends.
FRUITLESS_ATTEMPTS = 2

Tell = Callable[[RunEvent], None]


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold a home's backfill lock; a killed process gives it back. Raises FxError when another backfill holds it."""
    path = home / "runs" / "backfill.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FxError(f"{home}: another `fx backfill` is at work here. Wait for its end, or stop it.") from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Plan:
    """What a backfill is about to do. online: whether the feature store is brought up to date afterwards. processes:
    how many of the parts are made at once.
    """

    work: Work
    parts: list[Range]
    online: bool
    estimate: Estimate
    processes: int = 1

    @property
    def partitions(self) -> int:
        return sum(part.partitions for part in self.parts)


@dataclass
class Outcome:
    """How it went: materializations by table, how the lake is now, the errors of failed runs, and whether all that
    was planned was made in the end.
    """

    made: dict[str, int] = field(default_factory=dict)
    left: Work | None = None
    failures: list[str] = field(default_factory=list)
    complete: bool = True

    def fail(self, error: RunFailed) -> None:
        """Take note of a failed run; one that failed again for the same reason replaces the first."""
        words = str(error)
        reason = words.partition(" failed. ")[2]
        self.failures = [known for known in self.failures if not reason or reason not in known] + [words]

    def count(self, event: RunEvent) -> None:
        """Take note of a materialization."""
        if event.kind == "materialized" and event.asset:
            self.made[event.asset] = self.made.get(event.asset, 0) + 1


class Backfill:
    """One call of `fx backfill`."""

    def __init__(
        self,
        home: Path,
        configuration: Configuration,
        now: datetime,
        first: str | None = None,
        last: str | None = None,
        tables: Sequence[str] = (),
        force: bool = False,
        processes: int | None = None,
    ):
        """processes: to make runs at once; None lets the work decide."""
        place = lake_root(home, configuration.data.storage)
        self.home = home
        self.force = force
        # With Dask a run has its own workers, and several would only share the cores.
        self.processes = processes or (None if configuration.data.compute.kind == "local" else 1)
        bronze = Bronze(place)
        held = Held(home, bronze, configuration)
        self.survey = Survey(configuration, Lake(place), bronze, now, first, last, tables, held)
        self.estimator = Estimator(timings.read(home), configuration)
        self._given_up: dict[str, set[str]] = {}

    def changed_files(self) -> tuple[list[str], list[str]]:
        """The bronze tables of reference files that are not what was last copied, and what cannot be read, in words.

        Nothing of tables that the backfill does not need. Raises StoreError for a file that was never copied and
        cannot be read.
        """
        survey, changed, unread = self.survey, [], []
        needed = with_ancestors(survey.named, survey.inputs)
        for table in (table for table in reference_tables(survey.configuration) if table in needed):
            try:
                given = reference.fetch(survey.configuration, table.removeprefix(BRONZE))
            except StoreError as error:
                if reference.newest(survey.bronze, table) is None:
                    raise
                unread.append(str(error))
                continue
            if reference.is_new(survey.bronze, given):
                changed.append(table)
        return changed, unread

    def copy_files(self, tables: Sequence[str], runner: Runner) -> str:
        """Copy reference files; returns what went wrong, in words. The copies before them then stay in use.

        Raises RunFailed where there is none of them yet: nothing could be made of it.
        """
        try:
            runner.execute([steps.reference_run(list(tables))], lambda event: None)
        except RunFailed as error:
            if any(reference.newest(self.survey.bronze, table) is None for table in tables):
                raise
            return str(error)
        return ""

    def plan(self) -> Plan:
        """What is due now, as runs."""
        found = self.survey.work(self._given_up, self.force)
        parts = ranges(found, self.survey.inputs, self.estimator.longest)
        serves = FEATURES in self.survey.named
        changes = any(FEATURES in part.tables for part in parts)
        online = serves and (changes or self._online_is_behind())
        estimate = self.estimator.total(parts, online)
        at_once = self.processes or processes_for(
            estimate.seconds, os.cpu_count() or 1, psutil.virtual_memory().available
        )
        if at_once > 1:
            sessions = sum(any(row[n] for row in found.due.values()) for n in range(len(found.sessions)))
            parts = spread_out(
                found, self.survey.inputs, lambda tables: self.estimator.share(tables, sessions, at_once)
            )
            estimate = self.estimator.total(parts, online, at_once)
        return Plan(found, parts, online, estimate, at_once)

    def planned(self, part: Range) -> PlannedRun:
        """A range as a Dagster run."""
        tags = {"fx/command": "backfill"} if self.force else {"fx/command": "backfill", ONLY_MISSING: "true"}
        return PlannedRun(assets=list(part.tables), first=part.first, last=part.last, tags=tags)

    def carry_out(self, plan: Plan, runner: Runner, follow: Callable[[Sequence[Range]], Tell]) -> Outcome:
        """Execute a plan; after a failed run, go on with what does not depend on it. Further runners are like the
        first.

        follow(parts) gives the callback for the events of those runs. Ctrl-C passes through: what was made stays.
        """
        outcome, first = Outcome(), plan
        fruitless = 0
        while plan.parts and fruitless < FRUITLESS_ATTEMPTS:
            tell = follow(plan.parts)
            done: set[int] = set()

            def note(event: RunEvent, tell: Tell = tell, done: set[int] = done) -> None:
                outcome.count(event)
                if event.kind == "finished" and event.ok:
                    done.add(event.run)
                tell(event)

            with contextlib.ExitStack() as opened:
                more = [opened.enter_context(runner.another()) for _ in range(plan.processes - 1)]
                order = needs(plan.parts, self.survey.calendar, self.survey.inputs) if more else []
                runs = [self.planned(part) for part in plan.parts]
                failed = side_by_side.execute(runs, order, [runner, *more], note)
            for error in failed.values():
                outcome.fail(error)
            if not failed:
                plan = replace(plan, parts=[])
                continue
            plan, progress = self._after_failure(plan, done, failed)
            fruitless = 0 if progress else fruitless + 1
        outcome.left = self.survey.work()
        found_bad = outcome.left.count(outcome.left.blocked) > first.work.count(first.work.blocked)
        if outcome.failures:
            outcome.complete = not (plan.parts or self._given_up or found_bad or self.force)
        return outcome

    def make_online(self, runner: Runner, outcome: Outcome) -> None:
        """Bring the feature store up to date, and note with which features."""
        newest = self._newest_features()
        if not newest:  # every run failed
            return
        try:
            runner.execute([steps.online_run()], outcome.count)
        except RunFailed as error:
            outcome.fail(error)
            outcome.complete = False
        else:
            atomic_write(self._online_note, msgspec.json.encode(newest), durable=False)

    def _after_failure(self, plan: Plan, done: Collection[int], failed: Collection[int]) -> tuple[Plan, bool]:
        """The next plan, and whether the failed one made anything. What did not get any further is not tried again."""
        if self.force:  # everything is due again, what was just made as well: go on behind the run that failed
            left = [part for number, part in enumerate(plan.parts) if number not in {*done, *failed}]
            return replace(plan, parts=left), bool(done)
        after = self.plan()
        progress = after.work.count(after.work.due) < plan.work.count(plan.work.due)
        if not progress:
            self._give_up([plan.parts[number] for number in failed])
            after = self.plan()
        return after, progress

    def _give_up(self, parts: Sequence[Range]) -> None:
        for part in parts:
            for table in part.tables:
                keys = [key for key in self.survey.calendar if part.first <= key <= part.last]
                self._given_up.setdefault(table, set()).update(keys)

    @property
    def _online_note(self) -> Path:
        return self.home / "runs" / "online.json"

    def _newest_features(self) -> dict[str, str]:
        stamps = self.survey.lake.stamps(FEATURES, self.survey.lake.keys(FEATURES)[-ONLINE_SESSIONS:])
        return {key: stamp.content if isinstance(stamp, Stamp) else "" for key, stamp in stamps.items()}

    def _online_is_behind(self) -> bool:
        """Whether the newest features are others than those that the last backfill published."""
        newest = self._newest_features()
        try:
            return bool(newest) and msgspec.json.decode(self._online_note.read_bytes()) != newest
        except (FileNotFoundError, ValueError):
            return bool(newest)
