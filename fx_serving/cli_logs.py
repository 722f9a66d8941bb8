"""fx logs: what every process of a home has written, in order of time."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from fx_serving.cli_common import fail

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def logs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="serving, dagster, runs, ... Default: all.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back (30m, 6h, 2d), or from when: 2026-11-21T09:00Z.")] = "1h",
    level: Annotated[str, typer.Option(help="This level and above: debug, info, warning, error, critical.")] = "info",
    run: Annotated[str | None, typer.Option(help="Of one Dagster run; its first 8 characters do.")] = None,
    partition: Annotated[str | None, typer.Option(help="Of one session, such as 2026-11-20.")] = None,
    rollout: Annotated[str | None, typer.Option(help="Of one rollout.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Of one prediction.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they are in the files.")] = False,
    home: Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")] = None,
) -> None:
    """Show the logs of all processes, merged by time.

    What went wrong today:  fx logs --since 1d --level warning

    What a run did, also in the service:  fx logs --since 7d --run 3f2a9c1b

    Why a rollout was taken back:  fx logs --since 2d --rollout 6f2c81d09a3e

    Watch the service:  fx logs --follow serving
    """
    import msgspec

    from fx_serving.client import log_reader
    from fx_serving.client.home import fx_home
    from fx_serving.client.log_files import readable

    folder = (home or fx_home()).resolve() / "logs"
    known = log_reader.names(folder)
    if not known:
        fail(f"{folder}: no logs here. Start something (fx up), or name its home: --home DIR.")
    for name in names or []:
        if name not in known:
            raise typer.BadParameter(f"{name!r}: no such log. There are: {', '.join(known)}.", param_hint="NAME")
    if level not in log_reader.LEVELS:
        raise typer.BadParameter(f"{level!r}: must be one of {', '.join(log_reader.LEVELS)}", param_hint="--level")
    given = {"run_id": run, "partition": partition, "rollout_id": rollout, "prediction_id": prediction}
    ids = {name: value for name, value in given.items() if value}
    keep = log_reader.Wanted(_moment(since), level, ids)
    found = (log_reader.follow if follow else log_reader.read)(folder, names or (), keep)
    nothing = True
    try:
        for entry in found:
            nothing = False
            print(msgspec.json.encode(entry).decode() if as_json else readable(entry), flush=follow)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # `fx logs | head`
        sys.stderr.close()
        raise typer.Exit(0) from None
    if nothing and not follow:
        print(f"no line fits since {since}: {_advice(prediction)}", file=sys.stderr)


def _advice(prediction: str | None) -> str:
    """What to try where nothing was found."""
    if prediction:
        return f"a prediction that was answered writes none. `fx trace {prediction}` tells where its answer came from."
    return "a longer --since, a lower --level or fewer names may find some."


def _moment(given: str) -> datetime:
    number, unit = given[:-1], given[-1:]
    try:
        if unit in _UNITS:
            return datetime.now(UTC) - timedelta(**{_UNITS[unit]: float(number)})
        moment = datetime.fromisoformat(given)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{given!r}: give a span such as 30m, 6h, 2d, or a time such as 2026-11-21T09:00Z", param_hint="--since"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
