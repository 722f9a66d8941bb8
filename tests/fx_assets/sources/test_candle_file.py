"""A user's candle file: every format gives the same frame, and every refusal names file, row and remedy."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.sources.candle_file import longer_bars, read_candle_file

COLUMNS = ["time", "open", "high", "low", "close", "volume"]


def candles(count: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    opened, closed = 1.1 + rng.random((2, count)) / 7
    frame = pd.DataFrame({"open": opened, "high": np.maximum(opened, closed) * 1.001})
    frame = frame.assign(low=np.minimum(opened, closed) / 1.001, close=closed, volume=rng.integers(0, 99, count) * 1.0)
    frame.insert(0, "time", pd.date_range("2021-03-01T22:00Z", periods=count, freq="1h", unit="us"))
    return frame


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def write(frame: pd.DataFrame, path: Path) -> Path:
    packed = path.suffix == ".gz"
    plain = path.with_suffix("") if packed else path
    if plain.suffix in (".parquet", ".pq"):
        frame.to_parquet(plain, index=False)
    elif plain.suffix in (".csv", ".txt"):
        as_text(frame).to_csv(plain, index=False)
    else:
        plain.write_text("".join(json.dumps(row) + "\n" for row in as_text(frame).to_dict("records")))
    if packed:
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "a.txt",
        "a.ndjson",
        "a.jsonl",
        "a.json",
        "a.parquet",
        "A.PARQUET",
        "a.pq",
        "a.csv.gz",
        "a.ndjson.gz",
        "a.parquet.gz",
        "a.b.csv",
    ],
)
def test_every_format_gives_the_same_frame_to_the_last_bit(tmp_path, name):
    sent = candles()
    path = write(sent, tmp_path / name.lower()).rename(tmp_path / name)
    pd.testing.assert_frame_equal(read_candle_file(path), sent, check_exact=True)


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_text_of_other_systems_is_the_same_file(tmp_path, name, newline):
    """A byte order mark before the first line, and lines that end as elsewhere."""
    path = write(candles(), tmp_path / name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", newline))
    pd.testing.assert_frame_equal(read_candle_file(path), candles(), check_exact=True)


def test_columns_of_a_parquet_file_may_be_in_any_order(tmp_path):
    path = tmp_path / "a.parquet"
    candles()[["close", "volume", "low", "time", "high", "open"]].to_parquet(path, row_group_size=2)
    pd.testing.assert_frame_equal(read_candle_file(path), candles(), check_exact=True)


def test_a_parquet_file_with_its_times_as_index_is_read(tmp_path):
    candles().set_index("time").to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_candle_file(tmp_path / "a.parquet"), candles())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_precision_and_zone_become_microseconds_utc(tmp_path, unit):
    sent = candles(3)
    sent["time"] = sent["time"].dt.tz_convert("Europe/London").dt.as_unit(unit)
    sent.to_parquet(tmp_path / "a.parquet", index=False)
    pd.testing.assert_frame_equal(read_candle_file(tmp_path / "a.parquet"), candles(3))


@pytest.mark.parametrize(
    "times",
    [
        ["2025-01-01T22:00:00.000000000Z", "2025-01-01T23:00:00.000000000Z"],
        ["2025-01-01 22:00:00+00:00", "2025-01-01 23:00:00+00:00"],
        ["2025-01-01 17:00-05", "2025-01-01 18:00-05"],
        ["2025-01-01T17:00:00-0500", "2025-01-01T18:00:00-0500"],
        ["2025-01-01 22:00:00 UTC", "2025-01-01 23:00:00UTC"],
        ["2025-01-01T22:00Z ", "2025-01-02T00:00:00.000+01:00"],
    ],
)
def test_times_with_an_offset_are_understood(tmp_path, times):
    rows = [{"time": t, "open": 1, "high": 2, "low": 1, "close": "1.5"} for t in times]
    (tmp_path / "a.ndjson").write_text("\n".join(json.dumps(row) for row in rows))
    read = read_candle_file(tmp_path / "a.ndjson")["time"]
    assert read.tolist() == [pd.Timestamp("2025-01-01T22:00Z"), pd.Timestamp("2025-01-01T23:00Z")]
    assert read.dtype == "datetime64[us, UTC]"


@pytest.mark.parametrize("names", ["ohlc", ("open", "high", "low", "close")])
def test_a_file_of_bid_and_ask_gets_their_middle(tmp_path, names):
    full = candles(4)
    sides = {}
    for short, name in zip(names, ("open", "high", "low", "close"), strict=True):
        sides |= {f"bid_{short}": full[name] - 0.25, f"ask_{short}": full[name] + 0.25}
    pd.DataFrame({"timestamp": as_text(full)["time"], **sides}).to_csv(tmp_path / "a.csv", index=False)
    read = read_candle_file(tmp_path / "a.csv")
    assert list(read.columns) == ["time", "open", "high", "low", "close", "bid_close", "ask_close"]
    np.testing.assert_allclose(read["high"], full["high"], rtol=1e-15)
    np.testing.assert_allclose(read["ask_close"] - read["bid_close"], 0.5, rtol=1e-12)


def test_short_names_and_capitals_are_understood(tmp_path):
    frame = as_text(candles(2)).rename(columns={"time": " Time", "open": "O", "high": "H", "low": "L", "close": "C"})
    frame.rename(columns={"volume": "Tick_Volume"}).to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(read_candle_file(tmp_path / "a.csv"), candles(2))


ROW = ("2021-03-01T{:02}:00:00Z", 1.2, 1.3, 1.1, 1.25, 5)


def rows(**bad: dict) -> list[list]:
    """Ten good rows; r4={"low": 0} changes columns of the row with index 4."""
    made = [[ROW[0].format(n), *ROW[1:]] for n in range(10)]
    for at, change in bad.items():
        for name, value in change.items():
            made[int(at[1:])][COLUMNS.index(name)] = value
    return made


BAD = [
    (rows(r4={"high": 1.0}), 4, "high is below low", "Mend or remove the row"),
    (rows(r4={"close": 1.35}), 4, "open or close lies outside high and low", "Mend or remove"),
    (rows(r4={"low": 0}), 4, "a price is not positive", "Mend or remove"),
    (rows(r4={"low": -1}, r7={"low": -1}), 4, "2 such rows", "Mend or remove"),
    (rows(r4={"volume": -5}), 4, "volume is negative", "Mend or remove"),
    (rows(r4={"time": ROW[0].format(1)}), 4, "time lies before the row above", "Sort the file"),
    (rows(r4={"time": ROW[0].format(3)}), 4, "time repeats an earlier row", "Keep one row for each bar"),
    (rows(r4={"close": "n/a"}), 4, "close is 'n", "Mend or remove"),
    (rows(r4={"close": "1,25"}), 4, "close is '1,25', not a number", "Mend or remove"),
    (rows(r4={"open": None}), 4, "open is 'nan', not a number", "Mend or remove"),
    (rows(r4={"open": "inf"}), 4, "open is 'inf', not a number", "Mend or remove"),
    (rows(r4={"time": "2021-03-01T04:00:00"}), 4, "time '2021-03-01T04:00:00' has no time zone", "with their offset"),
    (rows(r4={"time": "1614571200"}), 4, "time '1614571200' has no time zone", "with their offset"),
    (rows(r4={"time": "2021-02-30T04:00:00Z"}), 4, "cannot be read", "Write times as ISO 8601"),
    (rows(r4={"time": None}), 4, "has no time zone", "Write times as ISO 8601"),
]


@pytest.mark.parametrize(("made", "row", "what", "remedy"), BAD)
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_bad_row_is_named_as_an_editor_counts_it(tmp_path, kind, made, row, what, remedy):
    path = tmp_path / f"bars.{kind}"
    frame = pd.DataFrame(made, columns=COLUMNS)
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(dict(zip(COLUMNS, r, strict=True))) + "\n" for r in made))
    with pytest.raises(DataError) as caught:
        read_candle_file(path)
    assert f"{path}: row {row + (2 if kind == 'csv' else 1)}: " in str(caught.value)
    assert what in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_blank_lines_count_as_lines_and_nothing_else(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    write(candles(6), path)
    lines = path.read_text().splitlines()
    head = 1 if kind == "csv" else 0
    path.write_text("\n".join([*lines[: head + 2], "", *lines[head + 2 :], "", ""]))
    pd.testing.assert_frame_equal(read_candle_file(path), candles(6))
    path.write_text(path.read_text().replace("2021-03-02T01:00:00Z", "2021-03-02T01:00:00"))
    with pytest.raises(DataError, match=rf"row {head + 5}: time '2021-03-02T01:00:00' has no time zone"):
        read_candle_file(path)


def test_parquet_rows_count_from_zero_and_missing_values_are_found(tmp_path):
    path = tmp_path / "a.parquet"
    for column, what in [("time", "time NaT cannot be read"), ("low", "low is 'nan', not a number")]:
        frame = candles(5)
        frame.loc[3, column] = None
        frame.to_parquet(path)
        with pytest.raises(DataError, match=f"row 3: {what}"):
            read_candle_file(path)
    candles(5).assign(time=candles(5)["time"].dt.tz_localize(None)).to_parquet(path)
    with pytest.raises(DataError, match="row 0: time 2021-03-01 22:00:00 has no time zone"):
        read_candle_file(path)


def test_quotes_are_checked_too(tmp_path):
    path = tmp_path / "a.csv"
    frame = candles(5).assign(bid_close=1.2, ask_close=1.21)
    frame.loc[2, "ask_close"] = 1.19
    write(frame, path)
    with pytest.raises(DataError, match="row 4: ask is below bid"):
        read_candle_file(path)
    write(frame.assign(bid_close=0.0), path)
    with pytest.raises(DataError, match="row 2: a price is not positive"):
        read_candle_file(path)
    frame = as_text(candles(3))[["time"]].assign(**{f"{s}_{x}": "1.2" for s in ("bid", "ask") for x in "ohlc"})
    frame.loc[1, "ask_h"] = "?"
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"row 3: ask_h is '\?', not a number"):
        read_candle_file(path)


def test_a_candle_that_was_still_running_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    frame = candles(3).assign(complete=[True, True, False])
    write(frame, path)
    with pytest.raises(DataError, match="row 4: the candle is not complete"):
        read_candle_file(path)
    write(frame.assign(complete=True), path)
    assert "complete" not in read_candle_file(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "a.csv",
            b"time,open,high,low\n2021-03-01T00:00Z,1,1,1\n",
            "missing close; found time, open, high, low. Rename",
        ),
        ("a.csv", b"a;b;c\n1;2;3\n", "missing time, open, high, low, close; found a;b;c"),
        ("a.csv", b"time,open,high,low,close\n", "has no rows. Export it again"),
        ("a.csv", b"", "is empty. Export it again"),
        ("a.ndjson", b" \n", "is empty. Export it again"),
        ("a.parquet", b"", "is empty. Export it again"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty. Export it again"),
        (
            "a.csv",
            b"Time,time,open,high,low,close\n1,2,3,4,5,6\n",
            "more than one column means time. Remove all but one",
        ),
        ("a.csv", b"time,open,high,low,close,v,tick_volume\n1,2,3,4,5,6,7\n", "more than one column means volume"),
        ("a.csv", b"time,open,high,low,close,close\n1,2,3,4,5,6\n", "more than one column means close"),
        ("a.csv", b"\xef\xbb\xbftime,time,open,high,low,close\r\n1,2,3,4,5,6\r\n", "more than one column means time"),
        ("a.csv", b"time,open\n1,2\n1,2,3,4\n", "cannot be read as .csv: Error tokenizing data"),
        ("a.csv", b"\xff\xfet\x00i\x00", "cannot be read as .csv: 'utf-8' codec"),
        ("a.ndjson", b'{"time": 1}\n{"time": \n', "cannot be read as .ndjson: row 2: Input data was truncated"),
        ("a.ndjson", b'{"time": 1}\n{"time": "\xff"}\n', "cannot be read as .ndjson: row 2: "),
        ("a.ndjson", b"[1, 2]\n", "cannot be read as .ndjson: row 1: Expected `object`"),
        ("a.parquet", b"not parquet at all", "cannot be read as .parquet"),
        ("a.csv.gz", b"time,open", "cannot be read as .csv: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(b"time,open,high" * 99, mtime=0)[:-9],
            "cannot be read as .csv: Compressed file ended",
        ),
        ("a.xlsx", b"", "'.xlsx' is no known format. Use .csv, .ndjson or .parquet"),
        ("candles", b"", "'candles' is no known format"),
    ],
)
def test_a_file_that_is_none_says_what_to_do(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_candle_file(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: no such file. Check the path"):
        read_candle_file(tmp_path / "none.csv")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"cannot be read as \.csv: .*directory"):
        read_candle_file(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("step", "minutes", "longer"),
    [("1h", 1, True), ("5min", 1, True), ("1h", 30, True), ("7D", 1440, True), ("1h", 60, False), ("1D", 1440, False)],
)
def test_longer_bars_are_told_by_their_usual_distance(step, minutes, longer):
    times = pd.Series(pd.date_range("2021-03-01", periods=200, freq=step, tz="UTC"))
    times = times[(times.dt.dayofweek < 5) | (step == "7D")].drop(index=[7, 8, 30])
    found = longer_bars(pd.concat([times, times.tail(3)]).sample(frac=1, random_state=1), minutes)
    assert found == (pd.Timedelta(step) if longer else None)


def test_bars_that_little_was_traded_in_and_single_rows_are_not_longer_ones():
    every = pd.Series(pd.date_range("2021-03-01", periods=5000, freq="1min", tz="UTC"))
    for share in (0.5, 0.2, 0.1):
        traded = every[np.random.default_rng(3).random(len(every)) < share]
        assert longer_bars(traded, 1) is None, share
    for count in range(3):
        assert longer_bars(every[::60].head(count), 1) is None
