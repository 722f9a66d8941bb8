"""fx automation: everything that runs by itself, what its ticks came to, switching it on and off, and the clean-up."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home

if TYPE_CHECKING:
    from fx_assets.automation.switches import Standing
    from fx_assets.configuration import Configuration

app = typer.Typer(
    help="Everything that runs by itself: list it, ask why it ran or did not, switch it on and off, and clean up.",
    invoke_without_command=True,
)
# What a terminal of so many columns has room for; `show` tells the rest.
WIDE, NARROW = 172, 120
Named = Annotated[str, typer.Argument(help="A row of automation.yaml.", metavar="NAME")]


@app.callback()
@plain_errors
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: Home = None,
) -> None:
    """List every row of automation.yaml: when it runs, its next tick, its last run, and whether it is on.

    Example:  fx automation
    """
    folder = use_home(home)
    if context.invoked_subcommand is not None:
        return
    from fx_assets.automation.switches import standings
    from fx_assets.configuration import load_configuration

    configuration = load_configuration()
    found = standings(configuration, _instance(folder, configuration), datetime.now(UTC))
    if as_json:
        _print_json([_as_json(standing) for standing in found])
        return
    _print_table(found)
    typer.echo(
        f"training cadence: {configuration.automation.training_cadence}"
        f" (another: training_cadence in {folder / 'config' / 'automation.yaml'}, then start fx up again)\n"
        "`fx automation show ROW` says what a row does, and why it ran or did not"
    )


def _print_table(found: list[Standing]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE + 8)
    headings = ["row", "last run (UTC)", "state"]
    if console.width >= NARROW:
        headings[1:1] = ["when", "next (New York)"]
    if console.width >= WIDE:
        headings += ["owner", "SLA", "pool"]
    table = Table(box=box.HEAVY_HEAD if console.width >= NARROW else box.SIMPLE_HEAD, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, no_wrap=heading not in ("when", "state"))
    for standing in found:
        style = "dim" if not standing.state.startswith(("on", "part")) else None
        facts = _facts(standing)
        table.add_row(*(facts[heading] for heading in headings), style=style)
    console.print(table)


def _facts(standing: Standing) -> dict[str, str]:
    """A row's cells, by heading."""
    from fx_assets.sessions import NEW_YORK

    row = standing.row
    tick = standing.next_tick
    return {
        "row": standing.name,
        "when": row.when + (", market hours" if row.market_hours else ""),
        "next (New York)": f"{tick.astimezone(NEW_YORK):%a %m-%d %H:%M}" if tick else "-",
        "last run (UTC)": f"{standing.last_at:%m-%d %H:%M} {standing.last}" if standing.last_at else "-",
        "state": standing.state,
        "owner": row.owner,
        "SLA": f"{row.sla_minutes:g} min" if row.sla_minutes else "-",
        "pool": row.pool or "-",
    }


def _as_json(standing: Standing) -> dict[str, Any]:
    row = standing.row
    kept = {name: getattr(row, name) for name in ("does", "job", "sensor", "owner", "sla_minutes", "done_by", "pool")}
    moments = {"next_tick": standing.next_tick, "last_at": standing.last_at, "last": standing.last or None}
    return {"row": standing.name, "state": standing.state, "when": row.when, **moments, **kept}


def _print_json(found: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(found))


@app.command()
@plain_errors
def show(
    name: Named,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: Home = None,
) -> None:
    """Show one row, and what its newest ticks came to: the runs asked for, or the reason why there was none.

    Why was nothing retrained?  fx automation show weekly_train
                                fx automation show retrain_on_drift
    """
    from fx_assets.automation.switches import instigators, standings
    from fx_assets.automation.ticks import newest_ticks
    from fx_assets.cli.common import wide_console
    from fx_assets.configuration import load_configuration

    folder = use_home(home)
    configuration = load_configuration()
    names = instigators(configuration, configuration.automation.row(name).part_of or name)
    instance = _instance(folder, configuration)
    (standing,) = (one for one in standings(configuration, instance, datetime.now(UTC)) if one.name == name)
    told = newest_ticks(instance, names, limit)[:limit] if instance else []
    if as_json:
        _print_json({**_as_json(standing), "ticks": told})
        return
    console, facts = wide_console(), _facts(standing)
    lines = [f"{name}: {standing.row.does}", *(f"  {heading}: {facts[heading]}" for heading in list(facts)[1:])]
    lines += [f"  runs: {'sensor ' + standing.row.sensor if standing.row.sensor else f'job {standing.row.job}'}"]
    lines += ["newest ticks (UTC), of ticks that came to the same the first and the last:"] if told else ["no tick yet"]
    for one in told:
        span = f"{one.last:%m-%d %H:%M:%S}" if one.ticks == 1 else f"{one.first:%m-%d %H:%M} to {one.last:%m-%d %H:%M}"
        which = f" {one.name}" if len(names) > 1 else ""
        times = f" ({one.ticks}x)" if one.ticks > 1 else ""
        lines.append(f"  {span}{times}{which} {one.came_to}: {one.why}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
@plain_errors
def on(name: Named, home: Home = None) -> None:
    """Switch a row on, until it is switched off again.

    Example:  fx automation on drift
    """
    _switch(name, home, on=True)


@app.command()
@plain_errors
def off(name: Named, home: Home = None) -> None:
    """Switch a row off, until it is switched on again; a platform that runs heeds it at its next tick.

    Example:  fx automation off weekly_train
    """
    _switch(name, home, on=False)


@app.command("clean-up")
@plain_errors
def clean_up(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    home: Home = None,
) -> None:
    """Remove old reports, logs and run output, training rows of old versions, and stale temporaries. Never bronze.

    Example:  fx automation clean-up --dry-run
    """
    from fx_assets.automation.clean_up import prune_models
    from fx_assets.automation.leftovers import leftovers, remove
    from fx_assets.configuration import load_configuration
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    configuration = load_configuration()
    settings = configuration.automation.clean_up
    instance = _instance(stores.home, configuration)
    known = instance.has_run if instance else (lambda run_id: True)
    found = leftovers(stores, settings, datetime.now(UTC), known)
    problems = [] if dry_run else remove(found)
    for leftover in found:
        typer.echo(f"  {leftover.kind}: {leftover.path} ({leftover.bytes / 1e6:.1f} MB, {leftover.age.days} days)")
    rows, freed, troubles = prune_models(stores, list(configuration.models.models), settings.keep_versions, dry_run)
    for line in rows.splitlines():
        typer.echo(f"  {line.strip('| ')}")
    what = "would be removed" if dry_run else "removed"
    total = (sum(leftover.bytes for leftover in found) + freed) / 1e6
    typer.echo(f"{len(found)} files and folders {what}, {total:.1f} MB")
    for problem in (*problems, *troubles):
        typer.secho(problem, fg="red", err=True)
    if problems:
        raise typer.Exit(1)


def _switch(name: str, home: Path | None, *, on: bool) -> None:
    from fx_assets.automation.switches import instigators, switch
    from fx_assets.configuration import load_configuration
    from fx_assets.errors import ConfigError
    from fx_assets.stack.environment import WORKSPACE, dagster_home

    folder = use_home(home)
    configuration = load_configuration()
    names = instigators(configuration, name)
    if why := _not_here(folder, configuration, name):
        raise ConfigError(f"'{name}' cannot be switched: {why}")
    dagster_home(folder)
    instance = _instance(folder, configuration)
    missing = switch(WORKSPACE, instance, names, on)
    if len(missing) == len(names):
        raise ConfigError(f"'{name}' cannot be switched: no code location has {', '.join(names)}.")
    switched = ", ".join(sorted(set(names) - set(missing)))
    typer.echo(f"{name} is {'on' if on else 'off'}" + (f": {switched}" if switched != name else ""))


def _not_here(folder: Path, configuration: Configuration, name: str) -> str | None:
    """Why this home has no such schedule or sensor, and what would give it one; None where it has."""
    from fx_assets.automation.switches import absent

    table, row = configuration.automation, configuration.automation.row(name)
    if row.profile not in (None, table.training_cadence):
        return (
            f"the training cadence is {table.training_cadence}. Write `training_cadence: {row.profile}` into"
            f" {folder / 'config' / 'automation.yaml'}, and start fx up again."
        )
    why = absent(configuration, name)
    return f"{why} (docs/automation.md)." if why else None


def _instance(folder: Path, configuration: Configuration) -> Any:
    """Dagster's instance of a home; None where nothing has run yet."""
    if not (folder / "dagster").is_dir():
        return None
    from fx_assets.stack.environment import environment

    os.environ.update(environment(folder, configuration))
    from fx_assets.stack.initialise import open_instance

    return open_instance()
