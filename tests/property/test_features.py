"""Properties of the features that must hold for any price path."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features import FEATURES, compute_features, latest_features, max_window
from fx_assets.features.truncation import assert_no_lookahead, differences
from fx_assets.sessions import session_keys
from fx_assets.tables import by_session

WINDOWS = {spec.name: spec.window for spec in FEATURES}
OPTIONAL = ("volume", "bid_close", "ask_close")


def walk(seed: int, names: tuple[str, ...], rows: int, missing: float, flat: float, extreme: float) -> pd.DataFrame:
    """One pair, or two and their cross, on a coarse grid: repeats, gaps, jumps, odd volume and quotes."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2021-02-20", periods=rows, freq="1h", tz="UTC", unit="us")
    parts = []
    for name in names:
        steps = np.where(rng.random(rows) < flat, 0, rng.integers(-40, 41, rows))
        close = np.maximum(13000 + np.cumsum(steps), 10) / 1e4
        close = np.where(rng.random(rows) < extreme, close * 10.0 ** rng.integers(-9, 10, rows), close)
        opened = np.maximum(close * (1 + rng.integers(-5, 6, rows) / 1e4), 1e-12)
        high = np.maximum(opened, close) * (1 + rng.integers(0, 30, rows) / 1e4)
        low = np.minimum(opened, close) * (1 - rng.integers(0, 5, rows) / 1e4)
        volume = rng.integers(0, 50, rows) * 10.0 ** rng.choice([0, 0, 0, 12], rows)
        half = close * rng.integers(0, 4, rows) / 1e4
        bars = pd.DataFrame({"instrument": name, "time": time, "open": opened, "high": high, "low": low})
        bars = bars.assign(close=close, volume=volume, bid_close=close - half, ask_close=close + half)
        # Which features there are depends on which instruments there are: all of them have the first bar.
        parts.append(bars[(rng.random(rows) >= missing) | (np.arange(rows) == 0)])
    return pd.concat(parts, ignore_index=True)


paths = st.builds(
    walk,
    st.integers(0, 2**32 - 1),
    st.sampled_from([("EUR_USD",), ("EUR_USD", "USD_JPY", "EUR_JPY")]),
    st.one_of(st.integers(2, 60), st.integers(500, 700)),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.95, 1.0]),
    st.sampled_from([0.0, 0.0, 0.02]),
)


@settings(max_examples=20, deadline=None)
@given(paths, st.data())
def test_no_row_knows_its_future(bars, data):
    cut = data.draw(st.integers(bars["instrument"].nunique(), len(bars)))
    assert_no_lookahead(compute_features, bars, [cut])


@settings(max_examples=20, deadline=None)
@given(paths, st.data())
def test_a_value_is_missing_or_the_same_wherever_the_bars_start(bars, data):
    start = data.draw(st.sampled_from(sorted(bars["time"].unique())))
    whole, later = compute_features(bars), compute_features(bars[bars["time"] >= start])
    nth = later.groupby("instrument").cumcount().to_numpy()
    for name, window in WINDOWS.items():
        if name not in later:
            continue
        column = later[name].to_numpy()
        assert np.isnan(column[nth < window - 1]).all(), name
        assert np.isfinite(column[nth >= window - 1]).all(), name
        columns = ["instrument", "time", name]
        found = next(differences(whole[columns], later.loc[nth >= window - 1, columns]), None)
        assert found is None, found and found.words


@settings(max_examples=20, deadline=None)
@given(paths, st.data())
def test_the_newest_row_of_a_tail_is_that_of_the_whole(bars, data):
    moment = data.draw(st.sampled_from(sorted(bars["time"].unique())))
    seen = bars[bars["time"] <= moment]
    tail = seen.groupby("instrument").tail(max_window() + data.draw(st.integers(0, 40)))
    found = next(differences(compute_features(bars), latest_features(tail)), None)
    assert found is None, found and found.words


@settings(max_examples=15, deadline=None)
@given(paths, st.integers(1, 4))
def test_sessions_asked_for_in_pieces_are_those_asked_for_at_once(bars, size):
    sessions = session_keys(bars["time"])
    calendar = sorted(sessions.unique())

    def made(keys: list[str]) -> pd.DataFrame:
        return by_session(keys, bars[sessions <= keys[-1]], compute_features, 28, WINDOWS, calendar)

    keys = calendar[-8:]
    parts = pd.concat([made(keys[at : at + size]) for at in range(0, len(keys), size)])
    order = ["instrument", "time"]
    assert parts.sort_values(order, ignore_index=True).equals(made(keys).sort_values(order, ignore_index=True))


@settings(max_examples=15, deadline=None)
@given(paths, st.sets(st.sampled_from(OPTIONAL)))
def test_a_missing_column_drops_what_needs_it_and_changes_nothing_else(bars, dropped):
    whole, fewer = compute_features(bars), compute_features(bars.drop(columns=list(dropped)))
    gone = {spec.name for spec in FEATURES if dropped & set(spec.requires)}
    assert set(whole.columns) - set(fewer.columns) == gone & set(whole.columns)
    assert whole[fewer.columns].equals(fewer)
