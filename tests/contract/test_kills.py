"""Writers killed with kill -9 at random moments: no file is torn, no byte that was reported as written is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.storage import Store, open_store
from fx_assets.storage.local import LocalStore
from fx_assets.storage.temporary import STALE_S
from tests.counts import count

KEYS = [f"gold/features/session=2021-03-{day:02}/part.parquet" for day in range(1, 9)]
DAYS = [f"2021-03-{day:02}" for day in range(1, 5)]
SIZE = 100_000
# Forks a writer for every line it reads, so that imports are paid for once. A writer replaces the same files over and
# over, appends to bronze, and notes each round when it is done.
LAUNCHER = """
import os, sys
from datetime import UTC, datetime
import pandas as pd
from fx_assets.bronze.files import CANDLES, Bronze, Fetch
from fx_assets.storage import open_store
import s3fs  # not used here, but what it loads need not be loaded by every writer

where, notes, size = sys.argv[1], sys.argv[2], int(sys.argv[5])
keys, days = sys.argv[3].split(","), sys.argv[4].split(",")
time = pd.date_range("2021-03-01T22:00Z", periods=24, freq="1h", unit="us")
for line in sys.stdin:
    writer = os.fork()
    if writer == 0:
        life, note = int(line), os.open(f"{notes}/{line.strip()}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        store = open_store(where)
        bronze = Bronze(store)
        for round in range(1, 1_000_000):
            number = life * 1_000_000 + round
            store.write_all(dict.fromkeys(keys, f"{number:>10}".encode() * (size // 10)))
            rows = pd.DataFrame({"time": time, "open": 1.0, "high": float(number), "low": 1.0, "close": 1.0})
            bronze.append_all(CANDLES, [Fetch("X", day, "s", rows) for day in days], datetime.now(UTC))
            os.write(note, f"{number}\\n".encode())
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("gone", flush=True)
"""


def files_of(store: Store) -> list[int]:
    """Every file is whole; the rounds they are of."""
    rounds = []
    for path in store.list("gold"):
        content = store.read(path)
        assert len(content) == SIZE
        assert content == content[:10] * (SIZE // 10), "torn"
        rounds.append(int(content[:10]))
    return rounds


def bronze_of(store: Store) -> dict[str, set[int]]:
    """Every bronze file is whole; the rounds that each session has."""
    rows = Bronze(store).read(CANDLES, DAYS, ["X"])
    if rows.empty:
        return {day: set() for day in DAYS}
    assert (rows.groupby(["session", "high"]).size() == 24).all()
    return {str(day): {int(high) for high in part["high"].unique()} for day, part in rows.groupby("session")}


def seconds_until_noted(path: Path) -> float:
    """How long it takes from now until a writer notes that its first round is done."""
    started = time.monotonic()
    while not (path.exists() and path.read_bytes().endswith(b"\n")):
        assert time.monotonic() - started < 120, "no round in two minutes"
        time.sleep(0.002)
    return time.monotonic() - started


@pytest.fixture(params=["folder", "s3"])
def killing(request, tmp_path) -> tuple[str, int, Callable[[], int]]:
    """Where, how often, and how to count what the dead left."""
    if request.param == "folder":
        url = str(tmp_path / "store")
        return url, count("lake_kills"), lambda: len(list((tmp_path / "store").rglob(".*.tmp")))
    url = request.getfixturevalue("s3")() + "/lake"
    return url, count("s3_kills"), lambda: 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kill_nine_tears_nothing_and_loses_nothing(killing, tmp_path, monkeypatch):
    where, kills, left = killing
    store, rng, seen, noted, whole = open_store(where), random.Random(17), [], set(), 0.0
    notes = tmp_path / "notes"
    notes.mkdir()
    command = [sys.executable, "-c", LAUNCHER, where, str(notes), ",".join(KEYS), ",".join(DAYS), str(SIZE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        for life in range(1, kills + 1):
            print(life, file=launcher.stdin, flush=True)
            writer = int(launcher.stdout.readline())
            if life == 1:  # how long a writer takes for its first round on this machine: the kills fall around that
                whole = seconds_until_noted(notes / "1")
            time.sleep(rng.uniform(0.1, 2.0) * whole)
            os.kill(writer, signal.SIGKILL)
            assert launcher.stdout.readline() == "gone\n"
            rounds = files_of(store)
            mine = (
                [int(line) for line in (notes / str(life)).read_text().split()] if (notes / str(life)).exists() else []
            )
            # What was reported as written is there: in this file, or as a later round's.
            if mine:
                assert len(rounds) == len(KEYS)
                assert min(rounds) >= mine[-1]
            noted |= set(mine)
            seen += rounds
        launcher.stdin.close()
    for day, kept in bronze_of(store).items():
        assert noted <= kept, f"bronze of {day} lost a fetch"
    assert {number // 1_000_000 for number in noted} > {1}, "only the measured writer got through a round"
    assert left() > 0, "no kill hit a write; the test proves nothing"
    assert store.sweep("gold") == 0  # they may be a living writer's
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + STALE_S + 60)
    swept = store.sweep("gold") + store.sweep("bronze")
    if isinstance(store, LocalStore):
        assert (swept > 0, left()) == (True, 0)
    assert files_of(store), "sweeping took a file"
