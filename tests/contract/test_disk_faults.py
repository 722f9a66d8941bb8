"""A full disk and a read-only one: a clear error, nothing lost, and on it goes when there is room again."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.archive.archive import Archive
from fx_assets.bronze.files import CANDLES, Bronze, Fetch
from fx_assets.errors import StoreError
from fx_assets.stack.environment import ROOT
from fx_assets.stack.ports import free_port
from fx_assets.storage.local import LocalStore
from fx_assets.storage.problems import disk_fault
from fx_serving.client.files import atomic_write
from tests.contract.conftest import SmallDisk
from tests.fx_assets.bronze.answers import bars
from tests.fx_assets.cli.conftest import files_below
from tests.fx_assets.small import INSTRUMENTS, changed, write_config

KB = 1024
NOW = datetime(2021, 3, 5, tzinfo=UTC)


def test_a_full_disk_loses_nothing_and_leaves_nothing(small_disk: SmallDisk):
    store = LocalStore(small_disk.folder / "lake")
    kept = {f"t/session={n}/part.parquet": bytes([n]) * 50 * KB for n in range(4)}
    store.write_all(kept)
    small_disk.fill(leave=120 * KB)
    before = files_below(store.root)
    attempts: list[Callable[[], object]] = [
        lambda: store.write("t/session=0/part.parquet", b"x" * 900 * KB),
        # The first of these would fit, and is not replaced all the same.
        lambda: store.write_all({path: b"y" * 60 * KB for path in kept}),
        lambda: store.create_all({f"b/{n}": b"z" * 60 * KB for n in range(4)}),
        lambda: store.stage_all({f"t/session={n}/part.parquet": b"s" * 60 * KB for n in range(4)}),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError) as caught:
            attempt()
        told = str(caught.value)
        assert str(store.root) in told
        assert "the disk is full (" in told
        assert "Everything that was there before is untouched. Free space" in told
        assert files_below(store.root) == before
    small_disk.empty()
    for attempt in attempts:
        attempt()
    assert store.read("t/session=3/part.parquet") == b"y" * 60 * KB
    assert store.list("b") == ["b/0", "b/1", "b/2", "b/3"]


def test_a_read_only_disk_is_named_and_still_read(small_disk: SmallDisk):
    store = LocalStore(small_disk.folder / "lake")
    store.write("t/x", b"kept")
    token = store.stage("t/x", b"next")
    small_disk.read_only(True)
    attempts: list[Callable[[], object]] = [
        lambda: store.write("t/x", b"new"),
        lambda: store.create_all({"new/folder/x": b""}),
        lambda: store.publish([token]),
        lambda: store.delete("t/x"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match=r"the file system is read-only\. Everything .* Mount it writable"):
            attempt()
    store.discard([token])
    assert (store.read("t/x"), store.list(""), store.sweep("")) == (b"kept", ["t/x"], 0)
    small_disk.read_only(False)
    store.publish([token])
    assert store.read("t/x") == b"next"


def test_many_sessions_appended_to_a_full_disk_are_all_or_none(small_disk: SmallDisk):
    bronze = Bronze(small_disk.folder)
    days = [f"2021-03-{day:02}" for day in range(1, 29)]
    bronze.append(CANDLES, "X", days[0], "s", bars(), NOW)
    small_disk.fill(leave=80 * KB)
    before = files_below(small_disk.folder / "bronze")
    # Each is a few KB as the disk counts: some fit, all of them do not.
    fetches = [
        Fetch("X", day, "s", bars(count=24, close=1.2 + day_number / 1000)) for day_number, day in enumerate(days)
    ]
    with pytest.raises(StoreError, match="the disk is full"):
        bronze.append_all(CANDLES, fetches, NOW.replace(hour=1))
    assert files_below(small_disk.folder / "bronze") == before
    small_disk.empty()
    bronze.append_all(CANDLES, fetches, NOW.replace(hour=1))
    assert len(bronze.read(CANDLES, days, ["X"])) == 29 * 24


@pytest.mark.parametrize("full", ["lake", "archive"])
def test_an_archive_that_runs_out_of_room_removes_nothing(small_disk: SmallDisk, tmp_path, full):
    """Where the tar has no room, and where the list of what is removed has none."""
    places = {name: (small_disk.folder if name == full else tmp_path) / name for name in ("lake", "archive")}
    lake, archive = LocalStore(places["lake"]), LocalStore(places["archive"])
    days = [f"2021-03-{day:02}" for day in range(1, 29)]
    Bronze(lake).append_all(CANDLES, [Fetch("X", day, "s", bars(count=24)) for day in days], NOW)
    before = {path: lake.read(path) for path in lake.list(CANDLES)}
    small_disk.fill(leave=0)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the disk is full \(") as caught:
            Archive(lake, archive).run("2021-04", remove_local=True)
        assert str(small_disk.folder) in str(caught.value)
        assert {path: lake.read(path) for path in lake.list(CANDLES)} == before
    small_disk.empty()
    done = Archive(lake, archive).run("2021-04", remove_local=True)
    assert done.removed == {(CANDLES, "2021-03"): 28}
    assert Archive(lake, archive).restore("2021-03") == 28
    assert {path: lake.read(path) for path in lake.list(CANDLES)} == before


@pytest.fixture
def fx(small_disk: SmallDisk, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """fx(*arguments): the command, as a user calls it, with its home on the small disk."""
    config = write_config(tmp_path / "config", changed(INSTRUMENTS, sessions__start="2021-03-01"))
    home = small_disk.folder / "home"

    def call(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "fx_serving.cli", *arguments, "--home", str(home)]
        environment = {"FX_CONFIG_DIR": str(config), "NO_COLOR": "1", "COLUMNS": "300"}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **environment})

    return call


def history(path: Path) -> Path:
    """A candle file of 23 sessions."""
    time = pd.date_range("2021-03-01T22:00Z", "2021-03-31T20:00Z", freq="1h", unit="us")
    frame = pd.DataFrame({"time": time, "open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25, "volume": 3.0})
    frame.to_parquet(path)
    return path


def test_importing_to_a_disk_that_cannot_take_it(small_disk: SmallDisk, fx, tmp_path):
    arguments = ("import", str(history(tmp_path / "mine.parquet")), "--instrument", "GBP_USD", "--granularity", "H1")
    lake = small_disk.folder / "home" / "lake"
    lake.mkdir(parents=True)
    for make, mend, told in (
        (lambda: small_disk.fill(leave=60 * KB), small_disk.empty, "the disk is full"),
        (lambda: small_disk.read_only(True), lambda: small_disk.read_only(False), "the file system is read-only"),
    ):
        make()
        done = fx(*arguments)
        assert done.returncode == 1
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(lake.rglob("*.gz"))
        mend()
    done = fx(*arguments)
    assert done.returncode == 0, done.stderr
    sessions = sorted(Bronze(lake).sessions(CANDLES)["GBP_USD"])
    assert len(Bronze(lake).read(CANDLES, sessions, ["GBP_USD"])) == 719


def test_a_home_that_cannot_be_made_is_told(small_disk: SmallDisk, fx):
    small_disk.read_only(True)
    for command in (("up",), ("backfill", "--tables", "silver/candles")):
        done = fx(*command)
        assert (done.returncode, "the file system is read-only" in done.stderr) == (1, True), done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    assert not (small_disk.folder / "home").exists()


def test_starting_the_platform_on_a_full_disk_is_told(small_disk: SmallDisk, fx):
    (small_disk.folder / "home").mkdir()
    small_disk.fill()
    names = ("dagster", "serving", "mlflow", "reports", "exporter")
    ports = [f for n in names for f in (f"--{n}-port", str(free_port()))]
    done = fx("up", *ports)
    assert done.returncode == 1
    assert f"{small_disk.folder}/home: cannot be written to: the disk is full" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_write_to_a_full_disk_names_that_disk_and_not_the_working_folder(small_disk: SmallDisk):
    small_disk.fill()
    with pytest.raises(OSError, match="No space left") as caught:
        atomic_write(small_disk.folder / "x", b"1" * 100 * KB)
    assert str(disk_fault(caught.value)).startswith(f"{small_disk.folder}/x: cannot be written: the disk is full (")
    assert [path.name for path in small_disk.folder.iterdir()] == ["ballast"]


def test_a_home_that_this_user_may_not_write_to_is_told(tmp_path: Path, program: Callable[[str, str], str]):
    setpriv = program("setpriv", "util-linux")
    # root without its capabilities obeys permission bits, wherever the checkout lies; any other user does anyway.
    plain = [setpriv, "--bounding-set=-all"] if os.geteuid() == 0 else []
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    for command in (("practice",), ("up",), ("backfill", "--tables", "silver/candles")):
        ports = ["--port", str(free_port())] if command == ("practice",) else []
        called = [*plain, sys.executable, "-m", "fx_serving.cli", *command, *ports, "--home", str(home)]
        done = subprocess.run(called, env=environment, cwd="/", capture_output=True, text=True, timeout=240)
        assert (done.returncode, "permission is denied" in done.stderr) == (1, True), done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert list(home.iterdir()) == []


@pytest.mark.slow(30)
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_backfill_to_a_disk_that_cannot_take_it(small_disk: SmallDisk, fx, fault):
    arguments = ("backfill", "--from", "2021-03-01", "--to", "2021-03-03", "--tables", "silver/candles")
    made = fx(*arguments)
    assert made.returncode == 0, made.stderr
    lake = small_disk.folder / "home" / "lake"
    before = files_below(lake)
    more = ("backfill", "--from", "2021-03-01", "--to", "2021-03-10", "--tables", "silver/candles")
    small_disk.fill() if fault == "full" else small_disk.read_only(True)
    failed = fx(*more)
    assert failed.returncode == 1, failed.stdout
    told = failed.stdout + failed.stderr
    assert ("is full" if fault == "full" else "is read-only") in told
    assert "Traceback" not in told
    assert {path: content for path, content in files_below(lake).items() if path in before} == before
    small_disk.empty() if fault == "full" else small_disk.read_only(False)
    again = fx(*more)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len([path for path in files_below(lake) if "silver/candles" in path]) == 8
