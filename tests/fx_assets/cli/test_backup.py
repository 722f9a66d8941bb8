"""fx backup and fx restore as they are called: the short form, what is told, and the codes."""

import pytest

from fx_assets.backup import objects
from fx_assets.backup.kept import Backups
from fx_assets.storage import open_store
from tests.fx_assets.backup.homes import KEPT, plain, small_home
from tests.fx_assets.small import write_config

GOLD = "lake/gold/features/session=2021-03-01/part.parquet"


@pytest.fixture
def made(home, call, tmp_path) -> str:
    """Where there is one backup of the home."""
    small_home(home)
    write_config(home / "config")
    code, said = call("backup", tmp_path / "backups")
    assert code == 0, said
    return str(tmp_path / "backups")


def test_the_short_form_the_long_form_and_options_first_are_the_same(made, call):
    for arguments in (["run", made], [made, "--keep", 2], ["--keep", 2, made]):
        code, said = call("backup", *arguments)
        assert code == 0, said
        assert "0 kB of them new" in said
    code, said = call("backup", "list", made)
    assert (code, said.count("finished")) == (0, 2)
    code, said = call("backup", "--help")
    assert all(f" {name} " in said for name in ("run", "list", "verify"))


def test_there_and_back(made, call, home, tmp_path):
    code, said = call("backup", "verify", made)
    assert code == 0, said
    assert "1 backup, " in said
    assert "all whole" in said
    code, said = call("restore", made, "--home", tmp_path / "back")
    assert (code, "verified" in said) == (0, True)
    found = plain(tmp_path / "back")
    assert {name: found[name] for name in KEPT} == {name: plain(home)[name] for name in KEPT}
    code, said = call("restore", made, "--home", tmp_path / "back")
    assert (code, "is not empty" in said) == (1, True)


def test_a_lake_elsewhere_is_told_about(made, call, home, tmp_path):
    (home / "lake").rename(tmp_path / "lake")
    (home / "config/data.yaml").write_text(f"storage: {{lake: {tmp_path / 'lake'}}}\n")
    code, said = call("backup", made)
    assert code == 0, said
    code, said = call("restore", made, "--home", tmp_path / "back")
    assert "data.yaml: storage.lake: its tables were in" in said
    assert plain(tmp_path / "back")[GOLD] == KEPT[GOLD]


def test_what_is_wrong_is_named_with_code_1(made, call, tmp_path):
    code, said = call("backup", "verify", tmp_path / "nothing")
    assert (code, "has no finished backup. Check the URL" in said) == (1, True)
    code, said = call("restore", made, "--backup", "yesterday", "--home", tmp_path / "back")
    assert (code, "has no backup yesterday" in said) == (1, True)
    store = open_store(made)
    Backups(store).begin("20990101T000000000000Z")
    code, said = call("backup", "list", made)
    assert "not finished" in said
    code, said = call("restore", made, "--backup", "20990101T000000000000Z", "--home", tmp_path / "back")
    assert (code, "was never finished" in said) == (1, True)
    digest = min(objects.known(store))
    store.write(objects.place(digest), b"other")
    code, said = call("backup", "verify", made)
    assert (code, f"{digest}: cannot be used" in said) == (1, True)
    name = next(path for path in store.list("backups") if path.endswith(".json"))
    store.write(name, b"{}")
    code, said = call("backup", "verify", made)
    assert (code, f"{name}: cannot be used" in said) == (1, True)
    assert not (tmp_path / "back").exists()
