"""Dagster's databases, as its own instance opens them: SQLite below the home, or what dagster.yaml says."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_STEP_EVENTS = "dagster_event_type IN ('STEP_START', 'STEP_SUCCESS')"


class SharedInstance:
    """One instance for all collectors, opened when it is first needed (Dagster's import takes a second and a half)."""

    def __init__(self, home: Path) -> None:
        given = os.environ.get("DAGSTER_HOME", "").strip()
        self.folder = Path(given) if given else home / "dagster"
        self._lock = threading.Lock()
        self._instance: Any = None

    def open(self) -> Any:
        """The instance; None where Dagster has not run in this home yet."""
        with self._lock:
            if self._instance is None and (self.folder / "dagster.yaml").is_file():
                from dagster import DagsterInstance

                self._instance = DagsterInstance.from_config(str(self.folder))
            return self._instance

    @contextmanager
    def runs(self) -> Iterator[Any]:
        """A connection to the runs' database. Only inside `if instance.open() is not None`."""
        with self._instance.run_storage.connect() as connection:
            yield connection

    @contextmanager
    def events(self) -> Iterator[Any]:
        """A connection to the events of all runs."""
        with self._instance.event_log_storage.index_connection() as connection:
            yield connection

    def step_times(self, run: str) -> list[tuple[str, str, float]]:
        """(step, event, seconds since 1970) of the steps of a run that began or succeeded.

        A run's own events are a file of their own in SQLite, which Dagster makes where it is missing: it is opened here
        only where it is there, and only to read.
        """
        sql = f"SELECT step_key, dagster_event_type, timestamp FROM event_logs WHERE run_id = :run AND {_STEP_EVENTS}"
        place = getattr(self._instance.event_log_storage, "path_for_shard", None)
        if place is None:
            with self.events() as connection:
                found = rows(connection, sql, run=run)
        else:
            path = Path(place(run))
            if not path.is_file():
                return []
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                found = connection.execute(sql, {"run": run}).fetchall()
        return [(step, event, seconds(at)) for step, event, at in found]


def seconds(value: Any) -> float:
    """A time that the databases keep in UTC without saying so: text in SQLite, a datetime in PostgreSQL."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC).timestamp()


def rows(connection: Any, sql: str, **values: Any) -> Sequence[Any]:
    """The rows of a query; :name marks a value."""
    from sqlalchemy import text

    return connection.execute(text(sql), values).fetchall()
