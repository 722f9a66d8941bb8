"""The backtest against accounts kept by hand."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation.backtest import backtest, simulate, trading_day

T0 = np.datetime64("2021-01-04T12:00", "us")
HOUR = np.timedelta64(1, "h")


def run(position, forward, half: float | np.ndarray = 1e-4, hours=None, instrument=None, latency=0, **more):
    n = len(position)
    time = T0 + (np.arange(n) if hours is None else np.asarray(hours)) * HOUR
    names = np.repeat("X", n) if instrument is None else np.asarray(instrument)
    return backtest(np.array(position), np.array(forward), half, time, names, latency=latency, **more)


def test_one_held_position_pays_the_spread_once():
    result = run([0, 1, 1, 1, 0], np.log([1.01, 1.01, 1.0, 0.99, 1.01]))
    assert result["gross_return"] == pytest.approx(0.01 + 0.0 - 0.01)
    assert result["net_return"] == pytest.approx(-2e-4)
    assert result["trades"] == 1
    assert result["win_rate"] == 0.0
    assert result["exposure"] == pytest.approx(0.6)


def test_a_flip_costs_two_half_spreads_and_the_end_one():
    result = run([1, -1], np.log([1.01, 0.99]))
    assert result["net_return"] == pytest.approx(0.02 - 4e-4)
    assert result["trades"] == 2
    assert result["win_rate"] == 1.0
    assert np.isnan(result["profit_factor"])  # nothing was lost
    assert result["turnover"] == pytest.approx(4.0)
    costs = result["cost_sensitivity"]
    for name, multiple in (("0_5x", 0.5), ("1_5x", 1.5), ("3x", 3.0)):
        assert costs[name]["net_return"] == pytest.approx(0.02 - multiple * 4e-4)


def test_positions_are_closed_at_a_gap():
    whole = run([1, 1, 1, 1], np.zeros(4))
    gapped = run([1, 1, 1, 1], np.zeros(4), hours=[0, 1, 50, 51])
    assert whole["net_return"] == pytest.approx(-2e-4)
    assert gapped["net_return"] == pytest.approx(-4e-4)
    assert (whole["trades"], gapped["trades"]) == (1, 2)


def test_the_cost_of_leaving_belongs_to_the_trade():
    result = run([1, 0, 0, -1, 0], np.log([1.00015, 1, 1, 1 / 1.0003, 1]))
    assert result["trades"] == 2
    assert result["win_rate"] == 0.5  # 1.5 bp does not cover 2 bp, 3 bp does
    assert result["profit_factor"] == pytest.approx((2.9991e-4 - 2e-4) / 0.5e-4, rel=1e-3)


def test_capital_is_divided_between_instruments():
    hours = [0, 1, 0, 1]
    result = run([1, 1, 0, 0], np.log([1.02, 1.0, 1.5, 1.5]), half=0.0, hours=hours, instrument=list("AABB"))
    assert result["net_return"] == pytest.approx(0.01)


def test_drawdown_and_days():
    time = T0 + np.arange(5) * np.timedelta64(24, "h")
    result = backtest(np.ones(5), np.log([1.1, 0.8, 1.0, 0.9, 1.3]), 0.0, time, np.repeat("X", 5), latency=0)
    assert result["max_drawdown"] == pytest.approx(1 - 0.8 * 0.9)
    assert result["days"] == 5
    daily = np.array(list(result["daily"].values()))
    assert daily == pytest.approx([0.1, -0.2, 0.0, -0.1, 0.3])
    assert result["sharpe_net"]["value"] == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(260))
    assert result["sharpe_net"]["low"] <= result["sharpe_net"]["value"] <= result["sharpe_net"]["high"]


def test_sharpe_interval_of_a_real_edge_excludes_zero():
    rng = np.random.default_rng(0)
    n = 24 * 300
    forward = rng.normal(0, 1e-3, n)
    right = np.where(rng.random(n) < 0.55, np.sign(forward), -np.sign(forward))
    edge = run(right, forward, half=0.0)["sharpe_net"]
    luck = run(rng.choice([-1, 1], n), forward, half=0.0)["sharpe_net"]
    assert edge["low"] > 0
    assert luck["low"] < 0 < luck["high"]


def test_the_trading_day_turns_at_seventeen_new_york():
    times = np.array(["2021-01-08T21:59", "2021-01-10T22:00", "2021-07-04T21:00", "2021-07-02T20:59"], "datetime64[us]")
    assert trading_day(times).astype(str).tolist() == ["2021-01-08", "2021-01-11", "2021-07-05", "2021-07-02"]


def test_an_order_is_filled_one_bar_late():
    """Decided at hour 0 and held until 2: it earns what hours 1 and 2 earned, at their spreads."""
    forward = np.log([1.5, 1.01, 1.02, 0.5])
    result = run([1, 1, 0, 0], forward, half=np.array([9e-4, 1e-4, 2e-4, 3e-4]), latency=1)
    assert result["gross_return"] == pytest.approx(0.01 + 0.02)
    assert result["net_return"] == pytest.approx(0.03 - 1e-4 - 3e-4)
    assert (result["trades"], result["latency_bars"]) == (1, 1)
    two = run([1, 1, 0, 0], forward, half=0.0, latency=2)
    assert two["gross_return"] == pytest.approx(0.02 - 0.5)


def test_no_order_waits_over_a_gap():
    late = run([1, 0, 1, 0], np.log([1.5, 1.5, 1.5, 1.02]), half=0.0, hours=[0, 50, 51, 52], latency=1)
    assert late["gross_return"] == pytest.approx(0.02)  # hour 1 has no price; hour 51's order is filled at 52


def test_returns_over_several_bars_do_not_overlap():
    time = T0 + np.arange(8) * HOUR
    forward = np.log1p(np.arange(1, 9) / 100)
    made = simulate(
        np.array([0, 1, 1, 1, 1, 1, 0, 0.0]), forward, 1e-4, time, np.repeat("X", 8), step=3 * HOUR, latency=0
    )
    assert made.held["gross"].tolist() == pytest.approx([0.02, 0.05])
    assert made.trades["rows"].tolist() == [6]
    assert made.figures()["net_return"] == pytest.approx(0.07 - 2e-4)
    assert made.figures()["exposure"] == pytest.approx(6 / 8)


def test_swap_is_paid_at_seventeen_new_york_and_threefold_on_wednesdays():
    hours = 24 * np.arange(5)  # Monday 12:00 UTC on, held from noon to noon
    week = run(np.ones(5), np.zeros(5), half=0.0, hours=hours, swap_per_day=1e-4)
    assert week["net_return"] == pytest.approx(-1e-4 * (1 + 1 + 3 + 1 + 1))
    assert week["swap_per_day"] == pytest.approx(1e-4)
    by_name = run([1, 0, 1, 0], np.zeros(4), 0.0, [0, 24, 0, 24], list("AABB"), swap_per_day={"A": 1e-4, "B": 3e-4})
    assert by_name["net_return"] == pytest.approx(-2e-4)
    assert by_name["swap_per_day"] == pytest.approx(2e-4)
    with pytest.raises(ValueError, match="no swap for B"):
        run([1, 1], np.zeros(2), 0.0, [0, 0], list("AB"), swap_per_day={"A": 0.0})


def test_the_list_of_trades():
    made = simulate(
        np.array([1, 0.5, -1, 0, 1]),
        np.log([1.01, 1.02, 0.97, 1.5, 1.0]),
        np.array([1e-4, 2e-4, 3e-4, 4e-4, 5e-4]),
        T0 + np.arange(5) * HOUR,
        np.repeat("X", 5),
        latency=0,
    )
    trades = made.trades
    assert trades["side"].tolist() == [1, -1, 1]
    assert trades["size"].tolist() == [0.75, 1.0, 1.0]
    assert trades["entry_time"].tolist() == [pd.Timestamp(T0 + h * HOUR, tz="UTC") for h in (0, 2, 4)]
    assert trades["exit_time"].tolist() == [pd.Timestamp(T0 + h * HOUR, tz="UTC") for h in (2, 3, 5)]
    assert trades["gross_return"].tolist() == pytest.approx([0.02, 0.03, 0.0])
    # Opened 1 at 1e-4, halved at 2e-4, left at 3e-4; opened at 3e-4, left at 4e-4; the end has no spread of its own.
    assert trades["spread_cost"].tolist() == pytest.approx([1e-4 + 1e-4 + 1.5e-4, 7e-4, 10e-4])
    assert trades["net_return"].tolist() == pytest.approx([0.02 - 3.5e-4, 0.03 - 7e-4, -1e-3])


def test_sortino_counts_only_the_losses():
    time = T0 + np.arange(4) * np.timedelta64(24, "h")
    result = backtest(np.ones(4), np.log([1.02, 0.99, 1.01, 0.99]), 0.0, time, np.repeat("X", 4), latency=0)
    expected = 0.0025 / np.sqrt(2e-4 / 4) * np.sqrt(260)
    assert result["sortino"]["value"] == pytest.approx(expected)
    without = backtest(np.ones(4), np.log([1.02, 1.0, 1.01, 1.0]), 0.0, time, np.repeat("X", 4), latency=0)
    assert np.isnan(without["sortino"]["value"])  # nothing was lost: no bound
    assert run([0, 0], np.zeros(2))["sortino"]["value"] == 0.0


def test_the_last_thirty_days():
    days = 60
    time = T0 + np.arange(days) * np.timedelta64(24, "h")
    gains = np.where(np.arange(days) < 30, -0.01, np.where(np.arange(days) % 3 == 0, -0.004, 0.005))
    result = backtest(np.ones(days), np.log1p(gains), 0.0, time, np.repeat("X", days), latency=0)
    last = result["last_30d"]
    assert last["days"] == 30
    assert last["net_return"] == pytest.approx(gains[30:].sum())
    assert last["max_drawdown"] == pytest.approx(0.004)
    recent = gains[30:]
    assert last["sharpe_net"]["value"] == pytest.approx(recent.mean() / recent.std(ddof=1) * np.sqrt(260))
    assert last["sharpe_net"]["low"] < last["sharpe_net"]["value"] < last["sharpe_net"]["high"]
    assert result["net_return"] < 0 < last["net_return"]


def test_wrong_rows_are_refused():
    with pytest.raises(ValueError, match="two rows at one time"):
        run([1, 1], np.zeros(2), hours=[0, 0])
    with pytest.raises(ValueError, match="ends at its decision"):
        run([1, 1], np.zeros(2), end=T0 + np.array([1, 1]) * HOUR)
    with pytest.raises(ValueError, match="cannot be filled before"):
        run([1, 1], np.zeros(2), latency=-1)


def test_bad_positions_are_refused():
    with pytest.raises(ValueError, match="-1 to 1"):
        run([1.5, 1], [0.0, 0.0])
    with pytest.raises(ValueError, match="forward return"):
        run([1, 1], [0.0, np.nan])


def test_no_trades_at_all_is_an_answer():
    result = run([0, 0, 0], np.zeros(3))
    assert result["trades"] == 0
    assert result["sharpe_net"]["value"] == 0.0
    assert np.isnan(result["win_rate"])
