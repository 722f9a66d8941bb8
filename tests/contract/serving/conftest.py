"""A home with an empty database of each kind in turn, and what works on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from fx_serving.config import LogSettings
from fx_serving.ingest.ingester import Ingester, open_database
from fx_serving.state import StateStore, open_state
from tests.servers.postgres import PostgresServer, restartable_postgres


@pytest.fixture(scope="module")
def server(program) -> Iterator[PostgresServer]:
    """A PostgreSQL of one file's own: tests stop it."""
    with restartable_postgres(program) as server:
        yield server


@pytest.fixture
def postgres(server: PostgresServer, tmp_path: Path, monkeypatch) -> Stores:
    """A home whose state and predictions are in an empty PostgreSQL."""
    with closing(connect(server.url)) as db, db.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS fx_serving CASCADE")
    monkeypatch.setenv("FX_STATE_URL", server.url)
    return Stores(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Stores:
    """A home with an empty database: each kind in turn."""
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    return request.getfixturevalue("postgres") if request.param == "postgres" else Stores(tmp_path)


@pytest.fixture
def store(stores: Stores) -> Iterator[StateStore]:
    """The open state store of that home."""
    with closing(open_state(stores)) as store:
        yield store


@pytest.fixture
def ingester(stores: Stores) -> Iterator[Ingester]:
    """An ingester of that home, on the real clock."""
    with closing(open_database(stores)) as database:
        yield Ingester(stores.predictions, database, LogSettings())
