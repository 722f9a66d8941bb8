"""State stores that cannot be used: full, damaged, away or wrongly addressed. Told in words and without a secret."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fx_serving.client import rollout_log
from fx_serving.client.home import Stores
from fx_serving.state import Change, StateError, open_state, read_head
from fx_serving.state.sqlite import SqliteState
from tests.contract.serving.states import entry
from tests.servers.postgres import PASSWORD


def test_a_full_or_damaged_file_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    with closing(SqliteState(stores.state_db)) as store:
        store.commit(Change(audit=(entry(),)), None)
        assert store._db is not None
        store._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StateError, match=r"state\.db: cannot be used: database or disk is full"):
            store.commit(Change(audit=(entry(why="x" * 100_000),)), None)
        store._db.execute("PRAGMA max_page_count = 100000")
        assert store.commit(Change(audit=(entry(),)), None) == 2
        assert len(store.audit()) == 2
    for extra in ("", "-wal", "-shm"):
        Path(f"{stores.state_db}{extra}").unlink(missing_ok=True)
    stores.state_db.write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match=r"state\.db: cannot be used: .*not a database"):
        open_state(stores)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mysql://u:hunter2-hunter2@h/db", "FX_STATE_URL: is no address of a PostgreSQL"),
        ("postgresql://u:hunter2-hunter2@h:port/db", "FX_STATE_URL: is no address of a PostgreSQL"),
        ("postgresql://u:hunter2-hunter2@127.0.0.1:1/db", "FX_STATE_URL: nobody answers there"),
    ],
)
def test_an_address_that_is_wrong_is_told_without_it(given, words, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_STATE_URL", given)
    with pytest.raises(StateError, match=words) as caught:
        open_state(Stores(tmp_path))
    with pytest.raises(rollout_log.RolloutLogError, match=words) as read:
        rollout_log.deployed(given)
    for text in (str(caught.value), str(read.value)):
        assert "hunter2" not in text
        assert "127.0.0.1" not in text


@pytest.mark.server
def test_a_wrong_password_is_told_without_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_STATE_URL", server.url.replace(PASSWORD, "wrong-secret"))
    with pytest.raises(StateError, match="refuses the account or its password") as caught:
        open_state(Stores(tmp_path))
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.server
def test_a_postgres_that_goes_away_and_comes_back(server, postgres):
    with closing(open_state(postgres)) as store:
        before = store.commit(Change(audit=(entry(),)), None)
        server.stop(signal.SIGQUIT)
        try:
            for _ in range(2):
                with pytest.raises(StateError, match="FX_STATE_URL: ") as caught:
                    store.commit(Change(audit=(entry(),)), None)
                assert PASSWORD not in str(caught.value)
            with pytest.raises(rollout_log.RolloutLogError):
                rollout_log.deployed(postgres.state)
        finally:
            server.start()
        assert store.generation() == before
        assert store.commit(Change(audit=(entry(),)), None) == before + 1
        assert store.verify_audit(read_head(postgres.audit_head)).whole


@pytest.mark.server
def test_a_commit_whose_answer_is_lost_is_asked_for(postgres):
    """The connection breaks right after COMMIT was carried out: the store finds that the change holds."""
    with closing(open_state(postgres)) as store:
        before, records = store.generation(), len(store.audit(limit=10**6))
        real = store._db  # type: ignore[attr-defined]
        store._db = _Breaking(real)  # type: ignore[attr-defined]
        assert store.commit(Change(audit=(entry(),)), None) == before + 1
        assert (store.generation(), len(store.audit(limit=10**6))) == (before + 1, records + 1)
        assert real.closed


class _Breaking:
    """A connection that is lost once its COMMIT has been carried out."""

    def __init__(self, real: Any) -> None:
        self._real = real

    @property
    def closed(self) -> int:
        return self._real.closed

    def close(self) -> None:
        self._real.close()

    def cursor(self) -> Any:
        cursor = self._real.cursor()
        outer = self

        def execute(sql: str, values: tuple = ()) -> None:
            cursor.execute(sql, values)
            if sql == "COMMIT":
                outer._real.close()
                cursor.execute("SELECT 1")  # raises InterfaceError, as a lost connection does

        return _Cursor(cursor, execute)


class _Cursor(SimpleNamespace):
    def __init__(self, real: Any, execute: Any) -> None:
        super().__init__(real=real, execute=execute)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    @property
    def description(self) -> Any:
        return self.real.description

    def fetchall(self) -> Any:
        return self.real.fetchall()

    def fetchone(self) -> Any:
        return self.real.fetchone()
