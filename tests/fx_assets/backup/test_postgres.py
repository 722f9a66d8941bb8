"""A home whose state is in PostgreSQL: dumped and brought back by PostgreSQL's own programs, no password anywhere."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fx_assets.errors import StoreError
from fx_serving.access import tokens
from fx_serving.client import rollout_log
from fx_serving.client.audit_chain import read_head
from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from fx_serving.state import open_state
from tests.fx_assets.backup.homes import back_up, bring_back, small_home
from tests.fx_assets.cli.conftest import files_below
from tests.servers.postgres import PASSWORD, PostgresServer, restartable_postgres

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(program) -> Iterator[PostgresServer]:
    program("pg_dump", "postgresql-client")
    with restartable_postgres(program) as server:
        yield server


@pytest.fixture
def other(server: PostgresServer) -> str:
    """The address of a second database, empty."""
    with closing(connect(server.url)) as db, db.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS other")
        cursor.execute("CREATE DATABASE other")
    return server.url.removesuffix("/postgres") + "/other"


@pytest.fixture
def home(server: PostgresServer, tmp_path: Path, monkeypatch) -> Path:
    """A home with audit records in the database."""
    with closing(connect(server.url)) as db, db.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS fx_serving CASCADE")
    monkeypatch.setenv("FX_STATE_URL", server.url)
    home = small_home(tmp_path / "home")
    (home / "serving/audit.head").unlink()
    add_token(home, "anna")
    return home


def add_token(home: Path, name: str) -> None:
    with closing(open_state(Stores(home))) as state:
        tokens.create(state, name, "predict")


def test_the_tables_come_back_into_an_empty_database(home, other, server, tmp_path, monkeypatch):
    where = str(tmp_path / "backups")
    before = rollout_log.verify_audit(server.url, read_head(Stores(home).audit_head))
    assert before.whole
    assert before.records > 0
    manifest = back_up(home, where).manifest
    assert manifest.postgres
    add_token(home, "later")
    with pytest.raises(StoreError, match="has a schema fx_serving already"):
        bring_back(where, tmp_path / "back")
    assert not (tmp_path / "back").exists()

    monkeypatch.setenv("FX_STATE_URL", other)
    restored = bring_back(where, tmp_path / "back")
    after = rollout_log.verify_audit(other, read_head(Stores(restored).audit_head))
    assert (after.whole, after.records, after.hash) == (True, before.records, before.hash)
    assert not (restored / "postgres").exists()
    with closing(open_state(Stores(restored))) as state:
        assert [token.name for token in state.tokens()] == ["anna"]
    add_token(restored, "new")

    monkeypatch.delenv("FX_STATE_URL")
    with pytest.raises(StoreError, match="FX_STATE_URL: not set, and the backup holds"):
        bring_back(where, tmp_path / "third")
    found = files_below(tmp_path / "backups") | files_below(restored)
    assert not [name for name, content in found.items() if PASSWORD.encode() in content]


def test_a_backup_of_files_is_not_restored_beside_a_database(home, other, tmp_path, monkeypatch):
    where = str(tmp_path / "backups")
    monkeypatch.delenv("FX_STATE_URL")
    assert not back_up(home, where).manifest.postgres
    monkeypatch.setenv("FX_STATE_URL", other)
    with pytest.raises(StoreError, match="FX_STATE_URL: set, and the backup holds"):
        bring_back(where, tmp_path / "back")


def test_what_is_missing_or_wrong_is_said_without_the_address(home, server, tmp_path, monkeypatch):
    where = str(tmp_path / "backups")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match=r"pg_dump: not found.*apt install postgresql-client"):
        back_up(home, where)
    monkeypatch.undo()
    monkeypatch.setenv("FX_STATE_URL", server.url.replace(PASSWORD, "wrong-" + PASSWORD))
    with pytest.raises(StoreError, match="refuses the account or its password") as told:
        back_up(home, where)
    assert PASSWORD not in str(told.value)
