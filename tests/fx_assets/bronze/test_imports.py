"""Importing a candle file: all of it or nothing."""

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.bronze.imports import import_file
from fx_assets.configuration import load_configuration
from fx_assets.errors import ConfigError, DataError
from fx_assets.silver.clean import valid_candles


def bars(start: str = "2021-03-01T22:00Z", count: int = 48, freq: str = "1h") -> pd.DataFrame:
    time = pd.date_range(start, periods=count, freq=freq, unit="us")
    return pd.DataFrame({"time": time, "open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25})


@pytest.fixture
def importing(tmp_path):
    bronze = Bronze(tmp_path / "lake")

    def call(frame: pd.DataFrame, symbol: str = "GBP_USD", granularity: str = "H1"):
        frame.to_parquet(tmp_path / "bars.parquet")
        return bronze, import_file(bronze, load_configuration(), tmp_path / "bars.parquet", symbol, granularity)

    return call


def test_rows_fall_into_their_sessions_and_reach_silver(importing):
    bronze, done = importing(bars())
    assert (done.rows, done.sessions) == (48, ["2021-03-01", "2021-03-02"])
    back = bronze.read(CANDLES, done.sessions, ["GBP_USD"])
    assert set(back["fetch_source"]) == {"import:bars.parquet"}
    assert len(back) == 48
    assert valid_candles(back).all()


def test_only_a_file_without_volume_is_warned_about(importing):
    (warning,) = importing(bars())[1].warnings
    assert "bars.parquet: there is no volume." in warning
    assert importing(bars().assign(volume=3))[1].warnings == ()


@pytest.mark.parametrize(
    ("frame", "arguments", "error", "told"),
    [
        (bars(), {"symbol": "EUR_USD"}, ConfigError, "no instrument 'EUR_USD'.*Add `EUR_USD"),
        (bars(), {"granularity": "M5"}, ConfigError, "GBP_USD.granularity is H1, the file's is M5. Change one"),
        (bars(), {"granularity": "H2"}, ConfigError, "'H2' is not one of M1"),
        (bars(freq="5min"), {}, DataError, "only 0 days 00:05:00 apart"),
        (bars(freq="4h"), {}, DataError, "usually 0 days 04:00:00 apart, bars of 60 minutes are not. State the file"),
        (bars("2021-03-01T22:30Z"), {}, DataError, "48 rows do not start on a multiple of the bar length"),
        (bars("2022-03-04T20:00Z", 60), {}, DataError, "instruments.yaml has 2020-09-30 to 2022-03-03. Set sess"),
        (bars().assign(low=0.0), {}, DataError, "a price is not positive"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(importing, tmp_path, frame, arguments, error, told):
    with pytest.raises(error, match=told):
        importing(frame, **arguments)
    assert not (tmp_path / "lake").exists()
