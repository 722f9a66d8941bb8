"""What the figures are made of: closed positions only, as of a moment, with what few trades cannot say left unsaid."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from fx_monitoring.trading import latest
from fx_monitoring.trading.figures import Position, _ratio, by_book, load, unrealised
from fx_monitoring.trading.ledger import reading
from fx_monitoring.trading.report import book_table, figure_table
from fx_serving.client.home import Stores
from tests.fx_monitoring.trading.world import HOUR, MONDAY, World

SOON = timedelta(minutes=2)


@pytest.fixture
def traded(world: World) -> World:
    """Two sessions of always going long."""
    world.predict(world.candles(46), 0.6)
    for k in [*range(2, 6), *range(26, 31)]:
        world.run(MONDAY + k * HOUR + SOON)
    return world


def test_nothing_was_traded_yet(tmp_path):
    assert latest(Stores(tmp_path)) is None


def test_the_figures_agree_with_the_quotes(traded: World):
    """By hand: long from the close of hour 3 to that of hour 7, the spread paid at both ends, two equal books."""
    found = latest(Stores(traded.home), at=MONDAY + 24 * HOUR)
    candles = traded.lake.table("silver/candles")
    gross, cost = [], []
    for symbol in ("GBP_USD", "USD_JPY"):
        own = candles[candles["instrument"] == symbol].set_index("available_at").to_dict("index")
        quotes = [own[pd.Timestamp(MONDAY + k * HOUR)] for k in range(3, 8)]
        half = [(q["ask_close"] - q["bid_close"]) / (q["ask_close"] + q["bid_close"]) for q in quotes]
        gross.append(sum(after["close"] / before["close"] - 1 for before, after in pairwise(quotes)))
        cost.append(half[0] + half[-1])
    assert found is not None
    assert found.pnl_gross == pytest.approx(np.mean(gross))
    assert found.pnl_net == pytest.approx(np.mean(gross) - np.mean(cost))
    assert found.trades_by_instrument == {"GBP_USD": 1, "USD_JPY": 1}
    assert found.win_rate == np.mean(np.array(gross) > np.array(cost))


def test_what_came_later_is_not_in_an_earlier_sessions_figures(traded: World):
    """A session made again after weeks shows what it showed then."""
    stores, end = Stores(traded.home), MONDAY + 24 * HOUR
    first, second = latest(stores, at=end), latest(stores, at=end + 24 * HOUR)
    assert first is not None
    assert second is not None
    assert first.trades < second.trades
    assert first.latency.decisions == 8
    assert second.latency.decisions == 18
    assert first.pnl_session == pytest.approx(first.pnl_net)
    assert second.pnl_session == pytest.approx(second.pnl_net - first.pnl_net, abs=1e-3)


def test_few_trades_do_not_count_and_two_days_have_no_sharpe_ratio(traded: World):
    found = latest(Stores(traded.home), at=MONDAY + 48 * HOUR)
    assert found is not None
    assert not found.enough
    assert found.sharpe["all"].value is None
    assert found.sharpe["all"].days == 2
    assert "does not count yet" in figure_table(found)


def test_a_few_days_have_a_ratio_without_an_interval():
    """Resampled in blocks of five days, five days would always be themselves, and look certain."""
    daily = np.random.default_rng(1).normal(1e-4, 1e-3, 20)
    found = {days: _ratio(daily[:days]) for days in (2, 3, 9, 10, 20)}
    assert [found[days].value is None for days in found] == [True, False, False, False, False]
    assert [found[days].low is None for days in found] == [True, True, True, False, False]
    assert found[20].value == pytest.approx(daily.mean() / daily.std(ddof=1) * 260**0.5)


def test_signals_are_counted_by_hour_of_open_market(traded: World):
    found = latest(Stores(traded.home), at=MONDAY + 5 * HOUR + SOON)
    assert found is not None
    assert found.signals_per_hour == pytest.approx(8 / (5 + 2 / 60))
    assert found.signals_last_hour == 2
    assert found.refusals == 0
    assert found.last_order_at == MONDAY + 5 * HOUR + SOON
    assert found.latency.worst_s == 120.0


def test_a_held_position_is_shown_and_not_yet_in_the_pnl(traded: World):
    at = MONDAY + 4 * HOUR + SOON  # filled at 3 h, gone on at 4 h
    with reading(Stores(traded.home).trading_db) as db:
        assert db is not None
        book = load(db, at)
    assert [(p.instrument, p.position, p.opened_at) for p in book.positions] == [
        ("GBP_USD", 1.0, MONDAY + 4 * HOUR),
        ("USD_JPY", 1.0, MONDAY + 4 * HOUR),
    ]
    assert book.run is not None
    assert len(book.run.held) == 2
    assert "GBP_USD" in book_table(by_book(book.run))


def test_closing_a_position_now_costs_half_the_spread_and_the_nights():
    held = Position("m", "GBP_USD", -0.5, MONDAY - 2 * HOUR, MONDAY + 9 * HOUR, 1.2999, 1.3)
    value = unrealised(held, 1.287, 1e-4, 2e-5, MONDAY + HOUR)
    assert value == pytest.approx(-0.5 * (1.287 / 1.3 - 1) - 0.5e-4 - 0.5 * 2e-5)


def test_a_book_that_never_traded_shares_the_capital(world: World):
    candles = world.candles(8)
    world.predict(candles, np.where(candles["instrument"] == "GBP_USD", 0.6, 0.5))
    for k in range(2, 7):
        world.run(MONDAY + k * HOUR + SOON)
    found = latest(Stores(world.home), at=MONDAY + 7 * HOUR)
    with reading(world.path) as db:
        assert db is not None
        book = load(db, MONDAY + 7 * HOUR)
    assert found is not None
    assert book.run is not None
    assert found.pnl_gross == pytest.approx(book.run.held["gross"].sum() / 2)
