"""What the commands share: the --home option, and errors without tracebacks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from fx_assets.errors import FxError

Home = Annotated[
    Path | None, typer.Option("--home", help="Data folder. Default: FX_HOME, else .fx in the checkout.", metavar="DIR")
]
Command = TypeVar("Command", bound=Callable[..., Any])


def use_home(home: Path | None) -> Path:
    """The home of this command, also for everything it calls."""
    from fx_serving.client.home import fx_home

    if home is not None:
        os.environ["FX_HOME"] = str(home.expanduser().resolve())
    return fx_home()


def wide_console() -> Any:
    """A rich console; where the output is no terminal, wide enough that no table is cut."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)


def plural(count: int, noun: str) -> str:
    """1 run, 1,200 runs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes as people say them: 5 kB, 12 MB, 3.4 GB."""
    for unit, step in (("kB", 1e3), ("MB", 1e6)):
        if count < 1000 * step:
            return f"{count / step:.0f} {unit}"
    return f"{count / 1e9:.1f} GB"


def interrupt_on_signals() -> None:
    """SIGTERM ends the command as Ctrl-C does, through the context managers that stop what was started.

    SIGINT is set too, since a shell starts background commands with it ignored.
    """
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def plain_errors(command: Command) -> Command:
    """An error with a remedy is printed in red, with code 1; anything else is a defect and shows itself."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from fx_serving.client.clock import ClockError

        try:
            return command(*args, **kwargs)
        except (FxError, ClockError) as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            from fx_assets.storage.problems import disk_fault

            if (fault := disk_fault(error)) is None:
                raise
            typer.secho(str(fault), fg="red", err=True)
            raise typer.Exit(1) from None

    return wrapped  # type: ignore[return-value]
