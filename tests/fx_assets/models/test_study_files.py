"""Candle files as rows of a study: which are taken, what is refused in words, and where the costs come from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets
from fx_assets.configuration import Label
from fx_assets.errors import ConfigError, DataError
from fx_assets.models import study_files

SAMPLE = Path(fx_assets.__file__).parent / "sample"
MOVE = Label(kind="large_move", horizon_minutes=60)


@pytest.fixture(scope="module")
def pound() -> pd.DataFrame:
    return pd.read_parquet(SAMPLE / "GBP_USD_H1.parquet").iloc[:4200]


@pytest.fixture(scope="module")
def yen() -> pd.DataFrame:
    return pd.read_parquet(SAMPLE / "USD_JPY_H1.parquet").iloc[:4200]


def quoted(frame: pd.DataFrame, half: float) -> pd.DataFrame:
    """With a recorded bid and ask, `half` of the price to each side."""
    return frame.assign(bid_close=frame["close"] * (1 - half), ask_close=frame["close"] * (1 + half))


def save(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("MT5_GBPUSD_H1_2012-2022.parquet", "GBP_USD"),
        ("a/b/LEAN_OANDA_EURUSD_H1_bid-ask.parquet", "EUR_USD"),
        ("OANDA_USD_SGD_H1_mid-bid-ask_2025.parquet", "USD_SGD"),
        ("xauusd.csv.gz", "XAU_USD"),
        ("MINE=MT5_GBPUSD_H1.csv", "MINE"),
        ("EUR_USD=data/mine.csv", "EUR_USD"),
    ],
)
def test_a_files_name_tells_its_pair_or_the_user_does(text, symbol):
    assert study_files.named([text]) == {symbol: Path(text.rpartition("=")[2])}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["mine.csv"], r"mine\.csv: the name does not tell the instrument\. Write SYMBOL=FILE"),
        (["EURUSD_GBPUSD.csv"], "the name does not tell the instrument"),
        (["EURUSD.csv", "EUR_USD=other.csv"], r"EUR_USD is given twice, by EURUSD\.csv too"),
        ([], "no candle file is given"),
    ],
)
def test_a_name_that_tells_nothing_is_refused(texts, words):
    with pytest.raises(ConfigError, match=words):
        study_files.named(texts)


def test_rows_are_complete_sorted_and_labelled_as_by_hand(pound, yen, tmp_path):
    files = {"GBP_USD": save(pound, tmp_path / "a.parquet"), "USD_JPY": save(yen, tmp_path / "b.csv")}
    bars = study_files.read(files)
    assert bars.minutes == 60
    assert [f.rows for f in bars.files] == [4200, 4200]
    table, names = study_files.features(bars)
    assert "volume" in bars.candles.columns and "base_strength_1" in names  # noqa: PT018
    assert not any(name.startswith("spread") for name in names)
    rows = study_files.training_rows(bars, table, names, MOVE)
    assert rows[names].notna().all(axis=None)
    assert rows["label"].isin([0, 1]).all()
    assert rows[["decision_time", "instrument"]].equals(
        rows[["decision_time", "instrument"]].sort_values(["decision_time", "instrument"], ignore_index=True)
    )
    assert not rows.duplicated(["instrument", "decision_time"]).any()
    assert rows["weight"].between(0, 1, inclusive="right").all()
    close = pound.set_index("time")["close"]
    mine = rows[rows["instrument"] == "GBP_USD"]
    move = np.log(
        close.reindex(mine["time"] + pd.Timedelta(hours=1)).to_numpy() / close.reindex(mine["time"]).to_numpy()
    )
    np.testing.assert_allclose(mine["forward_return"], move, atol=1e-12)
    np.testing.assert_array_equal(mine["label"], np.abs(move) > mine["threshold"])


def test_a_file_that_ends_later_leaves_the_earlier_rows_as_they_are(pound, tmp_path):
    def rows_of(frame: pd.DataFrame) -> pd.DataFrame:
        bars = study_files.read({"GBP_USD": save(frame, tmp_path / "x.parquet")})
        table, names = study_files.features(bars)
        return study_files.training_rows(bars, table, names, MOVE).drop(columns="weight")

    short, long = rows_of(pound.iloc[:3800]), rows_of(pound)
    assert long.head(len(short)).equals(short)


def test_costs_are_recorded_by_hour_where_there_are_quotes_and_assumed_elsewhere(pound, yen, tmp_path):
    wide = quoted(pound, 1e-4)
    late = pd.DatetimeIndex(wide["time"]).tz_convert("America/New_York").hour == 16  # closes at 17:00
    wide.loc[late, ["bid_close", "ask_close"]] = quoted(pound, 9e-4).loc[late, ["bid_close", "ask_close"]]
    files = {"GBP_USD": save(wide, tmp_path / "a.parquet"), "USD_JPY": save(yen, tmp_path / "b.parquet")}
    bars = study_files.read(files)
    typical, recorded = study_files.half_spreads(bars, spread_bp=2.0)
    assert typical == {"GBP_USD": pytest.approx(1e-4), "USD_JPY": pytest.approx(1e-4)}
    assert set(recorded["instrument"]) == {"GBP_USD"}
    by_hour = recorded.set_index("hour")["half_spread"]
    assert by_hour.max() == pytest.approx(9e-4)
    assert by_hour.median() == pytest.approx(1e-4)
    # A column that not every file has is no input of a model of both.
    assert "bid_close" not in bars.candles.columns


def test_what_cannot_be_studied_is_refused_with_its_remedy(pound, yen, tmp_path):
    good = save(pound, tmp_path / "good.parquet")
    four = save(yen.iloc[::4], tmp_path / "four.parquet")
    with pytest.raises(DataError, match=r"bars of different lengths \(minutes\): good\.parquet 60, four\.parquet 240"):
        study_files.read({"GBP_USD": good, "USD_JPY": four})
    with pytest.raises(DataError, match=r"one\.parquet: 1 rows do not tell how long a bar is\. Say it with --minutes"):
        study_files.read({"GBP_USD": save(pound.head(1), tmp_path / "one.parquet")})
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        study_files.read({"GBP_USD": tmp_path / "gone.csv"})
    unsorted = save(pound.iloc[::-1], tmp_path / "unsorted.csv")
    with pytest.raises(DataError, match=r"unsorted\.csv: row 3: time lies before the row above.*Sort the file"):
        study_files.read({"GBP_USD": unsorted})


def test_bars_that_do_not_allow_a_label_are_refused(pound, tmp_path):
    def rows_of(frame: pd.DataFrame, label: Label = MOVE) -> pd.DataFrame:
        bars = study_files.read({"GBP_USD": save(frame, tmp_path / "x.parquet")})
        table, names = study_files.features(bars)
        return study_files.training_rows(bars, table, names, label)

    with pytest.raises(DataError, match=r"1,500 bars give [\d,]+ rows with every feature and a label; a study needs"):
        rows_of(pound.head(1500))
    with pytest.raises(DataError, match=r"90 minutes.*--horizon-bars"):
        rows_of(pound, Label(kind="direction", horizon_minutes=90))
    rising = pound.assign(**{name: np.arange(len(pound)) + 1000.0 for name in ("open", "high", "low", "close")})
    with pytest.raises(DataError, match=r"every label is 1\. Check the prices"):
        rows_of(rising, Label(kind="direction", horizon_minutes=60))
