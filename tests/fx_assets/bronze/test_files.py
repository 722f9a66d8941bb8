"""Bronze files: what goes in comes out to the last bit, and nothing is ever modified."""

import gzip
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.bronze.encoding import decode, encode, records
from fx_assets.bronze.files import ALL_NEWS, ARCHIVED, CANDLES, NEWS, Bronze, Fetch
from fx_assets.errors import MissingData, StoreError

NOW = datetime(2021, 3, 2, 22, 5, 6, 789, tzinfo=UTC)
SESSION = "2021-03-01"


def rows(count: int = 50, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    prices = np.nextafter(1.0 + rng.random((count, 4)), 2.0)
    frame = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
    frame.insert(0, "time", pd.date_range("2021-03-01T22:00:00.123456Z", periods=count, freq="7min", unit="us"))
    return frame.assign(volume=rng.integers(0, 9, count), bid_close=np.where(rng.random(count) < 0.3, np.nan, 1.1))


@pytest.fixture
def bronze(tmp_path):
    return Bronze(tmp_path)


def content(bronze: Bronze, path: str) -> bytes:
    return bronze.store.read(path)


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
    assert set(back["session"]) == {SESSION}


def test_the_header_tells_of_the_fetch_and_hashes_the_rows(bronze):
    written = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW)
    header, _, body = gzip.decompress(content(bronze, written.path)).partition(b"\n")
    told = msgspec.json.decode(header)
    assert told["sha256"] == written.sha256 == hashlib.sha256(body).hexdigest()
    assert (told["rows"], told["source"], told["session"], told["instrument"]) == (50, "sample", SESSION, "GBP_USD")
    assert datetime.fromisoformat(told["fetched_at"]) == NOW
    assert written.path.rpartition("/")[2].startswith("20210302T220506.000789Z-")
    assert body.count(b"\n") == 50


def test_a_file_as_earlier_versions_wrote_it_is_read(bronze, tmp_path):
    """Byte for byte the form of the first release: another hash in the name, level 5, whole volumes."""
    line = b'{"time":"2021-03-01T22:00:00.000000Z","open":1.25,"high":1.5,"low":1.0,"close":1.3,"volume":7}\n'
    digest = hashlib.sha256(line).hexdigest()
    header = (
        b'{"table":"bronze/candles","instrument":"X","session":"2021-03-01","source":"sample",'
        b'"fetched_at":"2021-03-02T22:05:06.000789+00:00","rows":1,"sha256":"' + digest.encode() + b'"}\n'
    )
    folder = tmp_path / "bronze/candles/instrument=X/session=2021-03-01"
    folder.mkdir(parents=True)
    (folder / f"20210302T220506.000789Z-{digest[:12]}.ndjson.gz").write_bytes(gzip.compress(header + line, 5, mtime=0))
    back = bronze.read(CANDLES, [SESSION], ["X"])
    assert back[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [[1.25, 1.5, 1.0, 1.3, 7.0]]
    assert back["time"].iloc[0] == pd.Timestamp("2021-03-01T22:00Z")


def test_times_of_another_zone_are_the_same_moments(bronze):
    sent = rows(3)
    local = sent.assign(time=sent["time"].dt.tz_convert("America/New_York"))
    bronze.append(CANDLES, "X", SESSION, "s", local, NOW.astimezone(timezone(timedelta(hours=-5))))
    back = bronze.read(CANDLES, [SESSION], ["X"])
    assert (back["time"] == sent["time"]).all()
    assert back["fetched_at"].iloc[0] == NOW
    with pytest.raises(TypeError, match="time has no time zone"):
        bronze.append(CANDLES, "X", SESSION, "s", sent.assign(time=sent["time"].dt.tz_localize(None)), NOW)


def test_a_later_fetch_adds_a_file_and_leaves_the_first_alone(bronze):
    first = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW)
    full = bronze.store.path(first.path)
    before, stat = full.read_bytes(), full.stat()
    second = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows(), NOW + timedelta(seconds=1))
    assert first.sha256 == second.sha256
    assert bronze.files(CANDLES, SESSION, ["GBP_USD"]) == [first.path, second.path]
    assert (full.read_bytes(), full.stat().st_mtime_ns) == (before, stat.st_mtime_ns)
    back = bronze.read(CANDLES, [SESSION], ["GBP_USD"])
    assert back["fetched_at"].is_monotonic_increasing
    assert len(back) == 100


def test_a_file_that_is_there_is_never_replaced(bronze):
    written = bronze.append(CANDLES, "X", SESSION, "s", rows(), NOW)
    assert bronze.append(CANDLES, "X", SESSION, "s", rows(), NOW) == written  # the same again is no harm
    full = bronze.store.path(written.path)
    full.write_bytes(b"something else")
    with pytest.raises(StoreError, match="is there already with other content"):
        bronze.append(CANDLES, "X", SESSION, "s", rows(), NOW)
    assert full.read_bytes() == b"something else"


def test_the_same_rows_make_the_same_bytes(bronze, tmp_path):
    other = Bronze(tmp_path / "other")
    made = [content(b, b.append(CANDLES, "X", SESSION, "s", rows(), NOW).path) for b in (bronze, other)]
    assert made[0] == made[1]


def test_a_session_without_rows_is_a_file_without_rows(bronze):
    written = bronze.append(CANDLES, "GBP_USD", SESSION, "sample", rows().iloc[:0], NOW)
    assert written.rows == 0
    assert bronze.files(CANDLES, SESSION, ["GBP_USD"]) == [written.path]
    assert bronze.read(CANDLES, [SESSION], ["GBP_USD"]).empty
    assert bronze.read(CANDLES, ["2021-03-02"], ["GBP_USD"]).empty
    assert bronze.sessions(CANDLES) == {"GBP_USD": {SESSION}}


def test_a_headline_with_every_kind_of_character_survives(bronze):
    text = 'Pound "up" 3 % \\ \n line\u2028 sep \x1f Ünïcode 😀'
    stamp = pd.DatetimeIndex(["2021-03-01T23:00:00Z"] * 2).as_unit("us")
    # The second is a headline that looks like a time: it stays a text.
    told = {"headline": [text, "2021-03-01T00:00:00Z"], "source": [None, None], "article_count": [3, 1]}
    bronze.append(
        NEWS, ALL_NEWS, SESSION, "sample", pd.DataFrame({"published": stamp, "first_seen": stamp} | told), NOW
    )
    back = bronze.read(NEWS, [SESSION], [ALL_NEWS])
    assert back["headline"].tolist() == told["headline"]
    assert back["source"].isna().all()
    assert back["article_count"].tolist() == [3, 1]


def test_many_fetches_at_once_equal_one_after_another(tmp_path):
    together, alone = Bronze(tmp_path / "a"), Bronze(tmp_path / "b")
    days = [f"2021-03-{day:02}" for day in range(1, 29)]
    fetches = [Fetch(i, day, "s", rows(5, seed)) for seed, day in enumerate(days) for i in ("X", "Y")]
    wrote = together.append_all(CANDLES, fetches, NOW)
    assert wrote == [alone.append(CANDLES, f.instrument, f.session, f.source, f.rows, NOW) for f in fetches]
    for bronze in (together, alone):
        back = bronze.read(CANDLES, days, ["X", "Y"])
        assert len(back) == 2 * 28 * 5
        # Both ways of listing, folder by folder and all at once, find the same.
        assert bronze.digests(CANDLES, days, ["X"]) == {day: bronze.digest(CANDLES, day, ["X"]) for day in days}


def test_history_is_cut_into_its_sessions(bronze):
    frame = rows(6)
    keys = pd.Index(["2021-03-01"] * 2 + ["2021-03-02"] * 3 + ["2021-03-03"])
    wrote = bronze.append_sessions(CANDLES, "X", "s", frame, keys, NOW)
    assert [file.rows for file in wrote] == [2, 3, 1]
    back = bronze.read(CANDLES, sorted(set(keys)), ["X"])
    assert back["close"].tolist() == frame["close"].tolist()
    assert back["session"].tolist() == list(keys)
    with pytest.raises(ValueError, match="must be sorted by session"):
        bronze.append_sessions(CANDLES, "X", "s", frame, keys[::-1].append(keys[:0])[[0, 1, 2, 0, 3, 4]], NOW)


def test_columns_that_only_some_fetches_have(bronze):
    bronze.append(CANDLES, "X", SESSION, "a", rows(2)[["time", "open", "high", "low", "close"]], NOW)
    bronze.append(CANDLES, "X", SESSION, "b", rows(2).assign(complete=True, venue="V"), NOW + timedelta(seconds=1))
    back = bronze.read(CANDLES, [SESSION], ["X"])
    assert back["volume"].isna().tolist() == [True, True, False, False]
    assert back["venue"].tolist() == [None, None, "V", "V"]
    assert back["fetch_source"].tolist() == ["a", "a", "b", "b"]


def test_as_of_hides_what_was_fetched_later(bronze, tmp_path):
    bronze.append(CANDLES, "X", SESSION, "s", rows(2), NOW)
    bronze.append(CANDLES, "X", SESSION, "s", rows(3, seed=4), NOW + timedelta(microseconds=1))
    assert len(Bronze(tmp_path, NOW).read(CANDLES, [SESSION], ["X"])) == 2
    assert len(Bronze(tmp_path, NOW + timedelta(microseconds=1)).read(CANDLES, [SESSION], ["X"])) == 5
    assert Bronze(tmp_path, NOW - timedelta(seconds=1)).sessions(CANDLES, ["X"]) == {"X": set()}


def test_the_digest_knows_new_rows_from_repeated_ones(bronze):
    def digest() -> str:
        return bronze.digest(CANDLES, SESSION, ["X", "Y"])

    def fetch(seed: int, second: int, source: str = "s", instrument: str = "X") -> str:
        bronze.append(CANDLES, instrument, SESSION, source, rows(3, seed), NOW + timedelta(seconds=second))
        return digest()

    nothing = digest()
    a = fetch(1, 0)
    assert a != nothing
    assert fetch(1, 1) == a, "the same again changes nothing"
    ab = fetch(2, 2)
    assert ab not in (a, nothing)
    aba = fetch(1, 3)
    assert aba not in (a, ab), "the first answer is the newest again: what silver shows is another thing"
    assert fetch(1, 4) == aba
    assert fetch(1, 5, source="other") != aba, "silver states who answered"
    assert bronze.digest(CANDLES, "2021-03-02", ["X"]) == nothing
    only_x = bronze.digest(CANDLES, SESSION, ["X"])
    assert only_x == digest(), "an instrument without files adds nothing"
    assert fetch(1, 6, instrument="Y") != only_x


def test_a_part_of_a_session_differs_from_the_whole_by_its_name_only(bronze, tmp_path):
    whole = Bronze(tmp_path / "whole")
    a = bronze.append(CANDLES, "X", SESSION, "s", rows(3), NOW, part=True)
    b = whole.append(CANDLES, "X", SESSION, "s", rows(3), NOW)
    assert a.path == b.path.replace(".ndjson.gz", "-part.ndjson.gz")
    assert content(bronze, a.path) == content(whole, b.path)
    digest = bronze.digest(CANDLES, SESSION, ["X"])
    assert digest == whole.digest(CANDLES, SESSION, ["X"])
    bronze.append(CANDLES, "X", SESSION, "s", rows(3), NOW + timedelta(seconds=1))
    assert bronze.digest(CANDLES, SESSION, ["X"]) == digest, "the whole brought nothing new"
    assert len(bronze.read(CANDLES, [SESSION], ["X"])) == 6
    assert len(Bronze(bronze.store, NOW).read(CANDLES, [SESSION], ["X"])) == 3
    assert Bronze(bronze.store, NOW - timedelta(seconds=1)).sessions(CANDLES, ["X"]) == {"X": set()}


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=30),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    micros=st.integers(0, 10**12),
)
def test_any_number_text_and_time_comes_back(values, text, micros):
    time = pd.to_datetime(np.arange(len(values)) * 7 + micros, unit="us", utc=True).as_unit("us")
    sent = pd.DataFrame({"time": time, "close": values, "headline": text, "count": np.arange(len(values))})
    _, content = encode("bronze/x", "X", SESSION, "s", records(sent), NOW)
    back = decode([("x", content)])
    assert back["close"].to_numpy().tobytes() == np.where(np.isnan(values), np.nan, values).tobytes()
    assert (back["time"] == sent["time"]).all()
    assert set(back["headline"]) == {text}
    assert back["count"].tolist() == sent["count"].tolist()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[:60] + b"\x00" + content[61:],
        lambda content: b"",
        lambda content: gzip.compress(gzip.decompress(content).rpartition(b'{"time"')[0], mtime=0),
        lambda content: gzip.compress(gzip.decompress(content).replace(b'"close":', b'"close":"'), mtime=0),
        lambda content: gzip.compress(b"not a header\n", mtime=0),
    ],
    ids=["cut", "flipped", "empty", "row lost", "no JSON", "no header"],
)
def test_a_damaged_file_is_named_and_nothing_of_it_is_used(bronze, damage):
    for session in ("2021-03-01", "2021-03-02", "2021-03-03"):
        written = bronze.append(CANDLES, "X", session, "s", rows(4), NOW)
    full = bronze.store.path(written.path)
    full.write_bytes(damage(full.read_bytes()))
    with pytest.raises(StoreError) as caught:
        bronze.read(CANDLES, ["2021-03-01", "2021-03-02", "2021-03-03"], ["X"])
    assert str(caught.value).startswith(f"{full}: is damaged (")
    assert "fx archive restore" in str(caught.value)


def test_a_session_that_is_only_in_the_archive_is_not_read_as_empty(bronze):
    written = bronze.append(CANDLES, "X", SESSION, "s", rows(4), NOW)
    digest = bronze.digest(CANDLES, SESSION, ["X"])
    bronze.store.write(f"{ARCHIVED}/candles/2021-03.abc.json", msgspec.json.encode({"files": [written.path]}))
    assert len(bronze.read(CANDLES, [SESSION], ["X"])) == 4, "it is still here"
    bronze.store.delete(written.path)
    with pytest.raises(MissingData, match=r"1 files of 2021-03 were archived .*`fx archive restore --month 2021-03`"):
        bronze.read(CANDLES, [SESSION], ["X"])
    assert bronze.digest(CANDLES, SESSION, ["X"]) == digest, "nothing has changed, so nothing is to be made again"
    assert bronze.sessions(CANDLES) == {"X": {SESSION}}, "and nothing is to be fetched again"
    assert bronze.read(CANDLES, ["2021-03-02"], ["X"]).empty
    assert bronze.read(CANDLES, [SESSION], ["Y"]).empty
    assert Bronze(bronze.store, NOW - timedelta(seconds=1)).read(CANDLES, [SESSION], ["X"]).empty
