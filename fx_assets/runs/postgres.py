"""Dagster's storage in a PostgreSQL that may be restarted under it: runs wait for it instead of failing.

dagster-postgres tries for six seconds to connect; what a restart interrupts, and what takes longer, ends the run.
Asking again can write an event twice, where the server committed it and died before it said so; Dagster looks at the
newest, so this changes nothing.

It also connects for each question, twice for an event, and a password's check alone takes 10 ms of a core: here
connections stay open.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2  # noqa: TID253
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.storage.event_log import EventLogStorage
from dagster._core.storage.runs import RunStorage
from dagster._core.storage.schedules import ScheduleStorage
from dagster._core.storage.sql import create_engine
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.utils import DagsterPostgresException, pg_url_from_config
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError  # noqa: TID253 (Dagster imports this)

#: Longer than a container with a database takes to be restarted and to replay its log.
PATIENCE_S = 120.0
BETWEEN_S = 0.5
#: Connections that a process keeps open for each of the three storages, and more while many threads ask.
_KEPT, _MORE = 1, 20

Method = TypeVar("Method", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_asking = threading.local()


class PatientPostgresStorage(DagsterPostgresStorage):
    """deploy/compose/dagster/dagster.yaml names this class. config: as of DagsterPostgresStorage."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None):
        self.postgres_url, self.should_autocreate_tables, self._inst_data = postgres_url, True, inst_data
        self._run_storage = _Runs(postgres_url)
        self._event_log_storage = _Events(postgres_url)
        self._schedule_storage = _Schedules(postgres_url)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = create_engine(
                postgres_url, isolation_level="AUTOCOMMIT", pool_size=_KEPT, max_overflow=_MORE
            )
        super(DagsterPostgresStorage, self).__init__()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> PatientPostgresStorage:
        return cls(pg_url_from_config(config_value), inst_data)


def is_away(error: BaseException) -> bool:
    """Whether a server that is down, starting or stopping was met, rather than a statement that it refused."""
    if isinstance(error, DagsterPostgresException):
        return error.__cause__ is not None and is_away(error.__cause__)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    refused = error.orig if isinstance(error, OperationalError | InterfaceError) else error
    if refused is error and not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return False
    code = getattr(refused, "pgcode", None)
    # 08: connection exceptions; 57P01 to 57P03: being shut down, crashed, starting.
    return code is None or code.startswith(("08", "57P"))


def _patient(method: Method) -> Method:
    @functools.wraps(method)
    def asked(*args: Any, **kwargs: Any) -> Any:
        if getattr(_asking, "now", False):  # the outermost call alone asks again
            return method(*args, **kwargs)
        deadline, again = time.monotonic() + PATIENCE_S, False
        _asking.now = True
        try:
            while True:
                try:
                    return method(*args, **kwargs)
                except DagsterRunAlreadyExists:
                    if not again:
                        raise
                    storage, run = args
                    storage.delete_run(run.run_id)  # what was interrupted left it, perhaps without its tags
                # SQLAlchemy hands on what a driver says of a connection that it is setting up.
                except (DBAPIError, DagsterPostgresException, psycopg2.Error) as error:
                    if not is_away(error) or time.monotonic() > deadline:
                        raise
                    _log.warning("PostgreSQL is away; asking again (%s)", method.__name__)
                    time.sleep(BETWEEN_S)
                again = True
        finally:
            _asking.now = False

    return asked  # pyright: ignore[reportReturnType]


def _asks_again(interface: type) -> Callable[[type], type]:
    """Every question of a storage's interface, of a class that answers them."""

    def decorate(storage: type) -> type:
        for name, _ in inspect.getmembers(interface, inspect.isfunction):
            if not name.startswith("_"):
                setattr(storage, name, _patient(getattr(storage, name)))
        return storage

    return decorate


@_asks_again(RunStorage)
class _Runs(PostgresRunStorage):
    pass


@_asks_again(EventLogStorage)
class _Events(PostgresEventLogStorage):
    pass


@_asks_again(ScheduleStorage)
class _Schedules(PostgresScheduleStorage):
    pass
