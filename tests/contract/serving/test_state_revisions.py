"""Revisions of the state over SQLite and PostgreSQL: old databases are taken over, whole or not at all; and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from fx_serving.client.home import Stores
from fx_serving.state import CONTROLLER, Change, StateError, migrate, open_state, read_head, schema
from fx_serving.state.rows import TokenRow
from tests.contract.serving.old_states import later_release, make_old, remove, rows
from tests.contract.serving.states import AT, entry, row, tamper

ROOT = Path(__file__).resolve().parents[3]
MIGRATOR = Path(__file__).with_name("state_migrator.py")
NEWEST = "0002"
NOTES = {"alembic_version", "meta"}


def data(stores: Stores) -> dict[str, list[tuple]]:
    """Everything but the notes of the form."""
    return {table: found for table, found in rows(stores).items() if table not in NOTES}


def noted(stores: Stores) -> tuple[str, str]:
    """The revision as Alembic keeps it, and the form as releases from before it do."""
    found = rows(stores)
    return found["alembic_version"][1][0], dict(found["meta"][1:])["schema"]


def shape(stores: Stores) -> dict[str, object]:
    """Columns, keys and indexes of each table. Types are left out: SQLite has two names for one."""
    kind, creator, *_ = migrate._dialect(stores.state)
    looked = inspect(create_engine(f"{kind}://", creator=creator, poolclass=NullPool))
    found: dict[str, object] = {}
    for table in looked.get_table_names():
        columns = {one["name"]: one["nullable"] for one in looked.get_columns(table)}
        unique = [one["column_names"] for one in looked.get_unique_constraints(table)]
        indexes = sorted((one["name"] or "", one["column_names"], one["unique"]) for one in looked.get_indexes(table))
        found[table] = (columns, looked.get_pk_constraint(table)["constrained_columns"], unique, indexes)
    return found


@contextmanager
def opener(stores: Stores) -> Iterator[subprocess.Popen]:
    """A process that opens the state at each line, everything imported beforehand."""
    command = [sys.executable, str(MIGRATOR), str(stores.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        yield process
        process.stdin.close()


def told(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen, point: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(point + "\n")
    process.stdin.flush()


def in_python(code: str, stores: Stores) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, str(stores.home)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_revisions_follow_each_other_and_are_those_that_the_service_knows():
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    found = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    assert found[::-1] == schema.revisions()
    assert schema.revisions()[-1] == NEWEST
    assert all(len(one) == 4 and one.isdigit() for one in found)


@pytest.mark.parametrize("form", [1, 2])
def test_a_state_of_an_earlier_form_is_taken_over(form, stores):
    """Its rows and hashes stay, new records follow them, and it has the tables of a new one."""
    make_old(stores, form)
    before = data(stores)
    with closing(open_state(stores)) as store:
        assert noted(stores) == (NEWEST, "2")
        assert store.generation() == 7
        assert [(r.id, r.state) for r in store.rollouts(active=True)] == [("r2", "canary")]
        after, verdict = data(stores), store.verify_audit(None)
        assert (verdict.whole, verdict.records) == (True, 2)
        if form == 2:
            assert after == before
            assert [t.name for t in store.tokens()] == ["ops"]
        for table, (columns, *held) in before.items():
            place = [after[table][0].index(name) for name in columns]
            assert [tuple(one[i] for i in place) for one in after[table][1:]] == held
        store.commit(Change(rollouts=(row("r3", "queued"),), audit=(entry(),)), None)
        assert store.audit()[2].previous == store.audit()[1].hash
        assert store.verify_audit(read_head(stores.audit_head)).whole
    kept = {path.name for path in stores.serving.glob("state-*")}
    assert kept == ({"state-0001.db"} if form == 1 and isinstance(stores.state, Path) else set())


def test_a_migrated_state_has_the_tables_of_a_new_one(stores):
    make_old(stores, 1)
    open_state(stores).close()
    migrated = shape(stores)
    remove(stores)
    open_state(stores).close()
    assert migrated == shape(stores)


def test_what_many_processes_open_at_once_is_migrated_once(stores):
    with opener(stores) as one, opener(stores) as two, opener(stores) as three:
        every = (one, two, three)
        assert [told(process) for process in every] == ["ready"] * 3
        for form in (1, 2, None) * 6:
            remove(stores)
            if form is not None:
                make_old(stores, form)
            for process in every:
                tell(process)
            assert [told(process) for process in every] == ["0"] * 3
            assert noted(stores) == (NEWEST, "2")
            with closing(open_state(stores)) as store:
                assert store.generation() == (7 if form else 0)
                assert store.verify_audit(None).whole


@pytest.mark.timeout(1800)
def test_a_migration_killed_at_any_statement_leaves_the_old_form_or_the_new_one(stores):
    make_old(stores, 1)
    old = rows(stores)
    points = ["copy"] if isinstance(stores.state, Path) else []
    with opener(stores) as process:
        assert told(process) == "ready"
        for point in (*points, "commit", *map(str, range(1, 1000))):
            tell(process, point)
            code = told(process)
            if code == "0":
                break
            assert code == "-9"
            assert rows(stores) == old
        else:
            pytest.fail("it never came to its end")
        assert int(point) > 20, "the statements of the migration itself are among them"
    assert noted(stores) == (NEWEST, "2")
    with closing(open_state(stores)) as store:
        assert store.verify_audit(None).records == 2


@pytest.mark.parametrize("table", ["alembic_version", "meta"])
def test_a_state_of_a_newer_release_is_left_alone(table, store, stores):
    column = "version_num = '0003'" if table == "alembic_version" else "value = '3' WHERE key = 'schema'"
    tamper(stores, f"UPDATE {table} SET {column}")
    before = rows(stores)
    for ask in (
        lambda: open_state(stores),
        lambda: migrate.status(stores.state),
        lambda: migrate.upgrade(stores.state),
        lambda: migrate.downgrade(stores.state, "0001"),
    ):
        with pytest.raises(StateError, match=r"newer version of the platform \(revision 0003; .* up to 0002\)"):
            ask()
    assert rows(stores) == before


_LOADED = """
import json, sys
from pathlib import Path
from fx_serving.client.home import Stores
from fx_serving.state import open_state
open_state(Stores(Path(sys.argv[1]))).close()
print(json.dumps(sorted({"alembic", "sqlalchemy", "mako"} & set(sys.modules))))
"""


def test_nothing_but_a_migration_imports_alembic(stores):
    made = in_python(_LOADED, stores)  # an empty database
    assert json.loads(made.stdout) == [], made.stderr
    assert json.loads(in_python(_LOADED, stores).stdout) == []  # the newest revision
    remove(stores)
    make_old(stores, 2)  # the newest tables, without a note
    assert json.loads(in_python(_LOADED, stores).stdout) == []
    remove(stores)
    make_old(stores, 1)
    assert "alembic" in json.loads(in_python(_LOADED, stores).stdout)


def test_a_host_without_alembic_says_how_to_migrate(stores):
    make_old(stores, 1)
    before = rows(stores)
    done = in_python("import sys; sys.modules['alembic'] = None\n" + _LOADED, stores)
    assert "has revision 0001, and 0002 is wanted, but Alembic is not installed" in done.stderr
    assert "pip install 'fx-platform[migrations]'" in done.stderr
    assert rows(stores) == before


def test_a_release_is_rolled_back(stores, tmp_path, monkeypatch):
    """A later release adds a revision and works; going back takes it away, and this release goes on with all rows."""
    with closing(open_state(stores)) as store:
        store.commit(Change(rollouts=(row("r1"),), audit=(entry(),)), None)
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", later_release(tmp_path / "later"))
        assert migrate.status(stores.state).pending == ["0003"]
        with closing(open_state(stores)) as store:
            assert noted(stores) == ("0003", "3")
            assert "notes" in rows(stores)
            term = store.lease(CONTROLLER, "leader", 3600).term
            store.commit(Change(rollouts=(row("r2", "queued"),), audit=(entry(),)), term)
            with pytest.raises(StateError, match="the controller leader leads; stop the service first"):
                migrate.downgrade(stores.state, NEWEST)
            store.release(CONTROLLER, "leader")
    with pytest.raises(StateError, match="go back with it: fx state downgrade 0002"):
        open_state(stores)
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", tmp_path / "later")
        assert "note" in rows(stores)["rollouts"][0]
        moved = migrate.downgrade(stores.state, NEWEST)
        assert (moved.before, moved.after) == ("0003", NEWEST)
    assert noted(stores) == (NEWEST, "2")
    assert "notes" not in rows(stores)
    assert "note" not in rows(stores)["rollouts"][0]
    with closing(open_state(stores)) as store:
        assert {r.id for r in store.rollouts()} == {"r1", "r2"}
        assert store.commit(Change(audit=(entry(),)), None) == 3
        assert store.verify_audit(read_head(stores.audit_head)).records == 3
    if moved.copy is not None:
        assert Path(moved.copy).name == "state-0003.db"
        assert migrate._read(Path(moved.copy)) == "0003"
    assert (moved.copy is None) == isinstance(stores.state, str)


def test_a_downgrade_that_would_lose_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    make_old(stores, 1)
    old = data(stores)
    open_state(stores).close()
    migrate.downgrade(stores.state, "0001")
    assert {**data(stores), "rollouts": old["rollouts"]} == old
    assert noted(stores) == ("0001", "1")
    assert migrate.upgrade(stores.state).after == NEWEST
    with closing(open_state(stores)) as store:
        token = TokenRow(id="t", name="ops", role="operate", hash="0" * 64, created_at=AT)
        store.commit(Change(audit=(entry(), entry()), tokens=(token,), rollouts=(row("r3", "queued"),)), None)
    before = rows(stores)
    (stores.serving / "state-0002.db").unlink()
    with pytest.raises(
        StateError, match=r"written since: audit records \(2\), tokens \(1\), rollouts \(1\); nothing was"
    ):
        migrate.downgrade(stores.state, "0001")
    assert rows(stores) == before
    assert not (stores.serving / "state-0002.db").exists()
    for wrong in ("base", "0002", "9"):
        with pytest.raises(StateError, match=f"has revision 0002, and '{wrong}' is not before it. There is: 0001"):
            migrate.downgrade(stores.state, wrong)


def test_a_migration_whose_copy_cannot_be_made_does_not_happen(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    make_old(stores, 1)
    before = rows(stores)
    (stores.serving / "state-0001.db").mkdir()
    with pytest.raises(StateError, match=r"state\.db: upgrade to revision 0002: .*directory.*; nothing was changed"):
        open_state(stores)
    assert rows(stores) == before
    (stores.serving / "state-0001.db").rmdir()
    open_state(stores).close()
    assert noted(stores) == (NEWEST, "2")


def test_a_release_from_before_alembic_may_have_migrated_meanwhile(tmp_path, monkeypatch):
    """It knows the form by `meta` alone, and leaves Alembic's note behind."""
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    stores = Stores(tmp_path)
    make_old(stores, 2)
    tamper(stores, "CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('0001')")
    before = data(stores)
    open_state(stores).close()
    assert noted(stores) == (NEWEST, "2")
    assert data(stores) == before
