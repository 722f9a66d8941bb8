"""fx compare: the tables of another system against those of this one, while both run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_assets.compare.result import TableFound

EQUAL, DIFFERENT, BAD_INPUT = 0, 1, 2


def _bad_input(command: Callable[..., Any]) -> Callable[..., Any]:
    """What cannot be compared ends with 2, so that 1 says that something differs."""
    shown = plain_errors(command)

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            equal = shown(*args, **kwargs)
        except typer.Exit:
            raise typer.Exit(BAD_INPUT) from None
        raise typer.Exit(EQUAL if equal else DIFFERENT)

    return wrapped


@_bad_input
def compare(
    dir_old: Annotated[str, typer.Argument(help="Folder or URL (s3://...) with the other system's tables.")],
    dir_new: Annotated[
        str | None, typer.Argument(help="Folder or URL of the new ones. Default: the home's lake.")
    ] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="OLD=NEW table name; may be repeated.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="YAML file: names, zone, units, tolerances.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table, by its new name; may be repeated.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of times that carry none: Europe/London.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day (UTC) or time with offset.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Last day or time, included. Default: where both have rows.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything found to this file.")] = None,
    home: Home = None,
) -> bool:
    """Compare two systems' tables, row by row and column by column. Reads only.

    Tables are CSV, NDJSON or Parquet (also .gz), single files or partitioned folders, and matched by name. Rows meet by
    time and instrument; figures are equal within 1e-9 of their size. Exit code: 0 equal, 1 different, 2 bad input.

    Example:  fx compare /data/airflow --map features_daily=gold/features --time-zone Europe/London
    """
    from fx_assets.compare.mapping import read_mapping
    from fx_assets.compare.run import Span, compare, moment
    from fx_assets.configuration import load_configuration
    from fx_assets.lake import lake_root
    from fx_assets.schemas import build_schemas
    from fx_assets.storage import open_store
    from fx_serving.client.files import atomic_write

    folder = use_home(home)
    configuration = load_configuration()
    told = read_mapping(mapping, map_ or [], time_zone)
    keys = {name: schema.key for name, schema in build_schemas(configuration).items()}
    new = dir_new or lake_root(folder, configuration.data.storage)
    span = Span(moment("--from", first), moment("--until", until, end=True))
    with _progress() as progress:
        found = compare(open_store(dir_old), open_store(new), told, keys, span, table or (), progress)
    if json is not None:
        import msgspec

        atomic_write(json, msgspec.json.format(msgspec.json.encode(found), indent=2))
    console = wide_console()
    console.print(f"old: {found.old}\nnew: {found.new}", highlight=False, markup=False, soft_wrap=True)
    console.print(_summary(found.tables))
    for each in found.tables:
        for line in _lines(each):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if not all(column.comparable and column.equal == column.rows for column in each.columns):
            console.print(_columns(each))
    if found.only_old:
        typer.echo(
            f"only in old, and so different: {', '.join(found.only_old)} (--map OLD=NEW, or ignore in the mapping)"
        )
    if found.only_new:
        typer.echo(f"only in new, not compared: {', '.join(found.only_new)}")
    typer.echo("equal within tolerance" if found.equal else "different")
    return found.equal


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each table while its files are read, on standard error and only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    shown = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console, disable=not console.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def moved(table: str, read: int, of: int) -> None:
            if table not in tasks:
                tasks[table] = bars.add_task(table, total=of)
            bars.update(tasks[table], completed=read)

        yield moved


def _summary(tables: list[TableFound]) -> Any:
    """A line for each table."""
    from rich.table import Table

    shown = Table("table", "compared (UTC)", "in both", "only old", "only new", "columns equal", "verdict")
    for each in tables:
        span = (
            " to ".join(text[:16].replace("T", " ") for text in each.compared) if each.compared else "nothing in common"
        )
        equal = sum(column.comparable and column.equal == column.rows for column in each.columns)
        counts = (f"{each.both:,}", f"{each.old.only:,}", f"{each.new.only:,}", f"{equal} of {len(each.columns)}")
        shown.add_row(each.name, span, *counts, "[green]equal[/]" if each.equal else "[bold red]different[/]")
    return shown


def _lines(table: TableFound) -> Iterator[str]:
    """What is to be said of a table beside its counts."""
    name = table.name
    if table.old_name != name:
        yield f"{name}: compared with {table.old_name} of the old system"
    for label, side in (("old", table.old), ("new", table.new)):
        if side.outside:
            reach = f"it reaches from {side.first} to {side.last}"
            yield f"{name}: {side.outside:,} rows of {label} lie outside the compared time; {reach}"
        if side.repeated_keys:
            yield f"{name}: {side.repeated_keys:,} rows of {label} repeat a key ({', '.join(table.key)})"
        if side.only:
            examples = "; ".join(", ".join(key.values()) for key in side.only_examples)
            yield f"{name}: {side.only:,} rows only in {label}, the first: {examples}"
    if table.only_old_columns:
        yield f"{name}: columns only in old: {', '.join(table.only_old_columns)} (map or ignore them)"
    if table.only_new_columns:
        yield f"{name}: columns only in new, not compared: {', '.join(table.only_new_columns)}"
    for column in table.columns:
        if not column.comparable:
            yield f"{name}: {column.name}: {column.old_type} in old and {column.new_type} in new cannot be compared"
    for cause in table.causes:
        where = name if cause.column is None else f"{name}: {cause.column}"
        yield f"{where}: {cause.words} ({cause.rows:,} rows)"


def _columns(table: TableFound) -> Any:
    """A line for each column that differs."""
    from rich.table import Table

    shown = Table("column", "equal", "largest", "median", "no value in old", "in new", "types", "example: old / new")
    for column in table.columns:
        if column.comparable and column.equal == column.rows:
            continue
        first = next(iter(column.examples), None)
        example = f"{', '.join(first.key.values())}: {first.old} / {first.new}" if first else ""
        sizes = ("" if value is None else f"{value:.3g}" for value in (column.largest, column.median))
        missing = (f"{column.missing_old:,}", f"{column.missing_new:,}")
        types = column.old_type if column.old_type == column.new_type else f"{column.old_type} / {column.new_type}"
        # Rounded down: only what is wholly equal is shown as 100 %.
        shown.add_row(column.name, f"{int(column.share * 1000) / 10:.1f} %", *sizes, *missing, types, example)
    return shown
