"""fx cost: what days, backfills and models cost."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, duration, plain_errors, size, use_home, wide_console


@plain_errors
def cost(
    by: Annotated[str, typer.Option(help="asset, day, session, model, run or command.")] = "asset",
    since: Annotated[str | None, typer.Option(help="First day (UTC). Default: all.", metavar="DATE")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, included.", metavar="DATE")] = None,
    top: Annotated[int, typer.Option(help="Rows shown.", min=1)] = 20,
    price: Annotated[float, typer.Option(help="Of an hour of one processor, for a column in money.", min=0)] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: every row, the total as the last.")] = False,
    home: Home = None,
) -> None:
    """Time, processor time, memory, rows and bytes of what was made, the dearest first.

    Last night's backfill, and every other run:  fx cost --by run --since 2026-11-20

    Example:  fx cost --by day --since 2026-01-01

    Example:  fx cost --by model --price 0.05
    """
    import msgspec
    from rich.table import Table

    from fx_assets.configuration import load_configuration
    from fx_assets.cost.ledger import read
    from fx_assets.cost.summary import BY, Cost, summed, total
    from fx_assets.errors import ConfigError

    folder = use_home(home)
    if by not in BY:
        raise ConfigError(f"--by: {by!r} is none of {', '.join(BY)}.")
    entries = list(read(folder, _day(since, "--since"), _day(until, "--until")))
    if not entries:
        typer.echo(
            "nothing was noted in that time. Steps are, whenever `fx backfill`, `fx up` or a job makes something."
        )
        return
    costs = summed(entries, by, load_configuration().models.models)
    if as_json:
        typer.echo(msgspec.json.encode([*costs, total(entries)]))
        return
    table = Table(
        by,
        *(["begun (UTC)"] if by == "run" else []),
        *("steps", "partitions", "wall", "CPU", "peak MiB", "rows", "written"),
        *(["money"] if price else []),
    )
    table.title = f"{min(e.at for e in entries):%Y-%m-%d} to {max(e.at for e in entries):%Y-%m-%d}"

    def row(found: Cost) -> list[str]:
        begun = [f"{found.begun:%m-%d %H:%M}"] if by == "run" and found.begun else []
        money = [f"{found.cpu_s / 3600 * price:.4f}"] if price else []
        counts = [f"{found.steps:,}", f"{found.partitions:,}", duration(found.seconds), f"{found.cpu_s:.1f} s"]
        said = ["-" if found.rows is None else f"{found.rows:,}", "-" if found.size is None else size(found.size)]
        return [found.name, *begun, *counts, f"{found.peak_mib:,.0f}", *said, *money]

    for found in costs[:top]:
        table.add_row(*row(found))
    if len(costs) > top:
        table.caption = f"and {len(costs) - top} more (--top)"
    table.add_section()
    table.add_row(*row(total(entries)))
    wide_console().print(table)


def _day(text: str | None, option: str):
    from datetime import date

    from fx_assets.errors import ConfigError

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: '{text}' is no date. Write it as 2026-01-31.") from None
