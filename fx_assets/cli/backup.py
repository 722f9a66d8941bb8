"""fx backup and fx restore: a home to any URL while it runs, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from fx_assets.cli.common import Home, plain_errors, plural, size, use_home, wide_console

if TYPE_CHECKING:
    from fx_assets.backup.kept import Backups

Where = Annotated[
    str, typer.Argument(help="A folder on another disk, or an fsspec URL such as s3://bucket/fx.", metavar="URL")
]
Which = Annotated[
    str | None, typer.Option("--backup", help="The backup's id, as `fx backup list` shows it. Default: the newest.")
]


class _RunByDefault(TyperGroup):
    """`fx backup URL` is short for `fx backup run URL`."""

    default = "run"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Back up a whole home (lake, databases, registry, models, state of the service) while it runs.\n\n"
    "fx backup URL  makes one;  fx restore URL  brings it back into an empty home.\n\n"
    "Unchanged files are kept once, however many backups there are. What is not in one: docs/backup.md.",
)


@app.command("run")
@plain_errors
def run(
    url: Where,
    keep: Annotated[
        int | None, typer.Option("--keep", help="Afterwards remove all backups but this many, the newest.", min=1)
    ] = None,
    home: Home = None,
) -> None:
    """Make a backup, beside a running `fx up` or without it. The word `run` may be left out.

    Killed half-way it is no backup, and the next one goes on from there. One URL is for one home.

    Examples:

      fx backup /mnt/other/fx

      fx backup s3://bucket/fx --keep 14
    """
    from fx_assets.backup.home import Listing
    from fx_assets.backup.make import make
    from fx_assets.configuration import load_configuration
    from fx_assets.lake import lake_root
    from fx_assets.storage import open_store
    from fx_serving.client.home import Stores

    folder, backups = use_home(home), _backups(url)
    root = lake_root(folder, load_configuration().data.storage)
    lake = None if root == Stores(folder).lake else open_store(root)
    with _bar("backing up", Listing(folder, lake=lake is None).size()) as moved:
        made = make(folder, backups, lake, moved, keep)
    files, new = plural(len(made.manifest.files), "file"), size(made.added)
    typer.secho(f"backup {made.manifest.id}: {files}, {size(made.manifest.bytes)}, {new} of them new", fg="green")
    if made.removed:
        typer.echo(f"removed: {', '.join(made.removed)}")


@app.command("list")
@plain_errors
def list_(url: Where) -> None:
    """The backups at a URL, oldest first, and what is wrong with one.

    Example:  fx backup list s3://bucket/fx
    """
    from rich.table import Table

    table = Table("backup", "files", "size", "made by version", "state")
    for kept in _backups(url).all():
        if (manifest := kept.manifest) is not None:
            what = f"{len(manifest.files):,}", size(manifest.bytes), manifest.version
            table.add_row(kept.id, *what, "finished")
        else:
            table.add_row(kept.id, "-", "-", "-", kept.damaged or "not finished: running, or interrupted")
    wide_console().print(table)


@app.command("verify")
@plain_errors
def verify(url: Where, backup: Which = None) -> None:
    """Read every piece of every backup (or of one) and hold it against its hash. Ends with 1 where one is damaged.

    Example:  fx backup verify s3://bucket/fx
    """
    from fx_assets.errors import StoreError

    backups = _backups(url)
    every = backups.all()
    manifests = [kept.manifest for kept in every if kept.manifest is not None]
    problems = [kept.damaged for kept in every if kept.damaged]
    if backup or not (manifests or problems):
        manifests, problems = [backups.get(backup)], []
    needed = set().union(*(manifest.objects for manifest in manifests))
    with _bar("verifying", len(needed), bytes_=False) as seen:
        problems += backups.verify(manifests, seen)
    if problems:
        raise StoreError("\n".join(problems))
    typer.secho(f"{plural(len(manifests), 'backup')}, {plural(len(needed), 'piece')}: all whole", fg="green")


@plain_errors
def restore(url: Where, backup: Which = None, home: Home = None) -> None:
    """Bring a backup back into an empty home; every byte is verified before the home appears.

    Refused where the home holds anything. A damaged piece is named, and nothing is restored.

    Examples:

      fx restore s3://bucket/fx

      fx restore /mnt/other/fx --backup 20261122T020000000000Z --home /srv/fx
    """
    from fx_assets.backup.restore import restore as bring_back

    folder, backups = use_home(home), _backups(url)
    manifest = backups.get(backup)
    with _bar("restoring", manifest.bytes) as moved:
        bring_back(backups.store, manifest, folder, moved)
    typer.secho(f"{folder}: {plural(len(manifest.files), 'file')} of backup {manifest.id}, verified", fg="green")
    if manifest.lake is not None:
        typer.secho(
            f"data.yaml: storage.lake: its tables were in {manifest.lake} and are in {folder / 'lake'} now; leave the "
            "key out, or copy them to where it shall point.",
            fg="yellow",
        )


def _backups(url: str) -> Backups:
    from pathlib import Path

    from fx_assets.backup.kept import Backups
    from fx_assets.storage import open_store

    return Backups(open_store(url if "://" in url else Path(url).expanduser().resolve()))


@contextmanager
def _bar(title: str, total: int, bytes_: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields what moves it."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if bytes_ else MofNCompleteColumn()
    console = wide_console()
    with Progress(
        TextColumn("{task.description}"),
        *(BarColumn(), amount, TimeRemainingColumn()),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task(title, total=total)
        yield lambda count: bars.advance(task, count)
