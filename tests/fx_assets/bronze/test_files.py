"""Bronze files: what goes in comes out to the last bit, and nothing is ever modified."""

import gzip
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze

NOW = datetime(2021, 3, 2, 22, 5, 6, 789, tzinfo=UTC)
SESSION = "2021-03-01"


def rows(count: int = 50) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    prices = np.nextafter(1.0 + rng.random((count, 4)), 2.0)
    frame = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
    frame.insert(0, "time", pd.date_range("2021-03-01T22:00:00.123456Z", periods=count, freq="7min", unit="us"))
    return frame.assign(volume=rng.integers(0, 9, count), bid_close=np.where(rng.random(count) < 0.3, np.nan, 1.1))


@pytest.fixture
def bronze(tmp_path):
    return Bronze(tmp_path)


def test_rows_come_back_to_the_last_bit(bronze):
    sent = rows()
    bronze.append(CANDLES, "GBP_USD", SESSION, "sample", sent, NOW)
    back = bronze.read(CANDLES, [SESSION], ["GBP_USD"])
    for name in ("open", "high", "low", "close", "bid_close"):
        assert back[name].to_numpy().tobytes() == sent[name].to_numpy().tobytes()
    assert (back["time"] == sent["time"]).all()
    assert back["time"].dtype == "datetime64[us, UTC]"
    assert back["volume"].tolist() == sent["volume"].tolist()
    assert set(back["instrument"]) == {"GBP_USD"}
    assert set(back["fetch_source"]) == {"sample"}
    assert set(back["fetched_at"]) == {pd.Timestamp(NOW)}


def test_the_header_tells_of_the_fetch_and_hashes_the_rows(bronze):
    written = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW)
    header, _, body = gzip.decompress(written.path.read_bytes()).partition(b"\n")
    told = msgspec.json.decode(header)
    assert told["sha256"] == written.sha256 == hashlib.sha256(body).hexdigest()
    assert (told["rows"], told["source"], told["session"], told["instrument"]) == (50, "sample", SESSION, "GBP_USD")
    assert datetime.fromisoformat(told["fetched_at"]) == NOW
    assert written.path.name == f"20210302T220506.000789Z-{written.sha256[:12]}.ndjson.gz"
    assert body.count(b"\n") == 50


def test_times_of_another_zone_are_the_same_moments(bronze):
    sent = rows(3)
    local = sent.assign(time=sent["time"].dt.tz_convert("America/New_York"))
    bronze.append(CANDLES, "X", SESSION, "s", local, NOW.astimezone(timezone(timedelta(hours=-5))))
    back = bronze.read(CANDLES, [SESSION], ["X"])
    assert (back["time"] == sent["time"]).all()
    assert back["fetched_at"].iloc[0] == NOW


def test_a_later_fetch_adds_a_file_and_leaves_the_first_alone(bronze):
    first = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW)
    content, stat = first.path.read_bytes(), first.path.stat()
    second = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW + timedelta(seconds=1))
    assert first.sha256 == second.sha256
    assert bronze.files(CANDLES, SESSION, ["GBP_USD"]) == [first.path, second.path]
    assert (first.path.read_bytes(), first.path.stat().st_mtime_ns) == (content, stat.st_mtime_ns)
    back = bronze.read(CANDLES, [SESSION], ["GBP_USD"])
    assert back["fetched_at"].is_monotonic_increasing
    assert len(back) == 100


def test_the_same_rows_make_the_same_bytes(bronze, tmp_path):
    other = Bronze(tmp_path / "other")
    made = [b.append(CANDLES, "X", SESSION, "s", rows(), NOW).path.read_bytes() for b in (bronze, other)]
    assert made[0] == made[1]


def test_a_session_without_rows_is_a_file_without_rows(bronze):
    written = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows().iloc[:0], NOW)
    assert (written.rows, written.path.is_file()) == (0, True)
    assert bronze.read(CANDLES, [SESSION], ["GBP_USD"]).empty
    assert bronze.read(CANDLES, ["2021-03-02"], ["GBP_USD"]).empty


def test_a_headline_with_every_kind_of_character_survives(bronze):
    text = 'Pound "up" 3 % \\ \n line\u2028 sep \x1f Ünïcode 😀'
    stamp = pd.DatetimeIndex(["2021-03-01T23:00:00Z"]).as_unit("us")
    news = pd.DataFrame({"published": stamp, "first_seen": stamp, "headline": [text], "source": [None]})
    bronze.append(NEWS, ALL_NEWS, SESSION, "sample", news, NOW)
    back = bronze.read(NEWS, [SESSION], [ALL_NEWS])
    assert back["headline"].tolist() == [text]
    assert back["source"].isna().all()
