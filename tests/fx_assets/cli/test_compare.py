"""fx compare: another system's files against a lake, its exit codes, and what it says of bad input."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fx_assets.lake import Lake
from fx_assets.schemas import UTC_TIME
from fx_assets.sessions import session_keys
from tests.servers.s3 import s3_server

ROWS = 240


@pytest.fixture(scope="module")
def rows(candles: pd.DataFrame) -> pd.DataFrame:
    """Two instruments as the lake has them, from a Monday on; ret is made up."""
    one = candles.head(ROWS)[["time", "open", "high", "low", "close"]].assign(instrument="GBP_USD")
    two = one.assign(instrument="USD_JPY", **{name: 80 * one[name] for name in ("open", "high", "low", "close")})
    both = pd.concat([one, two], ignore_index=True)
    ret = np.random.default_rng(7).normal(size=len(both)) * 1e-3
    made = both.assign(ret=ret, time=both["time"].astype(UTC_TIME))
    return made.sort_values(["time", "instrument"], ignore_index=True)


def write_lake(root: Path | str, rows: pd.DataFrame, table: str = "silver/candles") -> None:
    keys = session_keys(rows["time"])
    Lake(root).write(table, {str(k): part.reset_index(drop=True) for k, part in rows.groupby(keys)})


def write_csvs(folder: Path, rows: pd.DataFrame, zone: str = "Europe/London") -> None:
    """As an export by cron: a file an instrument, local times without zone, names and units of its own."""
    folder.mkdir(parents=True)
    for name, part in rows.groupby("instrument"):
        own = part.assign(time=part["time"].dt.tz_convert(zone).dt.tz_localize(None), ret=1e4 * part["ret"])
        own = own.drop(columns="instrument").rename(columns={"time": "Timestamp", "ret": "ret_bps", "open": "O"})
        own.to_csv(folder / f"{str(name).replace('_', '')}.csv", index=False)


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    told = {
        "time_zone": "Europe/London",
        "tables": {"silver/candles": {"old": "bars", "columns": {"ret": {"old": "ret_bps", "unit": "bps"}}}},
    }
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def test_files_of_cron_equal_the_homes_lake(call, home, tmp_path, rows, mapping):
    """While the newest sessions are on one side only: they are told, and not a difference."""
    write_lake(home / "lake", rows[rows["time"] < rows["time"].iloc[-30]])
    write_csvs(tmp_path / "old" / "bars", rows)
    code, told = call("compare", tmp_path / "old", "--mapping", mapping, "--json", tmp_path / "found.json")
    assert code == 0, told
    assert "equal within tolerance" in told
    found = json.loads((tmp_path / "found.json").read_text())["tables"][0]
    assert (found["name"], found["old_name"], found["key"]) == ("silver/candles", "bars", ["time", "instrument"])
    inside = int((rows["time"] < rows["time"].iloc[-30]).sum())
    assert (found["both"], found["old"]["outside"], found["new"]["outside"]) == (inside, len(rows) - inside, 0)
    assert f"{len(rows) - inside} rows of old lie outside the compared time" in told
    equal = {column["name"]: column["equal"] for column in found["columns"]}
    assert equal == dict.fromkeys(("open", "high", "low", "close", "ret"), inside)


def test_until_asks_for_what_is_not_there_yet(call, home, tmp_path, rows, mapping):
    write_lake(home / "lake", rows.head(len(rows) - 30))
    write_csvs(tmp_path / "old" / "bars", rows)
    last, first = rows["time"].iloc[-1], rows["time"].iloc[100]
    code, told = call("compare", tmp_path / "old", "--mapping", mapping, "--until", last.isoformat())
    assert code == 1
    assert "30 rows only in old, the first: " in told
    day = rows["time"].iloc[-200].date()
    span = ("--from", first.isoformat(), "--until", day.isoformat())
    code, told = call("compare", tmp_path / "old", "--mapping", mapping, *span, "--json", tmp_path / "found.json")
    assert code == 0, told
    compared = json.loads((tmp_path / "found.json").read_text())["tables"][0]["both"]
    assert compared == int(((rows["time"] >= first) & (rows["time"].dt.date <= day)).sum())


def test_a_defect_is_shown_with_its_cause_and_ends_with_1(call, home, tmp_path, rows, mapping):
    write_lake(home / "lake", rows)
    ahead = rows.groupby("instrument")["ret"].shift(-1)
    write_csvs(tmp_path / "old" / "bars", rows.assign(ret=ahead, extra=1.0))
    code, told = call("compare", tmp_path / "old", "--mapping", mapping)
    assert code == 1
    assert "silver/candles: ret: the old column is the new one 1 rows later: look-ahead in the old system" in told
    assert "columns only in old: extra (map or ignore them)" in told
    assert "0.0 %" in told
    code, told = call("compare", tmp_path / "old", "--map", "bars=silver/candles", "--time-zone", "Europe/Berlin")
    assert code == 1
    assert "old times are one bar (1 h) earlier" in told


def test_a_file_a_day_in_either_format_equals_the_hive_folders(call, home, tmp_path, rows):
    """Packed NDJSON by UTC day against sessions from 17:00 New York; and Parquet against itself."""
    write_lake(home / "lake", rows)
    Lake(home / "lake").write("silver/candles", {"2020-09-24": rows.head(0)})  # a session without trading, read first
    _text(tmp_path / "old" / "candles" / "2020-09-25.csv", ",".join(rows.columns) + "\n")
    for day, part in rows.groupby(rows["time"].dt.date):
        written = part.assign(time=part["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        text = written.to_json(orient="records", lines=True, double_precision=15)
        path = tmp_path / "old" / "candles" / f"{day}.ndjson.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    for old in (tmp_path / "old", home / "lake"):
        code, told = call("compare", old)
        assert code == 0, told
        assert f"{len(rows)}" in told


def test_a_table_that_the_new_side_lacks_is_a_difference(call, home, tmp_path, rows):
    write_lake(home / "lake", rows)
    write_lake(tmp_path / "old", rows)
    write_lake(tmp_path / "old", rows, "gold/ranks")
    write_lake(home / "lake", rows, "gold/more")
    code, told = call("compare", tmp_path / "old")
    assert code == 1
    assert "only in old, and so different: gold/ranks" in told
    assert "only in new, not compared: gold/more" in told
    assert call("compare", tmp_path / "old", "--table", "silver/candles")[0] == 0


def test_lakes_in_an_object_store_are_compared(call, home, tmp_path, rows):
    with s3_server() as bucket:
        url = f"{bucket()}/lake"
        write_lake(url, rows)
        write_lake(home / "lake", rows.assign(close=rows["close"].round(2)))
        code, told = call("compare", url, url)
        assert code == 0, told
        code, told = call("compare", url)
        assert code == 1
        assert "close: rounding: the new column has 2 decimal places" in told
        code, told = call("compare", f"{url}/nothing", url)
        assert code == 2
        assert "/lake/nothing: no table in it" in told


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


HEAD = "time,instrument,close\n"
BAD = [
    ("", "no table in it (.csv, .ndjson, .parquet, also .gz). Check the path.", []),
    ("2021-03-01 10:00:00,GBP_USD,1.2\n", "2021-03-01 10:00:00 has no time zone. Say which with --time-zone", []),
    ("soon,GBP_USD,1.2\n", "'soon' is not a time; 1 such rows. Write times as ISO 8601", []),
    (
        "2021-03-01T10:00:00Z,GBP_USD,1\n2021-03-01T10:00:00,GBP_USD,1\n",
        "'2021-03-01T10:00:00' has no time zone, and other rows have one",
        [],
    ),
    ("1614592800,GBP_USD,1.2\n", "is a number, not a time. If it counts from 1970, say its time_unit", []),
    (",GBP_USD,1.2\n", "candles.csv: row 1 of the data has no time. Mend or remove the row.", []),
    (
        "2021-03-28 01:30:00,GBP_USD,1\n",
        "2021-03-28 01:30:00: the clocks of Europe/London skip this hour or have it twice",
        ["--time-zone", "Europe/London"],
    ),
    ("2021-03-01T10:00:00Z,GBP_USD,1,9,9\n", "cannot be read as .csv: a row has more values than the header", []),
    ("x", "--time-zone: 'Mars/Base': no such time zone. Use a name such as UTC", ["--time-zone", "Mars/Base"]),
    ("x", "--map: 'candles' is not OLD=NEW. Write it as --map", ["--map", "candles"]),
    ("x", "there is no table gold/none in", ["--map", "candles=gold/none"]),
    ("x", "--table: gold/none: not on both sides; silver/candles are", ["--table", "gold/none"]),
    ("x", "--from: 'yesterday' is no day and no time with its offset. Write 2021-03-01", ["--from", "yesterday"]),
    ("x", "--until: '2021-03-01T10:00' is no day and no time", ["--until", "2021-03-01T10:00"]),
    ("x", "none.yaml: cannot be read", ["--mapping", "none.yaml"]),
]


@pytest.mark.parametrize(("lines", "words", "options"), BAD, ids=[words[:40] for _, words, _ in BAD])
def test_bad_input_ends_with_2_and_a_remedy(call, home, tmp_path, rows, lines, words, options):
    write_lake(home / "lake", rows.head(30))
    if lines:
        _text(tmp_path / "old" / "candles.csv", HEAD + lines)
    code, told = call("compare", tmp_path / "old", *options)
    assert words in told
    assert code == 2


@pytest.mark.parametrize("bad", [b'{"time": "\xff"}', b'{"time": ', b"[1]"])
def test_a_line_that_cannot_be_read_is_named(call, home, tmp_path, rows, bad):
    write_lake(home / "lake", rows.head(30))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "candles.ndjson").write_bytes(b'{"time": "2021-03-01T10:00:00Z"}\n' + bad + b"\n")
    code, told = call("compare", tmp_path / "old")
    assert "candles.ndjson: cannot be read as .ndjson: row 2: " in told
    assert code == 2


BAD_MAPPINGS = [
    ("", ": is empty. Write a mapping into it"),
    ("- a\n", ": empty, or not a mapping at the top"),
    ("zone: UTC\n", ": zone: unknown key (value 'UTC'). Remove it or mend its spelling."),
    (
        "time_zone: Mars/Base\n",
        ": time_zone: no such time zone. Use a name such as UTC or America/New_York (value",
    ),
    ("tolerance: {absolute: -1}\n", ": tolerance.absolute: Input should be greater than or equal to 0 (value -1)"),
    ("tables: {a: {time_unit: h}}\n", ": tables.a.time_unit: 'h' is not one of 's', 'ms', 'us', 'ns'. Change it"),
    ("tables: {a: {columns: {b: {unit: pips}}}}\n", ": tables.a.columns.b.unit: 'pips' is not one of 'percent', 'bps'"),
    ("tables: {a: {columns: {b: {unit: bps, factor: 2}}}}\n", ": tables.a.columns.b: unit bps and factor 2 both say"),
    ("tables: {a: {columns: {b: {factor: 0}}}}\n", ": tables.a.columns.b: factor 0 would make all values equal"),
    ("tables: {a: {key: []}}\n", ": tables.a.key: Tuple should have at least 1 item"),
    ("tables: {gold/none: {}}\n", "mapping: tables.gold/none: there is no table gold/none in"),
    ("tables: {silver/candles: {old: bars}}\n", "mapping: tables.silver/candles: there is no table bars in"),
    ("tables: {silver/candles: {columns: {close: c}}}\n", "the old table candles has no column c; it has time, "),
    ("tables: {silver/candles: {key: [time, venue]}}\n", "no column venue among "),
]


@pytest.mark.parametrize(("text", "words"), BAD_MAPPINGS, ids=[words[:40] for _, words in BAD_MAPPINGS])
def test_a_bad_mapping_is_refused_with_file_field_value_and_remedy(call, home, tmp_path, rows, text, words):
    write_lake(home / "lake", rows.head(30))
    _text(tmp_path / "old" / "candles.csv", HEAD + "2021-03-01T10:00:00Z,GBP_USD,1.2\n")
    _text(tmp_path / "mapping.yaml", text)
    code, told = call("compare", tmp_path / "old", "--mapping", tmp_path / "mapping.yaml")
    assert words in told
    assert code == 2


def test_damaged_files_are_named(call, home, tmp_path, rows):
    write_lake(home / "lake", rows.head(30))
    for name in ("candles.parquet", "candles.csv.gz", "candles.ndjson"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"{not a table")
        code, told = call("compare", tmp_path / name)
        assert code == 2
        assert f"{tmp_path / name / name}: cannot be read as " in told
        assert "Export it again, or remove it." in told


def test_help_teaches_by_an_example(call):
    code, told = call("compare", "--help")
    assert code == 0
    assert "Example:  fx compare /data/airflow --map features_daily=gold/features" in told
