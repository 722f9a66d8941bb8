"""`fx state` as a user calls it: the revision of a home's database, and the way to another."""

import json
from contextlib import closing

import pytest
from typer.testing import CliRunner

from fx_serving import cli
from fx_serving.client.home import Stores
from fx_serving.state import CONTROLLER, Change, open_state, schema
from tests.contract.serving.old_states import later_release, make_old, rows
from tests.contract.serving.states import entry, row, tamper


@pytest.fixture
def stores(tmp_path, monkeypatch) -> Stores:
    monkeypatch.delenv("FX_STATE_URL", raising=False)
    (tmp_path / "home").mkdir()
    return Stores(tmp_path / "home")


def fx(stores: Stores, *words: str, code: int = 0) -> str:
    """What it says, in one line: a terminal folds it."""
    done = CliRunner().invoke(cli.app, ["state", *words, "--home", str(stores.home)], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def test_an_old_state_is_looked_at_upgraded_and_put_back(stores):
    make_old(stores, 1)
    old = rows(stores)
    assert "revision 0001; the next start of the service, or fx state upgrade, adds 0002" in fx(stores, "status")
    assert rows(stores) == old
    said = fx(stores, "upgrade")
    assert "revision 0001 -> 0002" in said
    assert f"As it was before: {stores.serving / 'state-0001.db'}" in said
    assert "revision 0002, the newest one that this release knows" in fx(stores, "status")
    assert "has revision 0002 already; nothing to do" in fx(stores, "upgrade")
    moved = json.loads(fx(stores, "downgrade", "0001", "--json"))
    assert (moved["before"], moved["after"]) == ("0002", "0001")
    assert json.loads(fx(stores, "status", "--json"))["pending"] == ["0002"]

    # By hand, as docs/state.md says it: the copy in the place of the file.
    (stores.serving / "state-0001.db").replace(stores.state_db)
    assert rows(stores) == old


def test_what_cannot_be_done_is_one_line_with_the_remedy(stores, tmp_path, monkeypatch):
    assert "state.db: not there. The service makes it at its first start" in fx(stores, "status", code=1)
    with closing(open_state(stores)) as store:
        store.commit(Change(rollouts=(row("r1"),), audit=(entry(),)), None)
        before = rows(stores)
        said = fx(stores, "downgrade", "0001", code=1)
        assert "no place for what was written since: audit records (1); nothing was changed" in said
        assert "'0009' is not before it. There is: 0001" in fx(stores, "downgrade", "0009", code=1)
        store.lease(CONTROLLER, "host-a", 3600)
        assert "the controller host-a leads; stop the service first" in fx(stores, "downgrade", "0001", code=1)
        store.release(CONTROLLER, "host-a")
    assert {**rows(stores), "leases": before["leases"]} == before

    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", later_release(tmp_path / "later"))
        fx(stores, "upgrade")
    for command in ("status", "upgrade"):
        said = fx(stores, command, code=1)
        assert "newer version of the platform (revision 0003; this one knows up to 0002)" in said
        assert "fx state downgrade 0002" in said
    tamper(stores, "DROP TABLE alembic_version", "DROP TABLE meta", "DROP TABLE rollouts")
    assert "no tables yet; the service makes them when it starts, as revision 0002" in fx(stores, "status")
    stores.state_db.write_bytes(b"no database" * 100)
    assert "state.db: cannot be read: file is not a database" in fx(stores, "status", code=1)


def test_the_help_teaches():
    for words in ([], ["status"], ["upgrade"], ["downgrade"]):
        done = CliRunner().invoke(cli.app, ["state", *words, "--help"], env={"COLUMNS": "120"})
        assert done.exit_code == 0
        assert "Stop the service first" in " ".join(done.output.split()) or words != ["downgrade"]
        assert "fx-platform[migrations]" in done.output or words != ["upgrade"]
