"""Rows of several fetches and pages: which one becomes the candle."""

import numpy as np
import pandas as pd
import pytest

from tests.fx_assets.quality.market_data import changed, hours, market_of, reasons, recorded, screened, value


def pages(rows: pd.DataFrame, size: int = 50) -> pd.DataFrame:
    """As OANDA pages them: each page begins with the candle that the one before it ended with."""
    starts = range(0, len(rows), size)
    return pd.concat([rows.iloc[max(0, s - 1) : s + size] for s in starts], ignore_index=True)


def test_the_candle_that_two_pages_share_is_there_once():
    rows = recorded("oanda_usdsgd_h1_2025-03-02")
    joined = pages(rows)
    assert len(joined) == len(rows) + 2
    found = screened(joined)
    pd.testing.assert_frame_equal(found.good, screened(rows).good)
    assert found.quarantined.empty
    assert found.findings["what"].unique().tolist() == ["repeated in one fetch, dropped"]
    assert found.findings["count"].sum() == 2


def test_pages_that_disagree_about_a_candle_are_a_defect():
    joined = pages(recorded("oanda_usdsgd_h1_2025-03-02"))
    at = joined.index[joined["time"].duplicated()][0]
    joined.loc[at, "close"] = value(joined, at, "close") + 0.00001
    found = screened(joined)
    assert reasons(found) == {"conflicting": 2}
    assert sorted(found.quarantined["copy"]) == [0, 1]
    assert joined.loc[at, "time"] not in set(found.good["time"])
    # Two rows, but one candle: the source is not condemned for it.
    assert found.problems == {}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_newest_fetch_wins_late_and_corrected_candles_included(order):
    rows = hours(symbols=("EUR_USD",))
    first = rows.drop(index=[7])
    second = changed(rows, 3, volume=7.0).assign(fetched_at=pd.Timestamp("2025-12-02", tz="UTC").as_unit("us"))
    found = screened(pd.concat([(first, second)[i] for i in order], ignore_index=True))
    assert len(found.good) == 24
    assert found.good["volume"].iloc[3] == 7.0
    assert found.quarantined.empty


def test_a_corrected_fetch_takes_a_bad_candle_out_of_quarantine_and_an_old_one_stays_out():
    bad = changed(hours(symbols=("EUR_USD",)), 3, high=0.5)
    good = hours(symbols=("EUR_USD",)).assign(fetched_at=pd.Timestamp("2025-12-02", tz="UTC").as_unit("us"))
    assert len(screened(bad).good) == 23
    assert screened(pd.concat([bad, good], ignore_index=True)).quarantined.empty
    # The newest word counts, even if it is a wrong one: the old one was taken back.
    worse = bad.assign(fetched_at=pd.Timestamp("2025-12-03", tz="UTC").as_unit("us"))
    assert len(screened(pd.concat([good, worse], ignore_index=True)).good) == 23


def test_a_repeated_equal_fetch_changes_nothing_at_all():
    bad = changed(hours(), 3, high=0.5)
    again = bad.assign(fetched_at=pd.Timestamp("2025-12-05", tz="UTC").as_unit("us"))
    once, twice = screened(bad), screened(pd.concat([bad, again], ignore_index=True))
    pd.testing.assert_frame_equal(once.good, twice.good)
    pd.testing.assert_frame_equal(once.quarantined, twice.quarantined)


def test_running_candles_are_dropped_and_replace_nothing():
    rows = hours(symbols=("EUR_USD",)).assign(complete=True)
    running = changed(rows.iloc[[23]], 0, complete=False, close=9.0)
    running["fetched_at"] = pd.Timestamp("2025-12-05", tz="UTC").as_unit("us")
    found = screened(pd.concat([rows.astype({"complete": object}), running], ignore_index=True))
    assert len(found.good) == 24
    assert found.good["close"].max() < 2


def test_rows_outside_the_session_they_were_asked_for_are_dropped_and_told():
    rows = hours(symbols=("EUR_USD",))
    late = rows.assign(time=rows["time"] + pd.Timedelta("1D"), session=rows["session"])
    found = screened(pd.concat([rows, late], ignore_index=True))
    assert len(found.good) == 24
    assert found.findings["what"].tolist() == ["outside the session asked for, dropped"]
    assert found.findings["count"].tolist() == [24]


def test_a_fetch_that_falls_back_in_time_is_told_and_sorted():
    rows = hours(symbols=("EUR_USD",))
    mixed = rows.iloc[np.r_[0:10, 12:14, 10:12, 14:24]].reset_index(drop=True)
    found = screened(mixed)
    pd.testing.assert_frame_equal(found.good, screened(rows).good)
    assert found.findings[["check", "count"]].to_numpy().tolist() == [["monotone_time", 2]]


def test_unknown_instruments_are_left_out():
    rows = hours()
    found = screened(rows, market_of(rows[rows["instrument"] == "EUR_USD"]))
    assert found.good["instrument"].unique().tolist() == ["EUR_USD"]
