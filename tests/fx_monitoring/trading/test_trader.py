"""The trader against the backtest, bar by bar; and everything it refuses, with the reason."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation.backtest import simulate
from fx_assets.evaluation.positions import positions
from fx_monitoring.configuration.trading import Trading
from fx_monitoring.trading.figures import load
from fx_monitoring.trading.forecasts import Batch, NoForecast, first_of
from fx_monitoring.trading.ledger import Run, open_ledger, reading
from fx_monitoring.trading.quotes import TYPICAL, closing_quotes
from fx_monitoring.trading.trader import Trader, patiently
from tests.fx_monitoring.trading.world import BOOKS, HOUR, MODEL, MONDAY, SYMBOLS, World

SOON = timedelta(minutes=2)


def rows_of(world: World, table: str, columns: str = "*") -> list[tuple]:
    with reading(world.path) as db:
        assert db is not None
        return db.execute(f"SELECT {columns} FROM {table}").fetchall()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_ledger_earns_what_the_backtest_says(world: World, seed: int):
    """The same forecasts, quotes and costs: every held return, cost and trade is the backtest's own."""
    candles = world.candles(40, seed=seed).sort_values(["available_at", "instrument"], ignore_index=True)
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(candles)) < 0.3, 0.5, rng.uniform(0.3, 0.7, len(candles)))
    ends = candles["available_at"].max()
    said[(candles["available_at"] >= ends - 3 * HOUR).to_numpy()] = 0.5  # all is closed before the candles end
    world.predict(candles, said)
    for moment in sorted(candles["available_at"].unique()):
        world.run(moment.to_pydatetime() + SOON)
    with reading(world.path) as db:
        assert db is not None
        book = load(db, ends.to_pydatetime() + SOON)
    assert book.run is not None
    assert book.positions == []

    later = candles.set_index(["instrument", "available_at"])["close"]
    after = later.reindex(pd.MultiIndex.from_arrays([candles["instrument"], candles["available_at"] + HOUR])).to_numpy()
    forward = np.nan_to_num(np.log(after / candles["close"].to_numpy()))
    half = ((candles["ask_close"] - candles["bid_close"]) / (candles["ask_close"] + candles["bid_close"])).to_numpy()
    time = candles["available_at"].dt.tz_localize(None).to_numpy()
    ending = time + np.timedelta64(1, "h")
    expected = simulate(
        positions("direction", said, 0.5), forward, half, time, candles["instrument"].to_numpy(str), end=ending
    )
    mine = book.run.held.assign(instrument=book.run.held["instrument"].str.partition("/")[2])
    wanted = expected.held.sort_values(["instrument", "entry_time"], ignore_index=True)
    assert len(wanted) > 20
    assert wanted["follows"].any()
    pd.testing.assert_frame_equal(
        mine.sort_values(["instrument", "entry_time"], ignore_index=True)[list(wanted.columns)],
        wanted,
        check_dtype=False,
        rtol=1e-9,
        atol=1e-15,
    )
    np.testing.assert_allclose(book.run.daily()[-len(expected.days) :], expected.daily(), rtol=1e-9, atol=1e-15)


def test_a_bar_is_acted_on_once_however_often_the_trader_runs(world: World):
    world.predict(world.candles(6), 0.6)
    bar = MONDAY + 3 * HOUR
    first = world.run(bar + SOON)
    assert [(d.instrument, d.bar, outcome) for d, outcome, _ in first.decided] == [(s, bar, "order") for s in SYMBOLS]
    again = world.run(bar + timedelta(minutes=32))
    assert (again.decided, again.refused) == ([], [])
    assert len(rows_of(world, "orders")) == 2
    assert {row[0] for row in rows_of(world, "decisions", "run_id")} == {"run-1"}


def test_the_latency_is_from_the_bars_close_to_the_order(world: World):
    world.predict(world.candles(6), 0.6)
    world.run(MONDAY + 2 * HOUR + timedelta(minutes=5))
    world.run(MONDAY + 3 * HOUR + timedelta(minutes=5, seconds=1))
    found = set(rows_of(world, "decisions", "latency_s, in_time"))
    assert found == {(300.0, 1), (301.0, 0)}


def test_an_order_is_filled_at_the_next_quote_and_not_before_it_is_known(world: World):
    """The lake holds the future, as in a replay: nothing of it is seen."""
    candles = world.candles(8)
    world.predict(candles, 0.6)
    bar = MONDAY + 2 * HOUR
    world.run(bar + SOON)
    assert world.run(bar + timedelta(minutes=59)).fills == []
    filled = world.run(bar + HOUR + SOON).fills
    quote = candles[(candles["instrument"] == "GBP_USD") & (candles["available_at"] == pd.Timestamp(bar + HOUR))]
    entry = next(fill for fill in filled if fill.order.instrument == "GBP_USD")
    assert (entry.leg, entry.quote_time, entry.price) == ("entry", bar + HOUR, quote["ask_close"].iloc[0])
    assert entry.cost == pytest.approx(entry.half_spread)
    assert {row for row in rows_of(world, "orders", "state, instrument") if row[0] == "open"} == {
        ("open", symbol) for symbol in SYMBOLS
    }


def test_a_position_that_goes_on_pays_no_spread_in_between(world: World):
    world.predict(world.candles(8), 0.6)
    for k in range(2, 8):
        world.run(MONDAY + k * HOUR + SOON)
    legs = rows_of(world, "fills f JOIN orders o ON o.id = f.order_id", "o.instrument, f.leg, f.units, f.follows")
    mine = [row[1:] for row in legs if row[0] == "GBP_USD"]
    assert mine[0] == ("entry", 1.0, 0)
    assert set(mine[1:]) == {("entry", 0.0, 1), ("exit", 0.0, 1)}


def test_an_order_whose_quote_never_came_expires(world: World):
    """And a position is closed at the first quote behind a gap."""
    gap = MONDAY + 4 * HOUR
    world.predict(world.candles(9, leave_out=(gap,)), 0.6)
    world.run(gap - HOUR + SOON)  # filled at the close of the bar before the gap, ends at the close of the gap
    world.run(gap + SOON)  # would be filled in the gap
    world.run(gap + 2 * HOUR + SOON)
    orders = rows_of(world, "orders WHERE instrument = 'GBP_USD'", "state, reason")
    assert orders[0] == ("closed", "")
    assert orders[1] == ("expired", "no quote at 2022-03-01 03:00 UTC; the next is of 04:00")
    exits = rows_of(world, "fills WHERE leg = 'exit'", "quote_time")
    assert len(exits) == 2
    assert len(set(exits)) == 1


def test_without_recorded_quotes_the_typical_spread_is_paid_and_said(world: World):
    world.candles(3, quoted=False)
    found = closing_quotes(world.lake, world.configuration, ["USD_JPY"], MONDAY, MONDAY + 9 * HOUR)["USD_JPY"]
    assert [quote.source for quote in found] == [TYPICAL] * 3
    assert found[0].ask - found[0].bid == pytest.approx(0.010)
    assert closing_quotes(world.lake, world.configuration, ["USD_JPY"], MONDAY + 99 * HOUR, MONDAY + 100 * HOUR) == {
        "USD_JPY": []
    }


def test_a_large_move_is_traded_the_last_moves_way(world: World):
    candles = world.candles(6)
    world.predict(candles, 0.6, "move_60m")
    settings = BOOKS.model_copy(update={"models": ("move_60m",)})
    refused = world.run(MONDAY + 2 * HOUR + SOON, settings).refused
    assert "gold/features has no row of 2022-03-01T00:00:00Z, which says which way to trade" in refused[0][3]
    features = candles[["instrument", "time", "available_at"]].assign(
        log_return_1=np.where(candles["instrument"] == "GBP_USD", -1e-3, np.nan)
    )
    world.lake.write("gold/features", {"2022-02-28": features})
    done = world.run(MONDAY + 2 * HOUR + SOON, settings)
    assert [(d.side, d.position, outcome) for d, outcome, _ in done.decided] == [(-1, -1, "order"), (0, 0, "flat")]


FRIDAY_CLOSE = datetime(2022, 3, 4, 22, tzinfo=UTC)
REFUSED = {
    "closed": (FRIDAY_CLOSE + SOON, {}, "the market is closed"),
    "closes before the exit": (
        FRIDAY_CLOSE - HOUR + SOON,
        {},
        "the market closes before 2022-03-04 23:00 UTC, when the position would end",
    ),
    "closes before the fill": (datetime(2022, 3, 6, 22, 2, tzinfo=UTC), {}, "late: the quote of 2022-03-04 23:00 UTC"),
    "stale": (MONDAY + 9 * HOUR + SOON, {}, "stale batch predictions: the newest is of 2022-03-01T04:00:00Z"),
    "nothing at all": (MONDAY + 33 * HOUR + SOON, {}, "no batch prediction in session 2022-03-01"),
    "blocked": (MONDAY + 3 * HOUR + SOON, {"blocked": "the environment check failed"}, "the environment check failed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_recorded_with_its_reason(world: World, case: str):
    world.predict(world.candles(6), 0.6)
    now, more, reason = REFUSED[case]
    done = world.run(now, **more)
    assert done.decided == []
    assert [why.startswith(reason) for *_, why in done.refused] == [True, True], done.refused
    kept = rows_of(world, "refusals", "run_id, pool, reason")
    assert {row[:2] for row in kept} == {("run-1", "trading")}
    assert all(row[2].startswith(reason) for row in kept)
    assert rows_of(world, "decisions") == []


def test_a_bar_refused_for_stale_features_may_be_acted_on_later(world: World):
    candles = world.candles(6)
    world.predict(candles[candles["available_at"] < pd.Timestamp(MONDAY + 3 * HOUR)], 0.6)
    assert len(world.run(MONDAY + 3 * HOUR + SOON).refused) == 2
    world.predict(candles, 0.6)
    done = world.run(MONDAY + 3 * HOUR + timedelta(minutes=32))
    assert [outcome for _, outcome, _ in done.decided] == ["order", "order"]
    assert set(rows_of(world, "decisions", "latency_s, in_time")) == {(32 * 60.0, 0)}


def test_a_run_that_begins_early_looks_again_until_the_sla_is_over(world: World):
    """The forecast comes at the third look; where none comes in time, it stops looking."""
    candles, bar = world.candles(6), MONDAY + 3 * HOUR
    moments = iter([bar + timedelta(seconds=s) for s in (60, 75, 90, 105)])
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            world.predict(candles, 0.6)

    def make() -> Trader:
        now = next(moments)
        return Trader(world.configuration, BOOKS, world.lake, Batch(world.lake, now), now)

    with open_ledger(world.path) as ledger:
        done = patiently(make, ledger, Run("a", bar, "core"), 600, pause)
        assert (len(looks), len(done.orders), done.refused) == (2, 2, [])
        moments = iter([MONDAY + 9 * HOUR + timedelta(seconds=s) for s in (60, 290, 310)])
        done = patiently(make, ledger, Run("b", bar, "core"), 600, pause)
    assert (len(looks), len(done.refused)) == (4, 2)
    assert rows_of(world, "refusals", "DISTINCT run_id") == [("b",)]
    assert set(rows_of(world, "decisions", "latency_s")) == {(90.0,)}


def test_a_label_that_ends_at_a_price_is_not_traded(world: World):
    entry = world.configuration.models.models[MODEL]
    label = entry.label.model_copy(update={"kind": "triple_barrier", "horizon_minutes": None, "timeout_bars": 4})
    models = {MODEL: entry.model_copy(update={"label": label})}
    file = world.configuration.models.model_copy(update={"models": models})
    world.configuration = world.configuration.model_copy(update={"models": file})
    done = world.run(MONDAY + 3 * HOUR + SOON)
    assert "label kind triple_barrier: only positions that end after a fixed time" in done.refused[0][3]


def test_core_mode_trades_the_core_instruments_only(world: World):
    everything = Trading(models=(MODEL,), source="batch")
    assert len(world.run(MONDAY + 3 * HOUR + SOON, everything).refused) == 4
    core = everything.model_copy(update={"mode": "core"})
    assert {symbol for _, symbol, _, _ in world.run(MONDAY + 3 * HOUR + SOON, core).refused} == set(SYMBOLS)


def test_two_sources_are_asked_in_turn_and_both_reasons_told(world: World):
    def silent(model: str, instrument: str, bar: datetime):
        raise NoForecast("no answer from the prediction service")

    def also(model: str, instrument: str, bar: datetime):
        raise NoForecast("no batch prediction")

    done = world.run(MONDAY + 3 * HOUR + SOON, ask=first_of(silent, also))
    assert done.refused[0][3] == "no answer from the prediction service; no batch prediction"
