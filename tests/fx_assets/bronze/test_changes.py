"""Late and corrected candles, from fetches put into bronze and read back."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from fx_assets.bronze.changes import COLUMNS, corrections
from fx_assets.bronze.files import CANDLES, Bronze
from tests.fx_assets.bronze.answers import SESSION, bars

FIRST = datetime(2021, 3, 2, 1, tzinfo=UTC)


def fetched(tmp_path, *fetches: tuple[str, str, pd.DataFrame]) -> pd.DataFrame:
    """What changed between fetches (instrument, source, rows) made an hour apart."""
    bronze = Bronze(tmp_path)
    for number, (symbol, source, rows) in enumerate(fetches):
        bronze.append(CANDLES, symbol, SESSION, source, rows, FIRST + timedelta(hours=number))
    return corrections(bronze.read(CANDLES, [SESSION], ["A", "B"]))


def test_a_growing_session_and_a_repeated_fetch_are_no_changes(tmp_path):
    found = fetched(tmp_path, ("A", "s", bars(count=5)), ("A", "s", bars(count=9)), ("A", "s", bars(count=9)))
    assert (len(found), list(found.columns)) == (0, COLUMNS)
    assert corrections(pd.DataFrame()).empty


def test_a_corrected_price_is_told_with_old_and_new(tmp_path):
    better = bars(count=5)
    better.loc[2, ["high", "volume"]] = [1.5, np.nan]
    found = fetched(tmp_path, ("A", "one", bars(count=5)), ("B", "one", bars(count=5)), ("A", "two", better))
    high, volume = found.to_dict("records")
    assert high == {
        "instrument": "A",
        "time": pd.Timestamp("2021-03-02T00:00Z"),
        "column": "high",
        "old": 1.3,
        "new": 1.5,
        "fetched_at": pd.Timestamp(FIRST + timedelta(hours=2)),
        "source": "two",
    }
    assert (volume["column"], volume["old"], np.isnan(volume["new"])) == ("volume", 5.0, True)


def test_a_value_that_changes_back_is_two_changes(tmp_path):
    found = fetched(tmp_path, ("A", "s", bars()), ("A", "s", bars(close=1.26)), ("A", "s", bars()))
    assert len(found) == 48
    assert found["fetched_at"].is_monotonic_increasing
    assert found["new"].tolist() == [1.26] * 24 + [1.25] * 24


def test_a_candle_that_was_missing_comes_late(tmp_path):
    found = fetched(tmp_path, ("A", "s", bars(count=9).drop(index=[3])), ("A", "s", bars(count=10)))
    (late,) = found.to_dict("records")
    assert (late["column"], late["time"], late["new"]) == ("late", pd.Timestamp("2021-03-02T01:00Z"), 1.25)
    assert np.isnan(late["old"])


def test_unfinished_candles_are_not_compared(tmp_path):
    running = bars(count=5).assign(complete=[True] * 4 + [False], close=1.22)
    assert fetched(
        tmp_path, ("A", "s", running.assign(close=1.25)), ("A", "s", bars(count=5).assign(complete=True))
    ).empty
