"""The weekly refresh of the made-up market: files up to the present, the same as before where they overlap."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fx_assets.automation import synthetic_refresh
from fx_assets.automation.synthetic_refresh import refresh
from tests.fx_assets.small import INSTRUMENTS, configuration_of, write_config

UNTIL = datetime(2021, 3, 12, 15, 30, tzinfo=UTC)


@pytest.fixture
def configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2021-06-01T00:00:00Z")
    monkeypatch.setattr(synthetic_refresh, "WEEKS", 3)
    return configuration_of(write_config(tmp_path / "config", INSTRUMENTS), monkeypatch)


def test_files_reach_up_to_the_present_and_overlap_bit_for_bit(configuration, tmp_path):
    rows, changed = refresh(configuration, tmp_path, UNTIL)
    assert changed == []
    assert set(rows) == {"GBP_USD_H1.parquet", "USD_JPY_H1.parquet", "news.parquet"}
    first = pd.read_parquet(tmp_path / "GBP_USD_H1.parquet")
    assert UNTIL - timedelta(hours=2) <= first["time"].max() < UNTIL
    rows, changed = refresh(configuration, tmp_path, UNTIL + timedelta(days=7))
    assert changed == []
    assert pd.read_parquet(tmp_path / "GBP_USD_H1.parquet")["time"].max() > first["time"].max()


def test_a_market_that_has_changed_is_told(configuration, tmp_path):
    refresh(configuration, tmp_path, UNTIL)
    path = tmp_path / "GBP_USD_H1.parquet"
    frame = pd.read_parquet(path)
    middle = len(frame) // 2
    frame["close"] = frame["close"].where(frame.index != middle, frame["close"] + 0.01)
    frame.to_parquet(path, index=False)
    assert refresh(configuration, tmp_path, UNTIL + timedelta(days=1))[1] == [path.name]
