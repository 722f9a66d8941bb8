"""The vectorised backtest against books kept row by row, on any market that hypothesis can think of."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.evaluation.backtest import MULTIPLES, simulate
from tests.fx_assets.evaluation.slow_backtest import Row, deepest_fall, fx_day, keep_books, paid_nights

# Around a change of the clocks and a weekend, so that days, nights and gaps all occur.
START = datetime(2021, 3, 10, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


@st.composite
def markets(draw):
    """Instruments with gaps, spreads that change by the row, sizes, and returns of equal or different lengths."""
    equal = draw(st.booleans())
    length = draw(st.integers(1, 4))
    market = {}
    for name in "ABC"[: draw(st.integers(1, 3))]:
        hours = sorted(draw(st.sets(st.integers(0, 90), min_size=2, max_size=40)))
        market[name] = {
            START + hour * HOUR: Row(
                position=draw(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.25, 1.0, 1.0])),
                simple_return=draw(st.integers(-300, 300)) / 1e4,
                half=draw(st.integers(0, 20)) / 1e5,
                end=START + (hour + (length if equal else draw(st.integers(1, 30)))) * HOUR,
            )
            for hour in hours
        }
    return market


def run(market, latency, swap):
    flat = [(name, at, row) for name, rows in market.items() for at, row in rows.items()]
    flat.reverse()  # the order of rows does not matter

    def utc(moment: datetime) -> np.datetime64:
        return np.datetime64(moment.replace(tzinfo=None), "us")

    return simulate(
        np.array([row.position for _, _, row in flat]),
        np.log1p([row.simple_return for _, _, row in flat]),
        np.array([row.half for _, _, row in flat]),
        np.array([utc(at) for _, at, _ in flat]),
        np.array([name for name, _, _ in flat]),
        end=np.array([utc(row.end) for _, _, row in flat]),
        latency=latency,
        bar=np.timedelta64(1, "h"),
        swap_per_day=swap,
    )


@given(markets(), st.integers(0, 3), st.sampled_from([0.0, 1e-4, -2e-5]))
def test_books_agree_to_the_last_trade(market, latency, rate):
    swap = {name: rate for name in market}
    books, mine = keep_books(market, latency * HOUR, swap), run(market, latency, swap)
    figures = mine.figures()
    assert list(figures["daily"]) == sorted(books.net)
    assert list(figures["daily"].values()) == pytest.approx([books.net[d] for d in sorted(books.net)], abs=1e-12)
    assert mine.accounts["gross"].to_numpy() == pytest.approx([books.gross[d] for d in sorted(books.gross)], abs=1e-12)
    assert figures["turnover"] == pytest.approx(books.changed / len(market) / len(books.net), abs=1e-12)
    assert figures["max_drawdown"] == pytest.approx(deepest_fall(books.steps), abs=1e-12)
    expected = sorted(books.trades, key=lambda t: (t.entry, t.instrument))
    found = mine.trades
    assert found["instrument"].tolist() == [t.instrument for t in expected]
    assert found["side"].tolist() == [t.side for t in expected]
    assert found["entry_time"].tolist() == [t.entry for t in expected]
    assert found["exit_time"].tolist() == [t.exit for t in expected]
    for column, values in (
        ("gross_return", [t.gross for t in expected]),
        ("spread_cost", [t.cost for t in expected]),
        ("swap_cost", [t.swap for t in expected]),
        ("net_return", [t.net for t in expected]),
    ):
        assert found[column].to_numpy() == pytest.approx(np.array(values), abs=1e-12)
    won = sum(t.net for t in expected if t.net > 0)
    lost = -sum(t.net for t in expected if t.net < 0)
    if lost > 1e-9 and all(abs(t.net) > 1e-12 for t in expected):
        assert figures["profit_factor"] == pytest.approx(won / lost)
        assert figures["win_rate"] == pytest.approx(sum(t.net > 0 for t in expected) / len(expected))


@given(markets(), st.integers(0, 2))
def test_trades_add_up_to_the_account(market, latency):
    made = run(market, latency, 1e-4)
    figures, trades = made.figures(), made.trades
    assert figures["net_return"] == pytest.approx(trades["net_return"].sum() / len(market), abs=1e-12)
    assert figures["gross_return"] == pytest.approx(made.accounts["gross"].sum(), abs=1e-12)
    assert figures["exposure"] <= 1.0
    assert (trades["exit_time"] > trades["entry_time"]).all()
    assert (trades["size"].between(0, 1)).all()
    for _, own in trades.groupby("instrument"):
        assert (own["entry_time"].to_numpy()[1:] >= own["exit_time"].to_numpy()[:-1]).all()


@given(markets(), st.integers(0, 2))
def test_doubled_spreads_cost_what_the_sensitivity_says(market, latency):
    once = run(market, latency, 1e-4).figures()
    for name, multiple in MULTIPLES.items():
        dearer = {
            i: {at: Row(r.position, r.simple_return, r.half * multiple, r.end) for at, r in rows.items()}
            for i, rows in market.items()
        }
        again = run(dearer, latency, 1e-4).figures()
        assert once["cost_sensitivity"][name]["net_return"] == pytest.approx(again["net_return"], abs=1e-12)
        assert once["cost_sensitivity"][name]["sharpe"] == pytest.approx(again["sharpe_net"]["value"], abs=1e-6)


@given(markets(), st.integers(1, 3))
def test_late_entry_sees_nothing_of_the_row_that_decided(market, latency):
    """The returns of rows nothing was entered at may be anything."""
    before = run(market, latency, 0.0)
    times = before.held["entry_time"].dt.tz_localize("UTC")
    entered = {(i, at.to_pydatetime()) for i, at in zip(before.held["instrument"], times, strict=True)}
    changed = {
        i: {at: r if (i, at) in entered else Row(r.position, 0.5, r.half, r.end) for at, r in rows.items()}
        for i, rows in market.items()
    }
    after = run(changed, latency, 0.0)
    assert after.held.equals(before.held)
    assert repr(after.figures()) == repr(before.figures())


@given(st.datetimes(datetime(2019, 1, 1), datetime(2023, 12, 31)), st.integers(1, 400))
def test_days_and_nights_against_the_calendar(begin, hours):
    from fx_assets.evaluation.calendar import nights, trading_day

    begin = begin.replace(second=0, microsecond=0)
    finish = begin + hours * HOUR
    moments = np.array([begin, finish], "datetime64[us]")
    aware = [moment.replace(tzinfo=UTC) for moment in (begin, finish)]
    assert trading_day(moments).astype(str).tolist() == [fx_day(moment) for moment in aware]
    assert nights(moments[:1], moments[1:])[0] == paid_nights(*aware)
