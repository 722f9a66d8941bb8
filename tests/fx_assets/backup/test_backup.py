"""Backups of a small home on a folder and on S3: what went in comes back, and whatever is wrong is named."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fx_assets.backup import make as making
from fx_assets.backup import objects
from fx_assets.backup.kept import Backups
from fx_assets.backup.make import make
from fx_assets.backup.restore import restore
from fx_assets.errors import MissingData, StoreError
from fx_assets.models.promotion import no_changes
from fx_assets.storage import open_store
from fx_assets.storage.local import LocalStore
from fx_serving.client.home import Stores
from tests.fx_assets.backup.homes import (
    KEPT,
    LEFT,
    SEGMENT,
    STATE,
    add_rows,
    back_up,
    bring_back,
    deploy,
    plain,
    rows,
    write,
)

GOLD = "lake/gold/features/session=2021-03-01/part.parquet"


def test_what_went_in_comes_back(home, where, tmp_path):
    deploy(home, 1)
    done = back_up(home, where)
    restored = bring_back(where, tmp_path / "elsewhere" / "home")
    found = plain(restored)
    assert found == {**KEPT, "serving/routing.json": b'{"version":1}', "bundles/m/1/model.onnx": b"model 1"}
    assert rows(restored) == list(range(100))
    assert (restored / "serving/audit.head").stat().st_mode & 0o777 == 0o600
    assert (restored / GOLD).stat().st_mtime_ns == (home / GOLD).stat().st_mtime_ns
    assert {file.path for file in done.manifest.files}.isdisjoint(LEFT)
    assert not [path for path in restored.parent.iterdir() if path != restored]
    assert "://" in where or Path(where).stat().st_mode & 0o777 == 0o700
    store = open_store(where)
    assert not any(b"hunter2" in content for content in store.read_all(store.list("")).values())


def test_what_has_not_changed_is_not_read_nor_kept_again(home, where, tmp_path):
    first = back_up(home, where)
    before = set(open_store(where).list("objects"))
    # Other bytes of the same size and time of change: who reads the file again finds them.
    now = (home / GOLD).stat()
    (home / GOLD).write_bytes(b"GOLD" * 1000)
    os.utime(home / GOLD, ns=(now.st_mtime_ns, now.st_mtime_ns))
    second = back_up(home, where)
    assert second.added == 0
    assert set(open_store(where).list("objects")) == before
    assert second.manifest.files == first.manifest.files
    (home / GOLD).write_bytes(b"new" * 1000)
    assert back_up(home, where).added == 3000
    assert (bring_back(where, tmp_path / "new") / GOLD).read_bytes() == b"new" * 1000
    assert (bring_back(where, tmp_path / "old", first.manifest.id) / GOLD).read_bytes() == KEPT[GOLD]


def test_a_piece_that_is_missing_is_added_again(home, where, tmp_path):
    back_up(home, where)
    store = open_store(where)
    for path in store.list("objects"):
        store.delete(path)
    back_up(home, where)
    assert plain(bring_back(where, tmp_path / "back"))[GOLD] == KEPT[GOLD]


def test_a_large_file_is_kept_in_pieces_and_only_new_ones_are_added(home, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PIECE", 1000)
    where, log = str(tmp_path / "backups"), home / SEGMENT
    log.write_bytes(b"".join(b"%08d\n" % n for n in range(1000)))
    back_up(home, where)
    with log.open("ab") as file:
        file.write(b"the last\n")
    assert back_up(home, where).added <= 2000
    assert (bring_back(where, tmp_path / "back") / SEGMENT).read_bytes() == log.read_bytes()


def test_a_log_is_cut_at_its_last_whole_line(home, where, tmp_path):
    (home / SEGMENT).write_bytes(b'{"n": 1}\n' * 20_000 + b'{"n": 2')
    (home / "studies/m/2021-03-01.journal").write_bytes(b"no line has ended yet")
    back_up(home, where)
    with (home / SEGMENT).open("ab") as file:
        file.write(b"}\n")
    restored = bring_back(where, tmp_path / "back")
    assert (restored / SEGMENT).read_bytes() == b'{"n": 1}\n' * 20_000
    assert (restored / "studies/m/2021-03-01.journal").read_bytes() == b""
    back_up(home, where)
    assert (bring_back(where, tmp_path / "later") / SEGMENT).read_bytes().endswith(b'{"n": 2}\n')


def test_a_database_is_copied_as_of_one_moment_while_it_is_written(home, where, tmp_path):
    stop, written = threading.Event(), threading.Event()

    def write_pairs() -> None:
        with closing(sqlite3.connect(home / STATE, timeout=30)) as db:
            for n in range(1000, 1_000_000, 2):
                with db:
                    db.executemany("INSERT INTO rows VALUES (?, 'a pair')", [(n,), (n + 1,)])
                written.set()
                if stop.is_set():
                    return

    writer = threading.Thread(target=write_pairs)
    writer.start()
    try:
        assert written.wait(120)
        back_up(home, where)
        first = len(rows(bring_back(where, tmp_path / "one")))
        back_up(home, where)
    finally:
        stop.set()
        writer.join()
    second = rows(bring_back(where, tmp_path / "two"))
    assert 100 < first < len(second), "a log beside the file means that it has changed"
    assert len(second) % 2 == 0
    assert second[100:] == list(range(1000, 1000 + len(second) - 100)), "half a pair, or a gap"


def test_what_is_deployed_while_it_is_copied_is_named_only_with_its_bundle(home, tmp_path):
    where, versions = str(tmp_path / "backups"), iter(range(2, 1000))
    make(home, Backups(open_store(where)), moved=lambda count: deploy(home, next(versions)))
    restored = bring_back(where, tmp_path / "back")
    named = msgspec.json.decode((restored / "serving/routing.json").read_bytes())["version"]
    assert (restored / f"bundles/m/{named}/model.onnx").is_file()
    deployed = {int(path.name) for path in (restored / "bundles/m").iterdir()}
    assert max(deployed) > named, "nothing was deployed while it was copied; the test proves nothing"


def test_a_table_made_while_it_is_copied_has_what_it_was_made_of(home, tmp_path):
    """A session after the other is made, bronze first, gold last, whenever a file was copied."""
    where, days = str(tmp_path / "backups"), iter(range(2, 1000))

    def make_tables(count: int) -> None:
        day = next(days)
        for layer in ("bronze", "silver", "gold"):
            write(home, {f"lake/{layer}/t/session={day}/part.parquet": b"%d" % day})

    make(home, Backups(open_store(where)), moved=make_tables)
    lake = bring_back(where, tmp_path / "back") / "lake"
    gold, silver, bronze = ({p.name for p in (lake / f"{layer}/t").iterdir()} for layer in ("gold", "silver", "bronze"))
    assert gold <= silver <= bronze
    assert gold < bronze, "nothing was made while it was copied; the test proves nothing"


def test_no_champion_changes_between_the_databases_of_the_registry(home, tmp_path, monkeypatch):
    from filelock import FileLock, Timeout

    lock, held = FileLock(home / "mlflow/locks/m.lock", timeout=0), []
    copied = making.snapshot

    def look(path: Path, scratch: Path):
        try:
            with lock:
                pass
        except Timeout:
            held.append(path.name)
        return copied(path, scratch)

    monkeypatch.setattr(making, "snapshot", look)
    back_up(home, str(tmp_path / "backups"))
    assert held == ["promotions.db", "mlflow.db"]
    with no_changes(Stores(home)), pytest.raises(Timeout):
        lock.acquire()


def test_a_file_that_changes_while_it_is_read_is_read_again(home, tmp_path, monkeypatch):
    """Grows under the reader's hand three times, then stands still; one that never does so ends the backup."""
    where, path, changes = str(tmp_path / "backups"), home / "monitoring/figures.bin", [3]
    path.write_bytes(b"0" * 5000)
    real = objects.pieces

    def changing(file, size):
        for piece in real(file, size):
            if file.name == str(path) and changes[0] > 0:
                changes[0] -= 1
                path.write_bytes(b"%d" % changes[0] * 5000)
            yield piece

    monkeypatch.setattr(objects, "pieces", changing)
    back_up(home, where)
    assert (bring_back(where, tmp_path / "back") / "monitoring/figures.bin").read_bytes() == b"0" * 5000
    path.write_bytes(b"a" * 5000)
    changes[0] = 1000
    before = Backups(open_store(where)).get()
    with pytest.raises(StoreError, match=r"figures\.bin: changes all the time\. No backup was made"):
        back_up(home, where)
    assert Backups(open_store(where)).get() == before
    states = [kept.manifest is not None for kept in Backups(open_store(where)).all()]
    assert states == [True, False]


def test_a_damaged_database_makes_no_backup(home, tmp_path):
    with (home / STATE).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreError, match=r"state\.db: .*No backup was made"):
        back_up(home, str(tmp_path / "backups"))
    with pytest.raises(MissingData, match="no finished backup; 1 were begun"):
        Backups(open_store(tmp_path / "backups")).get()


@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_a_damaged_piece_is_named_and_nothing_is_restored(home, where, tmp_path, how):
    done = back_up(home, where)
    store = open_store(where)
    (digest,) = next(file for file in done.manifest.files if file.path == GOLD).objects
    path = objects.place(digest)
    if how == "gone":
        store.delete(path)
    else:
        store.write(path, b"GOLD" * 1000 if how == "changed" else b"gold")
    with pytest.raises(StoreError, match=rf"{digest}: cannot be used"):
        bring_back(where, tmp_path / "back" / "home")
    assert list((tmp_path / "back").iterdir()) == []
    backups = Backups(store)
    (problem,) = backups.verify([backups.get()])
    assert digest in problem
    assert f"It is part of {done.manifest.id}: {GOLD}." in problem
    # As the message says.
    store.delete(path)
    back_up(home, where)
    assert backups.verify([backups.get()]) == []


def test_a_damaged_manifest_is_no_backup_and_is_named(home, where, tmp_path):
    back_up(home, where)
    done = back_up(home, where)
    store, backups = open_store(where), Backups(open_store(where))
    path = next(path for path in store.list("backups") if done.manifest.id in path)
    store.write(path, store.read(path).replace(b"gold", b"GOLD"))
    with pytest.raises(StoreError, match=r"cannot be used: its sha256 .* Take another one with --backup"):
        bring_back(where, tmp_path / "back")
    with pytest.raises(StoreError, match="Nothing was removed"):
        backups.prune(1)
    assert not (tmp_path / "back").exists()
    bring_back(where, tmp_path / "back", backups.all()[0].id)


def test_only_the_newest_are_kept_and_only_what_they_need(home, where, tmp_path):
    ids = []
    for n in range(4):
        (home / GOLD).write_bytes(b"%d" % n * 3000)
        ids.append(back_up(home, where).manifest.id)
    backups = Backups(open_store(where))
    assert backups.prune(2) == ids[:2]
    assert [kept.id for kept in backups.all()] == ids[2:]
    manifests = [kept.manifest for kept in backups.all() if kept.manifest]
    assert backups.verify(manifests) == []
    assert objects.known(backups.store) == set().union(*(m.objects for m in manifests))
    assert backups.prune(2) == []
    with pytest.raises(MissingData, match="has no backup"):
        backups.get(ids[0])


def test_no_other_backup_begins_while_older_ones_are_removed(home, tmp_path, monkeypatch):
    """It would count on pieces that are about to go."""
    where, refused = str(tmp_path / "backups"), []
    first = back_up(home, where).manifest.id
    delete = LocalStore.delete

    def deleting(store: LocalStore, path: str) -> None:
        if path.endswith(".json"):
            with pytest.raises(StoreError, match="another backup of it is running") as told:
                back_up(home, where)
            refused.append(told)
        delete(store, path)

    monkeypatch.setattr(LocalStore, "delete", deleting)
    assert back_up(home, where, keep=1).removed == [first]
    assert len(refused) == 1


def test_a_finished_backup_is_told_where_older_ones_cannot_be_removed(home, where):
    old = back_up(home, where).manifest.id
    store = open_store(where)
    path = next(path for path in store.list("backups") if old in path)
    store.write(path, b"{}")
    with pytest.raises(
        StoreError, match=r"backup \S+ is finished, but none was removed for it: .* Nothing was removed"
    ):
        back_up(home, where, keep=1)
    assert [kept.manifest is not None for kept in Backups(store).all()] == [False, True]


def test_a_home_that_holds_anything_is_not_restored_into(home, tmp_path):
    where = str(tmp_path / "backups")
    back_up(home, where)
    before = plain(home)
    with pytest.raises(StoreError, match="is not empty"):
        bring_back(where, home)
    assert plain(home) == before
    (tmp_path / "empty").mkdir()
    assert plain(bring_back(where, tmp_path / "empty"))[GOLD] == KEPT[GOLD]


def test_a_disk_that_is_too_small_is_found_before_anything_is_written(home, tmp_path, monkeypatch):
    where = str(tmp_path / "backups")
    back_up(home, where)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=50_000_000))
    with pytest.raises(StoreError, match="the backup needs 50 MB, and the disk has 50 MB left"):
        bring_back(where, tmp_path / "back" / "home")
    assert list((tmp_path / "back").iterdir()) == []


def test_a_lake_of_its_own_comes_back_below_the_home(home, where, s3, tmp_path):
    lake = open_store(s3() + "/lake")
    names = [name for name in KEPT if name.startswith("lake/")]
    for name in names:
        lake.write(name.removeprefix("lake/"), KEPT[name])
    shutil.rmtree(home / "lake")
    backups = Backups(open_store(where))
    made = make(home, backups, lake)
    assert made.manifest.lake == lake.url
    restore(backups.store, backups.get(), tmp_path / "back")
    assert {name: plain(tmp_path / "back")[name] for name in names} == {name: KEPT[name] for name in names}
    assert make(home, backups, lake).added == 0


def test_backups_in_the_home_and_two_at_once_are_refused(home, tmp_path):
    from filelock import FileLock

    with pytest.raises(StoreError, match="lies within the home"):
        back_up(home, str(home / "backups"))
    with FileLock(home / ".backup.lock"), pytest.raises(StoreError, match="another backup of it is running"):
        back_up(home, str(tmp_path / "backups"))
    with pytest.raises(StoreError, match="there is no such home"):
        back_up(tmp_path / "nowhere", str(tmp_path / "backups"))


def test_rows_added_after_a_backup_are_in_the_next(home, tmp_path):
    where = str(tmp_path / "backups")
    first = back_up(home, where).manifest.id
    add_rows(home, range(100, 150))
    back_up(home, where)
    assert rows(bring_back(where, tmp_path / "new")) == list(range(150))
    assert rows(bring_back(where, tmp_path / "old", first)) == list(range(100))
