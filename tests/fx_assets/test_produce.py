"""Making partitions: the same bytes however the work is cut, all of them or none."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fx_assets.errors import StoreError
from fx_assets.lake import Lake
from fx_assets.lineage import CODE_VERSION, Stamp, schema_hash
from fx_assets.tables.produce import Computed, Production
from tests.counts import count
from tests.fx_assets.production import CALENDAR, CLOSES, MEANS, RESULT, SOURCE, closes, fill, stage


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    fill(made)
    return made


def contents(lake: Lake, table: str = RESULT) -> dict[str, bytes]:
    return {key: lake.path(table, key).read_bytes() for key in lake.keys(table)}


def leftovers(lake: Lake) -> list[str]:
    return [path.name for path in lake.root.rglob("*.tmp")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=count("property_examples") // 5)
@given(
    cuts=st.sets(st.integers(1, len(CALENDAR) - 1), max_size=6),
    cells=st.lists(st.integers(1, 20_000), min_size=7, max_size=7),
    order=st.randoms(use_true_random=False),
)
def test_any_chunk_and_any_cut_of_the_range_make_the_same_bytes(lake, cuts, cells, order):
    stage(lake, CALENDAR).publish()
    expected = contents(lake)
    bounds = [0, *sorted(cuts), len(CALENDAR)]
    runs = [CALENDAR[a:b] for a, b in pairwise(bounds)]
    order.shuffle(runs)
    for path in (lake.root / RESULT).rglob("part.parquet"):
        path.unlink()
    for keys, size in zip(runs, cells, strict=False):
        stage(lake, keys, size).publish()
    assert contents(lake) == expected
    assert leftovers(lake) == []


def test_what_is_staged_is_not_there_until_it_is_published(lake):
    staged = stage(lake, CALENDAR[:5])
    assert lake.keys(RESULT) == []
    assert staged.rows == 5 * 48
    staged.publish()
    assert lake.keys(RESULT) == CALENDAR[:5]
    assert staged.size == sum(map(len, contents(lake).values()))
    again = stage(lake, CALENDAR[:5])
    again.discard()
    assert leftovers(lake) == []


def test_a_partition_tells_what_it_is_and_what_is_wrong_with_it(lake):
    staged = stage(lake, CALENDAR[:5])
    staged.publish()
    partition = staged.partitions["2021-02-02"]
    stamp = lake.stamp(RESULT, "2021-02-02")
    assert stamp is not None
    assert stamp == Stamp(partition.content, stamp.inputs, CODE_VERSION, schema_hash(MEANS), ("it is a Tuesday",))
    assert partition.problems == ("it is a Tuesday",)
    assert (partition.rows, partition.figures) == (48, {"bars": 48})
    assert partition.span == ("2021-02-02 22:00:00+00:00", "2021-02-03 21:00:00+00:00")
    good = lake.stamp(RESULT, "2021-02-03")
    assert good is not None
    assert good.problems == ()


def test_what_the_schema_says_is_a_problem_of_its_session_alone(tmp_path):
    lake = Lake(tmp_path / "lake")
    bad = closes("2021-02-02").assign(close=float("inf"))
    frame = pd.concat([closes("2021-02-01"), bad])
    staged = Production(lake, [CLOSES], [], 48).run(["2021-02-01", "2021-02-02"], lambda _: Computed({SOURCE: frame}))
    staged[SOURCE].publish()
    assert staged[SOURCE].invalid == {"2021-02-02": ["close: 48 infinite values"]}
    problems = {key: stamp.problems for key, stamp in lake.stamps(SOURCE).items() if stamp is not None}
    assert problems == {"2021-02-01": (), "2021-02-02": ("close: 48 infinite values",)}


def test_a_failure_half_way_leaves_nothing(lake):
    calls = []

    def compute(chunk: list[str]) -> Computed:
        calls.append(chunk)
        if len(calls) == 3:
            raise RuntimeError("the third chunk")
        return Computed({SOURCE: pd.concat([closes(key, range(3)) for key in chunk])})

    before = contents(lake, SOURCE)
    with pytest.raises(RuntimeError, match="the third chunk"):
        Production(lake, [CLOSES], [], 48).run(CALENDAR, compute, cells=500)
    assert len(calls) == 3
    assert contents(lake, SOURCE) == before
    assert leftovers(lake) == []


def test_a_partition_made_again_while_it_is_read_is_refused(lake, monkeypatch):
    stamps = lake.stamps(SOURCE)
    changed = Stamp("something else")
    monkeypatch.setattr(lake, "stamps", lambda table, keys: {**stamps, CALENDAR[3]: changed})
    with pytest.raises(StoreError, match=f"silver/closes, session {CALENDAR[3]}: was made again while"):
        stage(lake, CALENDAR[:5])


WRITER = """
import sys
from fx_assets.lake import Lake
from tests.fx_assets.production import CALENDAR, SOURCE, closes, CLOSES
from fx_assets.tables.produce import Computed, Production
import pandas as pd

made = Production(Lake(sys.argv[1]), [CLOSES], [], 48).run(
    CALENDAR, lambda chunk: Computed({SOURCE: pd.concat([closes(key, range(3)) for key in chunk])}), cells=1000
)
print(made[SOURCE].rows, flush=True)
sys.stdin.read()
made[SOURCE].publish()
"""


def test_kill_nine_between_staging_and_showing_leaves_the_old_partitions(lake):
    before = contents(lake, SOURCE)
    command = [sys.executable, "-c", WRITER, str(lake.root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == f"{len(CALENDAR) * 6}\n".encode()
        os.kill(writer.pid, signal.SIGKILL)
    assert contents(lake, SOURCE) == before
    assert len(leftovers(lake)) == len(CALENDAR)
    assert lake.sweep(SOURCE) == 0  # they may be a living writer's
    for path in lake.root.rglob("*.tmp"):
        os.utime(path, (0, 0))
    assert lake.sweep(SOURCE) == len(CALENDAR)
    fill(lake)
    assert contents(lake, SOURCE) == before
