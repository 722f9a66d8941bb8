"""A writer killed at random moments leaves old files or new ones, and temporaries that are swept later."""

import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq

from fx_assets.lake import STALE_TEMPORARY_S, Lake
from tests.counts import count

KILLS = count("lake_kills")
KEYS = [f"2021-03-{day:02}" for day in range(1, 9)]
# Forks a writer for every line it reads, so that imports are paid for once. A writer writes the same partitions over
# and over, every row of a file holding the number of the round it was written in, and notes each round when done.
LAUNCHER = """
import os, sys
import numpy as np
import pandas as pd
from fx_assets.lake import Lake

root, keys = sys.argv[1], sys.argv[2].split(",")
noise = np.random.default_rng(1).random(20_000)
for line in sys.stdin:
    writer = os.fork()
    if writer == 0:
        notes = os.open(f"{root}/notes-{line.strip()}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for round in range(1, 1_000_000):
            frame = pd.DataFrame({"round": np.full(20_000, round), "noise": noise})
            Lake(f"{root}/lake").write("silver/candles", dict.fromkeys(keys, frame))
            os.write(notes, f"{round}\\n".encode())
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("gone", flush=True)
"""


def check(lake: Lake) -> list[int]:
    """Every file is whole; the rounds they are of."""
    rounds = []
    for key in lake.keys("silver/candles"):
        table = pq.ParquetFile(lake.path("silver/candles", key)).read()
        assert table.num_rows == 20_000
        (only,) = set(table["round"].to_pylist())
        rounds.append(only)
    return rounds


def test_kill_nine_leaves_no_torn_file(tmp_path):
    lake, rng, seen = Lake(tmp_path / "lake"), random.Random(17), []
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path), ",".join(KEYS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        for kill in range(KILLS):
            print(kill, file=launcher.stdin, flush=True)
            writer = int(launcher.stdout.readline())
            time.sleep(rng.uniform(0.02, 0.15))
            os.kill(writer, signal.SIGKILL)
            assert launcher.stdout.readline() == "gone\n"
            rounds = check(lake)
            noted = (tmp_path / f"notes-{kill}").read_text().split() if (tmp_path / f"notes-{kill}").exists() else []
            # What was reported as written is there: in this file or as a later round's.
            if noted:
                assert len(rounds) == len(KEYS)
                assert min(rounds) >= int(noted[-1])
            seen += rounds
        launcher.stdin.close()
    assert max(seen) > 1, "no writer got through a round; the test proves nothing"
    leftovers = list(lake.root.glob("silver/candles/session=*/.*.tmp"))
    assert len(leftovers) > 0, "no kill hit a write; the test proves nothing"
    now = time.time()
    assert lake.sweep("silver/candles", now) == 0  # they may be a living writer's
    assert lake.sweep("silver/candles", now + STALE_TEMPORARY_S + 60) == len(leftovers)
    assert all(os.listdir(folder) == ["part.parquet"] for folder in lake.root.glob("silver/candles/session=*"))
