"""Opens the state of a home once it is told to, in a process of its own: python state_migrator.py HOME [STATEMENT].

With a number it kills itself by SIGKILL before that statement of the migration; "copy": before the copy gets its name;
"commit": before the transaction's end. Lines on standard input: each is one opening, in a child; answers with its code.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import alembic.command
from sqlalchemy import Engine, event

from fx_serving.client.home import Stores
from fx_serving.state import migrate, open_state


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Be killed at that point."""
    if point == "copy":
        migrate.os.replace = die  # type: ignore[assignment]
    elif point == "commit":
        event.listen(Engine, "commit", die)
    elif point:
        number = count(1)

        def look(*_: Any) -> None:
            if next(number) == int(point):
                die()

        event.listen(Engine, "before_cursor_execute", look)


def in_a_child(do: Callable[[], Any]) -> int:
    """Its code; -9 where it was killed."""
    child = os.fork()
    if child == 0:
        do()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Import everything once, then answer."""
    assert alembic.command
    home = Stores(Path(sys.argv[1]))
    print("ready", flush=True)
    for line in sys.stdin:
        point = line.strip()

        def open_it(point: str = point) -> None:
            arm(point)
            open_state(home).close()

        print(in_a_child(open_it), flush=True)


if __name__ == "__main__":
    main()
