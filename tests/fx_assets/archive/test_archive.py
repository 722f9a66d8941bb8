"""The archive on a folder and on S3: what goes in comes back to the byte; nothing goes away before that is proven."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fx_assets.archive.archive import Archive
from fx_assets.archive.months import check_month, finished_before, month_of
from fx_assets.archive.parts import Damaged, pack, unpack
from fx_assets.bronze.due import due, newest_fetches
from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.errors import ConfigError, MissingData, StoreError
from fx_assets.storage import open_store
from fx_assets.storage.local import LocalStore
from tests.fx_assets.bronze.answers import bars
from tests.fx_assets.cli.conftest import files_below
from tests.servers.s3 import s3_server

FETCHED = datetime(2021, 6, 1, tzinfo=UTC)
DAYS = ("2021-01-04", "2021-01-31", "2021-02-01", "2021-03-01")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as bucket:
        yield bucket


@pytest.fixture(params=["folder", "s3"])
def archive(request, tmp_path: Path) -> Archive:
    """A lake of four sessions of two instruments, and an empty archive."""
    where = str(tmp_path / "archive") if request.param == "folder" else request.getfixturevalue("s3")() + "/fx"
    fill(tmp_path / "lake")
    return Archive(LocalStore(tmp_path / "lake"), open_store(where))


def fill(lake: Path, number: int = 0) -> None:
    for symbol in ("X", "Y"):
        for day in DAYS:
            rows = bars(f"{day}T22:00Z", close=1.2 + number / 100)
            Bronze(lake).append(CANDLES, symbol, day, "s", rows, FETCHED + timedelta(seconds=number))


def bronze_files(archive: Archive) -> dict[str, bytes]:
    return {path: archive.lake.read(path) for path in archive.lake.list(CANDLES)}


def tars(archive: Archive) -> list[str]:
    return [path for path in archive.store.list("") if path.endswith(".tar")]


def test_finished_months_are_packed_and_others_are_not(archive):
    before = bronze_files(archive)
    done = archive.run("2021-03", remove_local=False)
    assert done.packed == {(CANDLES, "2021-01"): 4, (CANDLES, "2021-02"): 2}
    assert done.removed == {}
    assert bronze_files(archive) == before
    assert [path.rpartition("/")[0] for path in tars(archive)] == [
        "bronze/candles/month=2021-01",
        "bronze/candles/month=2021-02",
    ]
    states = {state.month: (state.here, state.archived, state.only_archived) for state in archive.status()}
    assert states == {"2021-01": (4, 4, 0), "2021-02": (2, 2, 0), "2021-03": (2, 0, 0)}


def test_archiving_again_changes_nothing_and_late_fetches_make_another_part(archive):
    archive.run("2021-03", remove_local=False)
    first = {path: archive.store.read(path) for path in archive.store.list("")}
    assert archive.run("2021-03", remove_local=False).packed == {}
    assert archive.store.list("") == list(first)
    fill(archive.lake.root, number=1)
    assert archive.run("2021-03", remove_local=False).packed == {(CANDLES, "2021-01"): 4, (CANDLES, "2021-02"): 2}
    assert len(tars(archive)) == 4
    assert {path: archive.store.read(path) for path in first} == first, "a part is never written again"


def test_a_removed_month_is_missed_by_readers_and_comes_back_to_the_byte(archive):
    before, bronze = bronze_files(archive), Bronze(archive.lake)
    sessions, digests = bronze.sessions(CANDLES), bronze.digests(CANDLES, DAYS, ["X", "Y"])
    done = archive.run("2021-03", remove_local=True)
    assert done.removed == {(CANDLES, "2021-01"): 4, (CANDLES, "2021-02"): 2}
    assert {month_of(path) for path in bronze_files(archive)} == {"2021-03"}
    with pytest.raises(MissingData, match=r"2 files of 2021-01 .* `fx archive restore --month 2021-01`"):
        bronze.read(CANDLES, DAYS[:2], ["X"])
    assert len(bronze.read(CANDLES, DAYS[3:], ["X"])) == 24
    assert (bronze.sessions(CANDLES), bronze.digests(CANDLES, DAYS, ["X", "Y"])) == (sessions, digests)
    assert archive.run("2021-03", remove_local=True).removed == {}
    assert archive.restore("2021-01") == 4
    assert archive.restore("2021-01") == 0
    assert len(bronze.read(CANDLES, DAYS[:2], ["X"])) == 48
    archive.restore("2021-02")
    assert bronze_files(archive) == before
    with pytest.raises(MissingData, match="has no month 2020-12"):
        archive.restore("2020-12")


@pytest.mark.parametrize("remove_local", [False, True])
def test_a_session_that_was_archived_half_fetched_stays_due_until_it_is_fetched_whole(archive, remove_local):
    """Of X there are the first hours only; Y was fetched again after the end."""
    bronze, half = Bronze(archive.lake), "2021-01-05"
    for symbol in ("X", "Y"):
        bronze.append(CANDLES, symbol, half, "s", bars(f"{half}T22:00Z").iloc[:3], FETCHED, part=True)
    bronze.append(CANDLES, "Y", half, "s", bars(f"{half}T22:00Z"), FETCHED + timedelta(seconds=1))
    archive.run("2021-02", remove_local)
    sessions, now = [DAYS[0], half], datetime(2021, 6, 2, tzinfo=UTC)
    assert due(sessions, ["X", "Y"], newest_fetches(bronze, CANDLES), now, now) == {half: ["X"]}
    bronze.append(CANDLES, "X", half, "s", bars(f"{half}T22:00Z"), FETCHED + timedelta(seconds=2))
    assert due(sessions, ["X", "Y"], newest_fetches(bronze, CANDLES), now, now) == {}


@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "manifest"])
def test_what_the_archive_has_lost_is_not_removed_here(archive, how):
    archive.run("2021-02", remove_local=False)
    (tar,) = tars(archive)
    whole = archive.store.read(tar)
    if how == "missing":
        archive.store.delete(tar)
    elif how == "manifest":
        archive.store.write(tar.replace(".tar", ".json"), b'{"table": "bro')
    else:
        archive.store.write(tar, whole[:-600] if how == "cut" else whole[:700] + b"\x00" + whole[701:])
    before = files_below(archive.lake.root)
    for attempt in (lambda: archive.run("2021-02", remove_local=True), lambda: archive.restore("2021-01")):
        with pytest.raises(StoreError, match=r"month=2021-01/[0-9a-f]+\.(tar|json): cannot be used: ") as caught:
            attempt()
        assert "Nothing was removed or changed here" in str(caught.value)
        assert files_below(archive.lake.root) == before


def test_a_damaged_file_here_is_not_taken_for_the_archived_one(archive):
    archive.run("2021-02", remove_local=False)
    path = archive.lake.list(CANDLES)[0]
    archive.lake.root.joinpath(path).write_bytes(b"damaged")
    with pytest.raises(StoreError, match="differs from its copy in the archive"):
        archive.run("2021-02", remove_local=True)
    assert len([p for p in archive.lake.list(CANDLES) if month_of(p) == "2021-01"]) == 4
    with pytest.raises(StoreError, match="is there already with other content"):
        archive.restore("2021-01")


def test_a_month_that_was_only_partly_removed_is_finished_by_the_next_run(archive):
    archive.run("2021-02", remove_local=True)
    archive.restore("2021-01")
    archive.lake.delete(next(p for p in archive.lake.list(CANDLES) if month_of(p) == "2021-01"))
    with pytest.raises(MissingData):
        Bronze(archive.lake).read(CANDLES, DAYS[:2], ["X", "Y"])
    assert archive.run("2021-02", remove_local=True).removed == {(CANDLES, "2021-01"): 3}
    assert archive.restore("2021-01") == 4


KILLED = """
import sys
from fx_assets.archive.archive import Archive
from fx_assets.storage import open_store

archive = Archive(open_store(sys.argv[1]), open_store(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
while True:
    archive.run("2021-03", remove_local=True)
    for month in ("2021-01", "2021-02"):
        archive.restore(month)
    print("round", flush=True)
"""


def test_killed_at_any_moment_every_file_is_somewhere(archive, tmp_path):
    """A process that archives, removes and restores in turn is killed again and again."""
    before, rng, whole = bronze_files(archive), random.Random(5), 0.0
    where = archive.store.url
    for attempt in range(7):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "lake"), where]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            print(file=process.stdin, flush=True)
            started = time.monotonic()
            if attempt == 0:  # how long a round takes on this machine: the kills fall within one
                assert process.stdout.readline() == "round\n"
                whole = time.monotonic() - started
            time.sleep(rng.uniform(0.02, 1.0) * whole)
            os.kill(process.pid, signal.SIGKILL)
        for state in archive.status():
            if state.only_archived:
                archive.restore(state.month)
        assert bronze_files(archive) == before
    assert tars(archive)


def test_which_months_are_due():
    now = datetime(2021, 5, 12, tzinfo=UTC)
    assert [finished_before(now, keep) for keep in (1, 4, 5, 17)] == ["2021-04", "2021-01", "2020-12", "2019-12"]
    # The last session of April begins on Thursday the 29th; on the 1st of May, a Saturday, Sunday's is the coming one.
    assert finished_before(datetime(2021, 4, 30, 12, tzinfo=UTC), 1) == "2021-03"
    assert finished_before(datetime(2021, 5, 1, 12, tzinfo=UTC), 1) == "2021-04"
    assert check_month("2021-03") == "2021-03"
    for wrong in ("2021-13", "2021-3", "March", "2021-03-01", ""):
        with pytest.raises(ConfigError, match="Write it as YYYY-MM"):
            check_month(wrong)


def test_a_part_is_its_content():
    files = {"a/b": b"one", "a/c": b""}
    manifest, whole = pack(CANDLES, "2021-01", files)
    assert pack(CANDLES, "2021-01", dict(reversed(files.items()))) == (manifest, whole)
    assert unpack(manifest, whole) == files
    with pytest.raises(Damaged, match="sha256"):
        unpack(manifest, whole + b"\0")
