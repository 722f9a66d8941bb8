"""The replayed market: paths that add up to the history exactly, windows, alignment, and nothing of the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.errors import DataError
from fx_assets.practice.history import MID, TIME, VOLUME, History, from_frame, load_history, symbol_of
from fx_assets.practice.market import Alignment, Market, Wanted
from fx_assets.practice.path import MOST_TICKS_PER_S

LATER = pd.Timestamp("2030-01-01T00:00Z").timestamp()
NOW = pd.Timestamp("2022-01-12T15:20:33.7Z").timestamp()


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(load_history("sample"))


def bars(rows: list[tuple[float, float, float, float, int]], minutes: int = 60, **more: float) -> History:
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close", "volume"])
    frame.insert(0, "time", pd.date_range("2021-03-01T09:00Z", periods=len(rows), freq=f"{minutes}min", unit="us"))
    return from_frame("EUR_USD", frame.assign(**more))


points = st.integers(100_000, 100_400)
candles = st.builds(
    lambda o, c, up, down, v: (o / 1e5, (max(o, c) + up) / 1e5, (min(o, c) - down) / 1e5, c / 1e5, v),
    points,
    points,
    st.sampled_from([0, 1, 7, 200]),
    st.sampled_from([0, 1, 7, 200]),
    st.sampled_from([0, 1, 2, 3, 59, 60, 700, 5_000, 80_000]),
)


@given(st.lists(candles, min_size=2, max_size=4), st.sampled_from(["S5", "M1", "M5", "M30"]))
def test_finer_candles_add_up_to_the_bars_of_the_history_exactly(rows, granularity):
    history = bars(rows)
    market = Market({"EUR_USD": history})
    finer = market.candles("EUR_USD", Wanted(granularity, first=history.times[0], last=LATER), LATER).bars
    rebuilt = Market({"EUR_USD": History("EUR_USD", granularity, history.precision, finer)})
    again = rebuilt.candles("EUR_USD", Wanted("H1", last=LATER), LATER).bars
    np.testing.assert_array_equal(again, history.bars)
    own = market.candles("EUR_USD", Wanted("H1", last=LATER), LATER).bars
    np.testing.assert_array_equal(own, history.bars)


@given(st.lists(candles, min_size=2, max_size=3))
def test_the_ticks_of_the_stream_are_the_one_minute_candles(rows):
    history = bars(rows)
    market = Market({"EUR_USD": history})
    minutes = market.candles("EUR_USD", Wanted("M1", first=history.times[0], last=LATER), LATER).bars
    first = int(history.times[0]) * 1000
    ticks = pd.DataFrame(market.ticks("EUR_USD", first - 1, first + 10**9))
    groups = ticks.groupby(ticks["at"] // 60_000 * 60)
    mid = (ticks["bid"] + ticks["ask"]) // 2
    assert list(groups.groups) == list(minutes[:, TIME])
    np.testing.assert_array_equal(
        mid.groupby(ticks["at"] // 60_000).agg(["first", "max", "min", "last"]), minutes[:, MID]
    )
    few = minutes[:, VOLUME] <= 60 * MOST_TICKS_PER_S - 10
    np.testing.assert_array_equal(groups.size().to_numpy()[few], minutes[few, VOLUME])
    assert ticks["at"].is_monotonic_increasing


def test_the_same_history_gives_the_same_path_for_ever():
    """A change of these numbers would make a bronze store disagree with the server it was filled from."""
    history = bars([(1.1, 1.102, 1.099, 1.1005, 400)] * 2)
    ticks = Market({"EUR_USD": history}).ticks("EUR_USD", int(history.times[0]) * 1000 - 1, 2**60)
    assert [tuple(t)[:3] for t in (ticks[0], ticks[1], ticks[200], ticks[-1])] == [
        (1614589200386, 109995, 110005),
        (1614589211694, 109981, 109991),
        (1614591002391, 109936, 109946),
        (1614596399594, 110045, 110055),
    ]


def test_every_bar_of_the_sample_is_drawn_exactly(market):
    for symbol, history in market.histories.items():
        first, last = (int(t) for t in history.times[[4000, 4400]])
        minutes = market.candles(symbol, Wanted("M1", first=first, last=last - 1), LATER).bars
        hours = Market({symbol: History(symbol, "M1", history.precision, minutes)})
        found = hours.candles(symbol, Wanted("H1", first=first, last=last - 1), LATER).bars
        np.testing.assert_array_equal(found, history.bars[4000:4400])


@pytest.mark.parametrize("granularity", ["S5", "M1", "M15", "H1", "H4", "D"])
def test_nothing_of_the_future_is_seen(market, granularity):
    """The candles known at a moment do not change when more of them are known; only the running one does."""
    before = market.candles("GBP_USD", Wanted(granularity, last=NOW, count=40), NOW)
    assert list(before.complete) == [True] * (len(before.complete) - 1) + [False]
    later = market.candles("GBP_USD", Wanted(granularity, first=float(before.bars[0, TIME]), count=41), NOW + 86_400)
    np.testing.assert_array_equal(before.bars[:-1], later.bars[: len(before.bars) - 1])
    running, ended = before.bars[-1], later.bars[len(before.bars) - 1]
    assert running[TIME] == ended[TIME]
    assert running[VOLUME] < ended[VOLUME]
    assert running[2] == ended[2]
    assert running[3] <= ended[3]


@pytest.mark.parametrize("granularity", ["S5", "M1", "H1", "H4", "D"])
def test_before_a_bars_first_price_it_is_not_there(market, granularity):
    """A moment after an hour has begun, and nothing has come of it yet."""
    hour = pd.Timestamp("2022-01-12T22:00Z").timestamp()
    first = market.ticks("GBP_USD", int(hour * 1000) - 1, int(hour * 1000) + 60_000)[0].at / 1000
    before = market.candles("GBP_USD", Wanted(granularity, last=first, count=3), first - 0.001)
    after = market.candles("GBP_USD", Wanted(granularity, last=first, count=3), first + 0.001)
    assert before.bars[-1, TIME] < hour
    assert before.complete.all()
    assert after.bars[-1, TIME] >= hour
    assert (after.bars[-1, VOLUME], after.complete[-1]) == (1, False)


def test_count_and_first_and_last(market):
    hour = 3600.0
    start = NOW // 3600 * 3600 - 20 * hour
    every = market.candles("GBP_USD", Wanted("H1", first=start, count=5), NOW).bars[:, TIME]
    assert list(every) == [start + n * hour for n in range(5)]
    covered = market.candles("GBP_USD", Wanted("H1", first=start + 60, count=2), NOW).bars[:, TIME]
    assert list(covered) == [start, start + hour]
    after = market.candles("GBP_USD", Wanted("H1", first=start, count=2, include_first=False), NOW).bars[:, TIME]
    assert list(after) == [start + hour, start + 2 * hour]
    until = market.candles("GBP_USD", Wanted("H1", last=start, count=2), NOW).bars[:, TIME]
    assert list(until) == [start - hour, start]
    between = market.candles("GBP_USD", Wanted("H1", first=start, last=start + 2 * hour), NOW).bars[:, TIME]
    assert len(between) == 3  # the joining candle is in both of two neighbouring ranges
    finer = market.candles("GBP_USD", Wanted("M1", first=start + 90, count=3), NOW).bars[:, TIME]
    assert list(finer) == [start + 60, start + 120, start + 180]


def test_days_follow_the_alignment_that_is_asked_for(market):
    wanted = Wanted("D", last=NOW, count=3)
    newyork = market.candles("GBP_USD", wanted, NOW).bars[:, TIME]
    assert [pd.Timestamp(t, unit="s").hour for t in newyork] == [22, 22, 22]
    utc = market.candles("GBP_USD", Wanted("D", last=NOW, count=3, alignment=Alignment(0, "UTC")), NOW).bars[:, TIME]
    assert [pd.Timestamp(t, unit="s").hour for t in utc] == [0, 0, 0]


def test_a_price_outside_market_hours_is_the_last_one_and_not_tradeable(market):
    saturday = pd.Timestamp("2022-01-08T12:00Z").timestamp()
    price = market.price("GBP_USD", saturday)
    friday = market.candles("GBP_USD", Wanted("H1", last=saturday, count=1), saturday)
    assert price is not None
    assert not price.tradeable
    assert (price.bid + price.ask) // 2 == friday.bars[-1, 5]
    assert market.ticks("GBP_USD", int(saturday - 60) * 1000, int(saturday) * 1000) == []
    assert market.price("GBP_USD", NOW).tradeable  # type: ignore[union-attr]
    assert market.price("GBP_USD", 0) is None


def test_spreads_and_decimals_of_the_history_are_kept():
    history = bars([(1.1, 1.1, 1.1, 1.1, 5)] * 3, bid_close=1.0999, ask_close=1.1001)
    assert history.spread == pytest.approx(0.0002)
    assert history.precision == 5
    fine = bars([(1.100001, 1.100001, 1.1, 1.1, 5)] * 3)
    assert fine.precision == 6
    yen = from_frame(
        "USD_JPY",
        pd.DataFrame(
            {
                "time": pd.date_range("2021-03-01T09:00Z", periods=2, freq="h"),
                **dict.fromkeys(["open", "high", "low", "close"], 109.5),
            }
        ),
    )
    assert yen.precision == 3


def test_bars_without_volume_have_ticks_all_the_same():
    frame = pd.DataFrame({"time": pd.date_range("2021-03-01T09:00Z", periods=3, freq="h", unit="us")})
    history = from_frame("EUR_USD", frame.assign(open=1.1, high=1.2, low=1.0, close=1.1))
    minutes = Market({"EUR_USD": history}).candles("EUR_USD", Wanted("M1", last=LATER, count=500), LATER).bars
    assert len(minutes) == 180


def write(path, rows: int = 50) -> None:
    times = pd.date_range("2021-03-01T09:00Z", periods=rows, freq="1min").strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text("time,open,high,low,close\n" + "".join(f"{t},1.1,1.2,1.0,1.15\n" for t in times))


def test_a_file_and_a_folder_are_loaded_by_the_instrument_in_their_name(tmp_path):
    write(tmp_path / "EURUSD_M1_2021.csv")
    write(tmp_path / "gbp_jpy.csv")
    assert list(load_history(str(tmp_path / "EURUSD_M1_2021.csv"))) == ["EUR_USD"]
    found = load_history(str(tmp_path))
    assert {symbol: h.granularity for symbol, h in found.items()} == {"EUR_USD": "M1", "GBP_JPY": "M1"}


def test_files_that_cannot_be_used_are_named_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="holds no candle file"):
        load_history(str(tmp_path))
    (tmp_path / "prices").mkdir()
    write(tmp_path / "prices" / "x.csv")
    with pytest.raises(DataError, match=r"x\.csv: its name starts with no instrument"):
        load_history(str(tmp_path / "prices"))
    write(tmp_path / "EUR_USD.csv", rows=1)
    with pytest.raises(DataError, match="one bar is no history"):
        load_history(str(tmp_path / "EUR_USD.csv"))
    with pytest.raises(DataError, match="no such file"):
        load_history(str(tmp_path / "EUR_GBP.csv"))


@pytest.mark.parametrize(("name", "symbol"), [("XAUUSD.csv", "XAU_USD"), ("SPX500_USD_H1.parquet", "SPX500_USD")])
def test_names_of_files(name, symbol, tmp_path):
    assert symbol_of(tmp_path / name) == symbol
