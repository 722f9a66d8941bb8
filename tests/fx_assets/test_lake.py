"""The lake: whole files or none, the same bytes again, and what `table` selects."""

import os
import time
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fx_assets import open_lake
from fx_assets.configuration import SHIPPED
from fx_assets.configuration.data import Storage
from fx_assets.errors import ConfigError, DataError, MissingData
from fx_assets.lake import Lake, lake_root
from fx_assets.sessions import session_bounds

KEYS = ["2021-03-03", "2021-03-04", "2021-03-07"]


def session(key: str, symbols: tuple[str, ...] = ("GBP_USD", "USD_JPY")) -> pd.DataFrame:
    start, end = session_bounds(key)
    times = pd.date_range(start, end, freq="1h", inclusive="left", unit="us")
    parts = [pd.DataFrame({"instrument": s, "time": times, "close": np.arange(24) + i}) for i, s in enumerate(symbols)]
    return pd.concat(parts).sort_values(["time", "instrument"], ignore_index=True)


@pytest.fixture
def lake(tmp_path) -> Lake:
    made = open_lake(tmp_path)
    made.write("silver/candles", {key: session(key) for key in KEYS})
    return made


def test_a_table_is_a_file_for_each_session_and_comes_back_equal(lake, tmp_path):
    assert lake.root == tmp_path / "lake"
    assert lake.keys("silver/candles") == KEYS
    assert lake.path("silver/candles", KEYS[0]).parent.name == "session=2021-03-03"
    for key, frame in lake.read("silver/candles", [*KEYS, "2021-03-08"]).items():
        pd.testing.assert_frame_equal(frame, session(key))
    assert lake.keys("gold/none") == []


def test_writing_the_same_again_gives_the_same_bytes_and_no_leftovers(lake):
    path = lake.path("silver/candles", KEYS[0])
    before = path.read_bytes()
    assert lake.write("silver/candles", {KEYS[0]: session(KEYS[0])}) == len(before)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["part.parquet"]
    assert pq.read_schema(path).metadata is None  # pandas' version would change the bytes


def test_a_frame_that_cannot_be_written_leaves_the_old_file(lake):
    path = lake.path("silver/candles", KEYS[0])
    before = path.read_bytes()
    with pytest.raises(Exception, match="Could not convert 'x'"):
        lake.write("silver/candles", {KEYS[0]: pd.DataFrame({"close": [1.0, "x"]})})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["part.parquet"]


def test_sessions_are_chosen_with_both_ends(lake):
    assert len(lake.table("silver/candles")) == 3 * 48
    assert len(lake.table("silver/candles", "2021-03-04", "2021-03-07")) == 2 * 48
    assert len(lake.table("silver/candles", date(2021, 3, 4), date(2021, 3, 6))) == 48
    assert len(lake.table("silver/candles", end="20210303")) == 48
    assert lake.table("silver/candles")["time"].is_monotonic_increasing


def test_times_are_chosen_from_start_on_and_before_end(lake):
    start, end = datetime(2021, 3, 4, 21, tzinfo=UTC), pd.Timestamp("2021-03-04T23:00Z")
    chosen = lake.table("silver/candles", start, end, ["USD_JPY"])
    assert chosen["time"].dt.hour.tolist() == [21, 22]
    assert set(chosen["instrument"]) == {"USD_JPY"}
    weekend = datetime(2021, 3, 6, 12, tzinfo=UTC)
    assert len(lake.table("silver/candles", weekend)) == 48
    assert len(lake.table("silver/candles", end=weekend)) == 96
    with pytest.raises(TypeError, match="time zone"):
        lake.table("silver/candles", datetime(2021, 3, 4))


def test_columns_are_what_was_asked_whatever_rows_are_chosen_by(lake):
    start, end = datetime(2021, 3, 4, 21, tzinfo=UTC), datetime(2021, 3, 4, 23, tzinfo=UTC)
    chosen = lake.table("silver/candles", start, end, "USD_JPY", columns=["close"])
    assert list(chosen.columns) == ["close"]
    assert chosen["close"].tolist() == [24.0, 1.0]


def test_a_table_without_bars_goes_by_when_a_row_was_known(lake):
    known = pd.DatetimeIndex(["2021-03-04T10:00Z", "2021-03-04T12:00Z"]).as_unit("us")
    lake.write("silver/news_sentiment", {"2021-03-03": pd.DataFrame({"available_at": known, "sentiment": [0.1, 0.2]})})
    chosen = lake.table("silver/news_sentiment", datetime(2021, 3, 4, 11, tzinfo=UTC), instruments=["GBP_USD"])
    assert chosen["sentiment"].tolist() == [0.2]


def test_what_is_missing_is_named_with_the_command_that_makes_it(lake):
    with pytest.raises(MissingData) as caught:
        lake.table("silver/candles", "2022-01-01", "2022-02-01")
    assert "silver/candles: no partition from 2022-01-01 to 2022-02-01" in str(caught.value)
    assert "there are 2021-03-03 to 2021-03-07" in str(caught.value)
    assert "fx backfill" in str(caught.value)
    with pytest.raises(MissingData, match="there is none"):
        lake.table("gold/features")
    with pytest.raises(ValueError, match="isoformat"):
        lake.table("silver/candles", "March")


def test_only_stale_temporaries_are_swept(lake):
    folder = lake.path("silver/candles", KEYS[0]).parent
    stale, fresh = folder / ".part.parquet.aaaa.tmp", folder / ".part.parquet.bbbb.tmp"
    for path in (stale, fresh):
        path.write_bytes(b"torn")
    now = time.time()
    os.utime(stale, (now - 3700, now - 3700))
    assert lake.sweep("silver/candles") == 1
    assert (stale.exists(), fresh.exists()) == (False, True)
    assert lake.keys("silver/candles") == KEYS
    assert len(lake.table("silver/candles")) == 3 * 48


def test_the_lake_of_a_home_is_where_data_yaml_says(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "data.yaml").write_text(f"storage: {{lake: {elsewhere}}}\n")
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("FX_HOME", str(tmp_path / "home"))
    for name in ("instruments.yaml", "models.yaml", "gates.yaml"):
        (tmp_path / "config" / name).write_text((SHIPPED / name).read_text())
    assert open_lake().root == elsewhere
    assert lake_root(tmp_path, Storage(lake="s3://bucket/lake")) == "s3://bucket/lake"
    assert lake_root(tmp_path, Storage()) == tmp_path / "lake"


def test_what_needs_a_folder_says_so_where_there_is_none():
    lake = Lake("s3://bucket/lake")
    with pytest.raises(ConfigError, match=r"data\.yaml: storage\.lake: s3://bucket/lake is no folder"):
        lake.path("gold/features", KEYS[0])


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not a Parquet file at all"])
def test_a_damaged_file_is_named_with_the_remedy(lake, damage):
    lake.path("silver/candles", KEYS[1]).write_bytes(damage)
    for read in (lake.read, lake.stamps):
        with pytest.raises(DataError, match=f"session={KEYS[1]}/part.parquet: cannot be read.*Remove the file"):
            read("silver/candles", KEYS)


def test_a_partition_that_is_not_there_has_no_stamp(lake):
    assert lake.stamp("silver/candles", KEYS[0]) is None
    assert lake.stamps("silver/candles", [*KEYS, "2021-03-08"]) == dict.fromkeys(KEYS)
    with pytest.raises(MissingData, match="silver/candles: no file for session 2021-03-08"):
        lake.stamp("silver/candles", "2021-03-08")
