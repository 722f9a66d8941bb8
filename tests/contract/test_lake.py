"""The lake over every kind of store: range and single runs of the real assets, stamps, and partitions all at once."""

import dagster as dg
import pandas as pd
import pytest

from fx_assets.errors import MissingData, StoreError
from fx_assets.lake import Lake
from tests.fx_assets.production import CALENDAR, RESULT, SOURCE, fill, stage
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, configuration_of, write_config

FIRST, LAST = "2021-01-24", "2021-01-28"
TABLES = ("silver/candles", "silver/technical", "silver/news_sentiment", "gold/news_signals", "gold/labels")


@pytest.fixture
def lake(where: str) -> Lake:
    made = Lake(where)
    fill(made)
    return made


def test_a_table_is_written_read_and_stamped(lake):
    assert lake.keys(SOURCE) == CALENDAR
    whole = lake.table(SOURCE, CALENDAR[3], CALENDAR[4], ["A"], ["close"])
    assert whole.shape == (48, 1)
    parts = lake.read(SOURCE, [CALENDAR[3], "2030-01-01"])
    assert list(parts) == [CALENDAR[3]]
    stamps = lake.stamps(SOURCE)
    assert list(stamps) == CALENDAR
    assert all(stamp is not None and not stamp.problems for stamp in stamps.values())
    with pytest.raises(MissingData, match="silver/closes: no file for session 2030-01-01"):
        lake.stamp(SOURCE, "2030-01-01")
    lake.write("models/frame", {CALENDAR[0]: pd.DataFrame({"a": [1, 2], "b": ["x", None]})})
    assert lake.read("models/frame", [CALENDAR[0]])[CALENDAR[0]]["a"].tolist() == [1, 2]


def test_what_is_staged_appears_when_it_is_published_and_replaces_what_was_there(lake):
    staged = stage(lake, CALENDAR[:4])
    assert lake.keys(RESULT) == []
    staged.publish()
    assert lake.keys(RESULT) == CALENDAR[:4]
    first = {key: lake.store.read(lake.where(RESULT, key)) for key in CALENDAR[:4]}
    stage(lake, CALENDAR[2:4], cells=1).publish()
    assert {key: lake.store.read(lake.where(RESULT, key)) for key in CALENDAR[:4]} == first
    stage(lake, CALENDAR[4:6]).discard()
    assert lake.keys(RESULT) == CALENDAR[:4]


@pytest.mark.slow(25)
def test_assets_make_the_same_bytes_in_a_range_as_one_by_one(where, tmp_path, monkeypatch):
    """Range and single runs of Dagster, bronze included, with the lake where data.yaml says."""
    instruments = changed(INSTRUMENTS, sessions={"start": FIRST, "end": LAST})
    files, stores = [], []
    for run in ("range", "single"):
        folder = write_config(
            tmp_path / run, instruments, data={"storage": {"lake": f"{where}/{run}"}, "live": {"enabled": False}}
        )
        configuration = configuration_of(folder, monkeypatch)
        with dg.DagsterInstance.ephemeral() as instance:
            platform = Platform(tmp_path / run / "home", configuration, instance)
            lake = Lake(f"{where}/{run}")
            platform.run(["bronze/candles", "bronze/news"], FIRST, LAST)
            keys = ["2021-01-24", "2021-01-25", "2021-01-26", "2021-01-27", "2021-01-28"]
            if run == "range":
                platform.run(TABLES, FIRST, LAST)
            else:
                # Labels look ahead: candles of all sessions come first.
                for table in (TABLES[:1], TABLES[1:]):
                    for key in keys:
                        platform.run(table, key)
        assert not (tmp_path / run / "home" / "lake").exists()
        paths = [path for table in TABLES for path in lake.store.list(table)]
        files.append({path: lake.store.read(path) for path in paths})
        stores.append({table: lake.keys(table) for table in TABLES})
    assert stores[0] == stores[1] == dict.fromkeys(TABLES, keys)
    assert files[0] == files[1]


def test_a_full_disk_in_the_middle_of_a_run_leaves_what_was_there(small_disk):
    lake = Lake(small_disk.folder / "lake")
    fill(lake)
    before = {key: lake.path(SOURCE, key).read_bytes() for key in CALENDAR}
    small_disk.fill(leave=60_000)
    with pytest.raises(StoreError, match=r"part\.parquet: cannot be written: the disk is full"):
        stage(lake, CALENDAR, cells=500)
    assert {key: lake.path(SOURCE, key).read_bytes() for key in CALENDAR} == before
    assert lake.keys(RESULT) == []
    assert list(lake.root.rglob("*.tmp")) == []
    small_disk.empty()
    stage(lake, CALENDAR, cells=500).publish()
    assert lake.keys(RESULT) == CALENDAR
