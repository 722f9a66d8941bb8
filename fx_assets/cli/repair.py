"""fx repair: damaged SQLite files, their verified copies, and putting one in the place of the other."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from fx_assets.cli.common import Home, plain_errors, size, use_home, wide_console

app = typer.Typer(
    help="Find damaged SQLite files, copy sound ones, and restore from the newest verified copy.",
    no_args_is_help=True,
)


@app.command("check")
@plain_errors
def check(home: Home = None) -> None:
    """Read every page of every SQLite file, and list the copies of each. Changes nothing; works beside `fx up`.

    Ends with 1 where a file is damaged.
    """
    from rich.table import Table

    from fx_serving.client import databases
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    table, bad = Table("file", "size", "state", "copies", "newest copy (UTC)"), False
    for name in databases.DATABASES:
        path, kept = stores.home / name, databases.copies(stores, name)
        if not path.is_file() and not kept:
            continue
        why = databases.found(stores, name)
        bad = bad or why is not None
        there = size(path.stat().st_size) if path.is_file() else "-"
        state = f"damaged: {why}" if why else "sound" if path.is_file() else "not there"
        table.add_row(name, there, state, str(len(kept)), _made(kept[-1].stem) if kept else "-")
    wide_console().print(table)
    if bad:
        typer.secho("Stop the platform, then: fx repair run", fg="yellow", err=True)
        raise typer.Exit(1)


def _made(stem: str) -> str:
    """When a copy was made, of its name: 20261121T221354455792-<hash>."""
    return f"{datetime.strptime(stem[:13], '%Y%m%dT%H%M'):%Y-%m-%d %H:%M}"


@app.command("copy")
@plain_errors
def copy(home: Home = None) -> None:
    """Make a verified copy of every file that has changed, as the nightly job does. Works beside `fx up`."""
    from fx_assets.errors import StoreError
    from fx_serving.client import databases
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    made, failures = 0, []
    for name in databases.DATABASES:
        try:
            copied = databases.copy(stores, name)
        except databases.CopyError as error:
            failures.append(str(error))
            continue
        if copied is not None:
            made += 1
            typer.echo(f"{name}: {copied.relative_to(stores.home)}")
    typer.echo(f"{made} copies made; the others are as their newest copy")
    if failures:
        raise StoreError("\n".join(failures))


@app.command("run")
@plain_errors
def run(home: Home = None) -> None:
    """Set damaged files aside and restore each from its newest verified copy, as `fx up` and `fx serve` do at start.

    Refused while a process has one of them open. Nothing is deleted: see `damaged/` below the home.
    """
    from fx_assets.errors import StoreError
    from fx_serving.client import databases
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    damaged = [name for name in databases.DATABASES if databases.found(stores, name)]
    if held := _held(stores.home, damaged):
        raise StoreError("\n".join(held))
    for done in databases.repair(stores, damaged):
        typer.secho(str(done), fg="yellow")
    if not damaged:
        typer.echo("every file is sound")


def _held(home: Path, names: list[str]) -> list[str]:
    """Which of the files a process has open, in words."""
    import psutil

    wanted = {str(home / name): name for name in names}
    found = []
    for process in psutil.process_iter() if wanted else ():
        try:
            held = {wanted[file.path] for file in process.open_files() if file.path in wanted}
        except psutil.Error:
            continue
        found += [f"{name}: process {process.pid} has it open. Stop the platform first." for name in sorted(held)]
    return found
