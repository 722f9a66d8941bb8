"""fx signals: whether a session's signals came true, and what acting on them would have earned."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

RECORD = "monitoring/signal_validation"


@plain_errors
def signals(
    session: Annotated[
        str | None, typer.Option(help="Such as 2022-03-03. Default: the newest.", metavar="DATE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: the whole record.")] = False,
    home: Home = None,
) -> None:
    """Show how right a session's signals were, by model and instrument, against what then happened.

    Hits are of all answers whose outcome is known; trades those that the model's rule would have made, net of spread
    and swap in basis points of the instrument's capital. The job signal_validation_nightly makes it for the session
    that has ended.
    """
    import msgspec

    from fx_assets.configuration import load_configuration
    from fx_assets.errors import FxError
    from fx_assets.lake import Lake, lake_root

    store = Lake(lake_root(use_home(home), load_configuration().data.storage)).store
    files = {path.split("session=")[1].split("/")[0]: path for path in store.list(RECORD) if path.endswith(".json")}
    if session is None and not files:
        raise FxError("no session's signals were looked at yet. Start the job signal_validation_nightly for one.")
    asked = session or max(files)
    if asked not in files:
        known = f"There are {min(files)} to {max(files)}" if files else "There is none"
        raise FxError(f"--session: '{asked}' was not looked at. {known}; the job signal_validation_nightly makes it.")
    content = store.read(files[asked])
    if as_json:
        typer.echo(content)
        return
    found: dict[str, Any] = msgspec.json.decode(content)
    console = wide_console()
    if found["rows"]:
        console.print(_table(asked, found["rows"]))
    for note in found["notes"]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _table(session: str, rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    columns = ("model", "source", "instrument", "known", "hits", "signals", "won", "net bp", "open")
    table = Table(*columns, title=f"signals of session {session}", title_justify="left")
    for row in rows:
        hits = "-" if row["hit_rate"] is None else f"{row['hit_rate']:.1%}"
        counts = (str(row["signals"]), f"{row['won']} of {row['trades']}", f"{1e4 * row['net']:+.2f}", str(row["open"]))
        known = f"{row['known']} of {row['answers']}"
        table.add_row(row["model"], row["source"], row["instrument"], known, hits, *counts)
    return table
