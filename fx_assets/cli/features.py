"""fx features: the feature table of any candle file, and the list of all features, without Dagster or a home."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import plain_errors, plural, wide_console

# What features need that is no column of the file, and how to give it.
BESIDE = {
    "others": "no other pair with one of its currencies (--instrument, --other SYMBOL=FILE)",
    "triangle": "no two other pairs that make the same cross (--instrument, --other SYMBOL=FILE twice)",
    "economic": "no release calendar (--economic FILE)",
    "rates": "no policy rates (--rates FILE)",
}


@plain_errors
def features(
    file: Annotated[
        Path | None, typer.Argument(help="Candles of one instrument: CSV, Parquet or NDJSON, also .gz.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the table: .csv, .parquet or .ndjson, also .gz.")
    ] = None,
    instrument: Annotated[
        str, typer.Option(help="Symbol of FILE, such as EUR_USD: adds a column with it, and tells its currencies.")
    ] = "",
    other: Annotated[
        list[str] | None,
        typer.Option(help="SYMBOL=FILE, candles of another instrument, of the same bar length. Repeatable."),
    ] = None,
    economic: Annotated[
        Path | None,
        typer.Option(help="Release calendar: time, currency, event, impact (1-3); available_at, actual, forecast."),
    ] = None,
    rates: Annotated[Path | None, typer.Option(help="Policy rates: available_at, currency, rate in percent.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group of features. Repeatable.")] = None,
    minutes: Annotated[
        int, typer.Option(help="Length of a bar. Default: the commonest distance between the times of FILE.", min=0)
    ] = 0,
    listed: Annotated[
        bool, typer.Option("--list", help="List the features instead; with FILE, also which of them it allows.")
    ] = False,
) -> None:
    """Compute every market feature of a candle file, or --list them.

    FILE needs columns time (ISO 8601 with offset), open, high, low, close;
    takes volume, bid_close and ask_close. Bars may have any length. Features
    that need a missing column or file are left out; which and why is said.

    A value stands on the bars of its window (--list) and on nothing after its
    own bar: a row is the same however the file is cut. Until the window is
    full it is empty. Features of a bar are known when the bar closes.

    Example:  fx features EURUSD.csv --out features.parquet

    With another pair, for currency strength, correlation and beta:
    add --instrument EUR_USD --other GBP_USD=GBPUSD.csv
    """
    from fx_assets.errors import ConfigError
    from fx_assets.features import GROUPS

    if unknown := [name for name in group or [] if name not in GROUPS]:
        raise ConfigError(f"--group {unknown[0]}: is not one of {', '.join(GROUPS)}.")
    groups = [name for name in GROUPS if not group or name in group]
    if file is None:
        if not listed:
            raise ConfigError("fx features: no candle file is given. Name one, or list the features with --list.")
        _print_list(groups, None)
        return
    if out is None and not listed:
        raise ConfigError(f"{file}: where shall the table go? Add --out features.parquet, or .csv, or .ndjson.")
    if out is not None:
        from fx_assets.frames import frame_format

        frame_format(out)  # before the work, not after it
        others = [Path(text.partition("=")[2]) for text in other or []]
        if out.resolve() in {path.resolve() for path in (file, *others, economic, rates) if path is not None}:
            raise ConfigError(f"--out {out}: is a file that is read; it would be lost. Name another.")

    from fx_assets.cli.feature_files import absent_currencies, read_inputs

    inputs = read_inputs(file, instrument, other or [], economic, rates, minutes)
    missing = inputs.missing(groups)
    if listed or out is None:
        _print_list(groups, missing)
        return

    from fx_assets.errors import DataError
    from fx_assets.frames import write_frame

    names = [name for name, lost in missing.items() if not lost]
    # Columns first, then what comes from elsewhere.
    lost = sorted(
        {token for tokens in missing.values() for token in tokens}, key=lambda token: (token in BESIDE, token)
    )
    if not names:
        reasons = "; ".join(_why(token, file, inputs.empty) for token in lost)
        raise DataError(f"{file}: none of these features can be made: {reasons}.")
    table = inputs.table(names)
    write_frame(table if instrument else table.drop(columns="instrument"), out)
    typer.echo(f"{out}: {len(table)} rows, {plural(len(names), 'feature')}")
    if inputs.reference.provides:
        length = (
            f"{inputs.bar_us / 60e6:g} minutes after its time" if inputs.bar_us else "unknown, so taken at its time"
        )
        typer.echo(f"releases and rates are those known at a bar's close: {length} (--minutes)")
    for path, known, cost in (
        (economic, inputs.reference.economic, "releases are those of the other currency"),
        (rates, inputs.reference.rates, "rate_differential and its change need both and are 0"),
    ):
        if path is not None and known is not None and (absent := absent_currencies(known, instrument)):
            typer.echo(f"{path.name} has no row of {absent[0]}: {cost}")
    for name, rows in inputs.gaps.items():
        typer.echo(f"{name} is empty in {rows} of {len(table)} rows: features that need it are empty there")
    for token in lost:
        left_out = ", ".join(name for name, tokens in missing.items() if token in tokens)
        typer.echo(f"{_why(token, file, inputs.empty)}: left out {left_out}")


def _why(token: str, file: Path, empty: Collection[str]) -> str:
    return BESIDE.get(token) or (f"{token} is empty" if token in empty else f"no column {token}") + f" in {file.name}"


def _print_list(groups: list[str], missing: Mapping[str, tuple[str, ...]] | None) -> None:
    """One row for each feature; with `missing` also whether the file allows it."""
    from rich.table import Table

    from fx_assets.features import specs

    chosen = [spec for group in groups for spec in specs(group)]
    table = Table(title=plural(len(chosen), "feature"), title_justify="left")
    for head in (
        "feature",
        "group",
        "window",
        "unit",
        "needs",
        "source",
        *([] if missing is None else ["in the file"]),
    ):
        table.add_column(head, no_wrap=head not in ("needs", "source"))
    for spec in chosen:
        cells = [spec.name, spec.group, str(spec.window), spec.unit, " ".join(spec.requires) or "time", spec.source]
        if missing is not None:
            lost = missing[spec.name]
            cells.append(f"lacks {' '.join(lost)}" if lost else "yes")
        table.add_row(*cells)
    wide_console().print(table)
