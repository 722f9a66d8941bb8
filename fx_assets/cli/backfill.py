"""fx backfill: fetch and make what is missing or outdated."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.cli.common import Home, duration, interrupt_on_signals, plain_errors, plural, size, use_home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.table import Table

    from fx_assets.configuration import Configuration
    from fx_assets.runs.backfill.drive import Backfill, Outcome, Plan
    from fx_assets.runs.backfill.work import Work
    from fx_assets.runs.plan import Runner

LAYERS = ("bronze", "silver", "gold")


@plain_errors
def backfill(
    first: Annotated[
        str | None,
        typer.Option("--from", help="First session (YYYY-MM-DD). Default: the first there is.", metavar="DATE"),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last session, included. Default: the running one.", metavar="DATE")
    ] = None,
    tables: Annotated[
        str,
        typer.Option(help="Only these tables or layers, by commas, and what they are made of.", metavar="TABLE,..."),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Make everything in the range again; fetch bronze again.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=16,
            help="How many runs at once, each with 1 to 2 GB. Default: 2 for what takes minutes, where there is room.",
            show_default=False,
        ),
    ] = None,
    launch: Annotated[
        str | None,
        typer.Option(
            help="Dagster's webserver, whose launcher starts each run (in a container of its own, for one).",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    home: Home = None,
) -> None:
    """Fetch and make what is missing or outdated, from bronze to the feature store.

    Says what it will do and about how long it takes, then does it in few runs. Stopped by Ctrl-C or killed, it loses
    the work of the runs under way at most: call it again and it goes on. After an edit of instruments.yaml it fetches
    just what is new.

    Ends with 0 when everything was made or nothing was to do, with 1 when something could not be made (the rest is
    made all the same), with 130 when it was interrupted.

    Example:  fx backfill

    Example:  fx backfill --from 2022-02-01 --to 2022-03-03 --dry-run

    Example:  fx backfill --launch http://webserver:3000 --processes 4
    """
    from fx_assets.cli.progress import BackfillProgress
    from fx_assets.configuration import load_configuration
    from fx_assets.runs.backfill.drive import Backfill, only_one
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client.clock import now

    interrupt_on_signals()
    folder = use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    wanted = [name.strip() for name in tables.split(",") if name.strip()]
    task = Backfill(folder, configuration, now(), first, last, wanted, force, processes)
    try:
        with contextlib.ExitStack() as held:
            if not dry_run:  # before anything is planned, so that nobody else makes it meanwhile
                held.enter_context(only_one(folder))
            runner = held.enter_context(_launched(launch, dry_run) if launch else _process(folder, configuration))
            uncounted = _copy_files(task, runner, dry_run)
            plan = task.plan()
            _show_plan(plan, uncounted)
            if dry_run or (not plan.parts and not plan.online):
                return
            with BackfillProgress(task.estimator) as progress:
                outcome = task.carry_out(plan, runner, progress.follow)
                if plan.online:
                    task.make_online(runner, outcome)
    except KeyboardInterrupt:
        typer.secho("stopped. What was made stays; `fx backfill` goes on from there.", fg="yellow", err=True)
        raise typer.Exit(130) from None
    _show_outcome(outcome)
    if not outcome.complete:
        raise typer.Exit(1)


def _process(home: Path, configuration: Configuration) -> Runner:
    """Runs in processes of this one's."""
    from fx_assets.runs.start import RunProcess
    from fx_assets.stack.environment import environment

    return RunProcess(environment(home, configuration), home / "logs" / "backfill.log")


def _launched(url: str, dry_run: bool) -> Runner:
    """Runs that the webserver at this address is asked for. Those of a killed call go on without it: their end is
    awaited, since what they make is not to be planned again.
    """
    import httpx

    from fx_assets.runs.launched import LaunchedRuns, Webserver

    def tell(run_ids: Sequence[str]) -> None:
        words = f"waiting for {plural(len(run_ids), 'run')} of a call that was ended before them: {', '.join(run_ids)}"
        typer.secho(words, fg="yellow", err=True)

    runner = LaunchedRuns(Webserver(httpx.Client(base_url=url, timeout=30, trust_env=False)))
    if not dry_run:
        runner.await_earlier("backfill", tell)
    return runner


def _copy_files(task: Backfill, runner: Runner, dry_run: bool) -> bool:
    """Copy the reference files that have changed, before the plan: what they change is then due.

    Returns whether a dry run left any: what they change is not in its plan.
    """
    changed, unread = task.changed_files()
    for words in unread:
        typer.secho(words, fg="yellow", err=True)
    if changed and dry_run:
        typer.echo(
            f"{', '.join(changed)}: the file has changed; it is copied first, and what it changes is made "
            "again, which the figures below leave out"
        )
    elif changed and (trouble := task.copy_files(changed, runner)):
        typer.secho(f"{trouble} The copy before it stays in use.", fg="yellow", err=True)
    return bool(changed) and dry_run


def _show_plan(plan: Plan, uncounted: bool = False) -> None:
    """uncounted: files have changed, and what they change is not in the plan."""
    from fx_assets.cli.common import wide_console

    work, console = plan.work, wide_console()
    console.print(_table(work))
    for line in problem_lines(work):
        console.print(line, style="yellow", highlight=False)
    if not plan.parts:
        what = (
            "only the feature store is behind"
            if plan.online
            else "nothing else to do"
            if uncounted
            else "nothing to do"
        )
        console.print(f"sessions {work.sessions[0]} to {work.sessions[-1]}: {what}", style="green", highlight=False)
        return
    estimate = plan.estimate
    basis = (
        "by what earlier runs of this home took"
        if estimate.measured > 0.5
        else "a rough guess: little has been measured in this home yet"
    )
    what = f"{plural(plan.partitions, 'partition')} in {plural(len(plan.parts), 'run')}"
    what += f", {plan.processes} at once" if plan.processes > 1 else ""
    console.print(
        f"{what}: about {duration(estimate.seconds)} ({basis}), up to {size(estimate.size)} of disk",
        highlight=False,
    )


def _table(work: Work) -> Table:
    """Partitions by layer and state."""
    from rich.table import Table

    table = Table("layer", *("missing", "outdated", "up to date", "blocked"), title_justify="left")
    table.title = f"{len(work.sessions)} sessions, {work.sessions[0]} to {work.sessions[-1]}"
    for layer in LAYERS:
        names = [name for name in work.tables if name.startswith(f"{layer}/")]
        if not names:
            continue
        due = sum(int(work.due[name].sum()) for name in names)
        missing = sum(int(work.missing[name].sum()) for name in names)
        blocked = sum(int((work.refused[name] | work.blocked[name]).sum()) for name in names)
        fine = len(names) * len(work.sessions) - due - blocked
        table.add_row(layer, *(f"{n:,}" for n in (missing, due - missing, fine, blocked)))
    return table


def problem_lines(work: Work) -> list[str]:
    """Which partitions nothing is built on, and the remedy."""
    from fx_assets.quality.held import in_words

    lines = []
    for table in work.tables:
        if keys := [key for key in work.keys(work.refused[table]) if table != "silver/candles" or key not in work.held]:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            lines.append(
                f"{table}: {', '.join(keys[:5])}{more}: has problems (see its checks), and nothing is built on it; "
                f"{plural(work.count(work.blocked), 'partition')} waiting. It is made again when its fetches change: "
                f"`fx backfill --force --from {keys[0]} --to {keys[-1]}` fetches them again."
            )
    if work.held:
        lines.append(in_words(work.held))
    return lines


def _show_outcome(outcome: Outcome) -> None:
    done = f"made {plural(sum(outcome.made.values()), 'partition')} of {plural(len(outcome.made), 'table')}"
    if outcome.complete:
        typer.secho(f"{done}. Look: fx up, or fx status", fg="green")
    else:
        typer.secho(f"{done}; {plural(len(outcome.failures), 'run')} failed:", fg="yellow")
    for failure in outcome.failures:
        again = "made at a second attempt: " if outcome.complete else ""
        typer.secho(again + failure, fg="yellow" if outcome.complete else "red", err=True)
    if outcome.left is None:
        return
    for line in problem_lines(outcome.left):
        typer.secho(line, fg="yellow", err=True)
    if not outcome.complete:
        left = plural(outcome.left.count(outcome.left.due), "partition")
        typer.secho(f"{left} still to be made. Mend what is said above, then call `fx backfill` again.", err=True)
