"""Damaged SQLite files: found, set aside, restored from the newest sound copy; killed at any moment, none is lost."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing

import pytest

from fx_serving.client import databases
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient
from tests.counts import count
from tests.servers.serving import make_bundle, publish_features, start_service, wait_until

NAME = "serving/state.db"


@pytest.fixture
def stores(tmp_path):
    stores = Stores(tmp_path)
    write(stores, range(200))
    return stores


def write(stores, numbers):
    path = stores.home / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO rows VALUES (?, ?)", [(n, f"row {n} " * 20) for n in numbers])


def copied(stores):
    """A fresh copy's place."""
    made = databases.copy(stores, NAME)
    assert made is not None
    return made


def rows(stores):
    with closing(sqlite3.connect(stores.home / NAME)) as db:
        return [n for (n,) in db.execute("SELECT number FROM rows ORDER BY number")]


def spoil(path, at=4096, length=4096):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * length)


def test_a_sound_file_is_left_alone(stores):
    assert databases.damage(stores.home / NAME) is None
    assert databases.repair(stores) == []
    assert not (stores.home / "damaged").exists()
    assert not stores.repairs.exists()


@pytest.mark.parametrize("how", ["pages", "header", "emptied", "cut"])
def test_whatever_was_damaged_comes_back_from_the_newest_copy(stores, how):
    databases.copy(stores, NAME)
    write(stores, range(200, 300))
    newest = copied(stores)
    path = stores.home / NAME
    before = path.read_bytes()
    if how == "pages":
        spoil(path)
    elif how == "header":
        spoil(path, 0, 100)
    else:
        os.truncate(path, 0 if how == "emptied" else len(before) // 2)
    damaged = path.read_bytes()
    (done,) = databases.repair(stores)
    assert rows(stores) == list(range(300))
    assert (done.file, done.restored_from) == (NAME, str(newest.relative_to(stores.home)))
    assert (stores.home / done.set_aside).read_bytes() == damaged
    assert json.loads(stores.repairs.read_text())["why"] == done.why
    assert databases.repair(stores) == []


def test_a_write_ahead_log_of_the_damaged_file_does_not_reach_the_copy(stores):
    databases.copy(stores, NAME)
    # A process that was killed leaves its log beside the file.
    code = (
        "import sqlite3,os,sys; db=sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('INSERT INTO rows VALUES (500, 0)'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, stores.home / NAME], check=False)
    assert (stores.home / f"{NAME}-wal").stat().st_size > 0
    spoil(stores.home / NAME, 0, 100)  # not among the pages that the log would bring back
    (done,) = databases.repair(stores)
    assert rows(stores) == list(range(200))
    assert done.restored_from is not None


def test_a_copy_that_has_decayed_is_passed_over(stores):
    older = copied(stores)
    write(stores, [200])
    spoil(copied(stores))
    spoil(stores.home / NAME)
    (done,) = databases.repair(stores)
    assert done.restored_from == str(older.relative_to(stores.home))
    assert rows(stores) == list(range(200))


def test_without_a_sound_copy_it_begins_anew_and_says_so(stores):
    spoil(stores.home / NAME)
    (done,) = databases.repair(stores)
    assert done.restored_from is None
    assert "begins anew" in str(done)
    assert not (stores.home / NAME).exists()


def test_a_file_that_was_never_written_is_no_damage_and_one_that_has_a_copy_is(stores):
    """A process killed between opening a new file and its first write leaves no bytes; nothing was lost by that."""
    fresh = "monitoring/trading.db"
    path = stores.home / fresh
    path.parent.mkdir(parents=True, exist_ok=True)
    sqlite3.connect(path).close()
    path.touch()
    assert path.stat().st_size == 0
    assert databases.found(stores, fresh) is None
    assert databases.copy(stores, fresh) is None, "an empty copy would prove nothing"
    assert databases.repair(stores) == []
    assert path.exists()
    copied(stores)
    os.truncate(stores.home / NAME, 0)
    assert "it has no bytes, and its copy" in (databases.found(stores, NAME) or "")
    with pytest.raises(databases.CopyError, match="no bytes"):
        databases.copy(stores, NAME)


def test_a_file_is_set_aside_where_there_are_no_hard_links(stores):
    """A link to another file system fails as links do where there are none."""
    copied(stores)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert os.stat(elsewhere).st_dev != os.stat(stores.home).st_dev, "the test needs two file systems"
        (stores.home / "damaged").symlink_to(elsewhere)
        path = stores.home / NAME
        spoil(path, 0, 100)
        damaged = path.read_bytes()
        (done,) = databases.repair(stores)
        assert (stores.home / done.set_aside).read_bytes() == damaged
        assert rows(stores) == list(range(200))


def test_what_has_not_changed_is_not_copied_again_and_the_newest_are_kept(stores):
    assert databases.copy(stores, NAME) is not None
    assert databases.copy(stores, NAME) is None
    for number in range(200, 206):
        write(stores, [number])
        assert databases.copy(stores, NAME) is not None
    kept = databases.copies(stores, NAME)
    assert len(kept) == databases.KEEP
    with closing(sqlite3.connect(kept[-1])) as db:
        assert db.execute("SELECT max(number) FROM rows").fetchone() == (205,)


def test_a_damaged_file_does_not_push_out_sound_copies(stores):
    databases.copy(stores, NAME)
    spoil(stores.home / NAME)
    with pytest.raises(databases.CopyError, match=r"damaged .* Stop the platform and run `fx repair run`"):
        databases.copy(stores, NAME)
    assert len(databases.copies(stores, NAME)) == 1


def test_a_copy_is_whole_while_others_write(stores):
    code = (
        "import sqlite3,sys,time\n"
        "db=sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        "print('ready', flush=True)\n"
        "n=1000\n"
        "while True:\n"
        "    time.sleep(0.001)\n"  # one that never pauses may keep a reader waiting for ever
        "    db.execute('BEGIN IMMEDIATE')\n"
        "    for k in range(2): db.execute('INSERT INTO rows VALUES (?, ?)', (n + k, 'pair'))\n"
        "    db.execute('COMMIT'); n += 2\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, stores.home / NAME], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            for _ in range(5):
                # None as long as the writer has not had its turn since the copy before.
                made = wait_until(lambda: databases.copy(stores, NAME))
                with closing(sqlite3.connect(made)) as db:
                    (pairs,) = db.execute("SELECT count(*) FROM rows WHERE number >= 1000").fetchone()
                assert pairs % 2 == 0
        finally:
            writer.send_signal(signal.SIGKILL)
    assert pairs > 0


@pytest.mark.slow
def test_killed_at_any_moment_the_file_is_there_and_comes_back(stores):
    """kill -9 before each call that opens or renames something below the home, one after another."""
    databases.copy(stores, NAME)
    path = stores.home / NAME
    good = path.read_bytes()
    code = (
        "import os, sys, itertools\n"
        "from pathlib import Path\n"
        "from fx_serving.client import databases\n"
        "from fx_serving.client.home import Stores\n"
        "left = int(sys.argv[2]); steps = itertools.count()\n"
        "def kill(event, args):\n"
        "    if event in ('os.rename', 'os.link', 'os.remove', 'os.mkdir', 'shutil.copyfile', 'open') and"
        " sys.argv[1] in str(args[0]):\n"
        "        if next(steps) == left: os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(kill)\n"
        "databases.repair(Stores(Path(sys.argv[1])), ['serving/state.db'])\n"
    )
    killed = 0
    for step in range(count("repair_kills")):
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.write_bytes(good)
        spoil(path)
        done = subprocess.run([sys.executable, "-c", code, stores.home, str(step)], check=False)
        killed += done.returncode == -signal.SIGKILL
        assert path.is_file()
        databases.repair(stores)
        assert rows(stores) == list(range(200))
    assert killed > 5


def test_the_service_starts_from_the_copy_of_its_damaged_state(tmp_path):
    stores = Stores(tmp_path)
    publish_features(stores)
    make_bundle(stores, "1")
    with start_service(tmp_path, workers=1) as service:
        service.deploy("1")
        assert databases.copy(stores, NAME) is not None
    # What the service keeps beside it is of its last moment, the copy is older: they must not be taken for each other.
    spoil(stores.home / NAME)
    with start_service(tmp_path, workers=1) as service, ServingClient(service.url) as client:
        assert client.predict("EUR_USD")["model_version"] == "1"
        assert [found["version"] for found in client.rollouts()] == ["1"]
    (line,) = stores.repairs.read_text().splitlines()
    assert json.loads(line)["file"] == NAME
