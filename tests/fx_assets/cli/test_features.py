"""fx features: the same row gives the same bytes however the file is cut, and bad files are refused in words."""

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import FEATURES, feature_names, max_window
from fx_assets.frames import write_frame
from tests.fx_assets.cli.conftest import write_csv
from tests.servers.platform import fx


@pytest.fixture(scope="module")
def whole(candles, tmp_path_factory) -> list[str]:
    """The CSV lines of the whole slice, made by the real command."""
    folder = tmp_path_factory.mktemp("features")
    done = fx("features", write_csv(candles, folder / "GBP_USD.csv"), "--out", folder / "whole.csv")
    assert done.returncode == 0, done.stderr
    assert "1200 rows" in done.stdout
    lines = (folder / "whole.csv").read_text().splitlines()
    assert len(lines) == 1 + 1200
    return lines


@pytest.mark.parametrize("rows", [1, 37, 400, 1199])
def test_a_file_cut_at_its_end_gives_the_same_lines(call, candles, whole, tmp_path, rows):
    code, _ = call("features", write_csv(candles.head(rows), tmp_path / "GBP_USD.csv"), "--out", tmp_path / "cut.csv")
    assert code == 0
    assert (tmp_path / "cut.csv").read_text().splitlines() == whole[: rows + 1]


@pytest.mark.parametrize("dropped", [1, 250])
def test_a_file_cut_at_its_start_gives_the_same_lines_once_the_windows_are_full(
    call, candles, whole, tmp_path, dropped
):
    cut = candles.iloc[dropped:]
    call("features", write_csv(cut, tmp_path / "GBP_USD.csv"), "--out", tmp_path / "cut.csv")
    lines = (tmp_path / "cut.csv").read_text().splitlines()
    full = max_window()
    assert full < len(cut) - 100
    assert lines[1 + full :] == whole[1 + dropped + full :]


def test_every_format_holds_the_same_bits(call, candles, tmp_path):
    source = write_csv(candles.head(300), tmp_path / "GBP_USD.csv")
    names = ["a.csv", "a.csv.gz", "a.parquet", "a.ndjson", "a.ndjson.gz", "A.CSV"]
    for name in names:
        code, said = call("features", source, "--out", tmp_path / name)
        assert code == 0, said
    parquet = pd.read_parquet(tmp_path / "a.parquet")
    assert str(parquet["time"].dtype) == "datetime64[us, UTC]"
    numbers = [c for c in parquet.columns if c not in ("instrument", "time", "available_at")]
    assert set(feature_names("volatility")) <= set(numbers)
    expected = parquet[numbers].to_numpy(float)
    for name in ("a.csv", "a.csv.gz"):
        read = pd.read_csv(tmp_path / name, float_precision="round_trip")[numbers].to_numpy(float)
        np.testing.assert_array_equal(read, expected)
    lines = (tmp_path / "a.ndjson").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    read = np.array([[np.nan if r[c] is None else r[c] for c in numbers] for r in records], float)
    np.testing.assert_array_equal(read, expected)
    assert pd.Timestamp(records[7]["time"]) == parquet["time"].iloc[7]
    assert gzip.decompress((tmp_path / "a.ndjson.gz").read_bytes()) == (tmp_path / "a.ndjson").read_bytes()
    assert (tmp_path / "A.CSV").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_ndjson_keeps_floats_that_need_17_digits(tmp_path):
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 1e-17, float("nan")]
    write_frame(pd.DataFrame({"x": values}), tmp_path / "x.ndjson")
    back = [json.loads(line)["x"] for line in (tmp_path / "x.ndjson").read_text().splitlines()]
    assert back == [*values[:-1], None]


BESIDE = {
    "others": "no other pair with one of its currencies (--instrument, --other SYMBOL=FILE)",
    "triangle": "no two other pairs that make the same cross (--instrument, --other SYMBOL=FILE twice)",
    "economic": "no release calendar (--economic FILE)",
    "rates": "no policy rates (--rates FILE)",
}


def left_out(said: str) -> dict[str, set[str]]:
    """What is said to be missing -> the features left out for it; each is said once."""
    lines = [line.split(": left out ") for line in said.splitlines() if ": left out " in line]
    assert len({why for why, _ in lines}) == len(lines)
    return {why: set(names.split(", ")) for why, names in lines}


def test_what_a_missing_column_costs_is_told(call, candles, tmp_path):
    bare = candles.drop(columns="volume")
    code, said = call("features", write_csv(bare, tmp_path / "x.csv"), "--out", tmp_path / "x.parquet")
    assert code == 0
    there = set(pd.read_parquet(tmp_path / "x.parquet").columns)
    for column, lost in (("volume", "volume_adjusted"), ("bid_close", "spread"), ("ask_close", "spread")):
        (line,) = [line for line in said.splitlines() if line.startswith(f"no column {column} in x.csv: left out ")]
        assert lost in line
        gone = set(line.partition("left out ")[2].split(", "))
        assert gone
        assert not gone & there
    # With quotes the spread is there; what is still missing are other files.
    quoted = candles.assign(bid_close=candles["close"] - 1e-4, ask_close=candles["close"] + 1e-4)
    _, said = call("features", write_csv(quoted, tmp_path / "y.csv"), "--out", tmp_path / "y.parquet")
    assert set(left_out(said)) == set(BESIDE.values())
    lost = set().union(*left_out(said).values())
    assert set(pd.read_parquet(tmp_path / "y.parquet").columns) == {"time", *feature_names()} - lost
    assert lost == {spec.name for spec in FEATURES if set(BESIDE) & set(spec.requires)}


def test_the_instrument_column_is_added_by_option(call, candles, tmp_path):
    source = write_csv(candles.head(50), tmp_path / "export-17.csv")
    call("features", source, "--out", tmp_path / "a.parquet", "--instrument", "GBP_USD")
    call("features", source, "--out", tmp_path / "b.parquet")
    assert set(pd.read_parquet(tmp_path / "a.parquet")["instrument"]) == {"GBP_USD"}
    # Without it the table is the same whatever the file is called.
    assert "instrument" not in pd.read_parquet(tmp_path / "b.parquet").columns


def changed(frame: pd.DataFrame, row: int, **values: Any) -> pd.DataFrame:
    made = frame.copy()
    for name, value in values.items():
        made.loc[made.index[row], name] = value
    return made


BAD = {
    "wrong columns": (lambda f: f.rename(columns={"close": "last"}), "missing close; found time, open, high, low"),
    "unsorted": (lambda f: f.iloc[[0, 2, 1, *range(3, 20)]], "row 4: time lies before the row above"),
    "duplicate": (lambda f: f.iloc[[0, 1, 1, *range(2, 20)]], "row 4: time repeats an earlier row"),
    "high below low": (lambda f: changed(f, 5, high=f["low"].iloc[5] - 0.01), "row 7: high is below low"),
    "not positive": (lambda f: changed(f, 3, low=0.0), "row 5: a price is not positive"),
    "no number": (
        lambda f: f.astype({"open": object}).pipe(changed, 4, open="n/a"),
        "row 6: open is 'nan', not a number",
    ),
    "no rows": (lambda f: f.head(0), "has no rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_row_and_remedy(call, candles, tmp_path, case):
    spoil, told = BAD[case]
    out = tmp_path / "out.csv"
    code, said = call("features", write_csv(spoil(candles.head(20)), tmp_path / "bad.csv"), "--out", out)
    assert code == 1
    assert told in said
    assert "bad.csv" in said
    assert said.strip().endswith(".")
    assert not out.exists()


def test_times_without_zone_are_refused(call, candles, tmp_path):
    frame = candles.head(20).assign(time=candles["time"].head(20).dt.tz_localize(None))
    frame.to_csv(tmp_path / "naive.csv", index=False)
    code, said = call("features", tmp_path / "naive.csv", "--out", tmp_path / "out.csv")
    assert code == 1
    assert "row 2: time '2020-09-30 21:00:00' has no time zone. Write times as ISO 8601 with their offset" in said


@pytest.mark.parametrize("out", ["table.xlsx", "table", "table.csv.zip", ".gz", "table.csv.old"])
def test_a_wrong_out_is_refused_before_any_work(call, tmp_path, out):
    code, said = call("features", tmp_path / "not-even-there.csv", "--out", tmp_path / out)
    assert code == 1
    assert f"{out}: unknown format. End the name in .csv, .parquet, .ndjson" in said


def test_a_missing_file_and_an_unknown_format(call, tmp_path):
    code, said = call("features", tmp_path / "gone.csv", "--out", tmp_path / "a.csv")
    assert (code, "gone.csv: no such file. Check the path." in said) == (1, True)
    (tmp_path / "a.xls").write_bytes(b"x")
    code, said = call("features", tmp_path / "a.xls", "--out", tmp_path / "a.csv")
    assert (code, "'.xls' is no known format" in said) == (1, True)


def test_an_error_is_one_red_line_without_a_traceback(tmp_path):
    done = fx("features", tmp_path / "gone.csv", "--out", tmp_path / "a.csv")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"{tmp_path / 'gone.csv'}: no such file. Check the path."]


def test_an_empty_column_counts_as_absent(call, candles, tmp_path):
    source = write_csv(candles.head(300).assign(volume=np.nan), tmp_path / "x.csv")
    code, said = call("features", source, "--out", tmp_path / "x.parquet")
    assert code == 0, said
    assert "volume is empty in x.csv: left out " in said
    assert "volume_adjusted" not in pd.read_parquet(tmp_path / "x.parquet")


def test_a_bar_without_volume_has_no_features_of_volume(call, candles, tmp_path):
    rows = candles.head(300).astype({"volume": float})
    call("features", write_csv(rows, tmp_path / "x.csv"), "--out", tmp_path / "x.parquet")
    write_csv(changed(changed(rows, 200, volume=np.nan), 250, volume=np.nan), tmp_path / "y.csv")
    code, said = call("features", tmp_path / "y.csv", "--out", tmp_path / "y.parquet")
    assert code == 0, said
    assert "volume is empty in 2 of 300 rows: features that need it are empty there" in said
    whole, found = pd.read_parquet(tmp_path / "x.parquet"), pd.read_parquet(tmp_path / "y.parquet")
    needs = [spec.name for spec in FEATURES if "volume" in spec.requires]
    assert found[needs].iloc[[200, 250]].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.drop(columns=needs), whole.drop(columns=needs), check_exact=True)
    pd.testing.assert_frame_equal(found.iloc[:200], whole.iloc[:200], check_exact=True)
    assert found["volume_velocity"].iloc[201:250].notna().all()


def test_what_is_no_figure_is_refused_in_an_optional_column_too(call, candles, tmp_path):
    source = write_csv(changed(candles.head(20).astype({"volume": object}), 4, volume="many"), tmp_path / "x.csv")
    code, said = call("features", source, "--out", tmp_path / "x.parquet")
    assert (code, "row 6: volume is 'many', not a number" in said) == (1, True)


@pytest.mark.parametrize("name", ["x.csv", "./sub/../x.csv"])
def test_a_file_that_is_read_is_not_written_over(call, candles, tmp_path, name):
    source = write_csv(candles.head(20), tmp_path / "x.csv")
    (tmp_path / "sub").mkdir()
    before = source.read_bytes()
    code, said = call("features", source, "--out", f"{tmp_path}/{name}")
    assert (code, "is a file that is read; it would be lost. Name another." in said) == (1, True)
    assert source.read_bytes() == before


def test_epoch_numbers_are_named(call, candles, tmp_path):
    frame = candles.head(20).assign(time=np.arange(20) * 3600 + 1353)
    frame.to_csv(tmp_path / "epoch.csv", index=False)
    code, said = call("features", tmp_path / "epoch.csv", "--out", tmp_path / "out.csv")
    assert code == 1
    assert "row 2: time 1353 is a number; epochs are not read. Write times as ISO 8601" in said
