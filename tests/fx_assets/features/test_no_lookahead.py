"""A value may depend on its own window only: not on later bars, and not on where the computation started."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import FEATURES, compute_features, feature_names, latest_features, max_window
from fx_assets.features.truncation import assert_no_lookahead, assert_start_independent, differences
from tests.fx_assets.features.leaks import LOOK_AHEAD, START_DEPENDENT, Leak

DROPS = [1, 7, 24, 333, 1001]


def test_cutting_the_future_off_changes_nothing(all_bars, everything):
    cuts = np.random.default_rng(3).integers(2, len(all_bars), 8)
    # Which features there are depends on which instruments there are.
    complete = all_bars.sort_values(["time", "instrument"])["instrument"].duplicated().to_numpy()
    first = int(np.flatnonzero(~complete)[-1]) + 1
    assert_no_lookahead(everything, all_bars, [*cuts[cuts > first].tolist(), first, first + 1, len(all_bars) - 1])


def test_every_feature_is_among_those_that_are_cut(all_bars, everything):
    assert list(everything(all_bars).columns) == ["instrument", "time", *feature_names()]


def test_cutting_off_inside_a_tile_of_the_engine_changes_nothing(real_bars):
    """The engine works on a few thousand rows at a time: cuts next to such a border, and far more rows than that."""
    one = real_bars[real_bars["instrument"] == "GBP_USD"]
    long = pd.concat([one.assign(time=one["time"] + pd.Timedelta(days=366 * n)) for n in range(6)], ignore_index=True)
    cuts = [*range(1020, 1030), *range(2044, 2052), *range(4092, 4100), *range(8190, 8195), len(long) - 1]
    assert_no_lookahead(compute_features, long, cuts)


def test_a_later_start_changes_nothing_once_the_window_is_full(all_bars, everything):
    assert_start_independent(everything, all_bars, DROPS, max_window())


def test_each_declared_window_is_enough_and_the_warm_up_is_exact(all_bars, everything):
    whole = everything(all_bars)
    bars = all_bars.sort_values(["instrument", "time"]).reset_index(drop=True)
    for instrument in bars["instrument"].unique():
        rows = whole[whole["instrument"] == instrument]
        for spec in FEATURES:
            column = rows[spec.name].to_numpy()
            assert np.isnan(column[: spec.warmup]).all(), (instrument, spec.name)
            assert np.isfinite(column[spec.warmup :]).all(), (instrument, spec.name)
            assert spec.warmup == spec.window - 1
    times = bars.loc[bars["instrument"] == "GBP_USD", "time"]
    for window in sorted({spec.window for spec in FEATURES}):
        names = [spec.name for spec in FEATURES if spec.window <= window]
        for last in (900, 1311):
            # Cut by time, so that the instrument has just this window and the others what lies beside it.
            inside = (bars["time"] >= times.iloc[last - window + 1]) & (bars["time"] <= times.iloc[last])
            alone = everything(bars[inside])
            alone = alone[(alone["instrument"] == "GBP_USD") & (alone["time"] == times.iloc[last])]
            found = next(
                differences(whole[["instrument", "time", *names]], alone[["instrument", "time", *names]]), None
            )
            assert found is None, (window, found and found.words)


def test_only_features_across_instruments_know_other_instruments(all_bars):
    own = ["technical", "microstructure", "volatility", "regime", "calendar"]
    together = compute_features(all_bars, own)
    alone = compute_features(all_bars[all_bars["instrument"] == "USD_JPY"], own)
    part = together[together["instrument"] == "USD_JPY"].reset_index(drop=True)
    assert alone.equals(part)


def test_row_order_of_the_input_does_not_matter(all_bars, everything):
    shuffled = all_bars.sample(frac=1.0, random_state=5)
    assert everything(shuffled).equals(everything(all_bars))


def test_the_newest_row_from_its_tail_is_the_row_of_the_whole(all_bars):
    whole = compute_features(all_bars)
    moments = np.sort(all_bars["time"].unique())
    for at in np.random.default_rng(6).integers(max_window(), len(moments), 25):
        tail = all_bars[all_bars["time"] <= moments[at]].groupby("instrument").tail(max_window())
        found = latest_features(tail)
        assert sorted(found["instrument"]) == sorted(tail["instrument"].unique())
        assert next(differences(whole, found), None) is None
        assert list(found.columns) == list(whole.columns)


@pytest.mark.parametrize("leak", LOOK_AHEAD)
def test_look_ahead_is_caught(all_bars, leak: Leak):
    # Four cuts in a row: what looks into a longer bar is seen from any place but that bar's last.
    moments = all_bars["time"].drop_duplicates().sort_values()
    cuts = [int((all_bars["time"] <= moments.iloc[at]).sum()) for at in (2, *range(500, 504))]
    with pytest.raises(AssertionError, match=leak.__name__):
        assert_no_lookahead(leak, all_bars, cuts)


@pytest.mark.parametrize("leak", START_DEPENDENT)
def test_dependence_on_the_start_is_caught(all_bars, leak: Leak):
    with pytest.raises(AssertionError, match=leak.__name__):
        assert_start_independent(leak, all_bars, [333], max_window())


def test_rows_that_only_the_future_makes_are_caught(all_bars):
    def without_the_newest(bars):
        return bars[["instrument", "time", "close"]].groupby("instrument").head(500)

    def changing_columns(bars):
        return bars[["instrument", "time", "close"]].assign(**{f"rows_{len(bars)}": 1.0})

    assert_no_lookahead(without_the_newest, all_bars, [300])
    with pytest.raises(AssertionError, match="cut at row 300: columns"):
        assert_no_lookahead(changing_columns, all_bars, [300])
    with pytest.raises(AssertionError, match="is not among all rows"):
        assert_no_lookahead(lambda bars: bars[["instrument", "time", "close"]].tail(5), all_bars, [300])


def test_a_longer_bar_is_cut_off_while_it_runs():
    hours = pd.date_range("2021-03-01", periods=12, freq="1h", tz="UTC", unit="us")
    short = pd.DataFrame({"instrument": "A", "time": hours, "close": np.arange(12.0)})
    long = pd.DataFrame({"instrument": "B", "time": hours[::4], "close": [10.0, 20.0, 30.0]})
    bars, minutes = pd.concat([short, long], ignore_index=True), {"A": 60, "B": 240}

    def other_close(bars: pd.DataFrame, known: str = "0h") -> pd.DataFrame:
        longer = bars[bars["instrument"] == "B"].assign(other=lambda rows: rows["close"]).sort_values("time")
        longer["time"] = (longer["time"] + pd.Timedelta(known)).dt.as_unit("us")
        return pd.merge_asof(bars[bars["instrument"] == "A"].sort_values("time"), longer[["time", "other"]], on="time")

    cuts = range(1, len(bars))
    assert_no_lookahead(other_close, bars, cuts)  # by their opens, nothing is seen
    with pytest.raises(AssertionError, match="other of A"):
        assert_no_lookahead(other_close, bars, cuts, minutes)
    assert_no_lookahead(lambda rows: other_close(rows, "4h"), bars, cuts, minutes)
