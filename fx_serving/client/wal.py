"""SQLite's write-ahead log for a file that several processes may be the first to open."""

from __future__ import annotations

import sqlite3
import time


def use_wal(db: sqlite3.Connection, wait_s: float) -> None:
    """Readers and the writer do not wait for each other from here on, in this file.

    The change of mode does not wait for other processes as a transaction does: at most wait_s here. Raises
    sqlite3.Error.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
