"""Bars from a stream's prices: the same as a group-by would give, and only those that were seen whole."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.sources.oanda_bars import BarBuilder, bar_bounds, bars_frame, middle

RECORDED = Path(__file__).parents[2] / "data" / "oanda" / "middle.json"
NINE = pd.Timestamp("2021-03-01T09:00Z").timestamp()


@given(
    st.lists(
        st.tuples(st.floats(0.001, 40), st.integers(100_000, 100_500), st.integers(0, 30)), min_size=1, max_size=150
    ),
    st.sampled_from([1, 5]),
)
def test_bars_are_what_a_group_by_gives(steps, minutes):
    frame = pd.DataFrame(steps, columns=["after", "bid", "spread"])
    frame["at"] = NINE + frame["after"].cumsum()
    frame["ask"] = (frame["bid"] + frame["spread"]) / 1e5
    frame["bid"] = frame["bid"] / 1e5
    frame["mid"] = [middle(b, a, 5) for b, a in zip(frame["bid"], frame["ask"], strict=True)]
    builder = BarBuilder("EUR_USD", minutes)
    builder.connected(NINE)
    rows = frame[["at", "bid", "ask", "mid"]].to_numpy()
    bars = [bar for at, bid, ask, mid in rows for bar in builder.price(at, bid, ask, mid)]
    bars += builder.advance(rows[-1, 0] + 86_400)
    groups = frame.groupby(frame["at"] // (60 * minutes) * 60 * minutes)
    made = bars_frame(bars)
    assert [t.timestamp() for t in made["time"]] == list(groups.groups)
    for side, prefix in (("mid", ""), ("bid", "bid_"), ("ask", "ask_")):
        expected = groups[side].agg(["first", "max", "min", "last"]).to_numpy()
        columns = [f"{prefix}{name}" for name in ("open", "high", "low", "close")]
        np.testing.assert_array_equal(made[columns].to_numpy(), expected)
    np.testing.assert_array_equal(made["volume"], groups.size())


def feed(builder: BarBuilder, *seconds: float) -> list:
    return [bar for s in seconds for bar in builder.price(NINE + s, 1.1, 1.2, 1.15)]


def opens(bars: list) -> list[str]:
    return [f"{bar.time:%H:%M}" for bar in bars]


def test_the_bar_in_which_the_stream_began_is_left_out():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE + 20)
    assert opens(feed(builder, 30, 70, 130)) == ["09:01"]


def test_a_connection_from_the_first_moment_of_a_bar_is_enough():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE)
    assert opens(feed(builder, 0, 59.9, 60)) == ["09:00"]


def test_without_word_that_the_stream_is_whole_nothing_comes_out():
    assert feed(BarBuilder("EUR_USD", 1), 0, 60, 120, 180) == []


def test_a_cut_takes_the_bars_it_touches_and_no_other():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE)
    first = feed(builder, 5, 65)
    builder.cut()  # at 09:01:05
    builder.connected(NINE + 130)  # 09:02:10
    assert opens(first + feed(builder, 140, 185, 245)) == ["09:00", "09:03"]


def test_a_bar_is_closed_by_the_clock_when_no_price_comes():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE)
    feed(builder, 5)
    assert builder.advance(NINE + 60.5) == []  # another instrument's price may overtake this one's
    assert opens(builder.advance(NINE + 61.5)) == ["09:00"]
    assert builder.advance(NINE + 200) == []  # and a bar without a price is none


def test_a_price_of_a_closed_bar_is_too_late():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE)
    bars = feed(builder, 5, 61, 59, 121)
    assert opens(bars) == ["09:00", "09:01"]
    assert [bar.values[5] for bar in bars] == [1, 1]


def test_a_doubtful_price_leaves_its_bar_to_the_broker():
    builder = BarBuilder("EUR_USD", 1)
    builder.connected(NINE)
    feed(builder, 5)
    assert builder.doubt(NINE + 10) == []
    assert opens(feed(builder, 20, 70, 130)) == ["09:01"]


@pytest.mark.parametrize(
    ("moment", "minutes", "start", "end"),
    [
        ("2021-03-01T09:14:59Z", 15, "2021-03-01T09:00Z", "2021-03-01T09:15Z"),
        ("2021-03-01T09:14:59Z", 60, "2021-03-01T09:00Z", "2021-03-01T10:00Z"),
        ("2021-03-01T21:59:59Z", 240, "2021-03-01T18:00Z", "2021-03-01T22:00Z"),
        ("2021-03-01T22:00:00Z", 1440, "2021-03-01T22:00Z", "2021-03-02T22:00Z"),
        ("2021-03-15T20:59:59Z", 1440, "2021-03-14T21:00Z", "2021-03-15T21:00Z"),  # summer time by now
        ("2021-03-15T20:59:59Z", 240, "2021-03-15T17:00Z", "2021-03-15T21:00Z"),
    ],
)
def test_bars_of_more_than_an_hour_are_counted_from_the_new_york_close(moment, minutes, start, end):
    bounds = bar_bounds(pd.Timestamp(moment).timestamp(), minutes)
    assert bounds == (pd.Timestamp(start).timestamp(), pd.Timestamp(end).timestamp())


def test_the_middle_is_rounded_as_oandas_own_candles_are():
    """200 recorded closes whose bid and ask lie an odd number of points apart: halves go to the even digit."""
    recorded = json.loads(RECORDED.read_text())
    assert len(recorded) == 200
    assert [middle(bid, ask, 5) for bid, ask, _ in recorded] == [mid for _, _, mid in recorded]
