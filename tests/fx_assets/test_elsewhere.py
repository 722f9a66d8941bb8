"""Partitions that workers make are those that the run itself makes, to the last bit of every file."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fx_assets.errors import StoreError
from fx_assets.lake import Lake
from fx_assets.resources.compute import ComputeResource
from fx_assets.silver.lookahead_check import ENOUGH, Lookahead
from fx_assets.tables import chunks
from fx_assets.tables.elsewhere import run_elsewhere
from fx_assets.tables.produce import Computed, Production
from tests.counts import count
from tests.fx_assets import small
from tests.fx_assets.production import CALENDAR, CLOSES, MEANS, RESULT, SOURCE, closes, fill, stage

FEATURES = (
    *("silver/technical", "silver/microstructure", "silver/volatility", "silver/regime"),
    *("gold/market_features", "gold/features"),
)


@pytest.fixture(scope="module")
def workers() -> Iterator[ComputeResource]:
    made = ComputeResource(kind="dask", workers=3)
    yield made
    made.teardown_after_execution(None)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    fill(made)
    return made


def files(lake: Lake, *tables: str) -> dict[str, bytes]:
    return {f"{table}/{key}": lake.path(table, key).read_bytes() for table in tables for key in lake.keys(table)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=count("property_examples") // 5)
@given(first=st.integers(0, len(CALENDAR) - 1), cells=st.integers(1, 5_000))
@example(first=len(CALENDAR) - 1, cells=1)
@example(first=len(CALENDAR) - 2, cells=1).via("fewer chunks than workers")
@example(first=0, cells=1).via("a chunk for each session")
def test_any_range_in_any_chunks_is_the_same_by_workers(lake, workers, first, cells):
    stage(lake, CALENDAR).publish()
    expected = files(lake, RESULT)
    for path in (lake.root / RESULT).rglob("part.parquet"):
        path.unlink()
    here, there = stage(lake, CALENDAR[first:]), stage(lake, CALENDAR[first:], cells, workers)
    there.publish()
    made = files(lake, RESULT)
    assert made == {name: expected[name] for name in made}
    assert list(there.partitions) == list(here.partitions) == CALENDAR[first:]
    assert [(p.content, p.rows, p.span, p.problems, p.figures) for p in there.partitions.values()] == [
        (p.content, p.rows, p.span, p.problems, p.figures) for p in here.partitions.values()
    ]
    here.discard()
    assert not [path for path in lake.root.rglob("*.tmp")]


def test_the_lake_has_to_be_the_same_one(lake, workers, tmp_path):
    """A worker that sees other files says so, instead of computing from less."""
    stamps = lake.stamps(SOURCE)
    lake.path(SOURCE, CALENDAR[9]).unlink()
    seen = Lake(lake.root)
    seen.stamps = lambda *_: stamps  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(StoreError, match=f"{SOURCE}, session {CALENDAR[9]} .*let it see the same lake"):
        stage(seen, CALENDAR, 500, workers)
    assert lake.keys(RESULT) == []


def looked_at(
    lake: Lake, workers: ComputeResource, compute: Callable[..., Computed], window: int, cells: int
) -> list[tuple[list[str], dict[str, list[str]], dict[str, bytes]]]:
    """Sessions looked at, problems found and files: without workers, and by them."""
    production, found = Production(lake, [CLOSES], [], 48), []
    for by_workers in (False, True):
        look = Lookahead(window)
        work = partial(compute, look=look)
        if by_workers:
            made = run_elsewhere(production, CALENDAR, work, workers, look, cells)
        else:
            made = production.run(CALENDAR, work, cells)
        made[SOURCE].publish()
        found.append((look.checked, look.problems, files(lake, SOURCE)))
    return found


def test_sessions_are_looked_at_as_they_are_here(lake, workers):
    """Where nothing can be compared in the first chunks, later ones are looked at, and a leak is in the same files."""

    def compute(chunk: list[str], look: Lookahead) -> Computed:
        rows = pd.concat([closes(key) for key in chunk])

        def problems(key: str, _: pd.DataFrame) -> list[str] | None:
            return None if key < CALENDAR[4] else [f"{key} leaks"] if key == CALENDAR[8] else []

        return Computed({SOURCE: rows}, problems={SOURCE: look.first_of(chunk, rows, problems)})

    here, there = looked_at(lake, workers, compute, window=0, cells=400)
    assert here == there
    checked, told, _ = here
    assert len(checked) == 3
    assert checked[0] >= CALENDAR[4]
    assert list(told) == [CALENDAR[8]]


def test_a_leak_is_found_as_it_is_here(lake, workers):
    """What looks ahead depends on where chunks end: the same values, problems and files come of the same chunks."""

    def make(_: list[str], bars: pd.DataFrame) -> pd.DataFrame:
        rows = bars.sort_values(["instrument", "time"], ignore_index=True)
        return rows.assign(close=rows["close"] + rows.groupby("instrument")["close"].shift(-30).fillna(0))

    def compute(chunk: list[str], look: Lookahead) -> Computed:
        bars = pd.concat([closes(key) for key in chunk])
        rows = make(chunk, bars)
        return Computed({SOURCE: rows}, problems={SOURCE: look.look(chunk, bars, rows, make)})

    here, there = looked_at(lake, workers, compute, window=30, cells=1_000)
    assert here == there
    assert len(here[1]) == ENOUGH


class Deadly(Lake):
    """Ends the process that stages the session CALENDAR[9], the first time, when it has."""

    def stage(self, table: str, files: Mapping[str, bytes]) -> list[str]:
        tokens, mark = super().stage(table, files), self.root / "died"
        if CALENDAR[9] in files and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return tokens


def test_a_worker_that_dies_changes_nothing_of_what_is_made(lake, workers):
    """What it had staged stays a temporary, which is nobody's and is swept later."""
    stage(lake, CALENDAR, 500).publish()
    expected = files(lake, RESULT)
    for path in (lake.root / RESULT).rglob("part.parquet"):
        path.unlink()
    stage(Deadly(lake.root), CALENDAR, 500, workers).publish()
    assert (lake.root / "died").exists()
    assert files(lake, RESULT) == expected
    assert f"session={CALENDAR[9]}" in {path.parent.name for path in lake.root.rglob("*.tmp")}


def test_a_chunk_that_fails_leaves_nothing_to_see(lake, workers):
    def compute(chunk: list[str]) -> Computed:
        if CALENDAR[12] in chunk:
            raise RuntimeError(f"not {CALENDAR[12]}")
        return Computed({SOURCE: pd.concat([closes(key, range(3)) for key in chunk])})

    before = files(lake, SOURCE)
    with pytest.raises(RuntimeError, match=f"not {CALENDAR[12]}"):
        run_elsewhere(Production(lake, [CLOSES], [], 48), CALENDAR, compute, workers, cells=500)
    assert files(lake, SOURCE) == before


@pytest.mark.slow(seconds=60)
def test_a_platform_with_dask_makes_the_files_of_one_without(tmp_path, monkeypatch):
    """Every feature table of four weeks, in chunks of a few sessions, through Dagster."""
    monkeypatch.setattr(chunks, "CELLS", 60_000)
    instruments = small.changed(small.INSTRUMENTS, sessions__end="2020-10-29")
    first, last = "2020-10-01", "2020-10-29"
    made, told = {}, {}
    for kind in ("local", "dask"):
        folder = small.write_config(tmp_path / kind / "config", instruments, data={"compute": {"kind": kind}})
        configuration = small.configuration_of(folder, monkeypatch)
        monkeypatch.setenv("FX_HOME", str(tmp_path / kind))
        with dg.DagsterInstance.ephemeral() as instance:
            platform = small.Platform(tmp_path / kind, configuration, instance)
            result = platform.run([*small.BRONZE, *small.TABLES], first, last)
        made[kind] = files(platform.lake, *FEATURES)
        evaluations = small.checks(result)
        told[kind] = {
            name: (check.passed, {key: json.dumps(value.value, default=str) for key, value in check.metadata.items()})
            for name, check in evaluations.items()
            if name.endswith(("/schema", "/no_lookahead"))
        }
    assert len(made["dask"]) == len(FEATURES) * 21
    assert made["dask"] == made["local"]
    assert told["dask"] == told["local"]
    assert MEANS.table not in made  # the names above are of real tables
