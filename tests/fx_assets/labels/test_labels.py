"""Labels with a fixed horizon against a plain reading of their definition, on real bars with real gaps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets
from fx_assets.configuration import Label
from fx_assets.features.truncation import assert_no_lookahead
from fx_assets.labels import LOOKBACK_SESSIONS, Horizon, compute

SAMPLE = Path(fx_assets.__file__).parent / "sample"
HOUR = pd.Timedelta(hours=1)
MOVE = Label(kind="large_move", horizon_minutes=60)


def direction(bars: pd.DataFrame, horizon: int, granularity: int) -> pd.DataFrame:
    return compute(bars, Label(kind="direction", horizon_minutes=horizon), granularity)


def large_move(bars: pd.DataFrame, horizon: int, granularity: int) -> pd.DataFrame:
    return compute(bars, Label(kind="large_move", horizon_minutes=horizon), granularity)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    parts = [
        pd.read_parquet(SAMPLE / f"{name}_H1.parquet").head(2200).assign(instrument=name)
        for name in ("GBP_USD", "USD_JPY")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def moves(bars) -> pd.DataFrame:
    return large_move(bars, 60, 60)


def test_direction_is_the_sign_of_the_return_to_the_bar_that_closes_then(bars):
    for horizon in (60, 240):
        result = direction(bars, horizon, 60)
        close = bars.set_index(["instrument", "time"])["close"]
        for row in result.iloc[::7].to_dict("records"):
            name, time = row["instrument"], row["time"]
            later = (name, time + pd.Timedelta(minutes=horizon))
            assert row["label_end"] == time + HOUR + pd.Timedelta(minutes=horizon)
            if later not in close.index:
                assert pd.isna(row["label"])
                assert pd.isna(row["forward_return"])
                continue
            change = np.log(close[later]) - np.log(close[(name, time)])
            assert row["forward_return"] == pytest.approx(change, abs=1e-14)
            assert pd.isna(row["label"]) if change == 0 else row["label"] == float(change > 0)


def test_weekend_gap_and_end_of_data_are_missing(bars):
    result = direction(bars, 60, 60)
    local = result["time"].dt.tz_convert("America/New_York")
    last_of_week = (local.dt.weekday == 4) & (local.dt.hour == 16)
    assert last_of_week.sum() > 20
    missing = result["label"].isna()
    assert missing[last_of_week].all()
    assert result.groupby("instrument").tail(1)["label"].isna().all()
    holed = bars.drop(index=bars.index[(bars["instrument"] == "GBP_USD")][100])
    gone = bars["time"].iloc[100]
    result = direction(holed, 60, 60)
    before = result[(result["instrument"] == "GBP_USD") & (result["time"] == gone - HOUR)]
    assert before["label"].isna().all()


def test_equal_closes_have_no_direction(bars):
    flat = bars.head(10).assign(open=1.0, high=1.0, low=1.0, close=1.0)
    result = direction(flat, 60, 60)
    assert result["label"].isna().all()
    assert (result["forward_return"].iloc[:-1] == 0).all()


def test_threshold_is_the_median_of_the_last_twenty_known_moves_of_the_coming_hour(bars, moves):
    one = bars[bars["instrument"] == "GBP_USD"].set_index("time")["close"]
    size = pd.Series({t: abs(np.log(one[t] / one[t - HOUR])) for t in one.index if t - HOUR in one.index})
    hours = pd.DatetimeIndex(size.index).tz_convert("America/New_York").hour
    result = moves[moves["instrument"] == "GBP_USD"]
    checked = 0
    for row in result.iloc[700::53].itertuples():
        coming = (row.time + HOUR).tz_convert("America/New_York").hour
        known = size[(hours == coming) & (size.index <= row.time)].tail(20)
        assert row.threshold == pytest.approx(known.median(), rel=1e-12)
        if not np.isnan(row.forward_return):
            assert row.label == float(abs(row.forward_return) > row.threshold)
            checked += 1
    assert checked > 20
    assert result["label"].mean() == pytest.approx(0.5, abs=0.05)


def test_persistence_is_the_truncated_mean_of_past_moves_over_their_own_thresholds(bars, moves):
    one = bars[bars["instrument"] == "USD_JPY"].reset_index(drop=True)
    size = np.abs(np.log(one["close"]).diff()).where(one["time"].diff() == HOUR)
    hour = one["time"].dt.tz_convert("America/New_York").dt.hour
    adjusted = np.full(len(one), np.nan)
    for j in range(500, len(one)):
        earlier = size[:j][(hour[:j] == hour[j])].dropna().tail(20)
        adjusted[j] = min(size[j] / earlier.median(), 10.0)
    weights = (1 - 2 / 25) ** np.arange(96)
    result = moves[moves["instrument"] == "USD_JPY"].reset_index(drop=True)
    for i in (800, 1111, 1999):
        values = adjusted[i - 95 : i + 1][::-1]
        seen = ~np.isnan(values)
        assert result.at[i, "persistence"] == pytest.approx((weights * values)[seen].sum() / weights[seen].sum())


def test_nothing_but_the_label_itself_looks_ahead(bars):
    def known(part: pd.DataFrame) -> pd.DataFrame:
        return large_move(part, 60, 60)[["instrument", "time", "threshold", "persistence"]]

    assert_no_lookahead(known, bars, [1300, 2001, 3777])


@pytest.mark.parametrize("skip", [1, 100, 777])
def test_values_do_not_depend_on_where_the_bars_start(bars, moves, skip):
    later = bars.groupby("instrument").cumcount() >= skip
    result = large_move(bars[later], 60, 60)
    begin = result.groupby("instrument")["time"].transform("min")
    whole = moves[later.to_numpy()].reset_index(drop=True)
    settled = result["time"] >= begin + pd.Timedelta(days=LOOKBACK_SESSIONS * 7 / 5)
    assert settled.sum() > 500
    assert result[settled].equals(whole[settled])
    # Before that a threshold is missing or already the same: it never is another number.
    both = result["threshold"].notna()
    assert (result.loc[both, "threshold"] == whole.loc[both, "threshold"]).all()


def test_label_end_has_microseconds_and_utc(moves):
    assert str(moves["label_end"].dtype) == "datetime64[us, UTC]"
    assert list(moves.columns) == [
        "instrument", "time", "decision_time", "label", "label_end", "forward_return", "threshold", "persistence"
    ]  # fmt: skip


def test_minute_bars_use_the_time_of_day_not_the_hour():
    rng = np.random.default_rng(0)
    time = pd.date_range("2021-01-04", periods=4 * 1440 * 6, freq="5min", tz="UTC")
    close = np.exp(np.cumsum(rng.normal(0, 1e-4, len(time))))
    bars = pd.DataFrame({"instrument": "X", "time": time, "open": close, "high": close, "low": close, "close": close})
    result = large_move(bars, 60, 5)
    assert result["persistence"].tail(1000).notna().all()
    change = pd.Series(np.log(close)).diff(12).abs()
    i = 30000
    same_time = [i + 12 - 288 * k for k in range(1, 21)]
    assert result.at[i, "threshold"] == pytest.approx(change[same_time].median(), rel=1e-9)


def test_impossible_horizons_are_refused(bars):
    for minutes, granularity in ((90, 60), (0, 60), (60, 0)):
        with pytest.raises(ValueError, match="positive multiple"):
            Horizon(granularity, minutes)
    with pytest.raises(ValueError, match="positive multiple"):
        Horizon(60, bars=0)
    for both in ({}, {"minutes": 60, "bars": 1}):
        with pytest.raises(ValueError, match="pass one of them"):
            Horizon(60, **both)
    with pytest.raises(ValueError, match="positive multiple"):
        direction(bars, 90, 60)


def test_no_bars_give_an_empty_frame(bars):
    assert len(direction(bars.head(0), 60, 60)) == 0
    assert len(large_move(bars.head(0), 60, 60)) == 0


def test_a_return_is_what_the_direction_is_the_sign_of(bars):
    whole = compute(bars, Label(kind="return", horizon_minutes=240), 60)
    sign = direction(bars, 240, 60)
    assert whole["label"].equals(whole["forward_return"])
    assert whole["forward_return"].equals(sign["forward_return"])
    assert whole["label_end"].equals(sign["label_end"])
    assert whole["label"].notna().mean() > 0.8


@pytest.mark.parametrize("count", [1, 5, 24])
def test_bars_are_counted_over_weekends_and_gaps(bars, count):
    result = compute(bars, Label(kind="return", horizon_bars=count), 60)
    crossed = 0
    for name, part in result.groupby("instrument"):
        close = bars.loc[bars["instrument"] == name, "close"].to_numpy()
        label, time, end = part["label"].to_numpy(), part["time"].tolist(), part["label_end"].tolist()
        for i in range(0, len(part), 3):
            if i + count >= len(part):
                assert np.isnan(label[i])
                assert pd.isna(end[i])
                continue
            assert label[i] == pytest.approx(np.log(close[i + count] / close[i]), abs=1e-14)
            assert end[i] == time[i + count] + HOUR
            crossed += time[i + count] - time[i] > count * HOUR
    assert crossed > 10


def test_bars_too_far_apart_have_no_label_however_many_are_read(bars):
    one = bars[bars["instrument"] == "USD_JPY"].reset_index(drop=True)
    later = one["time"].where(one.index < 500, one["time"] + pd.Timedelta(days=8))
    result = compute(one.assign(time=later), Label(kind="direction", horizon_bars=5), 60)
    assert result["forward_return"].iloc[495:500].isna().all()
    assert result["label_end"].iloc[495:500].isna().all()
    assert result["forward_return"].iloc[500:600].notna().all()
    assert result["forward_return"].iloc[400:495].notna().all()


def test_in_bars_a_move_is_compared_with_those_that_began_at_the_same_time_of_day(bars):
    one = bars[bars["instrument"] == "GBP_USD"].reset_index(drop=True)
    result = compute(one, Label(kind="large_move", horizon_bars=5), 60)
    hour = one["time"].dt.tz_convert("America/New_York").dt.hour
    size = np.log(one["close"]).diff(5).abs()
    began = hour.shift(5)
    label, forward, threshold = (result[name].to_numpy() for name in ("label", "forward_return", "threshold"))
    checked = 0
    for i in range(900, len(one) - 5, 41):
        known = size[: i + 1][began[: i + 1] == hour[i]].tail(20)
        assert threshold[i] == pytest.approx(known.median(), rel=1e-12)
        assert label[i] == float(abs(forward[i]) > threshold[i])
        checked += 1
    assert checked > 25
    assert result["persistence"].tail(1000).notna().all()


def test_one_bar_ahead_and_one_bar_of_minutes_differ_over_gaps_only(bars):
    clock = direction(bars, 60, 60)
    counted = compute(bars, Label(kind="direction", horizon_bars=1), 60)
    both = clock["forward_return"].notna()
    assert counted.loc[both, "forward_return"].equals(clock.loc[both, "forward_return"])
    assert counted.loc[both, "label_end"].equals(clock.loc[both, "label_end"])
    assert counted["forward_return"].notna().sum() > both.sum()
