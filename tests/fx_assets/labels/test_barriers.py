"""Barrier labels against walking from bar to bar, on real bars and on made-up cases that bars cannot tell apart."""

from math import log, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets
from fx_assets.configuration import Label
from fx_assets.features.truncation import assert_no_lookahead, differences
from fx_assets.labels import compute
from fx_assets.labels.barriers import last_sign, meta_label, triple_barrier
from fx_assets.labels.compute import Bars
from fx_assets.labels.horizon import DAY_US, reach_days, volatility_bars
from fx_assets.labels.series import Series
from tests.fx_assets.labels import plain

SAMPLE = Path(fx_assets.__file__).parent / "sample"
HOUR = pd.Timedelta(hours=1)
BARRIER = Label(kind="triple_barrier", timeout_bars=24, up=1.0, down=0.7, volatility_span=24)
META = Label(kind="meta", timeout_bars=24, up=1.5, down=1.0, volatility_span=24)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    parts = [
        pd.read_parquet(SAMPLE / f"{name}_H1.parquet").head(1500).assign(instrument=name)
        for name in ("GBP_USD", "USD_JPY")
    ]
    return pd.concat(parts, ignore_index=True)


def series_of(bars: pd.DataFrame, minutes: int = 60) -> Series:
    return Series(Bars.read(bars).blocks[0], minutes)


def made(*rows: tuple[float, float, float, float], instrument: str = "X") -> pd.DataFrame:
    """Bars of open, high, low, close, one an hour."""
    time = pd.date_range("2021-03-01", periods=len(rows), freq="1h", tz="UTC", unit="us")
    return pd.DataFrame(rows, columns=["open", "high", "low", "close"]).assign(instrument=instrument, time=time)


def touch(bars: pd.DataFrame, side: int, timeout: int = 2, minutes: int = 60) -> tuple[float, float, float]:
    """Barrier, return and end of the first bar's trade, one per cent up and down."""
    from fx_assets.labels.barrier_kernels import first_touch

    block = series_of(bars, minutes).block
    prices = (block.open, block.high, block.low, block.close)
    width = np.full(len(bars), log(1.01))
    reach = int(reach_days(timeout * minutes) * DAY_US)
    ends, touched, change = first_touch(
        *prices, block.time_us, width, np.full(len(bars), side, np.int8), 1.0, 1.0, timeout, reach
    )
    return touched[0], change[0], ends[0]


def test_volatility_is_the_truncated_exponential_mean_of_squared_returns(bars):
    one = bars[bars["instrument"] == "GBP_USD"].reset_index(drop=True)
    squared = np.log(one["close"]).diff().to_numpy() ** 2
    for span in (2, 24, 96):
        count = volatility_bars(span)
        weights = (1 - 2 / (span + 1)) ** np.arange(count)
        found = series_of(one).volatility(span)
        assert np.isnan(found[:count]).all()
        for i in (count, count + 7, 1499):
            expected = sqrt((weights * squared[i - count + 1 : i + 1][::-1]).sum() / weights.sum())
            assert found[i] == pytest.approx(expected, rel=1e-12)
        never_ending = pd.Series(squared[1:]).ewm(span=span, adjust=True).mean() ** 0.5
        assert found[-1] == pytest.approx(never_ending.iloc[-1], rel=1e-3)


@pytest.mark.parametrize("label", [BARRIER, META, BARRIER.model_copy(update={"timeout_bars": 300, "up": 2.0})])
def test_equals_walking_from_bar_to_bar(bars, label):
    result = compute(bars, label, 60)
    assert result["label"].notna().mean() > 0.7
    assert label.timeout_bars is not None
    reach = reach_days(label.timeout_bars * 60) * DAY_US
    for name, rows in result.groupby("instrument"):
        own = bars[bars["instrument"] == name].reset_index(drop=True)
        found = {column: rows[column].to_numpy(float) for column in ("label", "barrier", "forward_return", "width")}
        side = rows["side"].to_numpy(float) if label.kind == "meta" else np.zeros(len(own))
        ends, opens = rows["label_end"].tolist(), own["time"].tolist()
        for i in range(0, len(own), 11):
            width = np.nan if np.isnan(side[i]) else found["width"][i]
            taken = int(np.nan_to_num(side[i]))
            end, barrier, change = plain.first_touch(
                own, i, width, taken, label.up, label.down, label.timeout_bars, reach
            )
            np.testing.assert_array_equal((found["barrier"][i], found["forward_return"][i]), (barrier, change))
            assert pd.isna(ends[i]) if end < 0 else ends[i] == opens[end] + HOUR
            gain = change if label.kind == "triple_barrier" else side[i] * change
            unknown = end < 0 or (gain == 0 and label.kind == "triple_barrier")
            np.testing.assert_array_equal(found["label"][i], np.nan if unknown else float(gain > 0))


def test_every_way_to_end_occurs_on_real_bars(bars):
    found = compute(bars, BARRIER, 60)["barrier"].value_counts(normalize=True)
    assert set(found.index) == {-1.0, 0.0, 1.0}
    assert found.min() > 0.05


def test_a_barrier_is_touched_by_the_range_and_left_at_its_price():
    start, calm = (1.0, 1.0, 1.0, 1.0), (1.0, 1.005, 0.995, 1.0)
    assert touch(made(start, calm, (1.0, 1.02, 1.0, 1.0)), 0) == (1.0, log(1.01), 2)
    assert touch(made(start, (1.0, 1.0, 0.9, 1.0), calm), 0) == (-1.0, -log(1.01), 1)
    # A bar that opens beyond the barrier is dealt at its open.
    assert touch(made(start, (1.03, 1.04, 0.9, 1.0), calm), 0) == (1.0, log(1.03), 1)
    assert touch(made(start, (0.95, 1.04, 0.9, 1.0), calm), 0) == (-1.0, log(0.95), 1)


def test_both_barriers_in_one_bar_count_against_the_side_or_not_at_all():
    wide = made((1.0, 1.0, 1.0, 1.0), (1.0, 1.05, 0.95, 1.04), (1.0, 1.0, 1.0, 1.0))
    barrier, change, end = touch(wide, 0)
    assert np.isnan([barrier, change]).all()
    assert end == -1
    assert touch(wide, 1) == (-1.0, -log(1.01), 1)
    assert touch(wide, -1) == (1.0, log(1.01), 1)


def test_what_is_not_decided_yet_is_missing():
    calm = (1.0, 1.005, 0.995, 1.001)
    assert touch(made((1.0, 1.0, 1.0, 1.0), calm, calm), 0) == (0.0, log(1.001), 2)
    assert touch(made((1.0, 1.0, 1.0, 1.0), calm), 0)[2] == -1
    late = made((1.0, 1.0, 1.0, 1.0), calm, calm)
    for days, end in ((3.1, 2), (3.4, -1)):
        gap = pd.Timedelta(days=days) * (late.index == 2)
        assert touch(late.assign(time=late["time"] + gap), 0)[2] == end


def test_without_movement_there_are_no_barriers():
    flat = made(*[(1.0, 1.0, 1.0, 1.0)] * 60)
    columns = triple_barrier(series_of(flat), 1.0, 1.0, 5, 2)
    assert np.isnan(columns["label"]).all()
    assert np.isnan(columns["width"]).all()
    assert len(triple_barrier(series_of(flat.head(0)), 1.0, 1.0, 5, 2)["label"]) == 0


def test_the_last_sign_follows_the_bars_own_move():
    closes = [1.0, 1.1, 1.1, 1.05]
    side = last_sign(series_of(made(*[(c, c, c, c) for c in closes])))
    np.testing.assert_array_equal(side, [np.nan, 1.0, np.nan, -1.0])


def test_a_meta_label_asks_whether_the_side_earned(bars):
    one = bars[bars["instrument"] == "USD_JPY"]
    series = series_of(one)
    side = last_sign(series)
    found = meta_label(series, side, 1.5, 1.0, 24, 24)
    known = ~np.isnan(found["label"])
    assert known.sum() > 1000
    assert np.isnan(found["label"][np.isnan(side)]).all()
    earned = (side * found["forward_return"])[known]
    assert ((earned > 0) == (found["label"][known] == 1.0)).all()
    # The target lies on the side of the trade, one and a half times as far as the stop.
    won = known & (found["barrier"] == side)
    lost = known & (found["barrier"] == -side)
    opened = np.abs(found["forward_return"]) / found["width"]
    assert np.median(opened[won]) == pytest.approx(1.5, rel=1e-9)
    assert np.median(opened[lost]) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("label", [BARRIER, META])
def test_nothing_but_the_outcome_looks_ahead(bars, label):
    known = ["width", "side"] if label.kind == "meta" else ["width"]
    assert_no_lookahead(lambda part: compute(part, label, 60)[["instrument", "time", *known]], bars, [400, 1001, 2333])


@pytest.mark.parametrize("label", [BARRIER, META])
def test_more_bars_decide_more_labels_and_change_none(bars, label):
    whole, part = compute(bars, label, 60), compute(bars.groupby("instrument").head(1200), label, 60)
    values = ["instrument", "time", "label", "forward_return", "barrier", "width"]
    decided = part[part["label"].notna()]
    assert next(differences(whole[values], decided[values]), None) is None
    merged = decided.merge(whole, on=["instrument", "time"], suffixes=("", "_whole"))
    assert (merged["label_end"] == merged["label_end_whole"]).all()
    undecided = part.groupby("instrument")["label"].apply(lambda labels: labels.tail(24).isna().mean())
    assert (undecided > 0).all()


@pytest.mark.parametrize("skip", [1, 100, 333])
@pytest.mark.parametrize("label", [BARRIER, META])
def test_values_do_not_depend_on_where_the_bars_start(bars, label, skip):
    later = bars[bars.groupby("instrument").cumcount() >= skip]
    whole, part = compute(bars, label, 60), compute(later, label, 60)
    settled = part[part.groupby("instrument").cumcount() > volatility_bars(24)]
    assert len(settled) > 1500
    values = ["instrument", "time", "label", "forward_return", "barrier", "width"]
    assert next(differences(whole[values], settled[values]), None) is None


@pytest.mark.parametrize("timeout", [1, 3, 4, 5, 63, 64, 65, 300])
def test_passing_over_bars_gives_what_walking_does_at_every_edge(timeout):
    """Windows of 4, 16 and 64 bars and tiles of rows begin and end everywhere; so do touches."""
    from fx_assets.labels import barrier_kernels

    random = np.random.default_rng(timeout)
    n = barrier_kernels._TILE + 700
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, n)))
    opened = close * np.exp(random.normal(0.0, 3e-4, n))
    high = np.maximum(opened, close) * (1.0 + random.uniform(0.0, 1e-3, n))
    low = np.minimum(opened, close) * (1.0 - random.uniform(0.0, 1e-3, n))
    time = np.arange(n, dtype=np.int64) * 3_600_000_000
    width = random.choice([1e-3, 5e-3, 2e-2, np.nan], n)
    side = random.choice([-1, 0, 1], n).astype(np.int8)
    given = (opened, high, low, close, time, width, side, 1.0, 0.7, timeout, 10**15)
    found = barrier_kernels.first_touch(*given)
    bars = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "time": time})
    # The last rows of the first tile, the first of the second, and the end of the data.
    edge = barrier_kernels._TILE
    for i in [*range(0, 30, 3), *range(edge - 40, edge + 10, 3), *range(n - 310, n, 3)]:
        own = bars.iloc[i : i + timeout + 1]
        row, touched, change = plain.first_touch(own, 0, width[i], int(side[i]), 1.0, 0.7, timeout)
        expected = (row + i if row >= 0 else -1, touched, change)
        np.testing.assert_array_equal([part[i] for part in found], expected)
