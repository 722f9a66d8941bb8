"""Splitting a frame into sessions, and computing over a range what each session alone would give."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import compute_features, max_window
from fx_assets.sessions import session_keys
from fx_assets.sources.sample import SampleSource
from fx_assets.tables import by_session, split_sessions

# Weeks around Christmas, when sessions are missing and windows reach further back.
CALENDAR = [str(d.date()) for d in pd.date_range("2020-11-15", "2021-01-14") if d.weekday() not in (4, 5)]
HISTORY = -(-max_window() // 24) + 4


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    source = SampleSource()
    span = pd.Timestamp("2020-11-15T22:00Z"), pd.Timestamp("2021-01-15T22:00Z")
    parts = [source.candles(s, "H1", *span).assign(instrument=s) for s in ("GBP_USD", "USD_JPY")]
    frame = pd.concat(parts, ignore_index=True)
    # One instrument begins later, so that sessions have enough history of one and too little of the other.
    return frame[(frame["instrument"] == "GBP_USD") | (frame["time"] >= "2020-12-08T22:00Z")]


def run(bars: pd.DataFrame, keys: list[str], all_week: bool = False) -> pd.DataFrame:
    """What a run over `keys` computes: it sees its own sessions and the lookback before them, nothing else."""
    first = max(0, CALENDAR.index(keys[0]) - HISTORY)
    seen = bars[session_keys(bars["time"]).isin(CALENDAR[first : CALENDAR.index(keys[-1]) + 1])]
    found = by_session(keys, seen, compute_features, HISTORY, max_window(), CALENDAR, all_week)
    return found.sort_values(["time", "instrument"], ignore_index=True)


def test_the_range_makes_no_difference_to_any_bit(bars):
    whole = run(bars, CALENDAR)
    middle = len(CALENDAR) // 2
    halves = pd.concat([run(bars, CALENDAR[:middle]), run(bars, CALENDAR[middle:])], ignore_index=True)
    pd.testing.assert_frame_equal(whole, halves, check_exact=True)
    for key in [CALENDAR[0], "2020-12-06", "2020-12-08", "2020-12-24", "2020-12-27", "2021-01-03", CALENDAR[-1]]:
        alone = run(bars, [key])
        part = whole[session_keys(whole["time"]) == key].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, part, check_exact=True)
    assert len(whole) == len(bars)


def test_without_its_care_for_short_histories_the_range_would_matter(bars):
    """The check above can fail: the plain pass differs in sessions whose lookback is too short."""
    plain, careful = compute_features(bars), by_session(CALENDAR, bars, compute_features, 4, max_window(), CALENDAR)
    assert plain.notna().sum().sum() > careful.notna().sum().sum() > 0


def test_no_bars_give_no_rows():
    nothing = pd.DataFrame({"time": pd.DatetimeIndex([], tz="UTC"), "instrument": []})
    assert by_session(["2021-01-04"], nothing, lambda frame: frame, 3, 5, CALENDAR).empty


def test_rows_are_split_by_session_and_every_key_gets_a_frame(bars):
    keys = ["2020-12-23", "2020-12-24", "2020-12-27"]
    parts = split_sessions(bars, keys)
    assert list(parts) == keys
    assert len(parts["2020-12-24"]) == 0
    assert list(parts["2020-12-24"].columns) == list(bars.columns)
    assert (session_keys(parts["2020-12-27"]["time"]) == "2020-12-27").all()
    assert split_sessions(bars.iloc[:0], keys)[keys[0]].dtypes.equals(bars.dtypes)


def test_saturday_is_a_session_of_its_own_where_something_trades():
    time = pd.DatetimeIndex(["2021-01-09T12:00Z", "2021-01-09T23:00Z", "2021-01-10T23:00Z"])
    frame = pd.DataFrame({"time": time, "value": np.arange(3)})
    weekend = ["2021-01-08", "2021-01-09", "2021-01-10"]
    assert [p["value"].tolist() for p in split_sessions(frame, weekend, all_week=True).values()] == [[0], [1], [2]]
    assert split_sessions(frame, weekend[2:])["2021-01-10"]["value"].tolist() == [0, 1, 2]
