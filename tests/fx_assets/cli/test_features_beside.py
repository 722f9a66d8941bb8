"""fx features with other instruments, releases and rates, by group, of bars of any length; and the list of features."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import FEATURES, GROUPS, compute_features, feature_names, specs
from fx_assets.sources.candle_file import read_candle_file
from tests.fx_assets.cli.conftest import SAMPLE, write_csv

CALENDAR = """time,available_at,currency,event,impact,actual,forecast
2020-10-02T12:30:00Z,2020-10-02T12:30:10Z,USD,Payrolls,3,661,850
2020-10-14T06:00:00Z,,GBP,Speech,1,,
2020-11-05T12:00:00Z,,GBP,Rate decision,high,0.1,0.1
"""
POLICY = """available_at,currency,rate
2020-03-19T12:00:00Z,GBP,0.1
2020-03-16T00:00:00Z,USD,0.25
"""


@pytest.fixture(scope="module")
def files(candles, tmp_path_factory):
    """GBP_USD beside USD_JPY, their cross with gaps, and reference files."""
    folder = tmp_path_factory.mktemp("beside")
    yen = pd.read_parquet(SAMPLE / "USD_JPY_H1.parquet").head(1200)
    both = candles.merge(yen, on="time", suffixes=("", "_yen"))
    cross = pd.DataFrame({"time": both["time"]})
    for name in ("open", "high", "low", "close"):
        cross[name] = both[name] * both[f"{name}_yen"]
    write_csv(candles, folder / "GBP_USD.csv")
    write_csv(yen, folder / "USD_JPY.csv")
    write_csv(cross[np.arange(len(cross)) % 11 > 0], folder / "GBP_JPY.csv")
    (folder / "calendar.csv").write_text(CALENDAR)
    (folder / "rates.csv").write_text(POLICY)
    return folder


def beside(files, *symbols: str) -> list[object]:
    return [word for symbol in symbols for word in ("--other", f"{symbol}={files / symbol}.csv")]


def test_with_everything_every_feature_is_there(call, candles, files, tmp_path):
    quoted = candles.assign(bid_close=candles["close"] - 1e-4, ask_close=candles["close"] + 1e-4)
    code, said = call(
        *("features", write_csv(quoted, tmp_path / "q.csv"), "--out", tmp_path / "all.parquet"),
        *("--instrument", "GBP_USD", *beside(files, "USD_JPY", "GBP_JPY")),
        *("--economic", files / "calendar.csv", "--rates", files / "rates.csv"),
    )
    assert code == 0, said
    assert "left out" not in said
    assert "60 minutes after its time" in said
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert list(table.columns) == ["instrument", "time", *feature_names()]
    assert set(table["instrument"]) == {"GBP_USD"}
    assert len(table) == 1200
    for spec in FEATURES:
        assert table[spec.name].isna().sum() == spec.warmup, spec.name
    assert table["rate_differential"].round(12).eq(-0.15).all()
    payrolls = table.loc[table["time"] == pd.Timestamp("2020-10-02T12:00Z"), "minutes_since_release"]
    assert payrolls.tolist() == [30.0]


def test_cross_features_are_the_library_s_and_the_others_stay_out(call, candles, files, tmp_path):
    options = ("--instrument", "GBP_USD", *beside(files, "GBP_JPY", "USD_JPY"), "--group", "cross")
    code, said = call("features", files / "GBP_USD.csv", "--out", tmp_path / "cross.parquet", *options)
    assert code == 0, said
    assert "left out" not in said
    parts = [candles.assign(instrument="GBP_USD")]
    parts += [read_candle_file(files / f"{name}.csv").assign(instrument=name) for name in ("GBP_JPY", "USD_JPY")]
    expected = compute_features(pd.concat(parts, ignore_index=True), ["cross"])
    expected = expected[expected["instrument"] == "GBP_USD"].reset_index(drop=True)
    found = pd.read_parquet(tmp_path / "cross.parquet")
    np.testing.assert_array_equal(found[feature_names("cross")], expected[feature_names("cross")])
    assert found["cross_rate_residual"].abs().max() < 1e-12
    assert list(found.columns) == ["instrument", "time", *feature_names("cross")]


@pytest.mark.parametrize("rows", [1, 150, 1199])
def test_a_file_cut_at_its_end_gives_the_same_rows_beside_others(call, candles, files, tmp_path, rows):
    options = ("--instrument", "GBP_USD", *beside(files, "GBP_JPY", "USD_JPY"), "--minutes", 60)
    options = (*options, "--economic", files / "calendar.csv", "--rates", files / "rates.csv")
    options = (*options, *(word for name in ("cross", "economic", "rates", "calendar") for word in ("--group", name)))
    call("features", files / "GBP_USD.csv", "--out", tmp_path / "whole.csv", *options)
    code, said = call(
        "features", write_csv(candles.head(rows), tmp_path / "x.csv"), "--out", tmp_path / "cut.csv", *options
    )
    assert code == 0, said
    assert (tmp_path / "cut.csv").read_text().splitlines() == (tmp_path / "whole.csv").read_text().splitlines()[
        : rows + 1
    ]


def test_a_pair_that_shares_no_currency_gives_nothing_and_it_is_said(call, files, tmp_path):
    options = ("--instrument", "EUR_CHF", *beside(files, "USD_JPY"))
    code, said = call("features", files / "GBP_USD.csv", "--out", tmp_path / "x.parquet", *options)
    assert code == 0
    assert "no other pair with one of its currencies" in said
    assert not set(feature_names("cross")) & set(pd.read_parquet(tmp_path / "x.parquet").columns)


def test_groups_are_chosen_and_only_their_losses_are_told(call, files, tmp_path):
    options = ("--group", "volatility", "--group", "calendar")
    code, said = call("features", files / "GBP_USD.csv", "--out", tmp_path / "x.parquet", *options)
    assert code == 0
    assert "left out" not in said
    names = [*feature_names("volatility"), *feature_names("calendar")]
    assert list(pd.read_parquet(tmp_path / "x.parquet").columns) == ["time", *names]


@pytest.mark.parametrize(("freq", "rows"), [("1min", 3000), ("5min", 700), ("4h", 700), ("1D", 600)])
@pytest.mark.parametrize("columns", [(), ("volume",), ("bid_close", "ask_close")])
def test_bars_of_any_length_with_and_without_optional_columns(call, tmp_path, freq, rows, columns):
    rng = np.random.default_rng(rows)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows)))
    opened = np.concatenate([[1.1], close[:-1]])
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2020-12-20", periods=rows, freq=freq, tz="UTC"),
            "open": opened,
            "high": np.maximum(opened, close) * 1.0001,
            "low": np.minimum(opened, close) * 0.9999,
            "close": close,
            "volume": rng.integers(0, 9, rows),
            "bid_close": close - 1e-5,
            "ask_close": close + 1e-5,
        }
    )
    kept = frame[["time", "open", "high", "low", "close", *columns]][rng.random(rows) > 0.1]
    code, said = call("features", write_csv(kept, tmp_path / "bars.csv"), "--out", tmp_path / "t.parquet")
    assert code == 0, said
    table = pd.read_parquet(tmp_path / "t.parquet")
    there = {"open", "high", "low", "close", *columns}
    assert list(table.columns) == ["time", *(spec.name for spec in FEATURES if set(spec.requires) <= there)]
    for spec in FEATURES:
        if spec.name in table:
            assert np.isfinite(table[spec.name].iloc[spec.warmup :]).all(), spec.name


def test_the_list_names_every_feature(call):
    code, said = call("features", "--list")
    assert code == 0
    assert f"{len(FEATURES)} features" in said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if "│" in line]
    shown = {row[0]: row for row in rows}
    for spec in FEATURES:
        assert shown[spec.name][1:4] == [spec.group, str(spec.window), spec.unit], spec.name
    code, said = call("features", "--list", "--group", "rates")
    assert code == 0
    assert f"{len(specs('rates'))} features" in said
    assert "rsi_14" not in said


def test_the_list_of_a_file_tells_what_it_allows(call, files):
    code, said = call("features", files / "GBP_USD.csv", "--list", "--group", "microstructure", "--group", "rates")
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if "│" in line]
    allowed = {row[0]: row[-1] for row in rows}
    assert allowed["volume_adjusted"] == "yes"
    assert allowed["spread_bps"] == "lacks ask_close bid_close"
    assert allowed["rate_differential"] == "lacks rates"


WRONG = {
    "no file": ([], "no candle file is given. Name one, or list the features with --list."),
    "no out": (["GBP_USD.csv"], "GBP_USD.csv: where shall the table go? Add --out features.parquet"),
    "group": (["GBP_USD.csv", "--group", "news"], f"--group news: is not one of {', '.join(GROUPS)}."),
    "no symbol": (["GBP_USD.csv", "--other", "USD_JPY=USD_JPY.csv"], "--other needs to know which instrument"),
    "no currencies": (["GBP_USD.csv", "--rates", "rates.csv"], "need the currencies of GBP_USD.csv. Add --instrument"),
    "no pair": (["GBP_USD.csv", "--instrument", "GBP_USD", "--other", "USD_JPY.csv"], "is not SYMBOL=FILE"),
    "itself": (["GBP_USD.csv", "--instrument", "GBP_USD", "--other", "GBP_USD=GBP_JPY.csv"], "GBP_USD is given twice"),
    "gone": (
        ["GBP_USD.csv", "--instrument", "GBP_USD", "--rates", "gone.csv"],
        "gone.csv: no such file. Check the path.",
    ),
    "not a calendar": (
        ["GBP_USD.csv", "--instrument", "GBP_USD", "--economic", "rates.csv"],
        "rates.csv: column(s) time, event, impact missing; found available_at, currency, rate. Use the columns time,",
    ),
    "unknown pair": (
        ["GBP_USD.csv", "--instrument", "GOLD", "--rates", "rates.csv"],
        "--instrument GOLD: its two currencies are not known, which --economic and --rates need.",
    ),
    "strange rates": (
        ["GBP_USD.csv", "--instrument", "EUR_JPY", "--rates", "rates.csv"],
        "rates.csv: has no row of a currency of EUR_JPY; it holds GBP, USD.",
    ),
    "strange releases": (
        ["GBP_USD.csv", "--instrument", "EUR_JPY", "--economic", "calendar.csv"],
        "calendar.csv: has no row of a currency of EUR_JPY; it holds GBP, USD.",
    ),
    "nothing": (["GBP_USD.csv", "--group", "economic"], "none of these features can be made: no release calendar"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_with_a_remedy(call, files, tmp_path, monkeypatch, case):
    words, told = WRONG[case]
    monkeypatch.chdir(files)
    out = [] if case in ("no file", "no out") else ["--out", tmp_path / "out.csv"]
    code, said = call("features", *words, *out)
    assert code == 1
    assert told in said
    assert not (tmp_path / "out.csv").exists()


def test_bars_of_another_length_are_refused(call, candles, files, tmp_path):
    slow = candles[candles["time"].dt.hour % 4 == 1]
    write_csv(slow, tmp_path / "slow.csv")
    options = ("--instrument", "GBP_USD", "--other", f"EUR_USD={tmp_path / 'slow.csv'}")
    code, said = call("features", files / "GBP_USD.csv", "--out", tmp_path / "out.csv", *options)
    assert code == 1
    assert "slow.csv: bars of 240 minutes beside 60 in GBP_USD.csv" in said


def test_one_bar_alone_tells_no_length(call, candles, files, tmp_path):
    one = write_csv(candles.head(1), tmp_path / "one.csv")
    options = ("--instrument", "GBP_USD", "--rates", files / "rates.csv")
    code, said = call("features", one, "--out", tmp_path / "out.csv", *options)
    assert code == 0
    assert "unknown, so taken at its time (--minutes)" in said


def test_a_reference_file_with_one_of_the_currencies_is_told(call, files, tmp_path):
    options = ("--instrument", "XAUUSD", "--rates", files / "rates.csv", "--economic", files / "calendar.csv")
    code, said = call("features", files / "GBP_USD.csv", "--out", tmp_path / "out.parquet", *options)
    assert code == 0, said
    assert "rates.csv has no row of XAU: rate_differential and its change need both and are 0" in said
    assert "calendar.csv has no row of XAU: releases are those of the other currency" in said
    assert (pd.read_parquet(tmp_path / "out.parquet")["minutes_since_release"] == 30.0).any()
