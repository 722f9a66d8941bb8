"""fx trace: from a prediction or a model version back to its sources, every hash verified."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console


@plain_errors
def trace(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTION_ID|MODEL/VERSION", help="An answer's prediction_id, or such as move_60m/3, /champion."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the chain as JSON, every bronze file named.")] = False,
    files: Annotated[bool, typer.Option("--files", help="Also list the bronze files.")] = False,
    home: Home = None,
) -> None:
    """Show and verify where a prediction or a model comes from.

    The chain: prediction, slot and rollout, features, model version, training
    set, gold, silver, bronze files and who answered them. Each link is
    verified against the stores of the home; nothing is fetched and no service
    is needed. The exit code is 1 when a link does not hold.

    Example:  fx trace move_60m/champion
    """
    import msgspec
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from fx_assets.configuration import load_configuration
    from fx_assets.lake import Lake, lake_root
    from fx_assets.stack.environment import use_replay_clock
    from fx_assets.trace.chain import trace as verify
    from fx_serving.client.home import Stores

    folder = use_home(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    lake = Lake(lake_root(folder, configuration.data.storage))
    console = wide_console()
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done)

        found = verify(Stores(folder), lake, configuration, subject, progress)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found.as_json()), indent=2).decode())
    else:
        _print(console, found)
        if files:
            for path in found.links[-1].facts["paths"]:
                typer.echo(f"{lake.url}/{path}")
    if found.broken:
        typer.secho(f"{subject}: the chain is broken at {', '.join(found.broken)}", fg="red", err=True)
        raise typer.Exit(1)
    if not as_json:
        typer.secho(f"{subject}: every link holds, down to the sources", fg="green")


def _print(console: Any, found: Any) -> None:
    """One line for each link, and below it why it does not hold."""
    for link in found.links:
        mark = "ok    " if link.ok else "BROKEN"
        console.print(f"{mark}  {link.name:<16}  {link.words}", highlight=False, markup=False, soft_wrap=True)
        for problem in link.told():
            console.print(f"{'':26}{problem}", style="red", highlight=False, markup=False, soft_wrap=True)
